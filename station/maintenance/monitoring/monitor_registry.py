"""The active monitors of a station with their states, found by id and by variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.maintenance.monitoring.evaluation import initial_state
from station.maintenance.monitoring.monitor import EventNotificationType, MonitorState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from station.maintenance.monitoring.monitor import AddressKey, Monitor
    from station.maintenance.monitoring.monitored_variables import MonitorableVariable, MonitoredVariables


class ActiveMonitor:
    """A monitor that is being evaluated, with its two states.

    They differ while events of the monitor are not reported: while the CSMS is offline, or because of its level.
    """

    def __init__(self, monitor: Monitor, variable: MonitorableVariable) -> None:
        self.monitor = monitor
        self.variable = variable
        self.key = monitor.address.key
        self.state = MonitorState()
        """from which the station evaluates the next value"""
        self.reported = MonitorState()
        """the state that the CSMS knows, once the pending events have been delivered"""
        self.in_transaction = False
        """whether a transaction is open, for a monitor that is active during one only"""
        self.due_s: float | None = None
        """when a periodic monitor triggers next (Clock.monotonic)"""

    def start(self, value: str) -> None:
        """Restart from the present value, as if just set."""
        self.state = self.reported = initial_state(self.monitor, value, numeric=self.variable.numeric)


class MonitorRegistry:
    """The active monitors and hard-wired notifications; observes the variables that have one."""

    def __init__(self, variables: MonitoredVariables) -> None:
        self._variables = variables
        self._monitors: dict[int, ActiveMonitor] = {}
        self._by_variable: dict[AddressKey, dict[int, ActiveMonitor]] = {}
        self.custom_count = 0
        """how many were set by the CSMS"""
        self.sampled: dict[AddressKey, None] = {}
        """the monitored variables whose changes are only noticed by sampling"""

    def __iter__(self) -> Iterator[ActiveMonitor]:
        return iter(self._monitors.values())

    @property
    def count(self) -> int:
        """The number of active monitors, hard-wired notifications included."""
        return len(self._monitors)

    def get(self, monitor_id: int) -> ActiveMonitor | None:
        """The active monitor with this id, or None."""
        return self._monitors.get(monitor_id)

    def of_variable(self, key: AddressKey) -> Iterable[ActiveMonitor]:
        """The active monitors of a variable."""
        return self._by_variable.get(key, {}).values()

    def is_monitored(self, key: AddressKey) -> bool:
        """Return whether a variable has an active monitor."""
        return key in self._by_variable

    def put(self, active: ActiveMonitor) -> None:
        """Activate a monitor, in place of the one with its id."""
        self.remove(active.monitor.id)
        self.custom_count += _is_custom(active.monitor)
        self._monitors[active.monitor.id] = active
        if active.key not in self._by_variable:
            self._by_variable[active.key] = {}
            self._variables.observe(active.key)
            if active.variable.sampled:
                self.sampled[active.key] = None
        self._by_variable[active.key][active.monitor.id] = active

    def remove(self, monitor_id: int) -> None:
        """Deactivate a monitor, if it is active; triggers nothing (N07.FR.12)."""
        if (active := self._monitors.pop(monitor_id, None)) is None:
            return
        self.custom_count -= _is_custom(active.monitor)
        of_variable = self._by_variable[active.key]
        del of_variable[monitor_id]
        if not of_variable:
            del self._by_variable[active.key]
            self.sampled.pop(active.key, None)
            self._variables.end_observation(active.key)


def _is_custom(monitor: Monitor) -> bool:
    return monitor.notification_type is EventNotificationType.CUSTOM_MONITOR
