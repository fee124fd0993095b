"""One thread for the databases of all stations of a process: in turns, all or nothing, and never for long."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from station.storage.database import Database, DatabaseConnection, StorageError, open_database
from station.storage.database_thread import OF_MANY_STATIONS, DatabaseCaches, DatabaseThread, OpenFiles
from station.storage.read_connections import ReadConnections
from tests import fakes
from tests.descriptors import no_free_descriptor, open_files
from tests.patience import PATIENCE_S

WRITE = "INSERT INTO facts (name, value) VALUES (?, ?)"
SAMPLE = "INSERT INTO ended_samples (transaction_id, payload) VALUES ('tx', ?)"
STATION: contextvars.ContextVar[str] = contextvars.ContextVar("STATION")


@contextlib.asynccontextmanager
async def two_stations(tmp_path: Path) -> AsyncGenerator[tuple[Database, Database]]:
    with DatabaseThread() as thread:
        async with (
            open_database(tmp_path / "a" / "db", fakes.clock(), thread, ReadConnections(fakes.clock())) as first,
            open_database(tmp_path / "b" / "db", fakes.clock(), thread, ReadConnections(fakes.clock())) as second,
        ):
            yield first, second


async def test_two_databases_are_written_in_one_thread_and_keep_apart(tmp_path: Path) -> None:
    before = threading.active_count()
    async with two_stations(tmp_path) as (first, second):
        assert threading.active_count() == before + 1
        await asyncio.gather(first.write(WRITE, ("a", "1")), second.write(WRITE, ("b", "2")))
        assert await first.rows("SELECT name, value FROM facts") == [("a", "1")]
        assert await second.rows("SELECT name, value FROM facts") == [("b", "2")]
    assert threading.active_count() == before


async def test_a_station_that_writes_much_lets_the_other_write_after_each_of_its_statements(tmp_path: Path) -> None:
    async with two_stations(tmp_path) as (busy, idle):
        ended: list[str] = []

        async def write(database: Database, name: str) -> None:
            await database.write(WRITE, (name, "x"))
            ended.append(name)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(write(busy, f"busy {number}"))
            await asyncio.sleep(0)
            group.create_task(write(idle, "other"))
        assert ended.index("other") <= 2


async def test_a_database_that_another_process_has_locked_delays_no_other_station(tmp_path: Path) -> None:
    async with two_stations(tmp_path) as (locked, unlocked):
        with contextlib.closing(sqlite3.connect(tmp_path / "a" / "db", isolation_level=None)) as process:
            process.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(locked.write_many(SAMPLE, [("1",), ("2",)]))
            later = asyncio.create_task(locked.write(SAMPLE, ("3",)))
            for number in range(20):
                await unlocked.write(WRITE, (f"row {number}", "x"))
            assert not waiting.done()
            process.execute("COMMIT")
        await asyncio.gather(waiting, later)
        assert await locked.rows("SELECT payload FROM ended_samples ORDER BY id") == [("1",), ("2",), ("3",)]


async def test_a_database_that_stays_locked_refuses_the_write_after_two_seconds(tmp_path: Path) -> None:
    async with two_stations(tmp_path) as (locked, _):
        with contextlib.closing(sqlite3.connect(tmp_path / "a" / "db", isolation_level=None)) as process:
            process.execute("BEGIN IMMEDIATE")
            begun_s = time.monotonic()
            with pytest.raises(StorageError, match="locked"):
                await locked.write(WRITE, ("a", "1"))
            assert time.monotonic() - begun_s >= 2.0
            process.execute("COMMIT")
        await locked.write(WRITE, ("a", "1"))


async def test_a_job_whose_caller_is_cancelled_ends_if_it_has_begun_and_never_begins_otherwise() -> None:
    jobs_ended: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(PATIENCE_S)
        jobs_ended.append("first")

    with DatabaseThread() as thread:
        running = asyncio.create_task(thread.run(first))
        waiting = asyncio.create_task(thread.run(lambda: jobs_ended.append("waiting")))
        assert await asyncio.to_thread(begun.wait, PATIENCE_S)
        for task in (running, waiting):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        go_on.set()
        await thread.run(lambda: jobs_ended.append("last"))
    assert jobs_ended == ["first", "last"]


@pytest.mark.parametrize("turns", range(12))
async def test_a_database_whose_opening_is_cancelled_is_closed(tmp_path: Path, turns: int) -> None:
    with DatabaseThread() as thread:

        async def opened() -> None:
            async with open_database(tmp_path / "db", fakes.clock(), thread, ReadConnections(fakes.clock())):
                await asyncio.Event().wait()

        opening = asyncio.create_task(opened())
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        files = {path.name for path in tmp_path.iterdir()}  # noqa: ASYNC240 - the thread has nothing left to do
    assert not files & {"db-wal", "db-shm"}  # SQLite removes them when the last connection is closed


async def test_an_error_of_a_job_is_its_callers_and_the_thread_goes_on() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with DatabaseThread() as thread:
        with pytest.raises(ZeroDivisionError):
            await thread.run(fail)
        assert await thread.run(lambda: 1) == 1


async def test_a_job_runs_in_the_context_of_its_caller() -> None:
    async def caller(name: str, thread: DatabaseThread) -> str:
        STATION.set(name)
        return await thread.run(STATION.get)

    with DatabaseThread() as thread:
        assert await asyncio.gather(*(caller(name, thread) for name in "abc")) == ["a", "b", "c"]


async def test_a_thread_that_has_ended_refuses_jobs_as_a_closed_database_does() -> None:
    with DatabaseThread() as thread:
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        await thread.run(lambda: 1)


@contextlib.asynccontextmanager
async def station_among_many(tmp_path: Path) -> AsyncGenerator[tuple[Database, DatabaseConnection, DatabaseThread]]:
    with DatabaseThread(OF_MANY_STATIONS) as thread:
        connection = DatabaseConnection(tmp_path / "station" / "db", thread)
        await connection.open()
        try:
            yield Database(connection, fakes.clock(), ReadConnections(fakes.clock())), connection, thread
        finally:
            await connection.close()


async def test_a_file_that_was_closed_because_it_was_not_used_is_opened_again_by_the_next_statement(
    tmp_path: Path,
) -> None:
    async with station_among_many(tmp_path) as (database, connection, thread):
        await database.write(WRITE, ("a", "1"))
        assert open_files(tmp_path) == 3
        await thread.run(connection.close_file)
        assert open_files(tmp_path) == 0
        await database.write(WRITE, ("b", "2"))
        assert await database.rows("SELECT name, value FROM facts") == [("a", "1"), ("b", "2")]
        for pragma, value in (("synchronous", 2), ("journal_mode", "wal"), ("cache_size", OF_MANY_STATIONS.pages)):
            assert await database.rows(f"PRAGMA {pragma}") == [(value,)]


async def test_a_database_that_was_ended_is_not_opened_again(tmp_path: Path) -> None:
    async with station_among_many(tmp_path) as (database, connection, thread):
        await thread.run(connection.close_file)
        await connection.close()
        with pytest.raises(StorageError, match="closed"):
            await database.rows("SELECT 1")


async def test_a_file_that_was_deleted_while_it_was_closed_is_an_error_and_not_an_empty_database(
    tmp_path: Path,
) -> None:
    async with station_among_many(tmp_path) as (database, connection, thread):
        await thread.run(connection.close_file)
        (tmp_path / "station" / "db").unlink()
        with pytest.raises(StorageError, match="deleted"):
            await database.rows("SELECT 1")


async def test_a_folder_that_cannot_be_reached_while_the_file_is_closed_is_a_storage_error_until_it_can(
    tmp_path: Path,
) -> None:
    """A disk may fail to find a file for reasons that `Path.exists` raises."""
    async with station_among_many(tmp_path) as (database, connection, thread):
        await database.write(WRITE, ("a", "1"))
        await thread.run(connection.close_file)
        folder, moved = tmp_path / "station", tmp_path / "moved"
        folder.rename(moved)
        folder.symlink_to("x" * 300)  # no file system has such long names
        with pytest.raises(StorageError, match="deleted"):
            await database.write(WRITE, ("b", "2"))
        folder.unlink()
        moved.rename(folder)
        await database.write(WRITE, ("c", "3"))
        assert await database.rows("SELECT name FROM facts") == [("a",), ("c",)]


@pytest.mark.parametrize("left", [0, 1, 2])
async def test_without_free_descriptors_a_closed_file_takes_nothing_until_there_are_some(
    tmp_path: Path, left: int
) -> None:
    """With two, the database and its log can be opened, and the index of the log is in memory."""
    async with station_among_many(tmp_path) as (database, connection, thread):
        await database.write(WRITE, ("a", "1"))
        await thread.run(connection.close_file)
        stored = ["a"]
        with no_free_descriptor(left):
            try:
                await database.write(WRITE, ("b", "2"))
            except StorageError:
                pass
            else:  # no other connection can open the file now, so the database thread executes the long query
                stored.append("b")
                assert await database.long_query("SELECT name FROM facts") == [("a",), ("b",)]
        assert ("b" in stored) == (left == 2)
        await database.write(WRITE, ("c", "3"))
        assert await database.rows("SELECT name FROM facts") == [(name,) for name in [*stored, "c"]]


async def test_a_file_that_is_not_used_is_closed_in_a_pause_between_jobs(tmp_path: Path) -> None:
    with DatabaseThread(DatabaseCaches(close_after_s=0.0)) as thread:
        async with (
            open_database(tmp_path / "db", fakes.clock(), thread, ReadConnections(fakes.clock())) as database,
            asyncio.timeout(PATIENCE_S),
        ):
            await database.write(WRITE, ("a", "1"))
            while open_files(tmp_path):
                await thread.run(lambda: None)
            assert await database.rows("SELECT name FROM facts") == [("a",)]


class CountedFile:
    """A file that counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close_file(self) -> None:
        self.closed += 1


