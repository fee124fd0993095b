"""Block N, events of monitors: thresholds, differences, intervals, faults; offline, and over a reboot (N07, N08)."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.conformance import states
from tests.conformance.bench import DEVIATION_S, Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload
from tests.conformance.monitoring import (
    DELTA_TRIGGER_W,
    EVSE_POWER,
    EVSE_STATE,
    INTERVAL_S,
    LOWER_TRIGGER_W,
    SEVERITY,
    UPPER_TRIGGER_W,
    Events,
    address,
    is_at,
    monitor,
    no_monitors_reported,
    reported,
    set_base,
    set_level,
    set_monitors,
)
from tests.conformance.station_under_test import PASSWORD

_NON_TRIGGER_W = 32 * 230 * 3 - 1.0
"""<Configured threshold monitor component variable UpperThreshold non-trigger value>: maxLimit - 1"""
_TRANSACTION_DURATION_S = 30.0
"""<Configured Transaction Duration>"""
_CONNECTOR_STATE = address("Connector", "AvailabilityState", 1, 1)
_OFFLINE_THRESHOLD = address("OCPPCommCtrlr", "OfflineThreshold", None)
_PASSWORD = address("SecurityCtrlr", "BasicAuthPassword", None)


def _moment(event: Payload) -> datetime:
    return datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))


def _is_power_event(bench: Bench, event: Payload, transaction_id: str | None) -> None:
    """Check an event as TC_N_20 requires, besides value, trigger and monitor."""
    assert isinstance(event["eventId"], int), event
    assert abs((_moment(event) - bench.now()).total_seconds()) <= DEVIATION_S, event
    assert event["transactionId"] == transaction_id, event
    assert event["eventNotificationType"] == "CustomMonitor", event
    assert is_at(event, EVSE_POWER), event


@pytest.mark.parametrize("stop_points", ["EVConnected,Authorized", "EVConnected"])
@case("Advanced Device Management", "M")
async def test_tc_n_20_cs(bench: Bench, stop_points: str) -> None:
    """Alert Event - Threshold value exceeded"""
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    await set_base(bench, "All")
    (upper,) = await set_monitors(bench, monitor("UpperThreshold", UPPER_TRIGGER_W, EVSE_POWER, severity=5))
    await set_level(bench, 8)
    events = Events(bench)
    await states.energy_transfer_started(bench)
    transaction_id = bench.session().transaction_id
    exceeded = await events.expect(upper, trigger="Alerting", cleared=False)
    _is_power_event(bench, exceeded, transaction_id)
    assert float(exceeded["actualValue"]) > UPPER_TRIGGER_W, exceeded
    (lower,) = await set_monitors(bench, monitor("LowerThreshold", LOWER_TRIGGER_W, EVSE_POWER, severity=5))
    await states.stop_authorized(bench)
    cleared = await events.expect(upper, trigger="Alerting", cleared=True)
    _is_power_event(bench, cleared, transaction_id)
    assert float(cleared["actualValue"]) <= UPPER_TRIGGER_W, cleared
    below = await events.expect(lower, trigger="Alerting", cleared=False)
    _is_power_event(bench, below, transaction_id)
    assert float(below["actualValue"]) < LOWER_TRIGGER_W, below
    assert len({exceeded["eventId"], cleared["eventId"], below["eventId"]}) == 3
    events.rest()


@case("Advanced Device Management", "C", "AQ-5")
async def test_tc_n_21_cs(bench: Bench) -> None:
    """Alert Event - Caused by hardwired trigger"""
    await bench.station.post("/api/sim/faults", {"evse": 1, "code": "ground-fault"})
    notification = await bench.expect("NotifyEvent")
    assert notification["seqNo"] == 0, notification
    generated = datetime.fromisoformat(notification["generatedAt"].replace("Z", "+00:00"))
    assert abs((generated - bench.now()).total_seconds()) <= DEVIATION_S, notification
    assert notification["eventData"][0]["eventNotificationType"] == "HardWiredNotification", notification
    Events(bench).rest()


@pytest.mark.smoke
@case("Advanced Device Management", "C", "DM-3")
async def test_tc_n_22_cs(bench: Bench) -> None:
    """
    Offline Notification - OfflineMonitoringEventQueuingSeverity set equal or lower than severityLevel of the monitor
    """
    await bench.configure("MonitoringCtrlr", "OfflineQueuingSeverity", str(SEVERITY))
    (monitor_id,) = await set_monitors(bench, monitor("Delta", 1, EVSE_STATE, severity=SEVERITY))
    await bench.go_offline()
    await bench.connect_ev()
    await bench.advance(_TRANSACTION_DURATION_S)
    await bench.accept_reconnect()
    notification = await bench.expect(
        "NotifyEvent", where=lambda notification: notification["eventData"][0].get("variableMonitoringId") == monitor_id
    )
    event = notification["eventData"][0]
    assert event["trigger"] == "Delta", notification
    assert event["actualValue"] == "Occupied", notification
    assert is_at(event, EVSE_STATE), notification
    Events(bench).rest()
    assert (await bench.expect_event())["eventType"] == "Started"  # queued too


@case("Advanced Device Management", "C", "DM-3")
async def test_tc_n_23_cs(bench: Bench) -> None:
    """
    Offline Notification - OfflineMonitoringEventQueuingSeverity set higher than severityLevel of the monitor
    """
    await bench.configure("MonitoringCtrlr", "OfflineQueuingSeverity", str(SEVERITY))
    requested = [monitor("Delta", 1, at, severity=SEVERITY + 1) for at in (EVSE_STATE, _CONNECTOR_STATE)]
    of_evse, of_connector = await set_monitors(bench, *requested)
    events = Events(bench)
    await states.ev_connected_pre_session(bench)  # steps 1 to 4
    for monitor_id, at in ((of_connector, _CONNECTOR_STATE), (of_evse, EVSE_STATE)):
        event = await events.expect(monitor_id, trigger="Delta")
        assert event["actualValue"] == "Occupied", event
        assert is_at(event, at), event
    started = bench.session().events[-1]
    assert started["triggerReason"] == "CablePluggedIn", started
    assert started["transactionInfo"]["chargingState"] == "EVConnected", started
    await bench.go_offline()
    await bench.disconnect_ev()
    await bench.advance(5.0)
    await bench.connect_ev()
    await bench.advance(_TRANSACTION_DURATION_S)
    await bench.accept_reconnect()
    event = await bench.expect_event()
    assert event["triggerReason"] == "EVCommunicationLost", event
    assert event["transactionInfo"]["chargingState"] == "Idle", event
    bench.new_session()
    event = await bench.expect_event()
    assert event["triggerReason"] == "CablePluggedIn", event
    assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    for monitor_id in (of_connector, of_evse):
        await events.silence(monitor_id, for_s=15.0)


@case("Advanced Device Management", "M")
async def test_tc_n_24_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Periodic event"""
    await set_level(bench, 8)
    since = bench.now()
    (monitor_id,) = await set_monitors(bench, monitor("Periodic", INTERVAL_S, EVSE_POWER, severity=5))
    events = Events(bench)
    for number in (1, 2, 3):
        event = await events.expect(monitor_id, trigger="Periodic", within_s=INTERVAL_S + DEVIATION_S)
        assert is_at(event, EVSE_POWER), event
        due_s = (_moment(event) - since).total_seconds()
        assert abs(due_s - number * INTERVAL_S) <= 1.0, event
    events.rest()


