"""Numbers the events of monitors, so that no number is used twice, also after restarts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from station.storage.database import StorageError

if TYPE_CHECKING:
    from station.maintenance.monitoring.monitor_store import MonitorStore

_log = logging.getLogger(__name__)

_BLOCK_SIZE: Final = 10_000
"""ids reserved at once, so that not each event needs a write"""
_EVENTS_BEFORE_RETRY: Final = 100
"""events after which a failed reservation is tried again"""
_LARGEST_ID: Final = 2**31 - 1
"""of an integer in OCPP; then numbering restarts"""


class EventIds:
    """Numbers events without repetition, also over restarts: numbers are reserved on disk before they are used."""

    def __init__(self, store: MonitorStore) -> None:
        self._store = store
        self._last_id = 0
        self._reserved_to = 0
        self._retry_from_id = 0

    def load(self, reserved: int) -> None:
        """Continue after the ids that the last run may have used."""
        self._last_id = self._reserved_to = reserved if reserved < _LARGEST_ID - _BLOCK_SIZE else 0

    def next(self) -> int:
        """The next number, from 1."""
        self._last_id += 1
        return self._last_id

    async def reserve(self) -> None:
        """Reserve more numbers on disk if fewer than half a block are left; a failure is logged."""
        if self._reserved_to - self._last_id >= _BLOCK_SIZE // 2 or self._last_id < self._retry_from_id:
            return
        reserved = self._last_id + _BLOCK_SIZE
        try:
            await self._store.reserve_event_ids(reserved)
        except StorageError as error:
            _log.error("numbers of events could not be reserved: %s", error)
            self._retry_from_id = self._last_id + _EVENTS_BEFORE_RETRY
        else:
            self._reserved_to = reserved
