"""The read-only connections of a process, on which queries that may take long do not delay commits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.supervision import result_or_exception
from foundation.waiting import Flag
from station.storage.sql import decode_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aiosqlite import Connection

    from foundation.clock import Clock
    from station.storage.sql import Row, Value

MAX_CONNECTIONS: Final = 2
"""of a process, each with a thread: an export beside which the page can still be used"""
CLOSE_AFTER_S: Final = 5.0
_THREAD_END_WAIT_S: Final = 1.0
"""longest wait at the end of the event loop for a thread that opens a file"""
_BUSY_TIMEOUT_S: Final = 2.0
"""how long SQLite waits while another connection recovers or closes the log"""
_STATEMENTS: Final = 8
"""compiled statements that a connection keeps"""
_INTERRUPT_RETRY_S: Final = 0.02
_log = logging.getLogger(__name__)


class _Query:
    """A query, and the future for which its caller waits."""

    def __init__(self, path: Path, sql: str, values: Sequence[Value], rows: asyncio.Future[list[Row]]) -> None:
        self.path = path
        self.sql = sql
        self.values = values
        self.rows = rows

    @property
    def ended(self) -> bool:
        """Whether nobody waits for the rows any more: they are there, or the caller was cancelled."""
        return self.rows.done()

    def complete(self, outcome: list[Row] | Exception) -> None:
        """Return rows to the caller, or raise an error there; nothing if it does not wait any more."""
        if self.ended:
            return
        if isinstance(outcome, Exception):
            self.rows.set_exception(outcome)
        else:
            self.rows.set_result(outcome)


class ReadConnections:
    """Executes queries on read-only connections to the databases of all stations of a process, at most two at a time.

    A query is its own transaction: it sees what was committed before it began, and nothing later. Queries begin in the
    order of the calls, whichever stations they are of. A connection is opened for a query, kept for others of the same
    file, and closed a few seconds after the last one, or when a query of another file waits for its place.

    SQLite cannot restart its log while a query reads from it. So nobody may read much with one query: an export reads
    page by page, and the log is restarted between two of them. Where queries overlap without end, `Database` makes such
    a pause.
    """

    def __init__(self, clock: Clock, *, most: int = MAX_CONNECTIONS, close_after_s: float = CLOSE_AFTER_S) -> None:
        """`clock`: of the process, for `close_after_s`: how long a connection stays open without a query."""
        self._clock = clock
        self._max_connections = most
        self._close_after_s = close_after_s
        self._waiting: deque[_Query] = deque()
        self._readers: list[_Reader] = []
        """the least recently used first"""
        self._query_ended = ChangeSignal()

    async def rows(self, path: Path, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return all rows of a query of the database at `path`. It is interrupted if the caller is cancelled.

        Raises:
            sqlite3.Error: the file cannot be opened, the query fails, or `close_file` was called meanwhile.
        """
        return await self.submit(path, sql, values)

    def submit(self, path: Path, sql: str, values: Sequence[Value] = ()) -> asyncio.Future[list[Row]]:
        """Begin a query as `rows` does, at once or in its turn; cancelling the returned future interrupts it."""
        query = _Query(path, sql, values, asyncio.get_running_loop().create_future())
        query.rows.add_done_callback(lambda _: self._query_ended.notify())
        self._waiting.append(query)
        self._assign()
        return query.rows

    async def wait_unused(self, path: Path) -> None:
        """Wait until no query of the database at `path` waits or is executed; the caller keeps new ones back."""
        while any(query.path == path and not query.ended for query in self._waiting) or any(
            reader.path == path and not reader.free and not reader.ending for reader in self._readers
        ):
            await self._query_ended.wait(self._query_ended.count)

    async def close_file(self, path: Path) -> None:
        """Close the connections to a file, whose queries raise an error; call before the file is closed or replaced."""
        for query in self._waiting:
            if query.path == path:
                query.complete(_closed_error())
        tasks = [reader.end() for reader in self._readers if reader.path == path]
        if tasks:
            await asyncio.wait(tasks)

    def _assign(self) -> None:
        """Pass the waiting queries, in their order, to connections that are free."""
        self._query_ended.notify()
        while self._waiting:
            if self._waiting[0].ended:
                self._waiting.popleft()
            elif (reader := self._reader_of(self._waiting[0].path)) is not None:
                self._readers.remove(reader)
                self._readers.append(reader)
                reader.execute(self._waiting.popleft())
            else:
                return  # until a reader is free or removed

    def _reader_of(self, path: Path) -> _Reader | None:
        """A free reader of a file, or a new one; None: all are in use. One that is free for another file is ended."""
        free = [reader for reader in self._readers if reader.free]
        for reader in free:
            if reader.path == path:
                return reader
        if len(self._readers) < self._max_connections:
            reader = _Reader(path, self._clock, self._close_after_s, self._assign, self._remove)
            self._readers.append(reader)
            return reader
        if free and not any(reader.ending for reader in self._readers):
            free[0].end()  # the one unused for longest
        return None

    def _remove(self, reader: _Reader) -> None:
        self._readers.remove(reader)
        self._assign()


