"""Monitors the free disk space of the storage directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.events import Event
from foundation.frozen import Frozen
from station.storage.disk_space import free_bytes

if TYPE_CHECKING:
    from foundation.clock import Clock

_EVERY_S = 600.0
LOW_SPACE_BYTES = 16 * 1024 * 1024
"""threshold of free space; enough for some weeks of transactions and the logs of a day"""
RESERVED_BYTES = 2 * LOW_SPACE_BYTES
"""free space that files from elsewhere leave for transaction records"""


class SpaceLow(Frozen):
    """Event content: the free disk space, in bytes, when it fell below `LOW_SPACE_BYTES`."""

    free_bytes: int


class StorageMonitor:
    """Checks the free space every ten minutes; publishes `space_low` once when it falls below `LOW_SPACE_BYTES`.

    Publishes again only after twice that was free. `free` measures the free bytes of a folder.
    """

    def __init__(self, folder: Path, clock: Clock, free: Callable[[Path], int] = free_bytes) -> None:
        self.space_low: Event[SpaceLow] = Event()
        self.free_bytes: int | None = None
        """the free space at the last check; None before the first"""
        self.checked: Event[None] = Event()
        """published after each check"""
        self._folder = folder
        self._clock = clock
        self._free = free

    async def run(self) -> None:
        """Task until cancelled: check now and every ten minutes.

        Raises:
            OSError: the folder does not exist any more.
        """
        published = False
        while True:
            free = self.free_bytes = self._free(self._folder)
            if free < LOW_SPACE_BYTES and not published:
                self.space_low.publish(SpaceLow(free))
            published = free < (2 * LOW_SPACE_BYTES if published else LOW_SPACE_BYTES)  # hysteresis
            self.checked.publish(None)
            await self._clock.sleep(_EVERY_S)