@case("Advanced Device Management", "M")
async def test_tc_n_45_cs(bench: Bench) -> None:
    """Alert Event - Delta value exceeded"""
    await set_level(bench, 8)
    (monitor_id,) = await set_monitors(bench, monitor("Delta", DELTA_TRIGGER_W, EVSE_POWER, severity=5))
    events = Events(bench)
    await states.energy_transfer_started(bench)
    event = await events.expect(monitor_id, trigger="Delta")
    assert is_at(event, EVSE_POWER), event
    events.rest()


@case("Advanced Device Management", "C", "AQ-10")
async def test_tc_n_48_cs(bench: Bench) -> None:
    """Alert Event - Variable monitoring on write only"""
    (monitor_id,) = await set_monitors(bench, monitor("Delta", 1, _PASSWORD))
    new, before = PASSWORD.swapcase(), bench.csms.connection
    bench.csms.passwords = {bench.identity: new}
    assert await bench.set_variable("SecurityCtrlr", "BasicAuthPassword", new) == "Accepted"
    event = await Events(bench).expect(monitor_id)
    assert event["actualValue"] == "", event
    assert is_at(event, _PASSWORD), event
    await bench.until(lambda: bench.csms.connection != before, within_s=60.0, why="no reconnect")


@case("Advanced Device Management", "M")
async def test_tc_n_51_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Replace Variable Monitor"""
    (monitor_id,) = await set_monitors(bench, monitor("UpperThreshold", _NON_TRIGGER_W, EVSE_POWER, severity=5))
    await set_level(bench, 8)
    events = Events(bench)
    await states.energy_transfer_started(bench, max_current_a=16.0)
    await bench.advance(3.0)
    assert [event for event in events.rest() if event.get("variableMonitoringId") == monitor_id] == []
    changed = monitor("UpperThreshold", UPPER_TRIGGER_W, EVSE_POWER, severity=5, monitor_id=monitor_id)
    assert await set_monitors(bench, changed) == [monitor_id]
    event = await events.expect(monitor_id)
    assert event["trigger"] == "Alerting", event
    assert float(event["actualValue"]) > UPPER_TRIGGER_W, event
    events.rest()


@case("Advanced Device Management", "M")
async def test_tc_n_52_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Removing a VariableMonitor"""
    (monitor_id,) = await set_monitors(bench, monitor("UpperThreshold", UPPER_TRIGGER_W, EVSE_POWER, severity=5))
    await set_level(bench, 8)
    events = Events(bench)
    await states.energy_transfer_started(bench)
    await events.expect(monitor_id, trigger="Alerting")
    answer = await bench.call("ClearVariableMonitoring", {"id": [monitor_id]})
    assert answer["clearMonitoringResult"] == [{"id": monitor_id, "status": "Accepted"}], answer
    await no_monitors_reported(bench, 52, monitoringCriteria=["ThresholdMonitoring"], componentVariable=[EVSE_POWER])
    await states.stop_authorized(bench)
    await events.silence(monitor_id, for_s=30.0)
    events.rest()


