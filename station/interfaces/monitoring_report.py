"""Monitors and their events as JSON, for the API, the event feed and MQTT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from station.maintenance.monitoring.monitor import Monitor, MonitoringEvent, VariableAddress


class VariableShown(TypedDict):
    """A variable of the device model: names and instances of component and variable, EVSE and connector."""

    component: str
    component_instance: str | None
    evse: int | None
    """null: of the station"""
    connector: int | None
    variable: str
    instance: str | None


class MonitorShown(VariableShown):
    """A monitor of a variable."""

    id: int
    type: str
    """UpperThreshold, LowerThreshold, Delta, Periodic or PeriodicClockAligned"""
    value: float
    """threshold or difference in the unit of the variable; seconds if periodic"""
    severity: int
    """0 (danger) to 9 (debug)"""
    transaction: bool
    """whether it is active during transactions only"""
    notification_type: str
    """HardWiredMonitor, PreconfiguredMonitor or CustomMonitor"""


class DeviceEventShown(VariableShown):
    """An event of a monitor, or of a fault that the station notifies by itself."""

    id: int
    at: str
    trigger: str
    """Alerting, Delta or Periodic"""
    notification_type: str
    """as of the monitor, or HardWiredNotification"""
    value: str
    """the value of the variable; empty if unknown or not readable"""
    severity: int
    monitor: int | None
    """the id of the monitor; null: a notification"""
    cleared: bool | None
    """true: back to normal; false: exceeded or faulty; null: neither"""
    cause: int | None
    """the id of the event that caused this one"""
    tech_code: str | None
    tech_info: str | None
    transaction_id: str | None


def monitor_to_json(monitor: Monitor) -> MonitorShown:
    """A monitor as JSON."""
    return {
        **_variable(monitor.address),
        "id": monitor.id,
        "type": monitor.type.value,
        "value": monitor.value,
        "severity": monitor.severity,
        "transaction": monitor.transaction,
        "notification_type": monitor.notification_type.value,
    }


def event_to_json(event: MonitoringEvent) -> DeviceEventShown:
    """An event as JSON."""
    return {
        **_variable(event.address),
        "id": event.id,
        "at": event.occurred_at.isoformat(),
        "trigger": event.trigger.value,
        "notification_type": event.notification_type.value,
        "value": event.value,
        "severity": event.severity,
        "monitor": event.monitor_id,
        "cleared": event.cleared,
        "cause": event.cause,
        "tech_code": event.tech_code,
        "tech_info": event.tech_info,
        "transaction_id": event.transaction_id,
    }


def _variable(address: VariableAddress) -> VariableShown:
    return {
        "component": address.component,
        "component_instance": address.component_instance,
        "evse": address.evse_id,
        "connector": address.connector_id,
        "variable": address.variable,
        "instance": address.instance,
    }
