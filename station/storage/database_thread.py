"""The one thread of a process in which the SQLite statements of all its stations are executed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sqlite3
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from foundation.events import Event
from foundation.frozen import Frozen
from foundation.supervision import contained_call

T = TypeVar("T")

_BUSY_TIMEOUT_S: Final = 2.0
"""how long to retry while another process has locked the database"""
_BUSY_PAUSE_S: Final = 0.02
_BUSY_CODES: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PUBLISH_AFTER_CLOSED: Final = 20
"""number of closed files that is published: then it is worth while to return their memory to the system"""
_PRIMARY_CODE_MASK: Final = 0xFF
"""the bits of an extended result code that say which kind of error it is"""
_log = logging.getLogger(__name__)


class DatabaseCaches(Frozen):
    """Cache sizes of each database. SQLite's page cache takes 87 KiB at once, unless it is smaller than that."""

    statements: int = 24
    """compiled statements, 1 to 4 KiB each: more than those of one transaction event"""
    pages: int | None = None
    """pages of 4 KiB; None: SQLite's default"""
    close_after_s: float | None = None
    """close a database file that was not used for so long, in real time, until its next use; None: never"""


OF_MANY_STATIONS: Final = DatabaseCaches(statements=8, pages=4, close_after_s=60.0)
"""for many stations: memory counts more than the microseconds of a statement

An open file takes 200 KiB. Closing it and opening it again takes a millisecond of CPU time, and a few syncs. Files are
only closed in pauses between jobs, so a process whose stations keep the thread busy keeps them open; and only after a
minute, so not while the others start.
"""


class OpenFile(Protocol):
    """A database file that `OpenFiles` may close between two jobs."""

    def close_file(self) -> None:
        """Close the file; called in the database thread. The next job opens it again."""
        ...


class OpenFiles:
    """The open database files in the order of their last use; closes those that were not used for some time.

    Used in the database thread only.
    """

    def __init__(self, close_after_s: float | None) -> None:
        self.many_closed: Event[int] = Event()
        """published in the database thread once many files were closed and no other one is due, with their number"""
        self._close_after_s = close_after_s
        self._closed = 0
        """number of files closed since `many_closed`"""
        self._last_used_s: dict[OpenFile, float] = {}
        """when each file was last used, in seconds of `time.monotonic`; the one that was not used for longest first"""

    def used(self, file: OpenFile) -> None:
        """Note that a job uses a file now."""
        if self._close_after_s is not None:
            self._last_used_s.pop(file, None)
            self._last_used_s[file] = time.monotonic()

    def closed(self, file: OpenFile) -> None:
        """Note that a file is closed."""
        self._last_used_s.pop(file, None)

    def seconds_until_due(self) -> float | None:
        """Return the seconds until a file is to be closed, 0 if one is due; None: no file is."""
        if self._close_after_s is None or not self._last_used_s:
            return None
        return max(0.0, next(iter(self._last_used_s.values())) + self._close_after_s - time.monotonic())

    def close_due_file(self) -> None:
        """Close the file that is due: one at a time, since each takes a sync, and jobs go first."""
        if self.seconds_until_due() == 0.0:
            file = next(iter(self._last_used_s))
            del self._last_used_s[file]
            file.close_file()
            self._closed += 1
            if self._closed >= _PUBLISH_AFTER_CLOSED and self.seconds_until_due() != 0.0:
                closed, self._closed = self._closed, 0
                self.many_closed.publish(closed)


class DatabaseThread:
    """Executes database jobs of all stations of a process in one thread, in the order in which they are submitted.

    A `Database` submits its next job only after its last one has ended, and a job is one transaction at the most. So
    the queue holds at most one waiting job per station, and stations take turns however much one of them writes.
    """

    def __init__(self, caches: DatabaseCaches | None = None) -> None:
        """`caches`: what each database keeps in memory; None: the default, for one station."""
        self.caches = caches or DatabaseCaches()
        self.files = OpenFiles(self.caches.close_after_s)
        """the files that the jobs have opened; for jobs"""
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=_run_jobs, args=(self._jobs, self.files), name="database")
        self._closed = False

    async def run(self, job: Callable[[], T]) -> T:
        """Call `job` in the thread, and return its result or raise its error.

        A job whose caller is cancelled is executed to its end if it has begun, and never begins otherwise. A job that
        finds its database locked by another process is tried again for up to two seconds, and other stations take
        their turns meanwhile; so it must change nothing before it fails.

        Raises:
            sqlite3.Error: as the job does, and if the thread has ended.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + _BUSY_TIMEOUT_S
        while True:
            outcome = await self._submit(job, loop)
            if not isinstance(outcome, Exception):
                return outcome
            if not is_busy(outcome) or loop.time() >= deadline_s:
                raise outcome
            await asyncio.sleep(_BUSY_PAUSE_S)

    def _submit(self, job: Callable[[], T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T | Exception]:
        """Queue a job; the future gets its result or error; cancelling it cancels a job that has not begun."""
        if self._closed:
            raise sqlite3.ProgrammingError("the database thread has ended")
        future: asyncio.Future[T | Exception] = loop.create_future()
        context = contextvars.copy_context()  # so that log records of the job belong to its station

        def execute() -> None:
            if not future.cancelled():
                outcome = contained_call(lambda: context.run(job))
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(_complete, future, outcome)

        self._jobs.put(execute)
        return future

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End the thread; blocks until the jobs submitted before have ended. Later jobs raise an error."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()


def is_busy(error: Exception) -> bool:
    """Return whether an error says that another connection has locked the database, so that a retry may help."""
    # The module itself raises errors without a code.
    code = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.OperationalError) else None
    return isinstance(code, int) and code & _PRIMARY_CODE_MASK in _BUSY_CODES


def _run_jobs(jobs: SimpleQueue[Callable[[], None] | None], files: OpenFiles) -> None:
    """Execute jobs until None comes; in the pauses between them, close files that were not used for some time."""
    while True:
        try:
            job = jobs.get(timeout=files.seconds_until_due())
        except Empty:
            if isinstance(error := contained_call(files.close_due_file), Exception):  # the jobs of all stations need it
                _log.error("a database file could not be closed: %s", error)
            continue
        if job is None:
            return
        job()


def _complete(future: asyncio.Future[T], outcome: T) -> None:
    if not future.done():  # cancelled meanwhile
        future.set_result(outcome)
