"""Block C: authorization while the link to the CSMS is down, and what comes of it when the CSMS refuses the token."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.authorization import (
    TRANSACTION_DURATION_S,
    charges,
    enable_cache,
    energy_wh,
    is_cached,
    no_energy_flows,
    set_id_token_status,
)
from tests.conformance.bench import PERIODIC, VALID_TOKEN, Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload

_OFFLINE_S = 5.0
"""what C_16 and C_17 wait"""
_AWAY_S = 40
"""<Configured RetryBackOffWaitMinimum_duration>"""

EVERY_STOP = pytest.mark.parametrize("stop_points", ["EVConnected,Authorized", "EVConnected"])
"""a deauthorized transaction ends (C15.FR.04), or goes on without energy (C15.FR.03)"""


async def offline_rules(bench: Bench, *, stop: bool, energy: int) -> None:
    """Configuration state that C_15 to C_18 share."""
    await enable_cache(bench)
    await bench.configure("AuthCtrlr", "LocalAuthorizeOffline", "true")
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", str(stop).lower())
    await bench.configure("TxCtrlr", "MaxEnergyOnInvalidId", str(energy))


async def allow_unknown_ids(bench: Bench) -> None:
    """Configuration state of C_15, C_17 and C_18."""
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true")


async def set_long_reconnect_delay(bench: Bench) -> None:
    """Configuration state of C_15 and C_18: time enough for what is done by hand."""
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", str(_AWAY_S + 60))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", str(_AWAY_S))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")


async def charge_offline(bench: Bench, for_s: float) -> None:
    """Memory state, and steps 1 and 2 of C_15 to C_18: a cached token charges while the link is down."""
    await states.id_token_cached(bench)
    await is_cached(bench, VALID_TOKEN, "Accepted")
    await states.ev_connected_pre_session(bench)
    await bench.go_offline()
    await bench.present(VALID_TOKEN)
    await bench.advance(for_s)
    assert await charges(bench)
    set_id_token_status(bench, VALID_TOKEN, "Invalid")
    await bench.accept_reconnect(within_s=3 * _AWAY_S)


async def queue_of(bench: Bench, *, idle_s: float = 3.0) -> list[Payload]:
    """All TransactionEvents until none comes any more for a while; periodic ones too."""
    events: list[Payload] = []
    await bench.until(lambda: _has_event(bench), within_s=120.0, why="no TransactionEvent")
    while _has_event(bench):
        for frame in bench.take("TransactionEvent"):
            events.append(frame.payload)
            bench.note_event(frame.payload)
        await bench.advance(idle_s)
    return events


def _has_event(bench: Bench) -> bool:
    return any(received.action == "TransactionEvent" for received in bench.csms.unread)


def authorized_offline(events: list[Payload], id_token: Payload = VALID_TOKEN) -> None:
    """The messages that C_15 to C_18 ask for in the queue."""
    for event in (event for event in events if event["triggerReason"] == "Authorized"):
        assert event["idToken"]["idToken"] == id_token["idToken"], event
        assert event["idToken"]["type"] == id_token["type"], event
        assert event["offline"] is True, event
    assert [
        event for event in events if event["triggerReason"] == "ChargingStateChanged" and event.get("offline") is True
    ]


def deauthorized(bench: Bench, events: list[Payload]) -> None:
    """Step 5 of C_16 and C_18: the refusal, which comes online, deauthorizes (C15.FR.03, C15.FR.04)."""
    (deauthorization,) = (event for event in events if event["triggerReason"] == "Deauthorized")
    assert deauthorization.get("offline", False) is False, deauthorization
    assert all("idToken" not in later for later in events[events.index(deauthorization) :]), "before the refusal"
    if {"Authorized", "PowerPathClosed", "EnergyTransfer"} & bench.stop_points:
        assert deauthorization["eventType"] == "Ended", deauthorization
        assert deauthorization["transactionInfo"]["stoppedReason"] == "DeAuthorized", deauthorization
    else:
        assert deauthorization["eventType"] == "Updated", deauthorization
        assert deauthorization["transactionInfo"]["chargingState"] in {"EVConnected", "SuspendedEVSE"}, deauthorization


def suspended(events: list[Payload]) -> list[Payload]:
    """The events with charging state SuspendedEVSE."""
    return [event for event in events if event["transactionInfo"].get("chargingState") == "SuspendedEVSE"]


def expect_suspension(events: list[Payload]) -> None:
    """Step 5 of C_17, and C_26: the refusal, which comes online, stops the energy (C15.FR.06)."""
    last_event = [event for event in events if event["triggerReason"] not in PERIODIC][-1]
    assert last_event["transactionInfo"]["chargingState"] == "SuspendedEVSE", last_event
    assert last_event["triggerReason"] == "ChargingStateChanged", last_event
    assert last_event["eventType"] == "Updated", last_event
    assert last_event.get("offline", False) is False, last_event
    assert [event for event in events if event["triggerReason"] == "Deauthorized"] == []


@case("Core", "C", "C-49 and C-03 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_15_cs(bench: Bench) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = false, MaxEnergyOnInvalidId > 0"""
    await offline_rules(bench, stop=False, energy=10_000)
    await allow_unknown_ids(bench)
    await set_long_reconnect_delay(bench)
    # Time may leap: no clock correction and no meter value falls into it.
    await bench.configure("ClockCtrlr", "TimeSource", "RealTimeClock")
    await bench.configure("SampledDataCtrlr", "TxUpdatedInterval", "0")
    await charge_offline(bench, for_s=TRANSACTION_DURATION_S)
    refused_at_wh = await energy_wh(bench)
    events = await queue_of(bench)
    authorized_offline(events)
    assert [event for event in events if event["triggerReason"] == "Deauthorized"] == []
    assert suspended(events) == []
    assert await charges(bench)
    await bench.station.advance(1_500.0)  # 10 kWh take 27 minutes at 22 kW
    assert await charges(bench)
    for _ in range(100):
        await bench.station.advance(6.0)
        if _has_event(bench):
            break
    event = await bench.expect_event()
    assert suspended([event]) == [event], event
    assert event["triggerReason"] == "ChargingStateChanged", event
    await no_energy_flows(bench)
    assert 9_950.0 < await energy_wh(bench) - refused_at_wh < 10_100.0


