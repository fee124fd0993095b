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

from station.storage.database import Database, StorageError, open_database
from station.storage.database_thread import DatabaseThread
from tests import fakes
from tests.patience import PATIENCE_S

WRITE = "INSERT INTO facts (name, value) VALUES (?, ?)"
SAMPLE = "INSERT INTO ended_samples (transaction_id, payload) VALUES ('tx', ?)"
STATION: contextvars.ContextVar[str] = contextvars.ContextVar("STATION")


@contextlib.asynccontextmanager
async def two_stations(tmp_path: Path) -> AsyncGenerator[tuple[Database, Database]]:
    with DatabaseThread() as thread:
        async with (
            open_database(tmp_path / "a" / "db", fakes.clock(), thread) as first,
            open_database(tmp_path / "b" / "db", fakes.clock(), thread) as second,
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
    async with two_stations(tmp_path) as (busy, other):
        ended: list[str] = []

        async def write(database: Database, name: str) -> None:
            await database.write(WRITE, (name, "x"))
            ended.append(name)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(write(busy, f"busy {number}"))
            await asyncio.sleep(0)
            group.create_task(write(other, "other"))
        assert ended.index("other") <= 2


async def test_a_database_that_another_process_has_locked_delays_no_other_station(tmp_path: Path) -> None:
    async with two_stations(tmp_path) as (locked, other):
        with contextlib.closing(sqlite3.connect(tmp_path / "a" / "db", isolation_level=None)) as process:
            process.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(locked.write_many(SAMPLE, [("1",), ("2",)]))
            later = asyncio.create_task(locked.write(SAMPLE, ("3",)))
            for number in range(20):
                await other.write(WRITE, (f"row {number}", "x"))
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
    done: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(PATIENCE_S)
        done.append("first")

    with DatabaseThread() as thread:
        running = asyncio.create_task(thread.run(first))
        waiting = asyncio.create_task(thread.run(lambda: done.append("waiting")))
        assert await asyncio.to_thread(begun.wait, PATIENCE_S)
        for task in (running, waiting):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        go_on.set()
        await thread.run(lambda: done.append("last"))
    assert done == ["first", "last"]


@pytest.mark.parametrize("turns", range(12))
async def test_a_database_whose_opening_is_cancelled_is_closed(tmp_path: Path, turns: int) -> None:
    with DatabaseThread() as thread:

        async def opened() -> None:
            async with open_database(tmp_path / "db", fakes.clock(), thread):
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
