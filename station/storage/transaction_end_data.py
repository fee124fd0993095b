"""Data stored for the end of a transaction: samples for its Ended event, and the end that waits for the meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from station.core.sampling import MAX_ENDED_VALUES, is_period_boundary, retained_indices, select_values
from station.storage import payloads
from station.storage.unreadable_rows import RowAddress, select_unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from station.core.model import TransactionEvent
    from station.core.sampling import MeterValue
    from station.storage.database import Database
    from station.storage.sql import Row, Statement, Value
    from station.storage.time_corrections import ClockCorrections, TimeCorrection

_SAMPLES_TABLE: Final = "ended_samples"
_ENDS_TABLE: Final = "awaited_ends"
_MAX_SAMPLES: Final = 2 * MAX_ENDED_VALUES
"""maximum number of stored samples per transaction; with more, every second one is dropped"""


class TransactionEndData:
    """Stores on disk what the Ended event of a transaction will need: its samples, and an end that waits for the meter.

    So a power cut does not lose them. Owned by the outbox, which prunes them.
    """

    def __init__(self, database: Database, corrections: ClockCorrections) -> None:
        self._database = database
        self._corrections = corrections

    async def store_sample(self, transaction_id: str, value: MeterValue) -> None:
        """Write a meter value to disk for the Ended event; with too many, intermediate ones are dropped (E06.FR.13).

        Raises:
            StorageError: the sample is not stored.
        """
        async with self._corrections.lock:
            await self._database.write(
                "INSERT INTO ended_samples (transaction_id, payload) VALUES (?, ?)",
                (transaction_id, payloads.value_to_text(self._corrections.correct_value(value))),
            )
        counted = await self._database.rows(
            "SELECT COUNT(*) FROM ended_samples WHERE transaction_id = ?", (transaction_id,)
        )
        if int(str(counted[0][0])) > _MAX_SAMPLES:
            await self._thin_out(transaction_id)

    async def samples(self, transaction_id: str) -> list[MeterValue]:
        """Read the readable meter values stored for the Ended event of a transaction, oldest first."""
        return [value for _, value in await self._samples_with_ids(transaction_id)]

    async def _samples_with_ids(self, transaction_id: str) -> list[tuple[int, MeterValue]]:
        rows = await self._database.rows(
            "SELECT id, payload FROM ended_samples WHERE transaction_id = ? ORDER BY id", (transaction_id,)
        )
        return self._parse_samples((number, transaction_id, payload) for number, payload in rows)

    def _parse_samples(self, rows: Iterable[Row]) -> list[tuple[int, MeterValue]]:
        """Parse the samples of these rows (id, transaction_id, payload), each with its id."""
        read = self._database.unreadable.read
        found = (
            (
                int(str(number)),
                read(payloads.value_from_text, payload, RowAddress(_SAMPLES_TABLE, str(number), str(transaction_id))),
            )
            for number, transaction_id, payload in rows
        )
        return [(number, value) for number, value in found if value is not None]

    def _parse_end(self, transaction_id: str, payload: Value) -> TransactionEvent | None:
        """Parse a stored end of a transaction; None if unreadable."""
        address = RowAddress(_ENDS_TABLE, transaction_id, transaction_id)
        return self._database.unreadable.read(payloads.event_from_text, payload, address)

    async def _thin_out(self, transaction_id: str) -> None:
        """Drop samples beyond the maximum; those needed for billing are kept (J02.FR.20).

        If the tariff boundaries alone exceed the maximum, every second one is dropped too: this indicates a faulty grid
        meter, and the signed records contain them all.
        """
        async with self._corrections.lock:
            stored = await self._samples_with_ids(transaction_id)
            values = [value for _, value in stored]
            retained = set(retained_indices(values, _MAX_SAMPLES))
            if len(retained) > _MAX_SAMPLES:
                retained -= set([index for index in sorted(retained) if is_period_boundary(values[index])][-2::-2])
            indices = sorted(retained)
            new_values = zip(indices, select_values(values, indices), strict=True)
            await self._database.write_together(
                (
                    "DELETE FROM ended_samples WHERE id = ?",
                    [(sample[0],) for index, sample in enumerate(stored) if index not in retained],
                ),
                (
                    "UPDATE ended_samples SET payload = ? WHERE id = ?",
                    [
                        (payloads.value_to_text(value), stored[index][0])
                        for index, value in new_values
                        if value != values[index]
                    ],
                ),
            )

    async def store_end(self, event: TransactionEvent) -> None:
        """Write the Ended event of a transaction to disk while it waits for its meter reading, in case of a power cut.

        Does not append it to the outbox; it replaces an earlier one of the transaction.

        Raises:
            StorageError: the end is not stored.
        """
        async with self._corrections.lock:
            await self._database.write(
                "INSERT OR REPLACE INTO awaited_ends (transaction_id, payload) VALUES (?, ?)",
                (event.transaction_id, payloads.event_to_text(self._corrections.correct_event(event))),
            )

    async def find_end(self, transaction_id: str) -> TransactionEvent | None:
        """Read the end stored by `store_end`, as an Ended event without meter values; None: none, or unreadable."""
        rows = await self._database.rows("SELECT payload FROM awaited_ends WHERE transaction_id = ?", (transaction_id,))
        return self._parse_end(transaction_id, rows[0][0]) if rows else None

    async def correction_statements(
        self, due: TimeCorrection, now: datetime
    ) -> list[tuple[str, list[Sequence[Value]]]]:
        """Return the statements, each with its rows, that correct the times of the data stored here; executes none.

        Raises:
            StorageError: the disk cannot be read.
        """
        samples = await self._database.rows(
            "SELECT id, transaction_id, payload FROM ended_samples WHERE transaction_id NOT IN"
            " (SELECT transaction_id FROM events WHERE event_type = 'Ended')"
        )
        values = self._parse_samples(samples)
        ends = (
            (str(identity), self._parse_end(str(identity), payload))
            for identity, payload in await self._database.rows("SELECT transaction_id, payload FROM awaited_ends")
        )
        return [
            (
                "UPDATE ended_samples SET payload = ? WHERE id = ?",
                [(payloads.value_to_text(due.correct_value(value, now)), number) for number, value in values],
            ),
            (
                "UPDATE awaited_ends SET payload = ? WHERE transaction_id = ?",
                [
                    (payloads.event_to_text(due.correct_event(end, now)), identity)
                    for identity, end in ends
                    if end is not None
                ],
            ),
        ]

    def prune_statements(self) -> list[Statement]:
        """The statements that delete the data of transactions without any event in the outbox, except unreadable rows.

        For after `UnreadableRows.save`.
        """
        return [
            (
                f"DELETE FROM {table} WHERE transaction_id NOT IN (SELECT transaction_id FROM events)"
                f" AND {key} NOT IN ({select_unreadable(table)})",
                [()],
            )
            for table, key in ((_SAMPLES_TABLE, "id"), (_ENDS_TABLE, "transaction_id"))
        ]
