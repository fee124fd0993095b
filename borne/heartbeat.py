"""Tells the service manager that the station lives, and falls silent when an essential task hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from borne.life import Life
    from borne.service_manager import ServiceManager
    from foundation.monitored_task import Stint

_log = logging.getLogger(__name__)

_TELL_EVERY_S: Final = 10.0
"""how often the status is told where nobody watches"""


class Heartbeat:
    """Beats as long as the event loop turns and nothing that has to end is overdue.

    After that it is silent, and the service manager kills the program: the board's own controller opens the
    contactor, and the next run recovers from the disk.
    """

    def __init__(self, manager: ServiceManager, life: Callable[[], Life | None], renewal: Stint) -> None:
        """`renewal`: what goes on between two lives, when there is none."""
        self._manager = manager
        self._renewal = renewal
        self._life = life
        self._told = ""
        self._hanging: list[str] = []

    async def run(self) -> None:
        """Say that the station is ready, then beat until cancelled. In real time: the one who listens lives in it."""
        self._manager.tell("READY=1")
        watchdog_s = self._manager.watchdog_s
        every_s = min(watchdog_s / 2, _TELL_EVERY_S) if watchdog_s is not None else _TELL_EVERY_S
        while True:
            self.beat()
            await asyncio.sleep(every_s)

    def beat(self) -> None:
        """Once."""
        life = self._life()
        stints = life.stints() if life is not None else [self._renewal]
        hanging = [stint.name for stint in stints if stint.overdue]
        if hanging != self._hanging:
            self._hanging = hanging
            level = logging.CRITICAL if hanging else logging.WARNING
            _log.log(level, "hanging: %s", ", ".join(hanging) or "nothing any more")
        if hanging:
            self._manager.tell(f"STATUS=hanging: {', '.join(hanging)}")
            return
        beat = ["WATCHDOG=1"] if self._manager.watchdog_s is not None else []
        if (status := _status(life)) != self._told:
            self._told = status
            beat.append(f"STATUS={status}")
        if beat:
            self._manager.tell(*beat)


def _status(life: Life | None) -> str:
    """The station in one line, for `systemctl status`."""
    if life is None:
        return "no power"
    words = [life.light.station.reason.value]
    charging = sum(1 for evse in life.station.evses.values() if evse.transaction_id is not None)
    words.append(f"{charging} of {len(life.station.evses)} EVSEs in a transaction")
    if life.link is not None:
        words.append(f"CSMS {'connected' if life.link.connected else 'not connected'}")
    return "; ".join(words)
