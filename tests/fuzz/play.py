"""Plays poisonous requests and answers to a charging station; after each, a charge and two restarts follow.

Requests that the station refuses share one run of it. An accepted one ends that run: the vehicle charges, the power
fails in the middle, it charges again, the station is shut down in order, started, and charges once more. The next
request meets a new station.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ocpp_handlers.variables.variable import Variable
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.frame import UNREADABLE_ID
from ocpp_handlers.wire.schema import shared_schemas
from station.core.csms import NoAnswerError, VendorAnswer, VendorMessage
from station.load.shared_limits import LimitRequest, LimitSetter
from tests.csms import Csms, running_csms
from tests.fuzz.checks import (
    FaultError,
    check_charging,
    check_events,
    check_pages,
    logged_exceptions,
    open_transactions,
)
from tests.fuzz.poison import SETTINGS, Case, cases
from tests.fuzz.valid import ANSWERS, BEFORE, CERTIFICATE, MAY_STOP_CHARGING, NOW, REQUESTED_BY, REQUESTS, RUNNING
from tests.hostile import HostileCsms
from tests.patience import PATIENCE_S
from tests.walk import Walk, configuration, powered
from tests.walks.steps import variables
from tests.walks.test_phase_switching import SWITCHING

_ACCEPTED = {
    "Accepted",
    "AcceptedCanceled",
    "NoTransaction",
    "Processing",
    "RebootRequired",
    "Scheduled",
    "Unlocked",
}
_LONGEST_RUN = 60
"""refused requests to one run of the station, so that a fault that shows late has few suspects"""
_REACTION_S = 1.0
_CHARGE_S = 20.0
_RECONNECT_S = 900.0
_MOST_CARDS = 3
"""times that a card is presented until the cable is free"""


@dataclass
class Tally:
    """What was played, and what went wrong."""

    requests: int = 0
    accepted: list[Case] = field(default_factory=list[Case])
    charges: int = 0
    restarts: int = 0
    stations: int = 0
    faults: list[str] = field(default_factory=list[str])

    @property
    def summary(self) -> str:
        """The figures in one line."""
        return (
            f"{self.requests} poisonous messages, {len(self.accepted)} accepted, {self.charges} charges, "
            f"{self.restarts} restarts, {self.stations} new stations, {len(self.faults)} faults"
        )


class _FuzzCsms(HostileCsms):
    """A CSMS that takes the response to an unreadable frame (id "-1") as the response to its open request."""

    async def _handle_frame(self, frame: list[Any]) -> None:
        if frame[:2] == [4, UNREADABLE_ID]:
            frame[1] = next(reversed(self._open_requests), UNREADABLE_ID)
        await super()._handle_frame(frame)


class Player:
    """Plays cases to one station after the other, and keeps the tally."""

    def __init__(self, storage: Path, certificate: str, *, restarts: bool = True) -> None:
        """Take an empty directory, and a certificate of an authority as PEM.

        `restarts` False: an accepted request is followed only by the end of the charge.
        """
        self.tally = Tally()
        self._storage = storage
        self._certificate = certificate
        self._restarts = restarts
        self._case: Case | None = None
        """the last one that was sent"""

    async def play(self, selected: Iterable[Case]) -> Tally:
        """Play cases in this order; each fault is noted, and a new station continues with the next case."""
        remaining = deque(selected)
        while remaining:
            self._case = None
            with logged_exceptions() as tracebacks:
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await self._run_station(remaining)
                except Exception as error:  # noqa: BLE001  # whatever ends the station or fails in it is the fault
                    self._note("".join(traceback.format_exception(error)))
                for text in tracebacks:
                    self._note(text)
        return self.tally

    def _note(self, problem: str) -> None:
        case = self._case
        if case is None:
            raise AssertionError(f"no request was sent: {problem}")
        self.tally.faults.append(f"{case.name}\npayload {case.json[:500]}\n{problem}")

    async def _run_station(self, remaining: deque[Case]) -> None:
        """One station, from its first start until after an accepted request, or the last of some refused ones."""
        self.tally.stations += 1
        async with running_csms(self._create_csms(remaining)) as csms:
            config = _config(self._storage / str(self.tally.stations), csms)
            async with powered(config, csms) as walk:
                await walk.until(lambda: csms.received("StatusNotification"), within_s=_RECONNECT_S)
                walk.stack.data_transfer.set_response("com.example", "hello", VendorAnswer("Accepted", {"a": 1}))
                await _start_charge(walk, must=self._must_charge)
                self.tally.charges += 1
                restarts = await self._send(walk, remaining) and self._restarts
                if restarts:
                    await walk.advance(_CHARGE_S)
                    if self._must_charge:
                        check_charging(walk)
                    await check_pages(walk)
                    await self._cut_power(walk)
                else:
                    await _end_charge(walk)
            if restarts:
                self.tally.restarts += 1
                async with powered(config, csms, at=walk.application.clock.now()) as walk:
                    await self._charge(walk)
                    await check_pages(walk)
            check_events(csms)
            if csms.schema_faults:
                raise FaultError(f"the station sent what its schemas do not allow: {csms.schema_faults}")

    def _create_csms(self, remaining: deque[Case]) -> _FuzzCsms:
        """Create the CSMS of the next station."""
        del remaining
        return _FuzzCsms()

    async def _send(self, walk: Walk, remaining: deque[Case]) -> bool:
        """Send cases until one is accepted; False if a number of them was refused."""
        for _ in range(_LONGEST_RUN):
            if not remaining:
                break
            self._case = case = remaining.popleft()
            await self._send_before(walk, case)
            self.tally.requests += 1
            accepted = _is_accepted(case, await _request(walk, self._fill(walk, case.json), case.action))
            await walk.advance(_REACTION_S)
            await walk.until(lambda: walk.csms.connected, within_s=600)
            if not accepted or case.action not in MAY_STOP_CHARGING:
                check_charging(walk)
            if accepted:
                self.tally.accepted.append(case)
                return True
        return False

    async def _send_before(self, walk: Walk, case: Case) -> None:
        """Send the valid request that gives this one something to find."""
        before = BEFORE.get(case.action)
        if before is not None:
            await _request(walk, self._fill(walk, json.dumps(REQUESTS[before][0])), before)

    def _fill(self, walk: Walk, text: str) -> str:
        """Put the id of the running transaction and the certificate into a payload."""
        identity = walk.evse.transaction_id or "none"
        return text.replace(RUNNING, identity).replace(CERTIFICATE, json.dumps(self._certificate)[1:-1])

    @property
    def _must_charge(self) -> bool:
        """Whether the accepted request allows the station to charge."""
        return self._case is None or self._case.action not in MAY_FORBID_CHARGING

    async def _cut_power(self, walk: Walk) -> None:
        """Lose the power, come back, and charge again."""
        self.tally.restarts += 1
        if walk.application.running:
            await walk.application.cut_power()
            await walk.application.restore_power()
        await _end_charge(walk)
        await self._charge(walk)

    async def _charge(self, walk: Walk) -> None:
        """A vehicle comes and charges, unless the accepted request forbids it."""
        self.tally.charges += 1
        await walk.until(lambda: walk.stack.link.online, within_s=_RECONNECT_S)
        await _start_charge(walk, must=self._must_charge)
        await walk.advance(_CHARGE_S)
        await _end_charge(walk)


class AnswerPlayer(Player):
    """Plays poisonous answers to the station's own requests, each to a station of its own.

    Every second answer of the action is poisonous, so that a request that is repeated gets a good one at last.
    """

    def _create_csms(self, remaining: deque[Case]) -> _FuzzCsms:
        """Create a CSMS that gives the poisonous answer of the next case."""
        self._case = case = remaining.popleft()
        csms = _FuzzCsms()
        request_counts = Counter[str]()

        def answer(identity: str, action: str, payload: dict[str, Any]) -> list[str] | None:
            if action != case.action:
                return None
            # A transaction event is the same one however often it is sent.
            event = (payload.get("transactionInfo", {}).get("transactionId"), payload.get("seqNo"))
            request_counts[str(event)] += 1
            if request_counts[str(event)] % 2 == 0:
                return None
            self.tally.requests += 1
            return [f'[3,"{identity}",{case.json.replace(NOW, csms.now().isoformat())}]']

        csms.frames = answer
        return csms

    async def _send(self, walk: Walk, remaining: deque[Case]) -> bool:
        """Make the station send the request to which the poisonous answer belongs."""
        assert self._case is not None
        action = self._case.action
        for request_action, payload in REQUESTED_BY.get(action, [("TriggerMessage", {"requestedMessage": action})]):
            await _request(walk, self._fill(walk, json.dumps(payload)), request_action)
            await walk.advance(_REACTION_S)
        if action == "DataTransfer":
            sending = asyncio.ensure_future(walk.stack.data_transfer.send(VendorMessage("com.example", "hello")))
            await walk.until(sending.done)  # an answer that cannot be read is none, and times out
            with contextlib.suppress(NoAnswerError):
                sending.result()
        if action in {"NotifyChargingLimit", "ClearedChargingLimit"}:
            request = LimitRequest(current_a=10.0, for_s=_CHARGE_S / 2)
            await walk.parts.shared_limits.set_limit(LimitSetter.OPERATOR, request)
        await walk.advance(_CHARGE_S)
        if action not in MAY_FORBID_CHARGING:
            check_charging(walk)
        self.tally.accepted.append(self._case)
        return True


def request_cases() -> list[Case]:
    """Return all cases of the requests of the CSMS."""
    return [case for action, examples in REQUESTS.items() for case in cases(f"{action}Request", examples)]


def answer_cases() -> list[Case]:
    """Return all cases of the answers to requests of the station."""
    return [case for action, answer in ANSWERS.items() for case in cases(f"{action}Response", [answer])]


async def setting_cases(storage: Path) -> list[Case]:
    """Return a case for each text in the value of each variable that the CSMS can write, of a station that runs."""
    async with running_csms() as csms, powered(_config(storage, csms), csms) as walk:
        return _variable_cases(walk.device_model)


def _variable_cases(model: Iterable[Variable]) -> list[Case]:
    found: list[Case] = []
    for variable in model:
        if not variable.writable:
            continue
        component: dict[str, Any] = {"name": variable.component.name}
        if variable.component.evse_id is not None:
            component["evse"] = {"id": variable.component.evse_id}
        named = {"name": variable.name} | ({"instance": variable.instance} if variable.instance else {})
        path = (component["name"], str(variable.component.evse_id or 0), *named.values())
        for value_name, text in SETTINGS.items():
            item = json.dumps({"component": component, "variable": named, "attributeValue": "?"})
            payload = f'{{"setVariableData":[{item.replace(json.dumps("?"), text)}]}}'
            found.append(Case("SetVariablesRequest", len(REQUESTS["SetVariables"]), path, value_name, payload))
    return found


MAY_FORBID_CHARGING = MAY_STOP_CHARGING | {
    "Authorize",
    "InstallCertificate",
    "ReserveNow",
    "SendLocalList",
    "TransactionEvent",
}


def _config(storage: Path, csms: Csms) -> Any:
    """Two EVSEs, and the local time that a CSMS may set when no time zone is."""
    return configuration(
        storage,
        csms.url,
        evse=[{**SWITCHING, "id": number} for number in (1, 2)],
        firmware={"type": "simulated", "allow_unsigned": True},
        variable=variables(
            ClockCtrlr__TimeZone="",
            ClockCtrlr__TimeOffset="+01:00",
            ClockCtrlr__TimeOffset__NextTransition="+02:00",
            SampledDataCtrlr__TxUpdatedInterval=10,
        ),
    )


async def _request(walk: Walk, payload: str, action: str) -> list[Any]:
    """Send a request as text; returns the frame of the answer."""
    identity = f"poison-{len(walk.csms.calls)}-{action}"[:36]
    try:
        return await walk.csms.request_raw(f'[2,"{identity}","{action}",{payload}]', identity)
    except TimeoutError:
        raise FaultError("no answer") from None


def _is_accepted(case: Case, answer: list[Any]) -> bool:
    """Whether a request was accepted.

    Raises:
        FaultError: the answer is an InternalError, or not valid.
    """
    if answer[0] == 4:
        if answer[2] == "InternalError":
            raise FaultError(f"InternalError: {answer}")
        return False
    payload: dict[str, Any] = answer[2]
    if (fault := shared_schemas(V201).check_response(case.action, payload)) is not None:
        raise FaultError(f"the answer is not valid: {fault.description}: {answer}")
    statuses = list(_statuses(payload))
    return not statuses or bool(_ACCEPTED.intersection(statuses))


def _statuses(payload: dict[str, Any]) -> Iterator[str]:
    """The statuses of an answer, or of the items of its list."""
    lists = (cast("list[dict[str, Any]]", value) for value in payload.values() if isinstance(value, list))
    for result in (payload, *itertools.chain.from_iterable(lists)):
        yield from (str(result[key]) for key in ("status", "attributeStatus") if key in result)


async def _start_charge(walk: Walk, *, must: bool = True) -> None:
    await walk.plug()
    await walk.present()
    if must:
        await walk.charging()


async def _end_charge(walk: Walk) -> None:
    """Unplug, and wait until the transaction has ended and the CSMS knows."""
    await walk.until(lambda: walk.application.running)
    await walk.until(lambda: walk.stack.link.online, within_s=_RECONNECT_S)
    for _ in range(_MOST_CARDS):
        await walk.advance(_REACTION_S)
        if not walk.board.locked:
            break
        await walk.present()
        await walk.advance(5)
    await walk.unplug()
    await walk.until(lambda: walk.evse.transaction_id is None)
    await walk.until(lambda: not list(open_transactions(walk.csms)), within_s=_RECONNECT_S)
