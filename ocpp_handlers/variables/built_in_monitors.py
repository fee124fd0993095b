"""What the station monitors by itself: hard-wired and preconfigured monitors, notifications of faults (N07, G05)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.charging.evse_state import all_faults
from station.core.model import Fault
from station.maintenance.monitoring.built_in import BuiltInMonitors, HardWiredNotification, TechnicalDetails
from station.maintenance.monitoring.monitor import EventNotificationType, Monitor, MonitorType, VariableAddress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from station.charging.evse import Evse

_DROPPED_EVENTS_MONITOR_ID: Final = 1
_STORAGE_MONITOR_ID: Final = 100
_STORAGE_FREE_MB: Final = 16
"""enough for some weeks of transactions and the logs of a day"""
_CONTACTOR_MONITOR_ID: Final = 100
"""plus the id of the EVSE"""
_CONTACTOR_OPERATIONS: Final = 50_000
"""after so many a contactor is to be inspected"""
_PART_ID_STEP: Final = 1_000
"""the distance between the ids of the notifications of two parts of an EVSE; the id of the EVSE is added"""
_STATION_NOTIFICATIONS: Final = (
    (9_001, VariableAddress("CaseAccessSensor", "Tripped"), 3, Fault.TAMPER.value),
    (9_002, VariableAddress("TokenReader", "Problem"), 4, Fault.READER.value),
    (9_003, VariableAddress("ControlMetering", "Problem"), 4, "grid-meter-silent"),
)
"""notifications of parts that belong to no EVSE: id, variable, severity, techCode"""


class _MonitoredPart(Frozen):
    """A part of an EVSE whose faults are notified."""

    component: str
    variable: str
    severity: int
    faults: frozenset[Fault]
    of_connector: bool = False
    """whether the component belongs to the connector"""


_MONITORED_PARTS: Final = (
    _MonitoredPart("ConnectorPlugRetentionLock", "Problem", 2, frozenset({Fault.LOCK}), of_connector=True),
    _MonitoredPart("FiscalMetering", "Problem", 2, frozenset({Fault.METER})),
    _MonitoredPart(
        "PowerContactor",
        "Problem",
        1,
        frozenset({Fault.CONTACTOR_WELDED, Fault.CONTACTOR_STUCK_OPEN, Fault.POWER_SWITCH}),
    ),
    _MonitoredPart("RCD", "Tripped", 1, frozenset({Fault.GROUND_FAULT, Fault.DC_RESIDUAL_CURRENT})),
    _MonitoredPart("OverCurrentProtection", "Tripped", 1, frozenset({Fault.OVER_CURRENT})),
    _MonitoredPart(
        "CPPWMController", "Problem", 2, frozenset({Fault.DIODE, Fault.PILOT, Fault.BOARD, Fault.BOARD_SILENT})
    ),
    _MonitoredPart("EmergencyStopSensor", "Active", 1, frozenset({Fault.EMERGENCY_STOP})),
    _MonitoredPart("TemperatureSensor", "Active", 2, frozenset({Fault.OVER_TEMPERATURE})),
)
"""in this order, which their ids depend on"""


def built_in_monitors(evses: Iterable[Evse]) -> BuiltInMonitors:
    """The monitors and notifications of a station; those of variables that it does not have are to be ignored."""
    evse_list = list(evses)
    return BuiltInMonitors(
        [_dropped_events_monitor(), _storage_monitor(), *(_contactor_monitor(evse) for evse in evse_list)],
        [
            *_station_notifications(),
            *(notification for evse in evse_list for notification in _evse_notifications(evse)),
        ],
    )


def _dropped_events_monitor() -> Monitor:
    """Events that were dropped since too many waited for the CSMS; nobody may switch this off."""
    return Monitor(
        _DROPPED_EVENTS_MONITOR_ID,
        VariableAddress("MonitoringCtrlr", "DroppedEvents"),
        MonitorType.DELTA,
        0.0,
        4,
        notification_type=EventNotificationType.HARD_WIRED_MONITOR,
    )


def _storage_monitor() -> Monitor:
    """The disk is nearly full."""
    return Monitor(
        _STORAGE_MONITOR_ID,
        VariableAddress("Controller", "StorageFree"),
        MonitorType.LOWER_THRESHOLD,
        float(_STORAGE_FREE_MB),
        4,
        notification_type=EventNotificationType.PRECONFIGURED_MONITOR,
    )


def _contactor_monitor(evse: Evse) -> Monitor:
    return Monitor(
        _CONTACTOR_MONITOR_ID + evse.id,
        VariableAddress("PowerContactor", "Count", evse_id=evse.id),
        MonitorType.UPPER_THRESHOLD,
        float(_CONTACTOR_OPERATIONS),
        7,
        notification_type=EventNotificationType.PRECONFIGURED_MONITOR,
    )


def _station_notifications() -> Iterator[HardWiredNotification]:
    for notification_id, address, severity, code in _STATION_NOTIFICATIONS:
        kind = EventNotificationType.HARD_WIRED_NOTIFICATION
        monitor = Monitor(notification_id, address, MonitorType.DELTA, 0.0, severity, notification_type=kind)
        yield HardWiredNotification(monitor, lambda code=code: TechnicalDetails(code))


def _evse_notifications(evse: Evse) -> Iterator[HardWiredNotification]:
    for number, part in enumerate(_MONITORED_PARTS, 1):
        connector_id = evse.layout.connector_id if part.of_connector else None
        address = VariableAddress(part.component, part.variable, evse_id=evse.id, connector_id=connector_id)
        kind = EventNotificationType.HARD_WIRED_NOTIFICATION
        monitor = Monitor(
            number * _PART_ID_STEP + evse.id, address, MonitorType.DELTA, 0.0, part.severity, notification_type=kind
        )
        yield HardWiredNotification(monitor, lambda part=part: _technical_details(evse, part))


def _technical_details(evse: Evse, part: _MonitoredPart) -> TechnicalDetails:
    """The fault by its name, and what the meter reports about it."""
    faults = sorted(part.faults & all_faults(evse.state))
    info = evse.meter.error if Fault.METER in faults else None
    return TechnicalDetails(faults[0].value if faults else None, info)