class _Reader:
    """One connection, and the task that opens, uses and closes it; no caller can cancel that task."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        close_after_s: float,
        on_free: Callable[[], None],
        on_closed: Callable[[_Reader], None],
    ) -> None:
        self.path = path
        """the file of its queries"""
        self._clock = clock
        self._close_after_s = close_after_s
        self._on_free = on_free
        self._on_closed = on_closed
        self._query: _Query | None = None
        self._wake_up = Flag()
        self.ending = False
        """whether it executes no more queries, and is about to be removed"""
        self._connection: Connection | None = None
        # Not in a TaskGroup, which an error here would end: reads are auxiliary. The task ends by itself.
        self._task = asyncio.create_task(self._run(), name="read connection")  # noqa: TID251 - see above

    @property
    def free(self) -> bool:
        """Whether it can execute a query now."""
        return self._query is None and not self.ending

    def execute(self, query: _Query) -> None:
        """Begin a query of its file; only if `free`."""
        self._query = query
        self._wake_up.set()

    def end(self) -> asyncio.Task[None]:
        """Interrupt the query, and close the connection; returns the task, which ends when it is closed."""
        if self._query is not None:
            self._query.complete(_closed_error())
        self._end()
        return self._task

    def _end_if_free(self) -> None:
        if self.free:  # no query was passed to it in this turn of the event loop
            self._end()

    def _end(self) -> None:
        self.ending = True
        self._wake_up.set()

    async def _run(self) -> None:
        try:
            while (query := await self._next_query()) is not None:
                query.complete(await result_or_exception(self._rows(query)))
                self._query = None
                self._on_free()
        finally:
            self.ending = True
            await self._close()
            self._on_closed(self)

    async def _next_query(self) -> _Query | None:
        """Wait for the next query; None: close the connection, since there was none for some time, or at the end."""
        if self.free:
            timer = self._clock.call_later(self._close_after_s, self._end_if_free)
            try:
                await self._wake_up.wait()
            finally:
                timer.cancel()
        self._wake_up.clear()
        return self._query

    async def _rows(self, query: _Query) -> list[Row]:
        if query.ended:
            return []
        if self._connection is None:
            try:
                self._connection = await _open(self.path)
            except (RuntimeError, OSError, ImportError, MemoryError) as error:  # such as too many threads
                raise sqlite3.OperationalError(f"no read connection can be opened: {error}") from error
        return await _execute(self._connection, query)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            error = await _close_interrupted(connection)
            if isinstance(error, Exception):
                _log.warning("%s: a read connection could not be closed: %s", self.path, error)


async def _open(path: Path) -> Connection:
    import aiosqlite  # late: not needed at a start, and at most stations not for days

    opening = aiosqlite.connect(
        _read_only_uri(path),
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        cached_statements=_STATEMENTS,
    )
    try:
        connection = await opening
    except asyncio.CancelledError:
        # Only the end of the event loop cancels this. The thread ends now, and must not answer a loop that is closed.
        thread: object = getattr(opening, "_thread", opening)  # before aiosqlite 0.22 a connection is a thread
        if isinstance(thread, threading.Thread):
            thread.join(_THREAD_END_WAIT_S)
        raise
    connection.text_factory = decode_text
    return connection


async def _execute(connection: Connection, query: _Query) -> list[Row]:
    """Execute a query, and interrupt it once nobody waits for its rows."""
    executing = asyncio.ensure_future(_fetch(connection, query))
    try:
        await asyncio.wait((executing, query.rows), return_when=asyncio.FIRST_COMPLETED)
    finally:  # also at the end of the event loop, which waits until the connection is closed
        while not executing.done():
            await connection.interrupt()  # has no effect on a query that the thread has not begun yet
            await asyncio.wait((executing,), timeout=_INTERRUPT_RETRY_S)
    return executing.result()


async def _close_interrupted(connection: Connection) -> Exception | None:
    """Close a connection; a query that it still executes, at the end of the event loop, is interrupted."""
    closing = asyncio.ensure_future(result_or_exception(connection.close()))
    while not closing.done():
        with contextlib.suppress(ValueError, sqlite3.Error):  # it is closed
            await connection.interrupt()
        await asyncio.wait((closing,), timeout=_INTERRUPT_RETRY_S)
    return closing.result()


async def _fetch(connection: Connection, query: _Query) -> list[Row]:
    return [tuple(row) for row in await connection.execute_fetchall(query.sql, query.values)]


def _read_only_uri(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"


def _closed_error() -> sqlite3.Error:
    return sqlite3.ProgrammingError("the database is closed")