@EVERY_STOP
@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_16_cs(bench: Bench, stop_points: str) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = true"""
    await offline_rules(bench, stop=True, energy=0)
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    await charge_offline(bench, for_s=_OFFLINE_S)
    events = await queue_of(bench)
    authorized_offline(events)
    deauthorized(bench, events)
    await no_energy_flows(bench)


@case("Core", "C", "C-49 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_17_cs(bench: Bench) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = false"""
    await offline_rules(bench, stop=False, energy=0)
    await allow_unknown_ids(bench)
    await charge_offline(bench, for_s=_OFFLINE_S)
    events = await queue_of(bench)
    authorized_offline(events)
    assert [event for event in events if event["triggerReason"] == "Authorized"]
    expect_suspension(events)
    await no_energy_flows(bench)


@EVERY_STOP
@case("Core", "C", "C-49 and C-03 and (C-30 or C-31 or C-32 or C-34)")
async def test_tc_c_18_cs(bench: Bench, stop_points: str) -> None:
    """Authorization through authorization cache - StopTxOnInvalidId = true, MaxEnergyOnInvalidId > 0"""
    await offline_rules(bench, stop=True, energy=500)
    await allow_unknown_ids(bench)
    await set_long_reconnect_delay(bench)
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    await charge_offline(bench, for_s=TRANSACTION_DURATION_S)
    events = await queue_of(bench)
    authorized_offline(events)
    deauthorized(bench, events)
    await no_energy_flows(bench)


@case("Core", "C", "C-02 and (C-30 or C-31 or C-32)")
async def test_tc_c_26_cs(bench: Bench) -> None:
    """Offline Authorization - Unknown Id"""
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "true")
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true")
    await bench.configure("AuthCtrlr", "LocalAuthorizeOffline", "true")
    await bench.configure("TxCtrlr", "MaxEnergyOnInvalidId", "0")
    await bench.configure("TxCtrlr", "StopTxOnInvalidId", "false")
    set_id_token_status(bench, VALID_TOKEN, "Invalid")
    await states.start_offline_transaction(bench)
    back_at = bench.iso()
    await bench.expect_status("Occupied")
    events = await queue_of(bench)
    queued = [event for event in events if event["timestamp"] < back_at]
    assert queued
    assert [event for event in queued if event.get("offline") is not True] == []
    expect_suspension(events)
    await no_energy_flows(bench)
    set_id_token_status(bench, VALID_TOKEN, "Accepted")
    session = bench.session()
    session.authorized = session.charging = True
    await states.stop_authorized(bench, local=True)
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
