"""Publishes what happens at the grid connection: samples of its meter, and that the meter falls silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.events import Event

if TYPE_CHECKING:
    from energy.connection import ConnectionMonitor


class GridChanges:
    """The events of the grid connection; the decision loop of load management updates them, others see a `GridView`."""

    def __init__(self, monitor: ConnectionMonitor | None) -> None:
        """`monitor`: None without a grid meter."""
        self._monitor = monitor
        self.sampled: Event[None] = Event()
        """published after each sample of the grid meter"""
        self.meter_silent = monitor is not None
        """whether there is a grid meter that has sent no fresh sample for some seconds, or none yet; as of the last
        `update_meter_silence`"""
        self.meter_silence_changed: Event[None] = Event()
        """published when the grid meter falls silent, and when it sends again"""

    def update_meter_silence(self) -> None:
        """Update `meter_silent`; called after each decision."""
        silent = self._monitor is not None and self._monitor.is_silent
        if silent is not self.meter_silent:
            self.meter_silent = silent
            self.meter_silence_changed.publish(None)
