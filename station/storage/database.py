"""The station's disk: one SQLite file, every write committed (synchronous=FULL) before it returns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import aiosqlite

from station.storage import compaction, private_files
from station.storage.sql import Row, Statement, Value
from station.storage.unreadable_rows import UnreadableRows

if TYPE_CHECKING:
    from foundation.clock import Clock

MIGRATIONS = Path(__file__).with_name("migrations")
_LOG_BYTES = 4 * 1024 * 1024
"""size that the write-ahead log keeps, as room for the next records on a full disk; beyond it is cut off"""
_log = logging.getLogger(__name__)


class StorageError(Exception):
    """The disk did not keep what it was given: nothing of that write is there. Trying again may help."""


class Database:
    """An open SQLite database. Statements happen in the order in which they are asked for."""

    def __init__(self, connection: aiosqlite.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.unreadable = UnreadableRows(self, clock)
        """rows of this database that cannot be read"""
        self._turn = asyncio.Lock()  # nobody's statement may slip into another's transaction

    async def write(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Execute one statement and commit it to disk; returns the id of the row that it inserted.

        Raises:
            StorageError: a full disk, a read-only one, a broken file.
        """
        with _storage(), self._clock.wire():
            async with self._turn, self._connection.execute(sql, values) as cursor:
                return cursor.lastrowid or 0

    async def write_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Execute one statement for each row: all of them, or none.

        Raises:
            StorageError: as `write`.
        """
        await self.write_together((sql, rows))

    async def write_together(self, *writes: Statement) -> None:
        """Execute each statement for each of its rows: all of them, or none.

        Raises:
            StorageError: as `write`.
        """
        with _storage(), self._clock.wire():
            async with self._turn:
                try:  # a cancelled BEGIN begins all the same
                    await self._connection.execute("BEGIN IMMEDIATE")
                    for sql, rows in writes:
                        await self._connection.executemany(sql, rows)
                    await self._connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        await self._connection.execute("ROLLBACK")
                    raise

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows of a query, or of a statement with RETURNING, which is committed like any other.

        Raises:
            StorageError: as `write`.
        """
        with _storage(), self._clock.wire():
            async with self._turn:
                return [tuple(row) for row in await self._connection.execute_fetchall(sql, values)]

    async def free_pages(self) -> int:
        """The number of unused pages in the file.

        Raises:
            StorageError: as `write`.
        """
        ((pages,),) = await self.rows("PRAGMA freelist_count")
        return int(str(pages))

    async def reclaim(self, pages: int) -> None:
        """Give this number of unused pages back to the disk.

        Raises:
            StorageError: as `write`.
        """
        with _storage(), self._clock.wire():
            async with self._turn:  # as a script: a single statement would stop after its first page
                await self._connection.executescript(
                    f"PRAGMA incremental_vacuum({pages}); PRAGMA wal_checkpoint(PASSIVE);"  # which cuts the file off
                )


@contextlib.asynccontextmanager
async def open_database(path: Path, clock: Clock) -> AsyncGenerator[Database]:
    """Open the database of a station, brought up to date by the migrations that it has not seen.

    Raises:
        StorageError: it cannot be opened or is not ours.
    """
    with _storage(path):
        try:
            private_files.create_folder(path.parent)
        except OSError as error:
            raise StorageError(f"{path.parent}: {error.strerror}") from error
        # A file that cannot be opened is found out here: aiosqlite would leave a thread behind, which complains later.
        sqlite3.connect(path).close()
        path.chmod(0o600)  # noqa: ASYNC240 - at the start only; it names cards and customers (C10.FR.12)
        connection = await _connect(path)
    try:
        with _storage(path):
            if not await _shrinks(connection):  # made by an older program
                await connection.close()
                await asyncio.to_thread(compaction.rewrite, path)
                connection = await _connect(path)
            await connection.execute("PRAGMA synchronous=FULL")
            await connection.execute("PRAGMA busy_timeout=2000")
            await _migrate(connection)
        database = Database(connection, clock)
        await database.unreadable.load()
        yield database
    finally:
        await connection.close()


async def _connect(path: Path) -> aiosqlite.Connection:
    """Connect, with the write-ahead log that makes a write one sync.

    The index of that log is a file, for which a full disk has no room. Then it is kept in memory, and nobody else may
    look into the database until the next start: better than a station that does not start.
    """
    try:
        return await _logging_ahead(path, "NORMAL")
    except sqlite3.OperationalError as error:
        _log.error("%s: %s; it is opened without the file of its index", path, error)
        return await _logging_ahead(path, "EXCLUSIVE")


async def _logging_ahead(path: Path, locking_mode: str) -> aiosqlite.Connection:
    # Autocommit (isolation_level None): one statement is one transaction, one hop to the thread, one sync.
    connection = await aiosqlite.connect(path, isolation_level=None)
    connection.text_factory = _text
    try:
        await connection.execute(f"PRAGMA locking_mode={locking_mode}")
        if path.stat().st_size == 0:  # noqa: ASYNC240 - a new file; the pragma would write any other one at each start
            await connection.execute(f"PRAGMA auto_vacuum={compaction.INCREMENTAL}")  # before anything is in it
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
    except BaseException:
        await connection.close()
        raise
    return connection


async def _shrinks(connection: aiosqlite.Connection) -> bool:
    """Whether the file can give back its free pages."""
    ((mode,),) = await connection.execute_fetchall("PRAGMA auto_vacuum")
    return int(mode) == compaction.INCREMENTAL


def _text(raw: bytes) -> str:
    """One spoilt text hides no others."""
    return raw.decode(errors="replace")


async def _migrate(connection: aiosqlite.Connection) -> None:
    """Apply each numbered file once; `user_version` is the number of the last one."""
    (row,) = await connection.execute_fetchall("PRAGMA user_version")
    seen = int(row[0])
    scripts = sorted(MIGRATIONS.glob("*.sql"))
    if seen > len(scripts):
        raise StorageError(f"the database has version {seen}, made by a newer program than this one")
    for script in scripts:
        number = int(script.name.split("_", 1)[0])
        if number > seen:
            sql = script.read_text(encoding="utf-8")
            await connection.executescript(f"BEGIN;\n{sql}\nPRAGMA user_version={number};\nCOMMIT;")
            _log.info("database brought to version %d", number)


@contextlib.contextmanager
def _storage(path: Path | None = None) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError, OverflowError) as error:  # ValueError: aiosqlite after the connection was closed
        raise StorageError(f"{path}: {error}" if path is not None else str(error)) from error
