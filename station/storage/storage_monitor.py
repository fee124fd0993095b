"""Publishes that the disk of the records is nearly full, while there is still room to record that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.events import Event
from foundation.frozen import frozen

if TYPE_CHECKING:
    from foundation.clock import Clock

_EVERY_S = 600.0
LOW_SPACE_BYTES = 16 * 1024 * 1024
"""bytes of free space: some weeks of transactions, and the logs of a day"""


def free_bytes(folder: Path) -> int:
    """How much can still be written there.

    Raises:
        OSError: the folder is not there.
    """
    return shutil.disk_usage(folder).free


@frozen
class SpaceLow:
    """The disk has less than `LITTLE` bytes of free space."""

    free_bytes: int


class StorageMonitor:
    """Checks the free space every ten minutes; publishes it once when it is low, and again after it was better."""

    def __init__(self, folder: Path, clock: Clock, free: Callable[[Path], int] = free_bytes) -> None:
        self.space_low = Event[SpaceLow]()
        self._folder = folder
        self._clock = clock
        self._free = free

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            OSError: the folder is gone.
        """
        published = False
        while True:
            free = self._free(self._folder)
            if free < LOW_SPACE_BYTES and not published:
                self.space_low.publish(SpaceLow(free))
            published = free < (2 * LOW_SPACE_BYTES if published else LOW_SPACE_BYTES)  # no flutter at the edge
            await self._clock.sleep(_EVERY_S)
