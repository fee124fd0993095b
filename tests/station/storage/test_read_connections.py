"""Long queries: beside the commits, at most two at a time in a process, interrupted if their caller is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import aiosqlite
import pytest

from foundation.change_signal import ChangeSignal
from simulator.clock import VirtualClock
from station.storage.database import MAX_LOG_BYTES, Database, DatabaseConnection, StorageError, open_database
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import CLOSE_AFTER_S, MAX_CONNECTIONS, ReadConnections
from tests import fakes
from tests.patience import PATIENCE_S, until

WRITE = "INSERT INTO facts (name, value) VALUES (?, ?)"
NAMES = "SELECT name FROM facts ORDER BY name"
ENDLESS = "WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT MAX(n) FROM endless"
"""a query that ends only if it is interrupted"""
_MIB = 2**20


class StationDatabases:
    """The databases of several stations of one process."""

    def __init__(self, clock: VirtualClock, read_connections: ReadConnections, databases: dict[str, Database]) -> None:
        self.clock = clock
        self.read_connections = read_connections
        self.databases = databases

    @property
    def database(self) -> Database:
        """The database of the first station."""
        return self.databases["a"]


@contextlib.asynccontextmanager
async def open_station_databases(
    folder: Path, names: str = "a", *, most: int = MAX_CONNECTIONS
) -> AsyncGenerator[StationDatabases]:
    """Open a database for each name, in a folder of its own; each has its name as a fact."""
    clock = fakes.clock()
    read_connections = ReadConnections(clock, most=most)
    with DatabaseThread() as thread:
        async with contextlib.AsyncExitStack() as stack:
            databases = {
                name: await stack.enter_async_context(
                    open_database(folder / name / "db", clock, thread, read_connections)
                )
                for name in names
            }
            for name, database in databases.items():
                await database.write(WRITE, (name, "x"))
            yield StationDatabases(clock, read_connections, databases)


def reading_threads() -> int:
    """The number of threads of read connections, whatever threads other tests have left."""
    return sum(
        isinstance(thread, aiosqlite.Connection) or "connection_worker" in thread.name  # since aiosqlite 0.22
        for thread in threading.enumerate()
    )


@contextlib.asynccontextmanager
async def endless_query(database: Database) -> AsyncGenerator[asyncio.Task[object]]:
    """Execute a query that does not end by itself during the block, and cancel it at its end."""
    before = reading_threads()
    running = asyncio.create_task(database.long_query(ENDLESS))
    await until(lambda: reading_threads() > before or running.done())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def test_events_are_committed_while_a_long_query_runs(tmp_path: Path) -> None:
    async with (
        open_station_databases(tmp_path) as fixture,
        asyncio.timeout(PATIENCE_S),
        endless_query(fixture.database) as running,
    ):
        for number in range(20):
            await fixture.database.write(WRITE, (f"fact {number}", "x"))
        assert len(await fixture.database.rows(NAMES)) == 21
        assert not running.done()


async def test_a_long_query_sees_what_was_written_or_requested_before_it(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path) as fixture:
        assert await fixture.database.long_query(NAMES) == [("a",)]
        async with asyncio.TaskGroup() as group:
            for name in "bcdef":
                group.create_task(fixture.database.write(WRITE, (name, "x")))
            await asyncio.sleep(0)
            found = await fixture.database.long_query(NAMES)
        assert found == [(name,) for name in "abcdef"]


async def test_a_new_database_is_read_as_it_is(tmp_path: Path) -> None:
    clock = fakes.clock()
    with DatabaseThread() as thread:
        async with open_database(tmp_path / "db", clock, thread, ReadConnections(clock)) as database:
            database.begin_start()
            assert await database.long_query("SELECT * FROM transactions") == []


async def test_a_read_connection_cannot_write(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path) as fixture:
        with pytest.raises(StorageError, match="readonly"):
            await fixture.database.long_query("DELETE FROM facts RETURNING name")
        assert await fixture.database.rows(NAMES) == [("a",)]


async def test_a_text_with_invalid_bytes_does_not_fail_the_query(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path) as fixture:
        await fixture.database.write("UPDATE facts SET value = CAST(x'61ff' AS TEXT)")
        assert await fixture.database.long_query("SELECT value FROM facts") == [("a\N{REPLACEMENT CHARACTER}",)]


async def test_a_query_that_fails_is_a_storage_error_and_the_next_one_succeeds(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path, most=1) as fixture:
        with pytest.raises(StorageError, match="no such table"):
            await fixture.database.long_query("SELECT * FROM nowhere")
        assert await fixture.database.long_query(NAMES) == [("a",)]


async def test_a_file_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path) as fixture:
        folder = tmp_path / "a"
        folder.rename(tmp_path / "moved")
        with pytest.raises(StorageError, match="unable to open"):
            await fixture.database.long_query(NAMES)
        (tmp_path / "moved").rename(folder)
        assert await fixture.database.long_query(NAMES) == [("a",)]


async def test_a_path_is_no_uri_to_be_parsed(tmp_path: Path) -> None:
    clock = fakes.clock()
    with DatabaseThread() as thread:
        path = tmp_path / "100% ?mode=rw&x#é" / "db"
        async with open_database(path, clock, thread, ReadConnections(clock)) as database:
            await database.write(WRITE, ("a", "x"))
            assert await database.long_query(NAMES) == [("a",)]


@pytest.mark.parametrize("turns", [0, 1, 3, 30])
async def test_a_query_whose_caller_is_cancelled_makes_room_for_the_next_one(tmp_path: Path, turns: int) -> None:
    """Whether it waits, is opening the file, or is executed."""
    async with open_station_databases(tmp_path, most=1) as fixture, asyncio.timeout(PATIENCE_S):
        for _ in range(3):
            running = asyncio.create_task(fixture.database.long_query(ENDLESS))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await fixture.database.long_query(NAMES) == [("a",)]


async def test_stations_share_two_connections_and_take_turns(tmp_path: Path) -> None:
    names = "abcdef"
    async with open_station_databases(tmp_path, names) as fixture, asyncio.timeout(PATIENCE_S):
        ended: list[str] = []

        async def query(name: str) -> None:
            assert await fixture.databases[name].long_query(NAMES) == [(name,)]
            ended.append(name)

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                for name in names:
                    group.create_task(query(name))
        await until(lambda: reading_threads() == MAX_CONNECTIONS)
        assert sorted(ended) == sorted(names * 5)
        for count in range(1, len(ended)):
            turns = [ended[:count].count(name) for name in names]
            assert max(turns) - min(turns) <= 2, "no station waits for another one's next queries"


async def test_a_long_query_of_one_station_leaves_the_other_connection_to_all_others(tmp_path: Path) -> None:
    async with (
        open_station_databases(tmp_path, "abc") as fixture,
        asyncio.timeout(PATIENCE_S),
        endless_query(fixture.database),
    ):
        for name in "bcabc":
            assert await fixture.databases[name].long_query(NAMES) == [(name,)]
        await until(lambda: reading_threads() == MAX_CONNECTIONS)


async def test_a_third_long_query_waits_until_one_of_two_has_ended(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path, "abc") as fixture, asyncio.timeout(PATIENCE_S):
        async with endless_query(fixture.databases["a"]), endless_query(fixture.databases["b"]):
            waiting = asyncio.create_task(fixture.databases["c"].long_query(NAMES))
            for number in range(20):
                await fixture.databases["c"].write(WRITE, (f"d{number}", "x"))
            assert not waiting.done()
            assert reading_threads() == MAX_CONNECTIONS
        assert len(await waiting) == 21


async def test_a_connection_is_opened_for_the_first_query_and_closed_some_seconds_after_the_last(
    tmp_path: Path,
) -> None:
    async with open_station_databases(tmp_path) as fixture:
        assert reading_threads() == 0
        await fixture.database.long_query(NAMES)
        await fixture.clock.advance(CLOSE_AFTER_S - 1.0)
        assert reading_threads() == 1
        await fixture.database.long_query(NAMES)
        await fixture.clock.advance(CLOSE_AFTER_S - 1.0)
        assert reading_threads() == 1
        await fixture.clock.advance(1.0)
        await until(lambda: reading_threads() == 0)
        assert await fixture.database.long_query(NAMES) == [("a",)]


async def test_a_query_that_comes_when_the_connection_is_about_to_close_is_answered(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path, most=1) as fixture, asyncio.timeout(PATIENCE_S):
        for turns in range(8):
            await fixture.database.long_query(NAMES)
            closing = asyncio.create_task(fixture.clock.advance(CLOSE_AFTER_S))
            for _ in range(turns):
                await asyncio.sleep(0)
            assert await fixture.database.long_query(NAMES) == [("a",)]
            await closing


async def test_a_database_is_closed_after_its_readers_whose_queries_raise_an_error(tmp_path: Path) -> None:
    async with open_station_databases(tmp_path, "ab", most=1) as fixture, asyncio.timeout(PATIENCE_S):
        async with contextlib.AsyncExitStack() as stack:
            with DatabaseThread() as thread:
                database = await stack.enter_async_context(
                    open_database(tmp_path / "c" / "db", fixture.clock, thread, fixture.read_connections)
                )
                async with endless_query(database) as running:
                    waiting = asyncio.create_task(database.long_query(NAMES))
                    second = asyncio.create_task(fixture.database.long_query(NAMES))
                    await asyncio.sleep(0)
                    await stack.aclose()
                    for query in (running, waiting, asyncio.create_task(database.long_query(NAMES))):
                        with pytest.raises(StorageError, match="closed"):
                            await query
                    assert await second == [("a",)]
        assert {path.name for path in (tmp_path / "c").iterdir()} == {"db"}


async def test_a_file_that_the_database_thread_has_closed_in_a_pause_is_read_nevertheless(tmp_path: Path) -> None:
    clock = fakes.clock()
    read_connections = ReadConnections(clock)
    with DatabaseThread() as thread:
        connection = DatabaseConnection(tmp_path / "db", thread)
        await connection.open()
        database = Database(connection, clock, read_connections)
        await database.write(WRITE, ("a", "x"))
        await thread.run(connection.close_file)
        assert await database.long_query(NAMES) == [("a",)]
        await database.write(WRITE, ("b", "x"))
        assert await database.long_query(NAMES) == [("a",), ("b",)]
        await thread.run(connection.close_file)
        await database.write(WRITE, ("c", "x"))
        await database.end_long_queries()
        assert await database.rows(NAMES) == [("a",), ("b",), ("c",)]
        await connection.close()
    assert {path.name for path in tmp_path.iterdir()} == {"db"}  # noqa: ASYNC240 - nothing else runs


async def test_the_log_of_the_database_is_restarted_between_the_pages_of_an_export(tmp_path: Path) -> None:
    """A query holds the log only while it reads, so commits beside an export do not make it grow without bound."""
    sample = "INSERT INTO ended_samples (transaction_id, payload) VALUES ('tx', ?)"
    page = "SELECT id, payload FROM ended_samples WHERE id > ? ORDER BY id LIMIT 50"
    async with open_station_databases(tmp_path) as fixture:
        after, longest = 0, 0
        for _ in range(60):
            await fixture.database.write_many(sample, [("x" * 4_000,)] * 100)
            rows = await fixture.database.long_query(page, (after,))
            assert len(rows) == 50
            after = int(str(rows[-1][0]))
            longest = max(longest, (tmp_path / "a" / "db-wal").stat().st_size)
        assert (tmp_path / "a" / "db").stat().st_size > 12 * _MIB
        assert longest < 6 * _MIB


async def test_queries_that_overlap_without_end_do_not_make_the_log_grow_without_bound(tmp_path: Path) -> None:
    """SQLite restarts the log only while nobody reads: a pause is made for it."""
    slow = (
        "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted LIMIT 100000)"
        " SELECT COUNT(*) FROM counted, (SELECT name FROM facts LIMIT 1)"
    )
    sample = "INSERT INTO ended_samples (transaction_id, payload) VALUES ('tx', ?)"
    async with open_station_databases(tmp_path) as fixture, asyncio.timeout(PATIENCE_S):
        ended, query_ended = False, ChangeSignal()

        async def query_again_and_again() -> None:
            while not ended:
                assert await fixture.database.long_query(slow) == [(100_000,)]
                query_ended.notify()

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(query_again_and_again())
            longest = length = 0
            # A gap between two queries, by chance, lets SQLite write from the beginning of the file again.
            while longest <= MAX_LOG_BYTES or length == longest:
                assert length < MAX_LOG_BYTES + 8 * _MIB
                count_before = query_ended.count
                await fixture.database.write(sample, ("x" * _MIB,))
                await query_ended.wait(count_before)
                length = (tmp_path / "a" / "db-wal").stat().st_size
                longest = max(longest, length)
            ended = True
        assert length < MAX_LOG_BYTES, "the file becomes shorter in a pause only"


async def test_a_log_that_another_process_reads_is_left_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sample = "INSERT INTO ended_samples (transaction_id, payload) VALUES ('tx', ?)"
    async with open_station_databases(tmp_path) as fixture, asyncio.timeout(PATIENCE_S):
        with contextlib.closing(sqlite3.connect(tmp_path / "a" / "db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute(NAMES).fetchall()
            await fixture.database.write(sample, ("x" * (MAX_LOG_BYTES + _MIB),))
            for _ in range(3):
                assert await fixture.database.long_query(NAMES) == [("a",)]
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == [f"{tmp_path}/a/db: the log of the database is long and cannot be shortened"]
        await fixture.database.write(sample, ("x" * (2 * MAX_LOG_BYTES),))
        await fixture.database.long_query(NAMES)
        assert not (tmp_path / "a" / "db-wal").stat().st_size


async def test_the_log_is_removed_at_the_end_although_the_writer_was_closed_before_a_reader(tmp_path: Path) -> None:
    clock = fakes.clock()
    with DatabaseThread() as thread:
        connection = DatabaseConnection(tmp_path / "db", thread)
        await connection.open()
        database = Database(connection, clock, ReadConnections(clock))
        await database.write(WRITE, ("a", "x"))
        assert await database.long_query(NAMES) == [("a",)]
        await thread.run(connection.close_file)
        await database.end_long_queries()
        await connection.close()
        assert {path.name for path in tmp_path.iterdir()} == {"db"}  # noqa: ASYNC240 - nothing else runs


def test_an_event_loop_that_ends_interrupts_a_query(tmp_path: Path) -> None:
    path = tmp_path / "db"
    sqlite3.connect(path).close()

    async def begin() -> None:
        running = asyncio.create_task(ReadConnections(fakes.clock()).rows(path, ENDLESS))
        await until(reading_threads)
        await asyncio.sleep(0.05)
        assert not running.done()

    asyncio.run(begin())
    asyncio.run(until(lambda: reading_threads() == 0))


def test_an_event_loop_that_ends_while_a_file_is_opened_leaves_no_thread_that_answers_it(tmp_path: Path) -> None:
    """An answer to a closed loop would be an error in that thread, which fails this test."""
    path = tmp_path / "db"
    sqlite3.connect(path).close()

    async def begin() -> None:
        running = asyncio.create_task(ReadConnections(fakes.clock()).rows(path, NAMES))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not running.done()

    for _ in range(5):
        asyncio.run(begin())
        assert reading_threads() == 0
