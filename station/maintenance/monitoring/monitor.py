"""Monitors of variables and the events that they trigger, as values (N04, N07, N08)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundation.frozen import Frozen

AddressKey = tuple[tuple[str, str, int | None, int | None], tuple[str, str]]
"""component name and instance, EVSE, connector; variable name and instance; names are case-folded, none is empty"""

HIGHEST_SEVERITY = 9
"""severities are 0 (danger) to 9 (debug): the smaller the number, the more serious"""


class MonitorType(StrEnum):
    """What triggers a monitor (MonitorEnumType)."""

    UPPER_THRESHOLD = "UpperThreshold"
    LOWER_THRESHOLD = "LowerThreshold"
    DELTA = "Delta"
    TARGET_DELTA = "TargetDelta"
    """the value differs from its target (OCPP 2.1)"""
    TARGET_DELTA_RELATIVE = "TargetDeltaRelative"
    """the value differs from its target by more than a share of it (OCPP 2.1)"""
    PERIODIC = "Periodic"
    PERIODIC_CLOCK_ALIGNED = "PeriodicClockAligned"


THRESHOLDS = frozenset({MonitorType.UPPER_THRESHOLD, MonitorType.LOWER_THRESHOLD})
OF_TARGET = frozenset({MonitorType.TARGET_DELTA, MonitorType.TARGET_DELTA_RELATIVE})
DELTAS = OF_TARGET | {MonitorType.DELTA}
PERIODIC = frozenset({MonitorType.PERIODIC, MonitorType.PERIODIC_CLOCK_ALIGNED})


class EventNotificationType(StrEnum):
    """Who defined what an event notifies of (EventNotificationEnumType)."""

    HARD_WIRED_NOTIFICATION = "HardWiredNotification"
    """the program itself, without a monitor: a fault of a part"""
    HARD_WIRED_MONITOR = "HardWiredMonitor"
    """a monitor of the program, which nobody can change"""
    PRECONFIGURED_MONITOR = "PreconfiguredMonitor"
    """a monitor of the program, which the CSMS may replace, clear and restore"""
    CUSTOM_MONITOR = "CustomMonitor"
    """a monitor set by the CSMS"""


class EventTrigger(StrEnum):
    """Why an event was triggered (EventTriggerEnumType)."""

    ALERTING = "Alerting"
    DELTA = "Delta"
    PERIODIC = "Periodic"


class MonitoringBase(StrEnum):
    """Which monitors of the program are active (MonitoringBaseEnumType)."""

    ALL = "All"
    FACTORY_DEFAULT = "FactoryDefault"
    HARD_WIRED_ONLY = "HardWiredOnly"


class VariableAddress(Frozen):
    """Which variable of the device model is meant (ComponentType and VariableType)."""

    component: str
    variable: str
    component_instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    instance: str | None = None
    """of the variable"""

    @property
    def key(self) -> AddressKey:
        """The lookup key: names case-folded, since identifierString ignores case; empty where there is no instance."""
        component = (
            self.component.casefold(),
            (self.component_instance or "").casefold(),
            self.evse_id,
            self.connector_id,
        )
        return component, (self.variable.casefold(), (self.instance or "").casefold())


class StreamParameters(Frozen):
    """How often the values of a monitor are sent by a periodic event stream (PeriodicEventStreamParamsType)."""

    interval_s: int = 0
    """seconds between two messages; 0: only `values` counts"""
    values: int = 0
    """the most values in a message, which is sent once there are as many; 0: only `interval_s` counts"""


class Monitor(Frozen):
    """A monitor of a variable, or a hard-wired notification, which is evaluated like one (VariableMonitoringType)."""

    id: int
    address: VariableAddress
    type: MonitorType
    value: float
    """the threshold or difference, in the unit of the variable

    Of a periodic monitor the interval in seconds, of a TargetDeltaRelative one a share of the target.
    """
    severity: int
    """of its events: 0 (danger) to 9 (debug)"""
    transaction: bool = False
    """active only during a transaction at the EVSE of the variable, or at any EVSE"""
    notification_type: EventNotificationType = EventNotificationType.CUSTOM_MONITOR
    stream: StreamParameters | None = None
    """its events are sent by a periodic event stream, if the CSMS opens it (OCPP 2.1); None: each by NotifyEvent"""

    @property
    def is_notification(self) -> bool:
        """Whether it is a hard-wired notification: not reported as a monitor, and its events carry no monitor id."""
        return self.notification_type is EventNotificationType.HARD_WIRED_NOTIFICATION


class MonitorState(Frozen):
    """What a monitor remembers between two values."""

    exceeded: bool = False
    """the threshold is exceeded, or the reported fault is present"""
    reference: str | None = None
    """of a Delta monitor: the value when it was set or last triggered; None: not known yet"""


class MonitoringEvent(Frozen):
    """An event of variable monitoring, as it is reported to the CSMS (EventDataType)."""

    id: int
    """unique, also over restarts"""
    occurred_at: datetime
    trigger: EventTrigger
    notification_type: EventNotificationType
    address: VariableAddress
    value: str
    """the Actual value; empty if unknown or write-only (N07.FR.10)"""
    severity: int
    monitor_id: int | None = None
    """None: a hard-wired notification"""
    cleared: bool | None = None
    """True: back to normal; False: exceeded or faulty; None: neither, such as a periodic value"""
    cause: int | None = None
    """the id of the event that caused this one"""
    tech_code: str | None = None
    tech_info: str | None = None
    transaction_id: str | None = None
