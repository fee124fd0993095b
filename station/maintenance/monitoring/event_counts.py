"""Counts the events of variable monitoring, for metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from station.maintenance.monitoring.monitor import MonitoringEvent

MAX_COUNTED: Final = 100
"""variables counted by name; the CSMS decides which ones are monitored"""
OTHER: Final = "other"
"""component and variable of the count of all further ones"""


class EventCount(Frozen):
    """How many events a variable of a component has triggered since the start, at all EVSEs together."""

    component: str
    variable: str
    count: int


class EventCounts:
    """Counts events by component and variable, at most `MAX_COUNTED` of them; further ones are counted together."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], EventCount] = {}

    def add(self, event: MonitoringEvent) -> None:
        """Count an event; names that differ only in case are the same."""
        component, variable = event.address.component, event.address.variable
        key = (component.casefold(), variable.casefold())
        if key not in self._counts and len(self._counts) >= MAX_COUNTED:
            component = variable = OTHER
            key = (OTHER, OTHER)
        former = self._counts.get(key, EventCount(component, variable, 0))
        self._counts[key] = EventCount(former.component, former.variable, former.count + 1)

    def counts(self) -> Sequence[EventCount]:
        """The counts, in the order of their first events."""
        return list(self._counts.values())
