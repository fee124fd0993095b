"""Notifies the service manager that the stations are alive, unless an essential task hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from station.charging.charging_station import ChargingStation
from station.interfaces.status_light import StatusLight

if TYPE_CHECKING:
    from borne.station_runtime import StationRuntime
    from borne.systemd_notifier import SystemdNotifier

_log = logging.getLogger(__name__)

_NOTIFICATION_INTERVAL_S: Final = 10.0
"""longest interval of the status notification"""


class ServiceWatchdog:
    """Sends systemd its watchdog notifications, as long as the event loop runs and no monitored task is overdue.

    Otherwise it stops sending them, and systemd kills the program: the board's own controller opens the contactor, and
    the next start recovers from the disk.
    """

    def __init__(self, manager: SystemdNotifier, stations: Sequence[StationRuntime]) -> None:
        self._manager = manager
        self._stations = stations
        self._sent_status = ""
        self._overdue_names: list[str] = []

    async def run(self) -> None:
        """Notify READY once, then WATCHDOG and STATUS until cancelled, in real time like systemd.

        The interval is half of systemd's watchdog time, 10 s at most.
        """
        self._manager.notify("READY=1")
        watchdog_s = self._manager.watchdog_s
        every_s = min(watchdog_s / 2, _NOTIFICATION_INTERVAL_S) if watchdog_s is not None else _NOTIFICATION_INTERVAL_S
        while True:
            self.notify_once()
            await asyncio.sleep(every_s)

    def notify_once(self) -> None:
        """Send one watchdog notification, with the status if it changed; while tasks are overdue, only their names."""
        overdue_names = [task.name for station in self._stations for task in station.monitored_tasks() if task.overdue]
        if overdue_names != self._overdue_names:
            self._overdue_names = overdue_names
            level = logging.CRITICAL if overdue_names else logging.WARNING
            _log.log(level, "overdue essential tasks: %s", ", ".join(overdue_names) or "none any more")
        if overdue_names:
            self._manager.notify(f"STATUS=overdue tasks: {', '.join(overdue_names)}")
            return
        beat = ["WATCHDOG=1"] if self._manager.watchdog_s is not None else []
        if (status := self._status_text()) != self._sent_status:
            self._sent_status = status
            beat.append(f"STATUS={status}")
        if beat:
            self._manager.notify(*beat)

    def _status_text(self) -> str:
        """The status of the stations in one line, for `systemctl status`."""
        if len(self._stations) == 1:
            return _station_status(self._stations[0])
        return "; ".join(f"{station.identity}: {_station_status(station)}" for station in self._stations)


def _station_status(station: StationRuntime) -> str:
    """The status of a station in one line."""
    if not station.running:
        return "no power"
    words, evses = [station.parts.get(StatusLight).station.reason.value], station.parts.get(ChargingStation).evses
    charging = sum(1 for evse in evses.values() if evse.transaction_id is not None)
    words.append(f"{charging} of {len(evses)} EVSEs in a transaction")
    if (link := station.link) is not None:
        words.append(f"CSMS {'connected' if link.connected else 'not connected'}")
    return "; ".join(words)
