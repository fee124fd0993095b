"""What installers, scripts and monitoring systems see of monitors and their events: API, feed, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from station.core.model import Fault
from station.interfaces.access.visitor_view import may_receive_event
from station.security.access.accounts import Role
from tests.walk import walking
from tests.walks.visit import visiting

_STATE: dict[str, Any] = {
    "component": {"name": "EVSE", "evse": {"id": 1}},
    "variable": {"name": "AvailabilityState"},
}


async def test_monitors_and_events_are_read_through_the_api_and_counted(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        monitor = {**_STATE, "type": "Delta", "value": 1, "severity": 5}
        answer = await walk.csms.call("SetVariableMonitoring", {"setMonitoringData": [monitor]})
        (result,) = answer["setMonitoringResult"]
        assert result["status"] == "Accepted", result
        monitoring = await api.get("/api/monitors")
        assert (monitoring["enabled"], monitoring["base"], monitoring["level"], monitoring["dropped"]) == (
            True,
            "FactoryDefault",
            9,
            0,
        )
        (own_monitor,) = [row for row in monitoring["monitors"] if row["id"] == result["id"]]
        assert own_monitor == {
            "component": "EVSE",
            "component_instance": None,
            "evse": 1,
            "connector": None,
            "variable": "AvailabilityState",
            "instance": None,
            "id": result["id"],
            "type": "Delta",
            "value": 1.0,
            "severity": 5,
            "transaction": False,
            "notification_type": "CustomMonitor",
        }
        assert {listed["notification_type"] for listed in monitoring["monitors"]} == {
            "HardWiredMonitor",
            "PreconfiguredMonitor",
            "CustomMonitor",
        }
        await walk.plug()
        await walk.until(lambda: walk.csms.received("NotifyEvent"))
        (change,) = [entry for entry in await api.get("/api/device-events") if entry["monitor"] == result["id"]]
        assert (change["trigger"], change["value"], change["severity"]) == ("Delta", "Occupied", 5)
        walk.board.raise_fault(Fault.GROUND_FAULT)
        await walk.advance(2.0)
        later = await api.get(f"/api/device-events?since={change['id']}")
        (fault,) = [entry for entry in later if entry["notification_type"] == "HardWiredNotification"]
        assert (fault["component"], fault["variable"], fault["value"]) == ("RCD", "Tripped", "true")
        assert (fault["monitor"], fault["cleared"], fault["tech_code"]) == (None, False, "ground-fault")
        metrics = (await api.client.get("/metrics")).text
        assert 'borne_device_events_total{component="RCD",variable="Tripped"} 1.0' in metrics
        assert "borne_device_events_dropped_total 0.0" in metrics
        assert "borne_device_events_waiting 0.0" in metrics


async def test_the_feed_carries_events_for_installers_only(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        with walk.application.feed.subscribe(lambda kind: kind == "device-event") as queue:
            walk.board.raise_fault(Fault.GROUND_FAULT)
            await walk.advance(2.0)
            happened = await queue.get()
        assert happened.data["component"] == "RCD"
    assert [role for role in Role if may_receive_event(role, "device-event")] == [Role.INSTALLER, Role.SERVICE]
