"""The variables of MonitoringCtrlr that are no settings (N02 to N08)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocpp_handlers.variables.variable import Component, DataType, Variable, read_only_variable
from ocpp_handlers.wire.edition import V21
from station.maintenance.monitoring.event_streams import MAX_STREAMS
from station.maintenance.monitoring.monitor import HIGHEST_SEVERITY, MonitoringBase

if TYPE_CHECKING:
    from station.maintenance.monitoring.variable_monitoring import VariableMonitoring

_COMPONENT = Component("MonitoringCtrlr")
_BASES = tuple(MonitoringBase)


def monitoring_variables(monitoring: VariableMonitoring) -> Iterator[Variable]:
    """Yield Available, the active base and level under both of their names, and the vendor variable DroppedEvents."""
    yield read_only_variable(_COMPONENT, "Available", DataType.BOOLEAN, lambda: "true", constant=True)
    for name in ("ActiveMonitoringBase", "MonitoringBase"):  # the former in part 2, the latter in the appendix
        yield read_only_variable(
            _COMPONENT,
            name,
            DataType.OPTION_LIST,
            lambda: monitoring.base.value,
            values=_BASES,
            fixed=True,  # by SetMonitoringBase and SetMonitoringLevel
            changes=monitoring.configured,
        )
    for name in ("ActiveMonitoringLevel", "MonitoringLevel"):
        yield read_only_variable(
            _COMPONENT,
            name,
            DataType.INTEGER,
            lambda: str(monitoring.rules.level),
            minimum=0,
            maximum=HIGHEST_SEVERITY,
            fixed=True,  # by SetMonitoringBase and SetMonitoringLevel
            changes=monitoring.configured,
        )
    yield read_only_variable(
        _COMPONENT,
        "MaxPeriodicEventStreams",
        DataType.INTEGER,
        lambda: str(MAX_STREAMS),
        constant=True,
        since=V21,
    )
    yield read_only_variable(
        _COMPONENT,
        "DroppedEvents",
        DataType.INTEGER,
        lambda: str(monitoring.queue.dropped_reported),
        changes=monitoring.queue.dropped_changed,
    )
