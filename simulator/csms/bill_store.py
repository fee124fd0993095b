"""Storage of the bills of the bundled CSMS: memory, or a file that several processes share and a restart keeps."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from foundation.expected_error import ExpectedError
from simulator.csms.billed_transactions import BilledTransaction, ReceivedEvent, SequenceNumbers
from station.storage.sql import STATEMENT_ERRORS

if TYPE_CHECKING:
    from station.storage.read_connections import ReadConnections

_MAX_IN_MEMORY: Final = 1_000_000
"""transactions; 0.6 KiB each"""
_LOCK_WAIT_S: Final = 30.0
_PAGE_SIZE: Final = 200
"""transactions read at a time: the event loop makes objects of them in a millisecond"""
_FORMAT_VERSION: Final = 1
"""user_version of the database"""
_CREATE_TABLE: Final = """
CREATE TABLE IF NOT EXISTS billed_transaction (
    station TEXT NOT NULL,
    id TEXT NOT NULL,
    received TEXT NOT NULL, -- ranges of sequence numbers, as JSON
    begin_wh REAL,
    end_wh REAL,
    ended INTEGER NOT NULL,
    offline INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    PRIMARY KEY (station, id)
) WITHOUT ROWID
"""
_COLUMNS: Final = "station, id, received, begin_wh, end_wh, ended, offline, repeated"
_Row = tuple[str, str, str, float | None, float | None, int, int, int]


class BillStoreError(ExpectedError):
    """Bills cannot be read or stored; the station has to send its event again."""


class BillStore(Protocol):
    """The transactions of all stations."""

    async def record(self, event: ReceivedEvent) -> None:
        """Add an event to its transaction; returns once it is stored.

        Raises:
            BillStoreError: it is not stored.
        """
        ...

    async def transactions(self, station: str | None = None) -> Sequence[BilledTransaction]:
        """The transactions of one station or of all, by station and transactionId.

        Raises:
            BillStoreError: they cannot be read.
        """
        ...

    async def close(self) -> None:
        """Store what is still waiting, and close; nothing may be recorded afterwards."""
        ...


class MemoryBillStore:
    """Bills of one process, kept until it ends."""

    def __init__(self, most: int = _MAX_IN_MEMORY) -> None:
        """`most`: transactions; an event of a further one is not stored."""
        self._most = most
        self._transactions: dict[tuple[str, str], BilledTransaction] = {}

    def by_id(self) -> Mapping[str, BilledTransaction]:
        """All transactions by transactionId."""
        return {transaction.id: transaction for transaction in self._transactions.values()}

    async def record(self, event: ReceivedEvent) -> None:
        key = (event.station, event.transaction_id)
        transaction = self._transactions.get(key)
        if transaction is None:
            if len(self._transactions) >= self._most:
                raise BillStoreError(f"{self._most} transactions are in memory; use --storage for more")
            transaction = self._transactions[key] = BilledTransaction(*key)
        transaction.record(event)

    async def transactions(self, station: str | None = None) -> Sequence[BilledTransaction]:
        found = self._transactions.items()
        return [transaction for key, transaction in sorted(found) if station is None or key[0] == station]

    async def close(self) -> None:
        pass


class SharedBillStore:
    """Bills in an SQLite database. Several processes may have it open; each sees what any of them has stored.

    Events that arrive while a commit runs are committed together by the next one. A commit survives the end of the
    process by any signal; the last ones may be lost if the machine loses power. Bills are read beside the commits.
    """

    def __init__(self, file: Path, read_connections: ReadConnections) -> None:
        """Open the database, and create it if it does not exist. `read_connections`: those of this process.

        Raises:
            BillStoreError: it cannot be opened, or a newer version has written it.
        """
        self._file = file
        self._read_connections = read_connections
        self._database = _open_database(file)  # its statements run in the one thread below, one after another
        self._thread = ThreadPoolExecutor(1, "bills")
        self._queued_events: list[tuple[ReceivedEvent, asyncio.Future[None]]] = []
        self._commit_running = False

    @staticmethod
    def create(file: Path) -> None:
        """Create the database unless it exists, and check that it can be opened.

        Raises:
            BillStoreError: as the constructor.
        """
        _open_database(file).close()

    async def record(self, event: ReceivedEvent) -> None:
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queued_events.append((event, stored))
        if not self._commit_running:
            self._start_commit()
        await stored

    async def transactions(self, station: str | None = None) -> Sequence[BilledTransaction]:
        where, values = ("TRUE", ()) if station is None else ("station = ?", (station,))
        page = (
            f"SELECT {_COLUMNS} FROM billed_transaction WHERE {where} AND (station, id) > (?, ?)"
            f" ORDER BY station, id LIMIT {_PAGE_SIZE}"
        )
        found: list[BilledTransaction] = []
        after = ("", "")
        while True:
            try:
                rows = await self._read_connections.rows(self._file, page, (*values, *after))
            except STATEMENT_ERRORS as error:
                raise BillStoreError(f"bills cannot be read: {error}") from error
            found += [_from_row(cast("_Row", row)) for row in rows]
            if len(rows) < _PAGE_SIZE:
                return found
            after = (found[-1].station, found[-1].id)

    async def close(self) -> None:
        while self._queued_events or self._commit_running:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, _wait_for_queue
            )  # behind the commit that runs
        await self._read_connections.close_file(self._file)
        self._thread.shutdown()
        self._database.close()

    def _start_commit(self) -> None:
        """Begin to commit all events that wait; without a task, which could be cancelled with others' events."""
        batch, self._queued_events = self._queued_events, []
        self._commit_running = True
        events = [event for event, _ in batch]
        commit = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, events)
        commit.add_done_callback(partial(self._end_commit, [stored for _, stored in batch]))

    def _end_commit(self, batch: Sequence[asyncio.Future[None]], commit: asyncio.Future[None]) -> None:
        error = commit.exception()
        for stored in batch:
            if stored.done():
                continue  # cancelled, with the connection of its station
            if error is None:
                stored.set_result(None)
            else:
                stored.set_exception(BillStoreError(f"bills cannot be stored: {error}"))
        self._commit_running = False
        if self._queued_events:
            self._start_commit()

    # In the thread

    def _commit(self, events: Sequence[ReceivedEvent]) -> None:
        """Add events to their transactions in one commit, which other processes see whole or not at all."""
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            for event in events:
                key = (event.station, event.transaction_id)
                row: _Row | None = database.execute(
                    f"SELECT {_COLUMNS} FROM billed_transaction WHERE station = ? AND id = ?", key
                ).fetchone()
                transaction = BilledTransaction(*key) if row is None else _from_row(row)
                transaction.record(event)
                database.execute(
                    f"INSERT OR REPLACE INTO billed_transaction ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    _to_row(transaction),
                )
            database.execute("COMMIT")
        except BaseException:  # also of a text that SQLite cannot store, such as half a surrogate pair
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise


def _open_database(file: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(
            file, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False, cached_statements=8
        )
        version: int = database.execute("PRAGMA user_version").fetchone()[0]
        if version > _FORMAT_VERSION:
            raise BillStoreError(f"{file}: a newer version has written it (format {version})")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_CREATE_TABLE)
        database.execute(f"PRAGMA user_version = {_FORMAT_VERSION}")
    except sqlite3.Error as error:
        raise BillStoreError(f"{file}: {error}") from error
    return database


def _wait_for_queue() -> None:
    """A job that ends when those before it have ended."""


def _to_row(transaction: BilledTransaction) -> _Row:
    return (
        transaction.station,
        transaction.id,
        json.dumps(transaction.received.ranges()),
        transaction.begin_wh,
        transaction.end_wh,
        int(transaction.ended),
        transaction.offline,
        transaction.repeated,
    )


def _from_row(row: _Row) -> BilledTransaction:
    station, identity, received, begin_wh, end_wh, ended, offline, repeated = row
    numbers = SequenceNumbers((first, last) for first, last in json.loads(received))
    return BilledTransaction(station, identity, numbers, begin_wh, end_wh, bool(ended), offline, repeated)
