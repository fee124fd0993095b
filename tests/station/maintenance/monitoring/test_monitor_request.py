"""Which monitors a variable supports, and which values are allowed."""

from __future__ import annotations

import math

from station.maintenance.monitoring.monitor import MonitorType, VariableAddress
from station.maintenance.monitoring.monitor_request import MonitorRequest, SetMonitorStatus, unsuitable
from station.maintenance.monitoring.monitored_variables import MonitorableVariable
from tests.rows import each_row

NUMBER = MonitorableVariable(supports_monitoring=True, numeric=True, minimum=0.0, maximum=100.0)
TEXT = MonitorableVariable(supports_monitoring=True, numeric=False)
SECRET = MonitorableVariable(supports_monitoring=True, numeric=False, write_only=True)
CONSTANT = MonitorableVariable(supports_monitoring=False, numeric=True)
UPPER, LOWER, DELTA = MonitorType.UPPER_THRESHOLD, MonitorType.LOWER_THRESHOLD, MonitorType.DELTA
PERIODIC, ALIGNED = MonitorType.PERIODIC, MonitorType.PERIODIC_CLOCK_ALIGNED
UNSUPPORTED, REJECTED = SetMonitorStatus.UNSUPPORTED_MONITOR_TYPE, SetMonitorStatus.REJECTED


@each_row(
    ("variable", "kind", "value", "severity", "status", "reason"),
    [
        (NUMBER, UPPER, 0, 0, None, None),
        (NUMBER, UPPER, 100, 9, None, None),
        (NUMBER, UPPER, 100.1, 5, REJECTED, "ValueOutOfRange"),  # N04.FR.06
        (NUMBER, UPPER, -0.1, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, LOWER, 100.1, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, LOWER, -1, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, DELTA, 1_000, 5, None, None),  # N04.FR.06 is about thresholds
        (NUMBER, DELTA, 0, 5, None, None),
        (NUMBER, DELTA, -0.1, 5, REJECTED, "ValuePositiveOnly"),  # N04.FR.14
        (TEXT, DELTA, -1, 5, REJECTED, "ValuePositiveOnly"),
        (TEXT, DELTA, 1, 5, None, None),
        (TEXT, UPPER, 1, 5, UNSUPPORTED, None),  # N04.FR.05
        (TEXT, LOWER, 1, 5, UNSUPPORTED, None),
        (TEXT, PERIODIC, 1, 5, None, None),
        (SECRET, DELTA, 1, 5, None, None),
        (SECRET, PERIODIC, 60, 5, UNSUPPORTED, None),
        (CONSTANT, DELTA, 1, 5, UNSUPPORTED, None),
        (CONSTANT, PERIODIC, 60, 5, UNSUPPORTED, None),
        (NUMBER, PERIODIC, 0.9, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, PERIODIC, -60, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, PERIODIC, 1e9, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, ALIGNED, 900, 5, None, None),
        (NUMBER, ALIGNED, 1.5, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, ALIGNED, 86_400, 5, None, None),
        (NUMBER, ALIGNED, 172_800, 5, REJECTED, "ValueOutOfRange"),  # would report every day
        (NUMBER, DELTA, math.inf, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, UPPER, math.nan, 5, REJECTED, "ValueOutOfRange"),
        (NUMBER, UPPER, 50, 10, REJECTED, "ValueOutOfRange"),
        (NUMBER, UPPER, 50, -1, REJECTED, "ValueOutOfRange"),
    ],
)
def test_a_request_suits_its_variable(
    variable: MonitorableVariable,
    kind: MonitorType,
    value: float,
    severity: int,
    status: SetMonitorStatus | None,
    reason: str | None,
) -> None:
    """N04.FR.05, N04.FR.06 (errata), N04.FR.14."""
    refusal = unsuitable(MonitorRequest(VariableAddress("A", "B"), kind, value, severity), variable)
    assert (refusal.status if refusal is not None else None) is status
    assert (refusal.reason if refusal is not None else None) == reason


def test_a_variable_without_limits_takes_any_threshold() -> None:
    free = MonitorableVariable(supports_monitoring=True, numeric=True)
    assert unsuitable(MonitorRequest(VariableAddress("A", "B"), UPPER, -1e9, 5), free) is None
