"""Judges requests to set monitors (N04): whether they suit the variable, and whether the values are allowed; pure."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.maintenance.monitoring.monitor import (
    DELTAS,
    HIGHEST_SEVERITY,
    OF_TARGET,
    PERIODIC,
    THRESHOLDS,
    MonitorType,
    StreamParameters,
)

if TYPE_CHECKING:
    from station.maintenance.monitoring.monitor import VariableAddress
    from station.maintenance.monitoring.monitored_variables import MonitorableVariable, VariableMissing

SHORTEST_PERIOD_S = 1.0
LONGEST_PERIOD_S = 365 * 86_400.0
LONGEST_ALIGNED_S = 86_400.0
"""aligned intervals restart at each midnight"""
LONGEST_STREAM_S = 86_400
MOST_STREAM_VALUES = 500
"""in one message of a periodic event stream; it is sent early with so many"""


class MonitorRequest(Frozen):
    """A request to set a monitor, or to replace the one with this id (SetMonitoringDataType)."""

    address: VariableAddress
    type: MonitorType
    value: float
    severity: int
    transaction: bool = False
    id: int | None = None
    """None: a new monitor"""
    stream: StreamParameters | None = None
    """how a periodic event stream sends its events; None: there is none"""
    unknown_part: VariableMissing | None = None
    """the part of the address that the edition of the session does not have; None: it has them all"""


class SetMonitorStatus(StrEnum):
    """The outcome of setting one monitor (SetMonitoringStatusEnumType)."""

    ACCEPTED = "Accepted"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED_MONITOR_TYPE = "UnsupportedMonitorType"
    REJECTED = "Rejected"
    DUPLICATE = "Duplicate"


class SetMonitorResult(Frozen):
    """The result of one request to set a monitor."""

    status: SetMonitorStatus
    id: int | None = None
    """of the monitor; None: not accepted"""
    reason: str | None = None
    """a reason code (appendix 5); None: accepted, or the status says it all"""
    info: str | None = None
    """the reason as a sentence"""


def unsuitable(request: MonitorRequest, variable: MonitorableVariable) -> SetMonitorResult | None:
    """The refusal of a request that does not suit the variable; None: it suits.

    N04.FR.05, N04.FR.06, N04.FR.14.
    """
    if not _supports(variable, request.type):
        return SetMonitorResult(SetMonitorStatus.UNSUPPORTED_MONITOR_TYPE)
    if not 0 <= request.severity <= HIGHEST_SEVERITY:
        return rejected("ValueOutOfRange", f"severity must be between 0 and {HIGHEST_SEVERITY}")
    if not math.isfinite(request.value):
        return rejected("ValueOutOfRange", "value must be a finite number")
    if request.type in DELTAS and request.value < 0:
        return rejected("ValuePositiveOnly", f"value of a {request.type} monitor must not be negative")
    longest_s = LONGEST_ALIGNED_S if request.type is MonitorType.PERIODIC_CLOCK_ALIGNED else LONGEST_PERIOD_S
    if request.type in PERIODIC and not SHORTEST_PERIOD_S <= request.value <= longest_s:
        return rejected("ValueOutOfRange", f"value must be between {SHORTEST_PERIOD_S:.0f} and {longest_s:.0f} s")
    if request.type is MonitorType.PERIODIC_CLOCK_ALIGNED and not float(request.value).is_integer():
        return rejected("ValueOutOfRange", "value of a PeriodicClockAligned monitor must be a whole number of seconds")
    if request.type in THRESHOLDS and not _within_limits(request.value, variable):
        return rejected("ValueOutOfRange", "value is outside minLimit and maxLimit of the variable")
    if request.stream is not None:
        if request.type in THRESHOLDS:
            return rejected("UnsupportedParam", f"periodicEventStream does not suit a {request.type} monitor")
        if (fault := stream_fault(request.stream)) is not None:
            return rejected("ValueOutOfRange", fault)
    return None


def stream_fault(stream: StreamParameters) -> str | None:
    """What is wrong with the parameters of a periodic event stream, as a sentence; None: nothing (N11.FR.09)."""
    if not stream.interval_s and not stream.values:
        return "interval or values of periodicEventStream must be greater than 0"
    if not 0 <= stream.interval_s <= LONGEST_STREAM_S:
        return f"interval of periodicEventStream must be between 0 and {LONGEST_STREAM_S} s"
    if not 0 <= stream.values <= MOST_STREAM_VALUES:
        return f"values of periodicEventStream must be between 0 and {MOST_STREAM_VALUES}"
    return None


def rejected(reason: str, info: str) -> SetMonitorResult:
    """A refusal with its reason code (appendix 5) and a sentence."""
    return SetMonitorResult(SetMonitorStatus.REJECTED, reason=reason, info=info)


def _supports(variable: MonitorableVariable, kind: MonitorType) -> bool:
    """Return whether a variable supports a type of monitor.

    Thresholds are of numbers, a write-only value is none, and a difference to a target requires one.
    """
    if not variable.supports_monitoring or (variable.write_only and kind is not MonitorType.DELTA):
        return False
    if kind in OF_TARGET:
        return variable.numeric and variable.has_target
    return variable.numeric or kind not in THRESHOLDS


def _within_limits(value: float, variable: MonitorableVariable) -> bool:
    above = variable.minimum is None or value >= variable.minimum
    return above and (variable.maximum is None or value <= variable.maximum)
