"""A CSMS that does not take a transaction event: how often, when, and what comes next (E13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ocpp_handlers.blocks import e_transactions
from ocpp_handlers.blocks.i_tariff import TariffBlock
from ocpp_handlers.translate.translate import event_to_wire
from station.core.invalid_messages import InvalidMessageCounts
from station.core.model import Fault, TransactionEvent, TriggerReason
from station.load.shared_limits import LimitRequest, LimitSetter
from station.security.security_events import SecurityEventType
from station.storage.unreadable_rows import RowAddress
from tests.csms import NO_ANSWER, Answer, CallErrorAnswer, Csms, Rule
from tests.full_disk import FullDisk
from tests.walk import Walk, walking
from tests.walks.steps import Event, charge, transaction_id, tx_points, variables
from tests.walks.visit import visiting

TIMEOUT_S = 5.0
INTERVAL_S = 4
ATTEMPTS = 3


def rows() -> list[dict[str, str]]:
    """Three attempts, four seconds times the transmissions before."""
    return tx_points(
        "EVConnected",
        "EVConnected",
        OCPPCommCtrlr__MessageAttempts__TransactionEvent=ATTEMPTS,
        OCPPCommCtrlr__MessageAttemptInterval__TransactionEvent=INTERVAL_S,
    )


class Stubborn:
    """A CSMS that refuses each event a number of times, and records when it was received."""

    def __init__(self, csms: Csms, answer: Answer, refusals: int) -> None:
        self._csms = csms
        self._answer = answer
        self._refusals = refusals
        self.received_s: dict[int, list[float]] = {}
        self.clock: Callable[[], float] = lambda: 0.0
        csms.answers["TransactionEvent"] = self._handle_frame

    def _handle_frame(self, event: Event) -> Answer:
        times = self.received_s.setdefault(event["seqNo"], [])
        times.append(self.clock())
        return self._answer if len(times) <= self._refusals else {}


async def plugged(walk: Walk, stubborn: Stubborn) -> None:
    """Plug a vehicle in, which causes an event that the CSMS refuses."""
    stubborn.clock = walk.application.clock.monotonic
    await walk.accepted()
    await walk.plug()


@pytest.mark.parametrize(("answer", "patience_s"), [(NO_ANSWER, TIMEOUT_S), (CallErrorAnswer("InternalError"), 0.0)])
async def test_an_event_is_given_up_after_message_attempts(tmp_path: Path, answer: Answer, patience_s: float) -> None:
    """TC_E_41_CS, TC_E_50_CS, E13.FR.02, E13.FR.03, E13.FR.04: the interval grows, then the next one is sent."""
    csms = Csms()
    stubborn = Stubborn(csms, answer, refusals=ATTEMPTS)
    async with walking(tmp_path, csms, csms={"message_timeout_s": TIMEOUT_S}, variable=rows()) as walk:
        await plugged(walk, stubborn)
        await walk.until(lambda: len(stubborn.received_s.get(0, [])) == ATTEMPTS, within_s=120)
        first, second, third = stubborn.received_s[0]
        assert second - first == pytest.approx(INTERVAL_S + patience_s, abs=1.1)
        assert third - second == pytest.approx(2 * INTERVAL_S + patience_s, abs=1.1)
        await walk.advance(4 * INTERVAL_S + 2 * TIMEOUT_S)
        assert len(stubborn.received_s[0]) == ATTEMPTS
        stubborn.received_s[1] = [0.0] * ATTEMPTS  # the next one is taken at once
        await walk.unplug()
        await walk.until(lambda: walk.types_and_triggers()[-1] == ("Ended", "EVCommunicationLost"))
        assert walk.events()[-1]["seqNo"] == 1
        assert await walk.parts.outbox.count_waiting() == 0


async def test_an_event_is_given_up_also_where_the_disk_does_not_note_its_attempts(
    tmp_path: Path, disk: FullDisk
) -> None:
    """E13.FR.03, E13.FR.04: a full disk does not let one event that the CSMS refuses block all others."""
    csms = Csms()
    stubborn = Stubborn(csms, CallErrorAnswer("InternalError"), refusals=100)
    async with walking(tmp_path, csms, variable=rows()) as walk:
        with disk.refusing("SET attempts"):
            await plugged(walk, stubborn)
            await walk.until(lambda: len(stubborn.received_s.get(0, [])) == ATTEMPTS, within_s=120)
            await walk.unplug()
            await walk.until(lambda: 1 in stubborn.received_s)
        first, second, third = stubborn.received_s[0]
        assert third - second == pytest.approx(2 * (second - first), abs=1.1)


@pytest.mark.parametrize(
    ("answer", "consequence"),
    [
        ({"idTokenInfo": {}}, "the CSMS may have it, but its answer cannot be read"),
        (CallErrorAnswer("FormatViolation"), "the CSMS has refused it"),
        (NO_ANSWER, "the CSMS may have it, but does not answer"),
    ],
)
async def test_the_log_says_what_follows_when_an_event_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: Answer, consequence: str
) -> None:
    csms = Csms()
    stubborn = Stubborn(csms, answer, refusals=ATTEMPTS)
    async with walking(tmp_path, csms, csms={"message_timeout_s": TIMEOUT_S}, variable=rows()) as walk:
        await plugged(walk, stubborn)
        await walk.until(lambda: "is not sent again" in caplog.text, within_s=120)
        (given_up,) = [line for line in caplog.messages if "is not sent again" in line]
        assert (
            f"event 0 is not sent again after {ATTEMPTS} attempts: {consequence}. The events after it are sent"
            in given_up
        )
        assert "stays in the transactions of the station" in given_up


@pytest.mark.parametrize(("answer", "patience_s"), [(NO_ANSWER, TIMEOUT_S), (CallErrorAnswer("GenericError"), 0.0)])
async def test_an_event_that_is_taken_at_last_is_not_sent_again(
    tmp_path: Path, answer: Answer, patience_s: float
) -> None:
    """TC_E_42_CS, TC_E_51_CS, E13.FR.02: two transmissions of the same event, no third."""
    csms = Csms()
    stubborn = Stubborn(csms, answer, refusals=1)
    async with walking(tmp_path, csms, csms={"message_timeout_s": TIMEOUT_S}, variable=rows()) as walk:
        await plugged(walk, stubborn)
        await walk.until(lambda: len(stubborn.received_s.get(0, [])) == 2, within_s=60)
        first, second = stubborn.received_s[0]
        assert second - first == pytest.approx(INTERVAL_S + patience_s, abs=1.1)
        await walk.advance(4 * INTERVAL_S + 2 * TIMEOUT_S)
        assert len(stubborn.received_s[0]) == 2
        once, again = walk.events()
        assert once == again


async def test_events_that_happen_meanwhile_wait_for_their_turn(tmp_path: Path) -> None:
    """E13.FR.04: the order stays, and what waited behind a refused event comes after it."""
    csms = Csms()
    stubborn = Stubborn(csms, CallErrorAnswer("InternalError"), refusals=1)
    async with walking(tmp_path, csms, variable=rows()) as walk:
        await plugged(walk, stubborn)
        await walk.present()
        await walk.charging()
        await walk.until(lambda: len(stubborn.received_s.get(2, [])) == 2, within_s=120)
        assert [event["seqNo"] for event in walk.events()] == [0, 0, 1, 1, 2, 2]


async def test_a_lost_link_does_not_count_as_an_attempt(tmp_path: Path) -> None:
    """E13.FR.02: only a failure to process the message counts; the link failed, not the message."""
    csms = Csms()
    drops = {"left": ATTEMPTS + 1}

    def drop(_: Event) -> Answer:
        if drops["left"] > 0:
            drops["left"] -= 1
            csms.drop()
        return {}

    csms.answers["TransactionEvent"] = drop
    async with walking(tmp_path, csms, variable=rows()) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.until(lambda: len(firsts(walk)) == ATTEMPTS + 2, within_s=600, step_s=2)
        await walk.advance(60)
        assert [event.get("offline", False) for event in firsts(walk)] == [False] + [True] * (ATTEMPTS + 1)


def firsts(walk: Walk) -> list[Event]:
    """All transmissions of the first event."""
    return [event for event in walk.events() if event["seqNo"] == 0]


_ACCEPTED_ACTIONS = frozenset({"BootNotification", "Heartbeat", "TransactionEvent", "Authorize"})


@dataclass
class Terse(Csms):
    """A CSMS that knows transactions and nothing else."""

    code: str = "NotImplemented"

    def _default(self, action: str) -> Rule:
        return super()._default(action) if action in _ACCEPTED_ACTIONS else lambda _: CallErrorAnswer(self.code)


@pytest.mark.parametrize(
    ("code", "repeated_for_s"), [("NotImplemented", 60.0), ("NotSupported", 60.0), ("InternalError", 1_300.0)]
)
async def test_what_a_csms_does_not_take_is_not_sent_with_each_connection_and_hinders_no_transaction(
    tmp_path: Path, code: str, repeated_for_s: float
) -> None:
    """Security events, statuses, problems, limits: each was received, and refused, temporarily eight times."""
    csms = Terse(code=code)
    on = variables(OCPPCommCtrlr__RetryBackOffRandomRange=0, OCPPCommCtrlr__RetryBackOffWaitMinimum=5)
    async with walking(tmp_path, csms, variable=[*on, *rows()]) as walk:
        await walk.until(lambda: walk.stack.link.online)
        await walk.until(lambda: csms.received("StatusNotification"))
        await walk.parts.security_events.report(SecurityEventType.TAMPER_DETECTION_ACTIVATED)
        walk.board.raise_fault(Fault.LOCK)
        await walk.parts.shared_limits.set_limit(LimitSetter.OPERATOR, LimitRequest(10.0, for_s=7_200.0))
        walk.parts.load.decisions.request()
        expected_actions = {"StatusNotification", "SecurityEventNotification", "NotifyEvent", "NotifyChargingLimit"}
        await walk.until(lambda: {call.action for call in csms.calls} >= expected_actions)
        await walk.advance(300)
        walk.board.clear_fault(Fault.LOCK)
        await walk.plug()
        await walk.until(walk.events, within_s=1)
        await walk.advance(repeated_for_s)
        calls = Counter(call.action for call in csms.calls if call.action not in _ACCEPTED_ACTIONS)
        for number in (2, 3, 4):
            csms.drop()
            await walk.until(lambda number=number: csms.connections == number and walk.stack.link.online)
            await walk.settle()
            await walk.advance(20)
        assert Counter(call.action for call in csms.calls if call.action not in _ACCEPTED_ACTIONS) == calls
        await walk.unplug()
        await walk.until(lambda: walk.types_and_triggers()[-1][0] == "Ended", within_s=2)


def of_row(event: Event, address: RowAddress) -> bool:
    """Whether an event of the CSMS is that of a stored row."""
    return (event["transactionInfo"]["transactionId"], event["seqNo"]) == (address.transaction_id, address.seq_no)


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_event_that_this_program_cannot_send_is_set_aside_and_keeps_no_other_from_the_csms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, restarts: bool
) -> None:
    """It is listed for people and the CSMS, and tried again with each connection and start, at last successfully."""

    def unsendable(event: TransactionEvent) -> Any:
        if event.trigger is TriggerReason.CHARGING_STATE_CHANGED:
            raise KeyError("a mistake in the translation")
        return event_to_wire(event)

    async with walking(tmp_path) as walk:
        with monkeypatch.context() as mistaken:
            mistaken.setattr(e_transactions, "event_to_wire", unsendable)
            await walk.accepted()
            await walk.present()
            await walk.plug()
            await walk.until(lambda: walk.parts.unreadable.all())
            identity = transaction_id(walk)
            await walk.present()
            await walk.until(lambda: walk.events()[-1]["eventType"] == "Ended")
            sent = [event["seqNo"] for event in walk.events()]
            (row,) = walk.parts.unreadable.all()
            assert row.address.seq_no is not None
            assert sorted([*sent, row.address.seq_no]) == list(range(sent[-1] + 1))
            assert (row.address.transaction_id, row.problem) == (identity, "a mistake in the translation: is missing")
            assert f"transaction {identity}, event {row.address.seq_no} cannot be sent" in caplog.text
            assert walk.parts.outbox.waiting == 0
            if restarts:
                await walk.application.cut_power()
            else:
                walk.csms.drop()
                await walk.until(lambda: caplog.text.count("cannot be sent") == 2)
                assert (walk.parts.outbox.waiting, len(walk.parts.unreadable.all())) == (0, 1)
        if restarts:
            await walk.application.restore_power()
        else:
            walk.csms.drop()
        await walk.until(lambda: [event for event in walk.events() if of_row(event, row.address)])
        assert walk.parts.unreadable.all() == []
        await walk.until(lambda: walk.parts.outbox.waiting == 0)
        received = [event["seqNo"] for event in walk.events()]
        assert sorted(set(received) if restarts else received) == sorted([*sent, row.address.seq_no]), (
            "each once; a power cut may repeat those that were settled last"
        )


@pytest.mark.parametrize(
    ("spoilt", "sent"),
    [({"reservationId": "x"}, True), ({"triggerReason": "Costly"}, False)],
)
async def test_no_event_is_lost_because_its_schema_does_not_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, spoilt: Any, sent: bool
) -> None:
    """A part that is not valid is left out. Without a valid form it is set aside, until a program can send it."""

    def translate(event: TransactionEvent) -> Any:
        wire: Any = event_to_wire(event)
        if event.trigger is TriggerReason.CHARGING_STATE_CHANGED:
            wire |= {"costDetails": {}, "meterValue": [], **spoilt}
        return wire

    async with walking(tmp_path) as walk, visiting(walk) as api:
        with monkeypatch.context() as mistaken:
            mistaken.setattr(e_transactions, "event_to_wire", translate)
            await walk.accepted()
            await walk.present()
            await walk.plug()
            await walk.charging()
            await walk.present()
            await walk.until(lambda: walk.events()[-1]["eventType"] == "Ended")
            await walk.until(lambda: walk.parts.outbox.waiting == 0)
        received = {event["seqNo"]: event for event in walk.events()}
        ended = max(received)
        metrics = (await api.client.get("/metrics")).text
        (count,) = walk.invalid_messages = list(walk.parts.parts.get(InvalidMessageCounts).counts())
        assert (count.action, count.sent) == ("TransactionEvent", sent)
        label = f'{{action="TransactionEvent",sent="{str(sent).lower()}"}}'
        assert f"borne_invalid_messages_total{label} {count.count}.0" in metrics
        missing = [number for number in range(ended + 1) if number not in received]
        if sent:
            assert missing == []
            assert "is sent without reservationId, not valid in OCPP 2.0.1" in caplog.text
        else:
            assert len(missing) == count.count == len(walk.parts.unreadable.all())
            assert "triggerReason must be one of" in caplog.text
            walk.csms.drop()
            await walk.until(lambda: len({event["seqNo"] for event in walk.events()}) == ended + 1)
            assert walk.parts.unreadable.all() == []


async def test_an_answer_that_this_program_cannot_apply_settles_its_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object) -> None:
        raise KeyError("a mistake in the tariff")

    async with walking(tmp_path) as walk:
        monkeypatch.setattr(TariffBlock, "apply_response", failing)
        await charge(walk)
        await walk.until(lambda: walk.parts.outbox.waiting == 0)
        numbers = [event["seqNo"] for event in walk.events()]
        assert numbers == list(range(len(numbers))), "each is sent once"
        assert "could not be applied" in caplog.text
