"""Block E, transactions: what is queued offline, and what a transaction's status is."""

from __future__ import annotations

import uuid

import pytest

from tests.conformance import states
from tests.conformance.bench import GROUP, OTHER_TOKEN, PERIODIC, VALID_TOKEN, Bench
from tests.conformance.cases import case
from tests.conformance.csms import NoAnswer
from tests.conformance.frames import Payload
from tests.conformance.transactions import LOCAL_AND_REMOTE

_INTERVAL_S = 10
"""<Configured Transaction MeterValues interval>"""
_AWAY_S = 40
"""<Configured RetryBackOffWaitMinimum_duration>, greater than the interval"""

POINTS = pytest.mark.parametrize("points", ["EVConnected,Authorized", "ParkingBayOccupancy"])
"""TxStopPoint, where a case drives the EV out of the bay for one of its values"""


async def configure_absence(bench: Bench, away_s: int = _AWAY_S) -> None:
    """Configuration state: an absence of this length is shorter than OfflineThreshold, and the redial as long."""
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", str(away_s + 60))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", str(away_s))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")


async def meter_values(bench: Bench) -> None:
    """Configuration state: SampledDataTxUpdatedMeasurands and its interval."""
    await bench.configure("SampledDataCtrlr", "TxUpdatedMeasurands", "Energy.Active.Import.Register")
    await bench.configure("SampledDataCtrlr", "TxUpdatedInterval", str(_INTERVAL_S))


async def queued(bench: Bench) -> list[Payload]:
    """All TransactionEvents that come until the station has emptied its queue, each once, in order."""
    found: dict[tuple[str, int], Payload] = {}
    waiting = True
    while waiting:
        await bench.advance(1.0)
        waiting = (await bench.call("GetTransactionStatus", {}))["messagesInQueue"]
        for event in (frame.payload for frame in bench.take("TransactionEvent")):
            found.setdefault((event["transactionInfo"]["transactionId"], event["seqNo"]), event)
    assert found, "nothing was queued"
    return sorted(found.values(), key=lambda event: (event["timestamp"], event["seqNo"]))


def check_status(answer: Payload, *, ongoing: bool | None, queued: bool) -> None:
    """GetTransactionStatusResponse; `ongoing` None: must be omitted."""
    assert answer.get("ongoingIndicator") is ongoing, answer
    assert answer["messagesInQueue"] is queued, answer


# Check transaction status


@case("Core", "M")
async def test_tc_e_28_cs(bench: Bench) -> None:
    """Check Transaction status - TransactionId unknown"""
    answer = await bench.call("GetTransactionStatus", {"transactionId": str(uuid.uuid4())})
    check_status(answer, ongoing=False, queued=False)


def offline_events(events: list[Payload], offline_since: str, back_at: str) -> list[Payload]:
    """The events of the time without a link: one for every interval at least, all of them late meter values."""
    found = [event for event in events if offline_since <= event["timestamp"] <= back_at]
    assert len(found) >= _AWAY_S // _INTERVAL_S - 1, found
    for event in found:
        assert event["eventType"] == "Updated", event
        assert event["meterValue"], event
        assert event.get("offline") is True, event
    return found


async def _charge_while_offline(bench: Bench) -> tuple[str, str]:
    """Before and steps 1, 2 of E_29 and E_33; returns when the link went and came back.

    What comes after the reconnect is not answered until the test says so.
    """
    await meter_values(bench)
    await configure_absence(bench)
    await states.energy_transfer_started(bench)
    await bench.settle()
    bench.drop_unsolicited()
    await bench.go_offline()
    offline_since = bench.iso()
    await bench.advance(_AWAY_S - 5.0)
    bench.on("TransactionEvent", lambda _: NoAnswer())
    await bench.accept_reconnect()
    return offline_since, bench.iso()


async def _expect_queued_events(bench: Bench, offline_since: str, back_at: str) -> None:
    """Step 5 of E_29 and E_33."""
    bench.restore_default_reply("TransactionEvent")
    offline_events(await queued(bench), offline_since, back_at)


@case("Core", "M", "C-16")
async def test_tc_e_29_cs(bench: Bench) -> None:
    """Check Transaction status - Transaction with id ongoing - with message in queue"""
    offline_since, back_at = await _charge_while_offline(bench)
    answer = await bench.call("GetTransactionStatus", {"transactionId": bench.session().transaction_id})
    check_status(answer, ongoing=True, queued=True)
    await _expect_queued_events(bench, offline_since, back_at)


