"""The station's database: one SQLite file; every write is committed (synchronous=FULL) before it returns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from station.storage import compaction, database_schema
from station.storage.database_thread import DatabaseThread
from station.storage.new_database_rows import NewDatabaseRows
from station.storage.sql import STATEMENT_ERRORS, Row, Statement, Value
from station.storage.storage_error import StorageError, storage_errors
from station.storage.unreadable_rows import UnreadableRows
from station.storage.writing_connection import configure, connect, is_exclusive, shrinks

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.read_connections import ReadConnections

T = TypeVar("T")

MAX_LOG_BYTES: Final = 16 * 2**20
"""length of the write-ahead log from which it is shortened before the next long query"""
_SHORTEN_LOG: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
_CHARS_OF_NUMBER: Final = 8
"""a value that is no text counts as so many characters"""
_log = logging.getLogger(__name__)


class Database:
    """The open database of one station: executes SQL in the database thread, in the order of the calls.

    Created by `open_database`. A write is on disk (synced) when its method returns.
    """

    def __init__(self, connection: DatabaseConnection, clock: Clock, read_connections: ReadConnections) -> None:
        self._connection = connection
        self._read_connections = read_connections
        self._clock = clock
        self.unreadable = UnreadableRows(self, clock)
        """the list of rows of this database that could not be parsed; kept in a table of it"""
        self._new_rows = NewDatabaseRows()
        self._long_queries_ended = False
        self._log_lock = asyncio.Lock()
        self._accepted_log_bytes = MAX_LOG_BYTES
        """length of the log above which it is shortened"""
        self._job_lock = asyncio.Lock()  # on a slow disk, further calls wait here and not in the queue of the thread

    async def write(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Execute one statement and commit it to disk; returns the row id of the last row inserted, 0 if there is none.

        Raises:
            StorageError: disk full or read-only, or file corrupted.
        """
        return await self._run(lambda connection: connection.execute(sql, values).lastrowid or 0, sql)

    async def write_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Execute one statement for each row of values, in one database transaction: all rows or none.

        Raises:
            StorageError: as `write`.
        """
        await self.write_together((sql, rows))

    async def write_together(self, *writes: Statement) -> None:
        """Execute each statement for each of its rows, in one database transaction: all or nothing.

        Raises:
            StorageError: as `write`.
        """
        writes_with_rows = ((sql, list(rows)) for sql, rows in writes)  # here, and not in another thread
        statements = [(sql, rows) for sql, rows in writes_with_rows if rows]
        if not statements:
            return
        await self._run(lambda connection: _execute_together(connection, statements), *(sql for sql, _ in statements))

    async def insert_each(
        self, sql: str, rows: Sequence[Sequence[Value]], *before: Statement
    ) -> list[Row | StorageError]:
        """Execute the statements `before`, then an INSERT with RETURNING for each row of values, in one transaction.

        Returns what RETURNING returns for each row. A row that cannot be inserted does not affect the others: its
        result is the error.

        Raises:
            StorageError: as `write`; nothing is inserted.
        """
        statements = [(statement, list(values)) for statement, values in before]
        sql_texts = (sql, *(statement for statement, _ in statements))
        return await self._run(lambda connection: _insert_each(connection, sql, rows, statements), *sql_texts)

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return all rows of a query, or of a statement with RETURNING, which is committed.

        Raises:
            StorageError: as `write`.
        """
        if (known_rows := self._new_rows.of_query(sql, tuple(values), self._connection.changes)) is not None:
            return known_rows
        return await self._run(lambda connection: connection.execute(sql, values).fetchall(), sql)

    async def long_query(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return all rows of a SELECT that may take long, executed on a read-only connection beside the commits.

        It sees everything that was committed before the call, and each write whose caller waits for it. An export reads
        page by page (`ReadConnections`); what a write depends on is read by `rows`, or checked again by the write.

        Raises:
            StorageError: as `write`.
        """
        with storage_errors(), self._clock.outside_wait():
            async with self._log_lock:  # no query begins while the log is shortened
                await self._bound_log()
                async with self._job_lock:  # what was requested before is on disk then
                    if self._long_queries_ended:
                        raise sqlite3.ProgrammingError("the database is closed")
                    if self._connection.is_exclusive:
                        return await self._connection.run(lambda connection: connection.execute(sql, values).fetchall())
                found = self._read_connections.submit(self._connection.path, sql, values)
            return await found

    async def _bound_log(self) -> None:
        """Shorten the write-ahead log if it has grown long; the caller keeps queries from beginning meanwhile.

        SQLite restarts it only while nobody reads from it, and queries of several clients may overlap without end.
        """
        if await self._connection.log_bytes() <= self._accepted_log_bytes or self._long_queries_ended:
            return
        await self._read_connections.wait_unused(self._connection.path)
        async with self._job_lock:
            with contextlib.suppress(sqlite3.Error):  # the disk is full, for one: at a later query
                await self._connection.run(lambda connection: connection.execute(_SHORTEN_LOG).fetchall())
            length = await self._connection.log_bytes()
        self._accepted_log_bytes = MAX_LOG_BYTES
        if length > MAX_LOG_BYTES:  # another process reads; queries do not wait for each other every time
            self._accepted_log_bytes += length
            _log.warning("%s: the log of the database is long and cannot be shortened", self._connection.path)

    async def end_long_queries(self) -> None:
        """Interrupt the long queries, which raise an error, and close their connections; there are no new ones."""
        self._long_queries_ended = True
        await self._read_connections.close_file(self._connection.path)

    def begin_start(self) -> None:
        """Let the queries that follow take the rows of a new database from memory, if this one was just created."""
        if self._connection.is_new:
            self._new_rows.begin_start(self._connection.changes)

    async def first_rows(self, sql: str, values: Sequence[Value], *, max_chars: int) -> tuple[list[Row], bool]:
        """Return the first rows of a query, up to the one with which its texts reach `max_chars` characters in all.

        Also returns whether they are all rows of the query.

        Raises:
            StorageError: as `write`.
        """
        if (known_rows := self._new_rows.of_query(sql, tuple(values), self._connection.changes)) is not None:
            return known_rows, True
        return await self._run(lambda connection: _first_rows(connection, sql, values, max_chars), sql)

    async def free_pages(self) -> int:
        """Return the number of unused pages in the database file.

        Raises:
            StorageError: as `write`.
        """
        ((pages,),) = await self.rows("PRAGMA freelist_count")
        return int(str(pages))

    async def reclaim(self, pages: int) -> None:
        """Shorten the file by at most `pages` unused pages, which are then free disk space.

        Raises:
            StorageError: as `write`.
        """
        # As a script: a single statement would stop after its first page. The checkpoint cuts the file off.
        script = f"PRAGMA incremental_vacuum({pages}); PRAGMA wal_checkpoint(PASSIVE);"
        await self._run(lambda connection: connection.executescript(script), script)

    async def _run(self, job: Callable[[sqlite3.Connection], T], *statements: str) -> T:
        with storage_errors(), self._clock.outside_wait():
            async with self._job_lock:
                try:
                    return await self._connection.run(job)
                except asyncio.CancelledError:
                    self._new_rows.forget()  # the job may still be executed
                    raise
                finally:
                    self._new_rows.note_job(statements, self._connection.changes)


class DatabaseConnection:
    """The SQLite connection of one station, opened, used and closed in the database thread only; used by `Database`."""

    def __init__(self, path: Path, thread: DatabaseThread) -> None:
        self.path = path
        """the file"""
        self._thread = thread
        self._connection: sqlite3.Connection | None = None
        self._reopen_on_use = False
        """whether the next job opens the file again: it is closed only because it was not used for some time"""
        self.changes = 0
        """number of jobs that have changed rows"""
        self._created = False
        self.is_exclusive = False
        """whether no other connection can open the file: the disk had no room for the index of its log"""

    @property
    def is_new(self) -> bool:
        """Whether the file was created by `open`, and no job has changed a row since."""
        return self._created and self.changes == 0

    async def log_bytes(self) -> int:
        """Return the length of the write-ahead log of the file; 0 if there is none."""
        return await self._thread.run(self._read_log_bytes)

    def _read_log_bytes(self) -> int:
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except OSError:
            return 0

    async def open(self) -> None:
        """Open the file, created if missing, and apply new migrations; a file that cannot shrink is rewritten first.

        Raises:
            StorageError: the file cannot be created, or was written by a newer version.
            sqlite3.Error: the file cannot be opened or is not a database of a station.
        """
        if not await self._thread.run(self._open_current):  # made by an older program
            await self.close()
            await asyncio.to_thread(compaction.rewrite, self.path)
            await self._thread.run(
                lambda: self._open_current(accept_unshrinkable=True)
            )  # even if it could not be rewritten

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Call `job` with the connection in the database thread; returns its result.

        Raises:
            sqlite3.Error: as the job does, and if the connection is closed.
        """
        return await self._thread.run(lambda: self._execute(job))

    async def close(self) -> None:
        """Close the connection, even if `open` was cancelled, and remove the log; call after the readers are closed."""
        await self._thread.run(self._close_with_log)

    def close_file(self) -> None:
        """Close the file until the next job, to release its memory and descriptors (`OpenFile`)."""
        self._close()
        self._reopen_on_use = True

    def _execute(self, job: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._get_connection()
        changes_before = connection.total_changes
        try:
            return job(connection)
        finally:
            if connection.total_changes != changes_before:
                self.changes += 1

    def _get_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self._reopen_on_use:
                raise sqlite3.ProgrammingError("the database is closed")
            self._connection = self._reconnect()
        self._thread.files.used(self)
        return self._connection

    def _reconnect(self) -> sqlite3.Connection:
        """Open the file of a station that has been prepared before."""
        if not os.access(self.path, os.F_OK):  # SQLite would create an empty one; `Path.exists` raises some errors
            raise sqlite3.OperationalError(f"{self.path} has been deleted or cannot be reached")
        connection = connect(self.path, self._thread.caches.statements)
        try:
            configure(connection, self._thread.caches.pages)
        except BaseException:
            connection.close()
            raise
        self.is_exclusive = is_exclusive(connection)
        return connection

    def _create(self) -> None:
        try:
            self._created |= database_schema.create(self.path)
        except OSError as error:
            raise StorageError(f"{self.path.parent}: {error.strerror}") from error

    def _open_current(self, *, accept_unshrinkable: bool = False) -> bool:
        """Create the file if it is missing, open it and apply new migrations.

        Returns False, without migrations, if the file cannot shrink, unless `accept_unshrinkable`. One job, since every
        job of a start costs two changes of threads; it may be tried again (`DatabaseThread.run`).
        """
        self._create()
        if self._connection is None:
            self._connection = connect(self.path, self._thread.caches.statements)
        if not accept_unshrinkable and not shrinks(self._connection):
            return False
        _apply_migrations(self._connection)
        self.is_exclusive = is_exclusive(self._connection)
        configure(self._connection, self._thread.caches.pages)
        self._thread.files.used(self)
        return True

    def _close_with_log(self) -> None:
        if self._connection is None and self._reopen_on_use and self._read_log_bytes():
            # It was closed before a reader, which cannot remove the log.
            with contextlib.suppress(sqlite3.Error):  # the log stays, and the next start reads it
                self._connection = self._reconnect()
        self._close()

    def _close(self) -> None:
        self._reopen_on_use = False
        self._thread.files.closed(self)
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextlib.asynccontextmanager
async def open_database(
    path: Path, clock: Clock, thread: DatabaseThread, read_connections: ReadConnections
) -> AsyncGenerator[Database]:
    """Open the database file of a station, created if missing, and apply new migrations; close it after the block.

    Afterwards no connection has the file open, and it may be replaced.

    Raises:
        StorageError: the file cannot be opened or is not a database of a station.
    """
    connection = DatabaseConnection(path, thread)
    try:
        with storage_errors(path):
            await connection.open()
        database = Database(connection, clock, read_connections)
        if not connection.is_new:
            await database.unreadable.load()
        try:
            yield database
        finally:
            await database.end_long_queries()  # before the writer is closed, which removes the log of the database
    finally:
        await connection.close()


def _execute_together(connection: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    """Execute statements in one transaction."""
    with _transaction(connection):
        for sql, rows in statements:
            connection.executemany(sql, rows)


def _insert_each(
    connection: sqlite3.Connection, sql: str, rows: Iterable[Sequence[Value]], before: Iterable[Statement]
) -> list[Row | StorageError]:
    results: list[Row | StorageError] = []
    with _transaction(connection):
        for statement, values in before:
            connection.executemany(statement, values)
        for values in rows:
            try:
                results += connection.execute(sql, values).fetchall()
            except STATEMENT_ERRORS as error:
                if not connection.in_transaction:  # SQLite has undone the whole transaction: the disk is full, for one
                    raise
                results.append(StorageError(str(error)))
    return results


def _first_rows(
    connection: sqlite3.Connection, sql: str, values: Sequence[Value], max_chars: int
) -> tuple[list[Row], bool]:
    rows: list[Row] = []
    chars = 0
    with contextlib.closing(connection.execute(sql, values)) as cursor:
        for row in cursor:
            if chars >= max_chars:
                return rows, False
            rows.append(row)
            chars += sum(len(value) if isinstance(value, str) else _CHARS_OF_NUMBER for value in row)
    return rows, True


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Commit what the block executes, or roll it back if that fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _apply_migrations(connection: sqlite3.Connection) -> None:
    """Apply new migrations."""
    connection.execute("PRAGMA synchronous=FULL")
    try:
        if database_schema.migrate(connection):
            ((version,),) = connection.execute("PRAGMA user_version")
            _log.info("database migrated to version %d", version)
    except database_schema.NewerDatabaseError as error:
        raise StorageError(str(error)) from error
