"""The bench of a scenario: the words with which it drives a station and its CSMS, and says what it expects."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from foundation.json_values import is_object, object_of
from foundation.supervision import result_or_exception
from simulator.csms.orders import CallAnswer, ChosenAnswer
from simulator.scenarios.driving import DEFAULT_CARD, DRIVING_WORDS
from simulator.scenarios.expectations import ExpectedMessage, MessageSearch, shown_value
from simulator.scenarios.messages import FloodError, Message, Sender
from simulator.scenarios.observer import StationObserver
from simulator.scenarios.patterns import UnknownCaptureError, filled, mismatch, moment_offset_s, names_in
from simulator.scenarios.states import StateSources, state_of
from simulator.scenarios.under_test import CsmsError, StationError, status_of
from simulator.scenarios.verdicts import StepVerdict, TimeKind, Verdict
from station.maintenance.logs.frame_log import SENT_BY_BENCH

if TYPE_CHECKING:
    from simulator.api.driver import SimulatedEv
    from simulator.api.misbehaviour import RawFrame
    from simulator.scenarios.bench_files import BenchFiles
    from simulator.scenarios.steps import CheckedThing
    from simulator.scenarios.under_test import ApiResponse, ControlledCsms, StationUnderTest

_MESSAGES_SHOWN: Final = 14
"""messages around a failure in a report"""
_ACCEPTED_WITHIN_S: Final = 120.0
_FRAME_FIELDS: Final = ("text", "action", "payload", "length", "message_type")
"""fields of `RawFrame`"""


class StepFailedError(Exception):
    """A step of a scenario failed; the message says what was expected, and what came instead."""


class StepNotPossibleError(Exception):
    """A step cannot be played with this CSMS; the message says why. The scenario then counts as not run."""


class BenchSettings(Frozen):
    """How a bench plays."""

    identity: str
    """identity of the station"""
    time: TimeKind = "simulated"
    """how its time passes"""
    patience_s: float = 5.0
    """real seconds that it waits at the end of simulated ones, for a CSMS that is not in this process"""
    on_step: Callable[[StepVerdict], None] | None = None
    """called at the begin and at the end of each step; None: not called"""


class Bench:
    """Drives one station, and checks what it does.

    Each word is a step, with its verdict in `verdicts`. It raises `StepFailedError` if it fails, which ends a scenario.
    """

    def __init__(
        self,
        station: StationUnderTest,
        csms: ControlledCsms | None,
        files: BenchFiles,
        settings: BenchSettings,
        values: Mapping[str, object] | None = None,
    ) -> None:
        """Take a station and its CSMS.

        Args:
            station: the station.
            csms: the CSMS, if it can be told what to do; None: a person has to do it.
            files: what the station downloads, and where it uploads.
            settings: how to play.
            values: what `${name}` is at the begin.
        """
        self.settings = settings
        built_in = {"identity": settings.identity, "files": files.url(settings.identity)}
        self.captures: dict[str, object] = {**built_in, **(values or {})}
        """captured values by name"""
        self.verdicts: list[StepVerdict] = []
        """the steps so far"""
        self.observer = StationObserver(station, settings.time, settings.patience_s)
        """observes the station"""
        self._station = station
        self._csms = csms
        self._position = 0
        """index of the first message that the next expectation may find"""
        self._source: tuple[int | None, str] = (None, "")
        self._sources = StateSources(station, csms, files, settings.identity)

    # The driver and the house

    async def plug(self, ev: SimulatedEv | None = None, *, evse: int = 1) -> None:
        """Plug a vehicle in; None: a three-phase one of 32 A."""
        body: dict[str, object] = {"evse": evse}
        if ev is not None:
            body["ev"] = ev.model_dump(mode="json", exclude_unset=True)
        await self.drive("plug", body)

    async def unplug(self, *, evse: int = 1, ev_side: bool = False) -> None:
        """Unplug the vehicle, and its cable unless `ev_side`."""
        await self.drive("unplug", {"evse": evse, "ev_side": ev_side})

    async def card(self, uid: str = DEFAULT_CARD, *, reader: str = "reader") -> None:
        """Present a card to a reader."""
        await self.drive("card", {"uid": uid, "name": reader})

    async def drive(self, word: str, body: Mapping[str, object] | None = None) -> None:
        """Play any word that drives the station (`DRIVING_WORDS`), such as `vehicle`, `house` or `power`."""
        action = DRIVING_WORDS[word]
        async with self._step(f"{word}{shown_value(body)}"):
            given = object_of(await self._filled(dict(body or {})))
            evse = given.pop("evse", 1) if "{evse}" in action.path else None
            await self._accepted(action.method, action.path.replace("{evse}", str(evse)), given)

    async def request(
        self, method: str, path: str, body: object = None, *, status: int | None = None, answer: object = None
    ) -> object:
        """Send any request to the station's API; returns the body of the response. `answer`: pattern of it."""
        async with self._step(f"{method} {path}{shown_value(body)}") as verdict:
            response = await self._station.request(method, str(await self._filled(path)), await self._filled(body))
            if not (response.status < 400 if status is None else response.status == status):
                wanted = "success" if status is None else f"HTTP status {status}"
                raise StepFailedError(f"expected {wanted}, was {response.status}: {response.reason}")
            if answer is not None:
                self._match(answer, response.body)
                verdict.matched.append(shown_value(response.body).strip())
            return response.body

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        async with self._step(f"wait {seconds:g} s"):
            await self.observer.pass_time(seconds)

    async def wait_until(self, time_of_day: str) -> None:
        """Let time pass until HH:MM in the time zone of the station."""
        async with self._step(f"wait until {time_of_day}"):
            local = datetime.fromisoformat(str((await self._status())["local_time"]))
            hour, minute = (int(part) for part in time_of_day.split(":"))
            due = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
            await self.observer.pass_time(((due - local) % timedelta(days=1)).total_seconds())

    async def send_frame(
        self, frame: RawFrame, *, answer: object = None, error: str | None = None, within_s: float = 30.0
    ) -> None:
        """Let the station send a frame that its software would not send.

        `answer`: pattern of the answer that must come. `error`: pattern of the code of the CALLERROR that must come.
        """
        body = frame.model_dump(mode="json", exclude_unset=True, include=set(_FRAME_FIELDS))
        async with self._step(f"send frame{shown_value(body)}") as verdict:
            before = len(self.observer.log.messages)
            await self._accepted("POST", "/api/sim/frame", await self._filled(body))
            if answer is None and error is None:
                return

            def answered() -> Message | None:
                sent = (one for one in self.observer.log.messages[before:] if one.note == SENT_BY_BENCH)
                return next((one.answer for one in sent), None)

            if not await self.observer.until(lambda: answered() is not None, within_s):
                raise StepFailedError(f"expected an answer within {within_s:g} s, but none came")
            if (found := answered()) is not None:
                self._check_answer(_call_answer(found), answer, error)
                verdict.matched.append(found.shown)

    # The CSMS

    async def call(
        self,
        action: str,
        payload: Mapping[str, object] | None = None,
        *,
        answer: object = None,
        error: str | None = None,
        within_s: float = 60.0,
    ) -> Mapping[str, object]:
        """Let the CSMS send a request; returns the payload of the answer.

        `answer`: pattern of it. `error`: pattern of the code of the CALLERROR that is expected. If the CSMS cannot be
        told to, a person has to let it send such a request, within `within_s` of real time.
        """
        async with self._step(f"CSMS calls {action}{shown_value(payload)}") as verdict:
            if self._csms is None:
                found = await self._called_by_person(action, within_s)
            else:
                request = object_of(await self._filled(dict(payload or {})))
                found = await self._called(self._csms, action, request, within_s)
            self._check_answer(found, answer, error)
            verdict.matched.append(shown_value(found.payload).strip())
            return found.payload

    async def csms_answers(self, action: str, answer: ChosenAnswer) -> None:
        """Choose how the CSMS answers the next requests of an action."""
        async with self._step(f"CSMS answers {action}{shown_value(answer.payload)}"):
            if self._csms is None:
                raise StepNotPossibleError(f"nobody can choose how this CSMS answers {action}")
            payload = object_of(await self._filled(dict(answer.payload)))
            chosen = ChosenAnswer(payload, answer.error_code, answer.error_description, answer.silent, answer.times)
            await self._csms.choose_answer(self.settings.identity, action, chosen)

    # Expectations

    async def expect(
        self,
        action: str,
        payload: Mapping[str, object] | None = None,
        *,
        answer: Mapping[str, object] | None = None,
        error: str | None = None,
        sender: Sender | None = None,
        within_s: float = 30.0,
        **fields: object,
    ) -> Message:
        """Wait for a message after the one that the last expectation has found; returns it.

        `payload`, `answer`: patterns; `fields`: further fields of `payload`. `error`: pattern of the code of the
        CALLERROR that answers it. `sender`: None: whichever.
        """
        expected = ExpectedMessage(action, {**(payload or {}), **fields}, answer, error, sender)
        async with self._step(f"expect {expected} within {within_s:g} s") as verdict:
            return (await self._find([expected], within_s, verdict))[0]

    async def expect_all(self, expected: Sequence[ExpectedMessage], *, within_s: float = 30.0) -> list[Message]:
        """Wait for messages in any order, after the one that the last expectation has found; returns them."""
        names = ", ".join(str(one) for one in expected)
        async with self._step(f"expect in any order {names} within {within_s:g} s") as verdict:
            return await self._find(expected, within_s, verdict)

    async def expect_none(
        self,
        action: str,
        payload: Mapping[str, object] | None = None,
        *,
        sender: Sender | None = None,
        for_s: float = 5.0,
    ) -> None:
        """Check that no such message comes for a while."""
        unwanted = ExpectedMessage(action, payload or {}, sender=sender)
        async with self._step(f"expect no {unwanted} for {for_s:g} s"):
            await self.observer.read_messages()
            messages = self.observer.log.messages
            search = MessageSearch([unwanted], messages, len(messages), dict(self.captures))
            if await self.observer.until(search.find_all, for_s, patient=False):
                raise StepFailedError(f"expected no {unwanted}, but it came: {search.found[0].shown}")

    async def check(
        self, of: CheckedThing, values: Mapping[str, object], *, evse: int = 1, within_s: float = 10.0
    ) -> Mapping[str, object]:
        """Wait until a state has these values; returns it. `of`: as in `CheckStep`."""
        title = f"check {of}{f' {evse}' if of in ('evse', 'inputs', 'display') else ''}{shown_value(values)}"
        async with self._step(title) as verdict:
            if of == "bill" and self._csms is None:
                raise StepNotPossibleError("nobody can read the bills of this CSMS")
            state: Mapping[str, object] | None = None
            reason: str | None = None

            async def matches() -> bool:
                nonlocal state, reason
                state = await state_of(of, evse, self._sources)
                captures = dict(self.captures)
                reason = mismatch(dict(values), state, captures) if state is not None else "there is none"
                if reason is None:
                    self.captures.update(captures)
                return reason is None

            if not await self.observer.until(matches, within_s) or state is None:
                raise StepFailedError(f"{of}: {reason}")
            verdict.matched.append(json.dumps({key: state.get(key) for key in values}, default=str))
            return state

    # Begin

    async def begin(self) -> None:
        """Set how time passes, and wait until the CSMS has accepted the station; expectations find what comes later."""
        async with self._step("the CSMS accepts the station"):
            await self._accepted("POST", "/api/sim/clock", {"rate": 0.0 if self.settings.time == "simulated" else 1.0})

            async def accepted() -> bool:
                return (await self._status()).get("boot_status") == "Accepted"

            if not await self.observer.until(accepted, _ACCEPTED_WITHIN_S):
                link = (await self._status()).get("csms")
                why = link.get("last_error") if is_object(link) else None
                raise StepFailedError(f"it has not within {_ACCEPTED_WITHIN_S:g} s: {why or 'no answer'}")
        self._position = len(self.observer.log.messages)

    def use_source(self, line: int | None, title: str) -> None:
        """Set the line in the file of the next step, and its title in reports; an empty one: what the step does."""
        self._source = (line, title)

    @contextlib.asynccontextmanager
    async def _step(self, title: str) -> AsyncGenerator[StepVerdict]:
        """Record a step: its verdict, its time, and on a failure the messages around it.

        Raises:
            StepFailedError: also in place of an error of station or CSMS.
            StepNotPossibleError: as raised in the block.
        """
        (line, note), self._source = self._source, (None, "")
        verdict = StepVerdict(len(self.verdicts) + 1, f"{note}: {title}" if note else title, line)
        self.verdicts.append(verdict)
        self._report(verdict)
        loop = asyncio.get_running_loop()
        begin_s, began_s = loop.time(), self.observer.elapsed_s
        try:
            yield verdict
            verdict.verdict = Verdict.PASSED
        except StepNotPossibleError as error:
            verdict.reason = str(error)
            raise
        except (StepFailedError, StationError, CsmsError, UnknownCaptureError, FloodError) as error:
            verdict.verdict, verdict.reason = Verdict.FAILED, str(error)
            raise StepFailedError(str(error)) from error
        except asyncio.CancelledError:
            verdict.reason = "was interrupted"
            raise
        finally:
            if verdict.verdict is not Verdict.PASSED:
                verdict.messages = [message.shown for message in self.observer.log.messages[-_MESSAGES_SHOWN:]]
            verdict.real_s, verdict.station_s = loop.time() - begin_s, self.observer.elapsed_s - began_s
            self._report(verdict)

    def _report(self, verdict: StepVerdict) -> None:
        if self.settings.on_step is not None:
            self.settings.on_step(verdict)

    async def _find(self, expected: Sequence[ExpectedMessage], within_s: float, verdict: StepVerdict) -> list[Message]:
        search = MessageSearch(expected, self.observer.log.messages, self._position, self.captures)
        if not await self.observer.until(search.find_all, within_s):
            raise StepFailedError(search.explain())
        self._position = max(message.index for message in search.found) + 1
        verdict.matched += [message.shown for message in search.found]
        return search.found

    async def _called(
        self, csms: ControlledCsms, action: str, payload: Mapping[str, object], within_s: float
    ) -> CallAnswer:
        """Let the CSMS call, and let time pass until the station has answered: it may wait for its hardware."""
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(result_or_exception(csms.call(self.settings.identity, action, payload)))
            await asyncio.wait([calling], timeout=self.settings.patience_s)
            answered = calling.done() or await self.observer.until(calling.done, within_s)
            if not answered:
                calling.cancel()
        if not answered:
            raise StepFailedError(f"the station has not answered {action} within {within_s:g} s")
        outcome = calling.result()
        if isinstance(outcome, Exception):
            raise outcome
        await self.observer.read_messages()
        return outcome

    async def _called_by_person(self, action: str, within_s: float) -> CallAnswer:
        """Wait until the CSMS sends a request by itself, and the station has answered."""
        begin = self._position
        called = ExpectedMessage(action, sender="csms")

        def answered() -> Message | None:
            return next((one for one in self.observer.log.messages[begin:] if called.may_be(one) and one.answer), None)

        if not await self.observer.until_in_real_time(lambda: answered() is not None, within_s):
            raise StepFailedError(f"the CSMS has not sent {action}, and cannot be told to (see --csms-api)")
        found = answered()
        return _call_answer(found.answer) if found is not None and found.answer is not None else CallAnswer({})

    def _check_answer(self, found: CallAnswer, answer: object, error: str | None) -> None:
        if error is not None:
            if found.error_code is None:
                raise StepFailedError(f"expected the CALLERROR {error}, was answered: {shown_value(found.payload)}")
            self._match(error, found.error_code)
        elif found.error_code is not None:
            raise StepFailedError(f"was answered with the CALLERROR {found.error_code}: {found.error_description}")
        if answer is not None:
            self._match(answer, dict(found.payload))

    def _match(self, pattern: object, value: object) -> None:
        if (reason := mismatch(pattern, value, self.captures)) is not None:
            raise StepFailedError(reason)

    async def _accepted(self, method: str, path: str, body: object = None) -> ApiResponse:
        response = await self._station.request(method, path, body)
        if response.status >= 400:
            raise StepFailedError(f"{method} {path} is refused ({response.status}): {response.reason}")
        return response

    async def _status(self) -> dict[str, object]:
        return await status_of(self._station)

    async def _filled(self, value: object) -> object:
        """A value that is sent, with the captured values in it."""
        moments = {name: offset for name in names_in(value) if (offset := moment_offset_s(name)) is not None}
        if moments:
            clock = object_of((await self._status())["clock"])
            now = datetime.fromisoformat(str(clock["now"]))
            for name, offset in moments.items():
                moment = now + timedelta(seconds=offset)
                self.captures[name] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return filled(value, self.captures)


def _call_answer(answer: Message) -> CallAnswer:
    """The answer to a request, from the message that was observed."""
    payload = object_of(answer.payload)
    return CallAnswer({}, str(payload["code"]), str(payload["description"])) if answer.is_error else CallAnswer(payload)