@case("Core", "M", "C-16")
async def test_tc_e_30_cs(bench: Bench) -> None:
    """Check Transaction status - Transaction with id ongoing - without message in queue"""
    await states.energy_transfer_started(bench)
    await bench.settle()
    answer = await bench.call("GetTransactionStatus", {"transactionId": bench.session().transaction_id})
    check_status(answer, ongoing=True, queued=False)


@pytest.mark.parametrize(
    ("local", "points"),
    [
        (True, "EVConnected,Authorized"),
        (False, "EVConnected,Authorized"),
        (True, "ParkingBayOccupancy"),
        (False, "ParkingBayOccupancy"),
    ],
)
@case(
    "Core", "C", "NOT (NOT (C-30 - C-35) AND (NOT C-10.1 AND NOT C-10.3 AND NOT C-10.4 AND NOT C-10.5) AND NOT C-06.2)"
)
async def test_tc_e_31_cs(bench: Bench, local: bool, points: str) -> None:
    """Check Transaction status - Transaction with id ended - with message in queue"""
    bench.local = local
    await bench.configure("TxCtrlr", "TxStopPoint", points)
    await meter_values(bench)
    await configure_absence(bench, 2 * _AWAY_S)
    await bench.configure("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "true")
    await states.energy_transfer_started(bench)
    await bench.settle()
    bench.drop_unsolicited()
    await bench.go_offline()
    if local:
        await bench.present()
        await bench.advance(10.0)
        await bench.disconnect_ev()
    else:
        await bench.station.vehicle(bench.evse_id, state="suspend")
        await bench.advance(10.0)
        await bench.disconnect_ev(ev_side=True)
        await bench.settle()
        await bench.disconnect_ev()
    if "ParkingBayOccupancy" in points:
        await bench.station.parking_bay(bench.evse_id, occupied=False)
    await bench.advance(2 * _AWAY_S - 15.0)
    bench.on("TransactionEvent", lambda _: NoAnswer())
    await bench.accept_reconnect()
    answer = await bench.call("GetTransactionStatus", {"transactionId": bench.session().transaction_id})
    check_status(answer, ongoing=False, queued=True)
    bench.restore_default_reply("TransactionEvent")
    events = [event for event in await queued(bench) if event["triggerReason"] not in PERIODIC]
    _check_end(events, local=local, bay="ParkingBayOccupancy" in points)


_STOPPED_IN_TWO = [("StopAuthorized", "Charging"), ("ChargingStateChanged", "EVConnected")]
"""the two events that may replace the single event of StopAuthorized"""


def _check_end(events: list[Payload], *, local: bool, bay: bool) -> None:
    """StopAuthorized (or EnergyTransferSuspended) through ParkingBayUnoccupied, as those states validate them."""
    states = [(event["triggerReason"], event["transactionInfo"].get("chargingState")) for event in events]
    if local:
        for id_token in [event["idToken"] for event in events if "idToken" in event]:
            assert (id_token["idToken"], id_token["type"]) == (VALID_TOKEN["idToken"], VALID_TOKEN["type"]), events
    if local and not bay:
        assert states in ([("StopAuthorized", "EVConnected")], _STOPPED_IN_TWO), states
    elif local:
        assert [trigger for trigger, _ in states] == [
            "StopAuthorized",
            "ChargingStateChanged",
            "EVCommunicationLost",
            "EVDeparted",
        ], states
        assert states[1][1] == "EVConnected", states
        assert states[2][1] == "Idle", states
    else:
        assert states[:2] == [("ChargingStateChanged", "SuspendedEV"), ("EVCommunicationLost", "Idle")], states
        assert [trigger for trigger, _ in states[2:]] == (["EVDeparted"] if bay else []), states
    last = events[-1]
    assert last["eventType"] == "Ended", last
    assert all(event["eventType"] == "Updated" for event in events[:-1]), events
    assert all(event.get("offline") is True for event in events), events
    allowed = {"Local", None} if local else {"EVDisconnected", "StoppedByEV"}
    if local and bay:
        allowed = {"Local"}  # ParkingBayUnoccupied
    assert last["transactionInfo"].get("stoppedReason") in allowed, last


@LOCAL_AND_REMOTE
@case("Core", "M")
async def test_tc_e_32_cs(bench: Bench, local: bool) -> None:
    """Check Transaction status - Transaction with id ended - without message in queue"""
    bench.local = local
    await states.energy_transfer_started(bench)
    transaction_id = bench.session().transaction_id
    await states.parking_bay_unoccupied(bench)
    await bench.settle()
    answer = await bench.call("GetTransactionStatus", {"transactionId": transaction_id})
    check_status(answer, ongoing=False, queued=False)


@case("Core", "M", "C-16")
async def test_tc_e_33_cs(bench: Bench) -> None:
    """Check Transaction status - Without transactionId - with message in queue"""
    offline_since, back_at = await _charge_while_offline(bench)
    answer = await bench.call("GetTransactionStatus", {})
    check_status(answer, ongoing=None, queued=True)
    await _expect_queued_events(bench, offline_since, back_at)


@case("Core", "M", "C-16")
async def test_tc_e_34_cs(bench: Bench) -> None:
    """Check Transaction status - Without transactionId - without message in queue"""
    answer = await bench.call("GetTransactionStatus", {})
    check_status(answer, ongoing=None, queued=False)


# Offline behaviour


@pytest.mark.smoke
@case("Core", "M")
async def test_tc_e_40_cs(bench: Bench) -> None:
    """Offline Behaviour - Connection loss during transaction"""
    await meter_values(bench)
    await bench.configure("SampledDataCtrlr", "Enabled", "true")
    await configure_absence(bench)
    await states.energy_transfer_started(bench)
    await bench.settle()
    bench.drop_unsolicited()
    await bench.go_offline()
    offline_since = bench.iso()
    await bench.advance(_AWAY_S - 5.0)
    await bench.accept_reconnect()
    back_at = bench.iso()
    offline_events(await queued(bench), offline_since, back_at)


@POINTS
@case("Core", "C", "(C-01 and (C-30 - C-34 or ISO 15118 support)) or C-35")
async def test_tc_e_43_cs(bench: Bench, points: str) -> None:
    """Offline Behaviour - Transaction during offline period"""
    await bench.configure("TxCtrlr", "TxStopPoint", points)
    await states.transaction_events_in_queue_ended(bench)
    events = await queued(bench)
    assert all(event.get("offline") is True for event in events), events
    kinds = [event["eventType"] for event in events]
    assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"], kinds


async def _stop_offline(bench: Bench, id_token: Payload) -> list[Payload]:
    """The main steps of E_44 and E_45: the transaction is stopped while the link is down."""
    await bench.settle()
    bench.drop_unsolicited()
    await bench.go_offline()
    await bench.present(id_token)
    await bench.advance(10.0)
    await bench.disconnect_ev()
    if "ParkingBayOccupancy" in bench.stop_points:
        await bench.station.parking_bay(bench.evse_id, occupied=False)
    await bench.advance(_AWAY_S - 15.0)
    await bench.accept_reconnect()
    return await queued(bench)


def _check_stopped_offline(events: list[Payload]) -> None:
    """Step 3: all of them were late, and the last one ends the transaction that the token stopped."""
    assert all(event.get("offline") is True for event in events), events
    assert [event["eventType"] for event in events] == [*["Updated"] * (len(events) - 1), "Ended"], events
    first = next(event for event in events if event["triggerReason"] not in PERIODIC)
    assert first["triggerReason"] == "StopAuthorized", events  # and not the cable


@POINTS
@case("Core", "C", "C-30 - C-35 or ISO 15118 support")
async def test_tc_e_44_cs(bench: Bench, points: str) -> None:
    """Offline Behaviour - Stop transaction during offline period"""
    await bench.configure("TxCtrlr", "TxStopPoint", points)
    await configure_absence(bench)
    await states.energy_transfer_started(bench)
    _check_stopped_offline(await _stop_offline(bench, VALID_TOKEN))


@POINTS
@case("Core", "C", "(C-30 or C-31 or C-32 or C-34) AND (Local Authorization List Management or C-49)")
async def test_tc_e_45_cs(bench: Bench, points: str) -> None:
    """Offline Behaviour - Stop transaction during offline period - Same GroupId"""
    await bench.configure("TxCtrlr", "TxStopPoint", points)
    await configure_absence(bench)
    for token in (VALID_TOKEN, OTHER_TOKEN):
        bench.csms.id_token_infos[token["idToken"]] = {"status": "Accepted", "groupIdToken": GROUP}
    await states.id_token_cached(bench, OTHER_TOKEN)
    await states.authorized(bench, local=True)
    await states.energy_transfer_started(bench)
    _check_stopped_offline(await _stop_offline(bench, OTHER_TOKEN))
