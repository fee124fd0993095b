"""A station reads at its start in one job what another one read before, and never what is out of date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from station.storage.database import Database, StorageError, open_database
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import ReadConnections
from station.storage.start_queries import TABLES_WITH_TRIGGERS
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
async def second_station(tmp_path: Path) -> AsyncGenerator[tuple[Database, CountingThread]]:
    """A station with a fact `a`, in a process in which another one has started; its own start has begun."""
    with CountingThread() as thread:
        async with (
            open_database(tmp_path / "first" / "db", fakes.clock(), thread, ReadConnections(fakes.clock())) as first,
            open_database(tmp_path / "second" / "db", fakes.clock(), thread, ReadConnections(fakes.clock())) as second,
        ):
            await first.begin_start()
            await first.rows(FACTS)
            with pytest.raises(StorageError):
                await first.rows("SELECT name FROM nowhere")
            await first.rows(FACT_VALUE, ["a"])
            await first.rows("DELETE FROM facts RETURNING name")
            await first.write(WRITE, ("b", "2"))
            await first.rows(FACTS)
            await second.write(WRITE, ("a", "1"))
            await second.begin_start()
            thread.jobs = 0
            yield second, thread


@contextlib.asynccontextmanager
async def new_station(tmp_path: Path) -> AsyncGenerator[tuple[Database, CountingThread]]:
    """A station with a new database, whose start has begun."""
    with CountingThread() as thread:
        async with open_database(tmp_path / "db", fakes.clock(), thread, ReadConnections(fakes.clock())) as database:
            await database.begin_start()
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


async def test_queries_that_another_station_executed_at_its_start_take_no_job(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, thread):
        assert await database.rows(FACT_VALUE, ("a",)) == [("1",)]
        assert await database.rows(FACTS) == [("a", "1")]
        assert thread.jobs == 0


async def test_queries_with_other_values_failing_ones_and_repeated_ones_are_executed(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, thread):
        assert await database.rows(FACT_VALUE, ("b",)) == []
        with pytest.raises(StorageError, match="nowhere"):
            await database.rows("SELECT name FROM nowhere")
        assert await database.rows(FACTS) == await database.rows(FACTS)
        assert thread.jobs == 3


async def test_a_statement_that_deletes_rows_is_not_executed_ahead(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, thread):
        await database.rows("DELETE FROM facts WHERE name = 'b' RETURNING name")
        assert await database.rows(FACTS) == [("a", "1")]
        assert thread.jobs == 1


@pytest.mark.parametrize("how", ["write", "returning", "together"])
async def test_a_change_makes_the_station_read_again(tmp_path: Path, how: str) -> None:
    async with second_station(tmp_path) as (database, _):
        match how:
            case "write":
                await database.write("UPDATE facts SET value = '2'")
            case "returning":
                await database.rows("UPDATE facts SET value = '2' RETURNING name")
            case _:
                await database.write_together(("UPDATE facts SET value = ?", [("2",)]))
        assert await database.rows(FACTS) == [("a", "2")]
        assert await database.rows(FACT_VALUE, ("a",)) == [("2",)]


async def test_a_write_that_changes_no_row_keeps_what_was_read(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, thread):
        await database.write("DELETE FROM facts WHERE name = 'b'")
        assert await database.rows(FACTS) == [("a", "1")]
        assert thread.jobs == 1


async def test_a_change_of_one_table_keeps_what_was_read_of_others(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, thread):
        await database.write("INSERT INTO settings (name, value) VALUES ('b', '2')")
        assert await database.rows(FACTS) == [("a", "1")]
        assert thread.jobs == 1


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR REPLACE INTO facts (name, value) VALUES ('a', '2')",
        "REPLACE INTO facts (name, value) VALUES ('a', '2')",
        "\n    UPDATE OR IGNORE facts SET value = '2'",
        "UPDATE main.facts SET value = '2'",
        "UPDATE FACTS SET value = '2'",
        "UPDATE \"facts\" SET value = '2'",
        "WITH new(value) AS (VALUES ('2')) UPDATE facts SET value = (SELECT value FROM new)",
    ],
)
async def test_each_way_to_write_a_table_is_recognized(tmp_path: Path, sql: str) -> None:
    async with second_station(tmp_path) as (database, _):
        await database.write(sql)
        assert await database.rows(FACTS) == [("a", "2")]


async def test_a_write_that_was_given_up_makes_the_station_read_again(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, _):
        writing = asyncio.create_task(database.write("UPDATE facts SET value = '2'"))
        await asyncio.sleep(0)  # the job is queued
        writing.cancel()
        await asyncio.wait([writing])
        with contextlib.suppress(StorageError):
            await database.rows("SELECT name FROM nowhere")  # executed after the job that was given up
        stored = await database.rows("SELECT value FROM facts LIMIT 1")
        assert await database.rows(FACT_VALUE, ("a",)) == stored


async def test_tables_whose_writes_change_others_are_known(tmp_path: Path) -> None:
    """Every change of such a table makes a starting station read all tables again."""
    async with second_station(tmp_path) as (database, _):
        triggers = await database.rows("SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger'")
        assert {str(table) for (table,) in triggers} == TABLES_WITH_TRIGGERS


async def test_no_query_reads_a_table_that_it_does_not_name(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, _):
        assert await database.rows("SELECT name FROM sqlite_master WHERE type = 'view' OR sql LIKE '%CASCADE%'") == []


async def test_a_station_with_unusually_long_texts_reads_them_when_it_needs_them(tmp_path: Path) -> None:
    async with second_station(tmp_path) as (database, thread):
        await database.write_many(WRITE, [(f"long {number}", "x" * 60_000) for number in range(3)])
        await database.begin_start()
        thread.jobs = 0
        assert len(await database.rows(FACTS)) == 4
        assert await database.rows(FACT_VALUE, ("a",)) == [("1",)]
        assert thread.jobs == 1
