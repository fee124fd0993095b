"""Reads the stored transaction events, delivered or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from station.storage.queued_event import QueuedEvent, parse_queued_event
from station.storage.unreadable_rows import event_address

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from station.core.model import TransactionEvent
    from station.storage.database import Database
    from station.storage.sql import Row

EVENT_COLUMNS: Final = "id, transaction_id, seq_no, offline, attempts, payload"
"""columns of table `events` in the order of `parse_queued_event`"""


class StoredEvents:
    """The queries of the stored transaction events; the base of `Outbox`, which stores and delivers them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def events(self, transaction_id: str) -> list[TransactionEvent]:
        """Read all readable stored events of a transaction, delivered or not, by seqNo."""
        rows = await self._database.rows(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE transaction_id = ? ORDER BY seq_no",
            (transaction_id,),
        )
        return [queued.event for queued in self._parse_readable(rows)]

    async def evse_of(self, transaction_id: str) -> int | None:
        """Read the EVSE number of a transaction, even if none of its events is readable; None if it is not stored.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT evse_id FROM events WHERE transaction_id = ? ORDER BY seq_no LIMIT 1", (transaction_id,)
        )
        return int(str(rows[0][0])) if rows else None

    async def open_transactions(self) -> list[str]:
        """Read the ids of stored transactions without an Ended event, oldest first."""
        rows = await self._database.rows(
            "SELECT transaction_id FROM events AS s WHERE event_type = 'Started' AND NOT EXISTS"
            " (SELECT 1 FROM events AS e WHERE e.event_type = 'Ended' AND e.transaction_id = s.transaction_id)"
            " ORDER BY id"
        )
        return [str(row[0]) for row in rows]

    async def newest_row_id(self) -> int:
        """Read the row id of the newest event ever stored, delivered or deleted ones included; 0 before the first.

        It never decreases, so it marks a point in time independent of the clock.
        """
        rows = await self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return int(str(rows[0][0])) if rows else 0

    async def begins_and_ends(self, after: int, max_count: int) -> list[tuple[int, TransactionEvent]]:
        """Read the oldest Started and Ended events after row id `after`, at most `max_count`, each with its row id.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE id > ? AND event_type IN ('Started', 'Ended')"
            " ORDER BY id LIMIT ?",
            (after, max_count),
        )
        return [(queued.id, queued.event) for queued in self._parse_readable(rows)]

    async def latest_events(self, evse_id: int, max_count: int = 50, *, after: int = 0) -> list[TransactionEvent]:
        """Read the newest `max_count` readable events of an EVSE stored after row id `after`, oldest first."""
        rows = await self._database.rows(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE evse_id = ? AND id > ? ORDER BY id DESC LIMIT ?",
            (evse_id, after, max_count),
        )
        return [queued.event for queued in self._parse_readable(reversed(rows))]

    async def recorded_between(
        self, oldest: datetime | None, latest: datetime | None, max_count: int
    ) -> list[TransactionEvent]:
        """Read the newest `max_count` events from `oldest` to `latest` (None: no limit), sent or not, oldest first.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.long_query(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE occurred_at >= ? AND occurred_at <= ? ORDER BY id DESC LIMIT ?",
            (
                oldest.isoformat() if oldest is not None else "",
                latest.isoformat() if latest is not None else "~",
                max_count,
            ),
        )
        return [queued.event for queued in self._parse_readable(reversed(rows))]

    def _parse_readable(self, rows: Iterable[Row]) -> list[QueuedEvent]:
        """Parse these rows; unreadable ones are listed as such and omitted."""
        read = self._database.unreadable.read
        return [
            queued for row in rows if (queued := read(parse_queued_event, row, event_address(*row[:3]))) is not None
        ]
