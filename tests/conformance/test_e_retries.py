"""Block E, transactions: messages that the CSMS does not accept are sent again."""

from __future__ import annotations

import itertools
from typing import Any

from tests.conformance import states
from tests.conformance.bench import DEVIATION_S, Bench
from tests.conformance.cases import case
from tests.conformance.csms import CallError, NoAnswer
from tests.conformance.frames import Frame, Payload

_ATTEMPTS = 3
_ATTEMPT_INTERVAL_S = 5
"""<Configured message Attempts transaction event> and its interval"""
_STEP_S = 2.0


async def _before_a_message_fails(bench: Bench) -> float:
    """Before of E_41, E_42, E_50 and E_51; returns OCPPCommCtrlr.MessageTimeout.Default."""
    await bench.configure("OCPPCommCtrlr", "MessageAttempts", str(_ATTEMPTS), instance="TransactionEvent")
    interval = str(_ATTEMPT_INTERVAL_S)
    await bench.configure("OCPPCommCtrlr", "MessageAttemptInterval", interval, instance="TransactionEvent")
    timeout_s = float(await bench.get_variable("OCPPCommCtrlr", "MessageTimeout", instance="Default"))
    await states.authorized(bench)
    await states.ev_connected_pre_session(bench)
    return timeout_s


async def _sent(bench: Bench, for_s: float) -> list[Frame]:
    """Every transmission, in that time, of the TransactionEvent that comes next; all of them count as read."""
    first = await bench.expect("TransactionEvent")
    assert first["triggerReason"] in {"SignedDataReceived", "ChargingStateChanged"}, first
    assert first["transactionInfo"]["transactionId"] == bench.session().transaction_id, first
    for _ in range(round(for_s / _STEP_S)):  # in steps as fine as the times that are asserted
        await bench.advance(_STEP_S)

    def same(frame: Frame) -> bool:
        event: dict[str, Any] = frame.payload
        same_transaction = event["transactionInfo"]["transactionId"] == first["transactionInfo"]["transactionId"]
        return same_transaction and event["seqNo"] == first["seqNo"]

    bench.take("TransactionEvent", same)
    return [frame for frame in bench.journal.sent("TransactionEvent") if same(frame)]


def _gaps_s(sent: list[Frame]) -> list[float]:
    return [(later.at - earlier.at).total_seconds() for earlier, later in itertools.pairwise(sent)]


def _check_gaps(sent: list[Frame], *, times: int, least_s: float, most_s: float) -> None:
    """Sent so often, each interval multiplied by the number of preceding transmissions, plus the time to wait."""
    assert len(sent) == times, [frame.payload for frame in sent]
    for preceding, gap_s in enumerate(_gaps_s(sent), start=1):
        wait_s = _ATTEMPT_INTERVAL_S * preceding
        assert wait_s + least_s - _STEP_S <= gap_s <= wait_s + most_s + DEVIATION_S, _gaps_s(sent)


def _total_wait_s(timeout_s: float) -> float:
    """All attempts, and one more that must not come."""
    return sum(timeout_s + _ATTEMPT_INTERVAL_S * number for number in range(1, _ATTEMPTS + 2))


@case("Core", "M")
async def test_tc_e_41_cs(bench: Bench) -> None:
    """Retry sending transaction message when failed - Max retry count reached"""
    timeout_s = await _before_a_message_fails(bench)
    bench.on("TransactionEvent", lambda _: NoAnswer())
    sent = await _sent(bench, _total_wait_s(timeout_s))
    _check_gaps(sent, times=_ATTEMPTS, least_s=timeout_s, most_s=timeout_s)


@case("Core", "M")
async def test_tc_e_42_cs(bench: Bench) -> None:
    """Retry sending transaction message when failed - Success before reaching the max retry count"""
    timeout_s = await _before_a_message_fails(bench)
    replies = iter([NoAnswer()])
    bench.on("TransactionEvent", lambda event: next(replies, bench.csms.default_reply("TransactionEvent", event)))
    sent = await _sent(bench, _total_wait_s(timeout_s))
    _check_gaps(sent, times=2, least_s=timeout_s, most_s=timeout_s)


@case("Core", "M")
async def test_tc_e_50_cs(bench: Bench) -> None:
    """Retry sending transaction message when failed - Max retry count reached - CallError"""
    await _before_a_message_fails(bench)
    bench.on("TransactionEvent", CallError("InternalError"))
    sent = await _sent(bench, _total_wait_s(0.0))
    _check_gaps(sent, times=_ATTEMPTS, least_s=0.0, most_s=0.0)


@case("Core", "M")
async def test_tc_e_51_cs(bench: Bench) -> None:
    """Retry sending transaction message when failed - Success before reaching the max retry count - CallError"""
    await _before_a_message_fails(bench)
    attempts: list[Payload] = []

    def second_only(event: Payload) -> Payload | CallError:
        attempts.append(event)
        return bench.csms.default_reply("TransactionEvent", event) if len(attempts) == 2 else CallError("InternalError")  # type: ignore[return-value]

    bench.on("TransactionEvent", second_only)
    sent = await _sent(bench, _total_wait_s(0.0))
    # The case adds the message timeout, as for a message without an answer; there is one here, so that the interval
    # alone is waited (E13.FR.03), as in TC_E_50_CS.
    _check_gaps(sent, times=2, least_s=0.0, most_s=0.0)
