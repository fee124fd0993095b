"""Numbers the events of monitors, so that no number is used twice in the life of the station."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from station.storage.database import StorageError

if TYPE_CHECKING:
    from station.maintenance.monitoring.monitor_store import MonitorStore

_log = logging.getLogger(__name__)

_BLOCK: Final = 10_000
"""ids reserved at once, so that not each event needs a write"""
_RETRIED_AFTER: Final = 100
"""events after which a failed reservation is tried again"""
_LARGEST: Final = 2**31 - 1
"""of an integer in OCPP; then numbering restarts"""


class EventIds:
    """Gives each event a number that the earlier ones do not have, also over restarts."""

    def __init__(self, store: MonitorStore) -> None:
        self._store = store
        self._last = 0
        self._reserved = 0
        self._retry_from = 0

    def load(self, reserved: int) -> None:
        """Continue after the ids that the last run may have used."""
        self._last = self._reserved = reserved if reserved < _LARGEST - _BLOCK else 0

    def next(self) -> int:
        """The next number, from 1."""
        self._last += 1
        return self._last

    async def reserve(self) -> None:
        """Reserve more numbers on disk if fewer than half a block are left; a failure is logged."""
        if self._reserved - self._last >= _BLOCK // 2 or self._last < self._retry_from:
            return
        reserved = self._last + _BLOCK
        try:
            await self._store.reserve_event_ids(reserved)
        except StorageError as error:
            _log.error("numbers of events could not be reserved: %s", error)
            self._retry_from = self._last + _RETRIED_AFTER
        else:
            self._reserved = reserved
