"""Monitors and their events as JSON, for the API, the event feed and MQTT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from station.maintenance.monitoring.monitor import Monitor, MonitoringEvent, VariableAddress


class VariableShown(TypedDict):
    """A variable of the device model: names and instances of component and variable, EVSE and connector."""

    component: str
    """name of the component, such as Connector"""
    component_instance: str | None
    """instance of the component; null: it has none"""
    evse: int | None
    """the EVSE of the component; null: the component is of the whole station"""
    connector: int | None
    """the connector of the component; null: of no single connector"""
    variable: str
    """name of the variable, such as Problem"""
    instance: str | None
    """instance of the variable; null: it has none"""


class MonitorShown(VariableShown):
    """A monitor of a variable."""

    id: int
    """the number of the monitor at the station"""
    type: str
    """UpperThreshold, LowerThreshold, Delta, Periodic or PeriodicClockAligned"""
    value: float
    """threshold or difference in the unit of the variable; seconds if periodic"""
    severity: int
    """severity of its events, 0 (danger) to 9 (debug)"""
    transaction: bool
    """whether it is active during transactions only"""
    notification_type: str
    """HardWiredMonitor, PreconfiguredMonitor or CustomMonitor"""


class DeviceEventShown(VariableShown):
    """An event of a monitor, or of a fault that the station notifies by itself."""

    id: int
    """the number of the event at the station"""
    at: str
    """when it occurred (ISO 8601, UTC)"""
    trigger: str
    """what caused the event: Alerting, Delta or Periodic"""
    notification_type: str
    """as of the monitor, or HardWiredNotification"""
    value: str
    """the value of the variable at that time; empty if unknown or not readable"""
    severity: int
    """severity of the event, 0 (danger) to 9 (debug)"""
    monitor: int | None
    """the id of the monitor; null: a notification"""
    cleared: bool | None
    """true: back to normal; false: exceeded or faulty; null: neither"""
    cause: int | None
    """the id of the event that caused this one"""
    tech_code: str | None
    """technical code of the fault; null: none"""
    tech_info: str | None
    """technical details of the fault, as text; null: none"""
    transaction_id: str | None
    """the transaction during which it occurred; null: none"""


def monitor_to_json(monitor: Monitor) -> MonitorShown:
    """A monitor as JSON."""
    return {
        **_variable_to_json(monitor.address),
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
        **_variable_to_json(event.address),
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


def _variable_to_json(address: VariableAddress) -> VariableShown:
    return {
        "component": address.component,
        "component_instance": address.component_instance,
        "evse": address.evse_id,
        "connector": address.connector_id,
        "variable": address.variable,
        "instance": address.instance,
    }