@case("Advanced Device Management", "M")
async def test_tc_n_53_cs(bench: Bench) -> None:
    """Alert Event - Persistent over reboot"""
    (monitor_id,) = await set_monitors(bench, monitor("UpperThreshold", UPPER_TRIGGER_W, EVSE_POWER))
    await states.booted(bench)
    found = await reported(bench, 53, monitoringCriteria=["ThresholdMonitoring"])
    assert [monitor_found["type"] for monitor_found in found if monitor_found["id"] == monitor_id] == [
        "UpperThreshold"
    ], found
    Events(bench).rest()


@case("Advanced Device Management", "M")
async def test_tc_n_56_cs(bench: Bench) -> None:
    """Alert Event - Delta value NOT numeric exceeded"""
    await set_level(bench, 8)
    (monitor_id,) = await set_monitors(bench, monitor("Delta", 1, EVSE_STATE, severity=5))
    await bench.connect_ev()
    notification = await bench.expect("NotifyEvent")
    event = notification["eventData"][0]
    assert event["trigger"] == "Delta", notification
    assert is_at(event, EVSE_STATE), notification
    assert event["variableMonitoringId"] == monitor_id, notification
    await bench.expect_event()  # TxStartPoint has EVConnected


@case("", "")
async def test_tc_n_61_cs(bench: Bench) -> None:
    """Alert Event - Variable monitoring on numeric"""
    (monitor_id,) = await set_monitors(bench, monitor("Delta", 1, _OFFLINE_THRESHOLD))
    current = int(await bench.get_variable("OCPPCommCtrlr", "OfflineThreshold"))
    events = Events(bench)
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", str(current + 1))
    await events.silence(monitor_id, for_s=10.0)
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", str(current + 2))
    event = await events.expect(monitor_id)
    assert event["actualValue"] == str(current + 2), event
