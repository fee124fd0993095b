"""Routes for device monitoring: the monitors of variables, and the last events."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from typing_extensions import TypedDict

from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import part
from station.interfaces.api.routing import api_router
from station.interfaces.monitoring_report import DeviceEventShown, MonitorShown, event_to_json, monitor_to_json
from station.maintenance.monitoring.variable_monitoring import VariableMonitoring
from station.security.access.accounts import Role

router = api_router("diagnosis")

_Monitoring = Annotated[VariableMonitoring, part(VariableMonitoring)]


class Monitors(TypedDict):
    """Response of GET /api/monitors: what the CSMS has set about monitoring, and all active monitors."""

    enabled: bool
    """whether monitoring is on (MonitoringCtrlr.Enabled)"""
    base: str
    """the monitoring base set last: All, FactoryDefault or HardWiredOnly"""
    level: int
    """the highest severity number of events that the CSMS wants to receive"""
    offline_severity: int
    """the highest severity number of events that wait while the CSMS is offline"""
    waiting: int
    """number of events that wait to be sent to the CSMS"""
    dropped: int
    """number of events dropped since the first start, because too many waited"""
    monitors: list[MonitorShown]
    """the monitors that are active, by their id"""


@router.get("/api/monitors", dependencies=[require_role(Role.INSTALLER)], summary="List the monitors of variables")
async def list_monitors(monitoring: _Monitoring) -> Monitors:
    """Returns the monitors of the CSMS and those of the station itself."""
    rules, queue = monitoring.rules, monitoring.queue
    return {
        "enabled": rules.enabled,
        "base": monitoring.base.value,
        "level": rules.level,
        "offline_severity": rules.offline_severity,
        "waiting": len(queue),
        "dropped": queue.dropped,
        "monitors": [monitor_to_json(monitor) for monitor in monitoring.monitors()],
    }


@router.get(
    "/api/device-events",
    dependencies=[require_role(Role.INSTALLER)],
    summary="List the last events of monitors and faults",
)
async def list_device_events(
    monitoring: _Monitoring,
    since: Annotated[int, Query(ge=0, description="the id of the last event already received")] = 0,
) -> list[DeviceEventShown]:
    """Returns the last events since the start, the newest last, whether or not the CSMS receives them."""
    return [event_to_json(event) for event in monitoring.detection.recent if event.id > since]
