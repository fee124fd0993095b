"""A station does not read its new database at its start, and never uses rows that are out of date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from station.storage.database import Database, StorageError, open_database
from station.storage.database_thread import DatabaseThread
from station.storage.new_database_rows import TABLES_WITH_TRIGGERS
from station.storage.read_connections import ReadConnections
from tests import fakes

T = TypeVar("T")

FACTS = "SELECT name, value FROM facts ORDER BY name"
FACT_VALUE = "SELECT value FROM facts WHERE name = ?"
WRITE = "INSERT INTO facts (name, value) VALUES (?, ?)"


class CountingThread(DatabaseThread):
    """A database thread that counts its jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = 0

    async def run(self, job: Callable[[], T]) -> T:
        self.jobs += 1
        return await super().run(job)


@contextlib.asynccontextmanager
async def new_station(tmp_path: Path) -> AsyncGenerator[tuple[Database, CountingThread]]:
    """A station with a new database, whose start has begun."""
    with CountingThread() as thread:
        async with open_database(tmp_path / "db", fakes.clock(), thread, ReadConnections(fakes.clock())) as database:
            database.begin_start()
            thread.jobs = 0
            yield database, thread


async def test_queries_of_a_new_database_take_no_job(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, thread):
        for _ in range(2):
            assert await database.rows(FACTS) == []
            assert await database.rows("SELECT COUNT(*) FROM facts WHERE name = ?", ("a",)) == [(0,)]
        assert await database.first_rows(FACTS, (), max_chars=1_000_000) == ([], True)
        assert thread.jobs == 0


async def test_a_new_database_is_read_where_it_was_written(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, thread):
        await database.write(WRITE, ("a", "1"))
        assert await database.rows(FACTS) == [("a", "1")]
        assert await database.rows("SELECT name FROM settings") == []
        assert thread.jobs == 2


async def test_a_write_that_changes_other_tables_makes_a_station_read_them_all(tmp_path: Path) -> None:
    event = "INSERT INTO events (transaction_id, evse_id, seq_no, event_type, occurred_at, offline, payload)"
    async with new_station(tmp_path) as (database, thread):
        await database.write(f"{event} VALUES ('t', 1, 0, 'Started', '2026-01-01T00:00:00+00:00', 0, '{{}}')")
        assert await database.rows("SELECT transaction_id FROM transactions") == [("t",)]
        assert await database.rows(FACTS) == []
        assert thread.jobs == 3


async def test_a_failing_query_of_a_new_database_raises_an_error(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, _):
        with pytest.raises(StorageError, match="nowhere"):
            await database.rows("SELECT name FROM nowhere")


@pytest.mark.parametrize("value", ["\ud800", 2**64])
async def test_a_value_that_cannot_be_stored_is_an_error_of_a_new_database(tmp_path: Path, value: str | int) -> None:
    async with new_station(tmp_path) as (database, _):
        with pytest.raises(StorageError):
            await database.rows(FACT_VALUE, (value,))


async def test_a_start_ends_so_that_a_new_database_is_read(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, thread):
        for _ in range(200):
            assert await database.rows(FACTS) == []
        assert thread.jobs > 50


async def test_a_database_is_new_only_in_the_run_that_created_it(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, _):
        await database.write(WRITE, ("a", "1"))
    async with new_station(tmp_path) as (database, _):
        assert await database.rows(FACTS) == [("a", "1")]


@pytest.mark.parametrize("how", ["write", "returning", "together"])
async def test_a_change_makes_the_station_read(tmp_path: Path, how: str) -> None:
    async with new_station(tmp_path) as (database, _):
        match how:
            case "write":
                await database.write(WRITE, ("a", "2"))
            case "returning":
                await database.rows(f"{WRITE} RETURNING name", ("a", "2"))
            case _:
                await database.write_together((WRITE, [("a", "2")]))
        assert await database.rows(FACTS) == [("a", "2")]
        assert await database.rows(FACT_VALUE, ("a",)) == [("2",)]


async def test_a_write_that_changes_no_row_leaves_the_rows_known(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, thread):
        await database.write("DELETE FROM facts WHERE name = 'b'")
        assert await database.rows(FACTS) == []
        assert thread.jobs == 1


async def test_a_change_of_one_table_leaves_the_rows_of_others_known(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, thread):
        await database.write("INSERT INTO settings (name, value) VALUES ('b', '2')")
        assert await database.rows(FACTS) == []
        assert thread.jobs == 1


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR REPLACE INTO facts (name, value) VALUES ('a', '2')",
        "REPLACE INTO facts (name, value) VALUES ('a', '2')",
        "\n    INSERT OR IGNORE INTO facts (name, value) VALUES ('a', '2')",
        "INSERT INTO main.facts (name, value) VALUES ('a', '2')",
        "INSERT INTO FACTS (name, value) VALUES ('a', '2')",
        "INSERT INTO \"facts\" (name, value) VALUES ('a', '2')",
        "WITH new(value) AS (VALUES ('2')) INSERT INTO facts (name, value) SELECT 'a', value FROM new",
    ],
)
async def test_each_way_to_write_a_table_is_recognized(tmp_path: Path, sql: str) -> None:
    async with new_station(tmp_path) as (database, _):
        await database.write(sql)
        assert await database.rows(FACTS) == [("a", "2")]


async def test_a_write_that_was_given_up_makes_the_station_read(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, _):
        writing = asyncio.create_task(database.write(WRITE, ("a", "2")))
        await asyncio.sleep(0)  # the job is queued
        writing.cancel()
        await asyncio.wait([writing])
        with contextlib.suppress(StorageError):
            await database.rows("SELECT name FROM nowhere")  # executed after the job that was given up
        stored = await database.rows("SELECT value FROM facts LIMIT 1")
        assert await database.rows(FACT_VALUE, ("a",)) == stored


async def test_tables_whose_writes_change_others_are_known(tmp_path: Path) -> None:
    """Every change of such a table makes a starting station read all tables."""
    async with new_station(tmp_path) as (database, _):
        triggers = await database.rows("SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger'")
        assert {str(table) for (table,) in triggers} == TABLES_WITH_TRIGGERS


async def test_no_query_reads_a_table_that_it_does_not_name(tmp_path: Path) -> None:
    async with new_station(tmp_path) as (database, _):
        assert await database.rows("SELECT name FROM sqlite_master WHERE type = 'view' OR sql LIKE '%CASCADE%'") == []
