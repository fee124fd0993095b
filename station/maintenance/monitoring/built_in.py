"""The monitors and notifications of the program itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.maintenance.monitoring.monitor import EventNotificationType, Monitor

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_CUSTOM_ID = 10_000
"""the ids of the program's own monitors are smaller, and the same after each start"""


class TechnicalDetails(Frozen):
    """What a component says about its fault (techCode, techInfo)."""

    code: str | None = None
    info: str | None = None


class HardWiredNotification(Frozen):
    """A fault of a part, notified without a monitor when its boolean variable becomes true or false."""

    monitor: Monitor
    """its variable and severity; of type Delta; the id is internal"""
    details: Callable[[], TechnicalDetails]
    """the present details of the fault"""


class BuiltInMonitors(Frozen):
    """What the program monitors by itself; entries whose variable this station does not have are ignored."""

    monitors: Sequence[Monitor]
    """hard-wired and preconfigured ones"""
    notifications: Sequence[HardWiredNotification]

    @property
    def preconfigured(self) -> dict[int, Monitor]:
        """The preconfigured monitors by id."""
        kind = EventNotificationType.PRECONFIGURED_MONITOR
        return {monitor.id: monitor for monitor in self.monitors if monitor.notification_type is kind}
