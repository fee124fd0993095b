"""Queries of the transaction log by time, card and EVSE; fast also with ten years of transactions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import field

from foundation.frozen import Frozen
from metering.time_quality import TimeStatus
from station.billing.logged_transaction import LoggedTransaction, StatedCost
from station.billing.price import Bill, PeriodReading
from station.billing.transaction_rows import BEGAN_AT, COLUMNS, NUMBER, bill_text, moment, period_of, readable
from station.storage.unreadable_rows import RowAddress, select_unreadable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from station.core.model import IdToken
    from station.storage.database import Database, Statement, Value
    from station.storage.time_corrections import TimeCorrection

_ALL_READABLE = " AND ".join(
    f"transaction_id NOT IN ({select_unreadable(source)})"
    for source in ("transactions", "transactions.prices", "transactions.bill")
)
_TESTS = "test_session IS NOT NULL"
_WITHOUT_ENERGY = (
    "test_session IS NULL AND ended_at IS NOT NULL AND end_wh = begin_wh"
    " AND COALESCE(begin_substitute, 0) = 0 AND COALESCE(end_substitute, 0) = 0"
)
"""conditions of the kinds TEST and NO_ENERGY (`LoggedTransaction.kind`), as in their indexes (migration 19)"""
_NEVER = datetime.min.replace(tzinfo=UTC)


class TransactionQuery(Frozen):
    """Filter for transactions; a field that is None does not restrict."""

    since: datetime | None = None
    """begun at or after this"""
    until: datetime | None = None
    """begun before this"""
    token: str | None = None
    """complete token, or its displayed form: head, ellipsis, tail"""
    cards: tuple[IdToken, ...] | None = None
    """only transactions with one of these tokens, none if it is empty; None: any"""
    evse_id: int | None = None
    ongoing: bool | None = None
    """True: only running ones; False: only ended ones"""


class TransactionPage(Frozen):
    """A page of found transactions, newest first; the numbers are those of the matches on all pages."""

    total: int
    tests: int
    """how many of them are of the kind TEST"""
    without_energy: int
    """how many of them are of the kind NO_ENERGY"""
    transactions: list[LoggedTransaction] = field(default_factory=list[LoggedTransaction])


class TransactionLog:
    """Reads the transaction log, and adds meter, tariff periods, costs and corrected times to its rows.

    Triggers of the database write the rows from the transaction events (migration 6).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, search: TransactionQuery, *, skip: int = 0, most: int = 100) -> TransactionPage:
        """Find transactions, newest first: at most `most`, after the first `skip` ones.

        Raises:
            StorageError: the disk cannot be read.
        """
        where, values = _where_clause(search)
        rows = await self._database.long_query(
            f"SELECT {COLUMNS} FROM transactions {where} ORDER BY began_at DESC, number DESC LIMIT ? OFFSET ?",
            (*values, most, skip),
        )
        total, tests, without_energy = [await self._count(search, kind) for kind in ("", _TESTS, _WITHOUT_ENERGY)]
        return TransactionPage(total, tests, without_energy, readable(rows, self._database.unreadable))

    async def _count(self, search: TransactionQuery, kind: str) -> int:
        """The number of matching transactions of a kind; empty: of all kinds."""
        where, values = _where_clause(search)
        if kind:
            where = f"{where} AND {kind}" if where else f"WHERE {kind}"
        rows = await self._database.long_query(f"SELECT COUNT(*) FROM transactions {where}", values)
        return int(str(rows[0][0]))

    async def pages(self, search: TransactionQuery, size: int = 50) -> AsyncGenerator[list[LoggedTransaction]]:
        """Yield all matching transactions in pages of `size`, oldest first; each page is read on demand.

        Raises:
            StorageError: the disk cannot be read.
        """
        where, values = _where_clause(search)
        after: tuple[Value, Value] = ("", 0)
        while True:
            rows = await self._database.long_query(
                f"SELECT {COLUMNS} FROM transactions {where or 'WHERE TRUE'} AND (began_at, number) > (?, ?)"
                " ORDER BY began_at, number LIMIT ?",
                (*values, *after, size),
            )
            if rows:
                yield readable(rows, self._database.unreadable)
            if len(rows) < size:
                return
            after = (rows[-1][BEGAN_AT], rows[-1][NUMBER])

    async def get(self, transaction_id: str) -> LoggedTransaction | None:
        """A transaction by its id; None if it is not in the log or not readable."""
        rows = await self._database.rows(
            f"SELECT {COLUMNS} FROM transactions WHERE transaction_id = ?", (transaction_id,)
        )
        return next(iter(readable(rows, self._database.unreadable)), None)

    async def periods(self, transaction_id: str) -> list[PeriodReading]:
        """The stored tariff periods of a transaction, in order; the first begins with the transaction.

        An unreadable row becomes a period without name and register.
        """
        rows = await self._database.rows(
            "SELECT id, period, at, energy_wh FROM tariff_readings WHERE transaction_id = ? ORDER BY id",
            (transaction_id,),
        )
        # An unreadable row still divides the energy: the energy on both sides of it is not billed.
        read = self._database.unreadable.read
        return [
            read(period_of, row, RowAddress("tariff_readings", str(number), transaction_id))
            or PeriodReading(None, _NEVER, None)
            for number, *row in rows
        ]

    async def begin_period(self, transaction_id: str, reading: PeriodReading) -> None:
        """Store the begin of a tariff period within a transaction.

        Raises:
            StorageError: not stored.
        """
        await self._database.write(
            "INSERT INTO tariff_readings (transaction_id, at, period, energy_wh) VALUES (?, ?, ?, ?)",
            (transaction_id, reading.at.isoformat(), reading.period or "", reading.energy_wh),
        )

    async def store_meter_serial(self, transaction_id: str, serial_number: str | None) -> None:
        """Store the serial number of a transaction's billing meter, unless one is stored; None changes nothing.

        Raises:
            StorageError: not stored.
        """
        await self._database.write(
            "UPDATE transactions SET meter_serial = COALESCE(meter_serial, ?) WHERE transaction_id = ?",
            (serial_number, transaction_id),
        )

    async def store_bill(self, transaction_id: str, bill: Bill) -> None:
        """Store the bill of a transaction, replacing an earlier one.

        Raises:
            StorageError: not stored.
        """
        await self._database.write(
            "UPDATE transactions SET bill = ? WHERE transaction_id = ?",
            (bill_text(bill), transaction_id),
        )

    async def store_stated_cost(self, transaction_id: str, cost: StatedCost) -> None:
        """Store the total cost that the CSMS sent for a transaction; no effect on an unknown one.

        Raises:
            StorageError: not stored.
        """
        await self._database.write(
            "UPDATE transactions SET told_cost = ?, told_currency = ? WHERE transaction_id = ?",
            (str(cost.amount), cost.currency, transaction_id),
        )

    async def correcting(
        self, transaction_id: str, correction: TimeCorrection, now: datetime, *, begin_is_wrong: bool
    ) -> list[Statement]:
        """The SQL statements that correct the times of a transaction (`CorrectedRecords`); executes none.

        `begin_is_wrong`: correct the begin and the tariff readings too, not only the end. `now`: by the corrected
        clock. Empty for an unknown transaction.

        Raises:
            StorageError: the disk cannot be read.
        """
        return await self.correction_statements(
            transaction_id, correction.by, lambda at: correction.correct_moment(at, now), begin_is_wrong=begin_is_wrong
        )

    async def correction_statements(
        self, transaction_id: str, correction: timedelta, right: Callable[[datetime], datetime], *, begin_is_wrong: bool
    ) -> list[Statement]:
        """The SQL statements that correct a transaction; to be written together with its events, so that both agree.

        `correction`: time added, for the record. `right` maps a recorded time to the correct one.
        `begin_is_wrong`: the time of the begin is wrong too.

        Raises:
            StorageError: the disk cannot be read.
        """
        transaction = await self.get(transaction_id)
        if transaction is None:
            return []

        def moved(at: datetime | None, of_begin: bool) -> str | None:
            if at is None:
                return None
            return (right(at) if begin_is_wrong or not of_begin else at).isoformat()

        corrected_s = (transaction.corrected_s or 0.0) + correction.total_seconds()
        times = (
            moved(transaction.began_at, True),
            moved(transaction.begin.read_at, True),
            moved(transaction.ended_at, False),
            moved(transaction.end.read_at, False),
        )
        rows = await self._database.rows(
            "SELECT id, at FROM tariff_readings WHERE transaction_id = ?", (transaction_id,)
        )
        read = self._database.unreadable.read
        found_at = [
            (row_id, read(moment, text, RowAddress("tariff_readings.at", str(row_id), transaction_id)))
            for row_id, text in rows
        ]
        return [
            (
                "UPDATE transactions SET began_at = ?, begin_read_at = ?, ended_at = ?, end_read_at = ?,"
                " corrected_s = ? WHERE transaction_id = ?",
                [(*times, corrected_s, transaction_id)],
            ),
            # Tariff periods are corrected only together with the begin.
            (
                "UPDATE tariff_readings SET at = ? WHERE id = ?",
                [(moved(at, True), row_id) for row_id, at in found_at if at is not None],
            ),
        ]

    async def newest(self) -> int:
        """The highest number that a transaction ever had; 0 before the first.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'transactions'")
        return int(str(rows[0][0])) if rows else 0

    async def prune(self, before: datetime, *, beyond: int = 0) -> None:
        """Delete transactions that ended before this moment, up to the newest of them that has a synchronized end time.

        Only those with a number above `beyond`; unreadable ones are kept.

        A clock that is years behind makes new transactions look old: an end time alone is not enough.

        Raises:
            StorageError: not all of them are deleted; call again.
        """
        await self._database.unreadable.save()
        await self._database.write(
            f"DELETE FROM transactions WHERE ended_at < ?1 AND number > ?3 AND {_ALL_READABLE} AND number <="
            " (SELECT MAX(number) FROM transactions WHERE ended_at < ?1 AND end_time = ?2)",
            (_utc(before), TimeStatus.SYNCHRONIZED.value, beyond),
        )
        await self._database.write(
            "DELETE FROM tariff_readings WHERE transaction_id NOT IN (SELECT transaction_id FROM transactions)"
            f" AND id NOT IN ({select_unreadable('tariff_readings')})"
        )


def _where_clause(search: TransactionQuery) -> tuple[str, list[Value]]:
    conditions: list[str] = []
    values: list[Value] = []
    for condition, value in (
        ("began_at >= ?", _utc(search.since)),
        ("began_at < ?", _utc(search.until)),
        ("evse_id = ?", search.evse_id),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if search.token is not None:
        head, ellipsis, tail = search.token.partition("…")
        if search.token == "…":  # displayed form of key codes and of tokens below three characters
            conditions.append("(token_type = 'KeyCode' OR length(token) < 3)")
        elif ellipsis:
            conditions.append("substr(token, 1, ?) = ? COLLATE NOCASE AND substr(token, ?) = ? COLLATE NOCASE")
            values += [len(head), head, -len(tail) if tail else 1_000, tail]
        else:
            conditions.append("token = ? COLLATE NOCASE")
            values.append(search.token)
    if search.cards is not None:
        any_card = " OR ".join("(token = ? COLLATE NOCASE AND token_type = ?)" for _ in search.cards)
        conditions.append(f"({any_card})" if any_card else "FALSE")
        values += [part for card in search.cards for part in (card.value, card.type)]
    if search.ongoing is not None:
        conditions.append("ended_at IS NULL" if search.ongoing else "ended_at IS NOT NULL")
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _utc(moment: datetime | None) -> str | None:
    """The stored form of a time: UTC, so that text comparison is chronological."""
    return moment.astimezone(UTC).isoformat() if moment is not None else None