def test_the_file_that_was_not_used_for_longest_is_closed_first() -> None:
    files, first, second = OpenFiles(0.0), CountedFile(), CountedFile()
    assert files.seconds_until_due() is None
    for used in (first, second, first):
        files.used(used)
    files.close_due_file()
    assert (first.closed, second.closed) == (0, 1)
    files.close_due_file()
    files.close_due_file()
    assert (first.closed, second.closed) == (1, 1)
    assert files.seconds_until_due() is None


class StuckFile:
    """A file that cannot be closed."""

    def close_file(self) -> None:
        raise sqlite3.OperationalError("stuck")


async def test_a_file_that_cannot_be_closed_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    with DatabaseThread(DatabaseCaches(close_after_s=0.0)) as thread:
        await thread.run(lambda: thread.files.used(StuckFile()))
        async with asyncio.timeout(PATIENCE_S):
            while "could not be closed: stuck" not in caplog.text:
                assert await thread.run(lambda: 1) == 1
                await asyncio.sleep(0)
        assert await thread.run(lambda: 2) == 2


def test_the_file_of_a_process_with_one_station_is_never_due() -> None:
    files = OpenFiles(DatabaseCaches().close_after_s)
    files.used(CountedFile())
    assert files.seconds_until_due() is None


def test_a_file_in_use_is_not_closed() -> None:
    files, file = OpenFiles(3600.0), CountedFile()
    files.used(file)
    files.close_due_file()
    due_s = files.seconds_until_due()
    assert due_s is not None
    assert 0.0 < due_s <= 3600.0
    assert file.closed == 0


def test_the_closing_of_many_files_is_published_once_no_other_one_is_due() -> None:
    files = OpenFiles(0.0)
    closed: list[int] = []
    files.many_closed.subscribe(closed.append)
    for count, known in ((5, []), (30, [35]), (19, [35]), (2, [35, 21])):
        for _ in range(count):
            files.used(CountedFile())
        for _ in range(count):
            files.close_due_file()
        assert closed == known
