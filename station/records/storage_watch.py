"""Notices that the disk of the records is getting full, while there is still room to say so (MemoryExhaustion)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from station.security.security_events import SecurityEvents, SecurityEventType

if TYPE_CHECKING:
    from metering.clock import Clock

_EVERY_S = 600.0
LITTLE = 16 * 1024 * 1024
"""bytes of free space: some weeks of transactions, and the logs of a day"""


def free_bytes(folder: Path) -> int:
    """How much can still be written there.

    Raises:
        OSError: the folder is not there.
    """
    return shutil.disk_usage(folder).free


class StorageWatch:
    """Looks at the free space from time to time, and reports it once when it is little."""

    def __init__(
        self, folder: Path, events: SecurityEvents, clock: Clock, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._folder = folder
        self._events = events
        self._clock = clock
        self._free = free

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            OSError: the folder is gone.
        """
        reported = False
        while True:
            free = self._free(self._folder)
            if free < LITTLE and not reported:
                await self._events.report(SecurityEventType.MEMORY_EXHAUSTION, f"{free // 1024} KiB are free")
            reported = free < (2 * LITTLE if reported else LITTLE)  # no flutter at the edge
            await self._clock.sleep(_EVERY_S)
