"""The disk: committed before it returns, all or nothing, in order, and only ever our own file."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from station.storage.database import Database, StorageError
from tests import fakes
from tests.databases import open_database
from tests.patience import PATIENCE_S

WRITE = "INSERT INTO facts (name, value) VALUES (?, ?)"


def on_disk(path: Path) -> dict[str, str]:
    """The facts as another process reads them: only what is committed."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, value FROM facts"))


async def test_a_write_is_committed_before_it_returns(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await database.write(WRITE, ("a", "1"))
        assert on_disk(tmp_path / "db") == {"a": "1"}


async def test_a_statement_with_returning_is_committed_before_it_returns(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        assert await database.rows(WRITE + " RETURNING value", ("a", "1")) == [("1",)]
        assert on_disk(tmp_path / "db") == {"a": "1"}


async def test_a_write_returns_the_id_of_the_row_that_it_inserted(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        sql = "INSERT INTO ended_samples (transaction_id, payload) VALUES ('tx', '{}')"
        assert [await database.write(sql) for _ in range(3)] == [1, 2, 3]


async def test_many_rows_are_written_all_or_none(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        with pytest.raises(StorageError):
            await database.write_many(WRITE, [("a", "1"), ("b", "2"), ("a", "again")])
        assert on_disk(tmp_path / "db") == {}
        await database.write_many(WRITE, [("a", "1"), ("b", "2")])
        assert on_disk(tmp_path / "db") == {"a": "1", "b": "2"}


async def test_the_disk_is_in_its_safest_mode(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        assert await database.rows("PRAGMA synchronous") == [(2,)]  # FULL
        assert await database.rows("PRAGMA journal_mode") == [("wal",)]


async def test_a_single_write_beside_a_write_of_many_neither_joins_nor_splits_it(tmp_path: Path) -> None:
    """A write that fails must not take the write of somebody else with it, nor commit half of another."""
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        doomed = [(f"doomed-{index}", "x") for index in range(50)] + [("doomed-0", "twice")]
        writes: list[Awaitable[object]] = []
        for index in range(10):
            writes.append(database.write_many(WRITE, doomed))
            writes.append(database.write(WRITE, (f"single-{index}", "x")))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert [isinstance(outcome, StorageError) for outcome in outcomes] == [True, False] * 10
        assert set(on_disk(tmp_path / "db")) == {f"single-{index}" for index in range(10)}


async def test_statements_happen_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        sql = "INSERT INTO ended_samples (transaction_id, payload) VALUES ('tx', ?)"
        await asyncio.gather(*(database.write(sql, (str(index),)) for index in range(100)))
        rows = await database.rows("SELECT payload FROM ended_samples ORDER BY id")
        assert [row[0] for row in rows] == [str(index) for index in range(100)]


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_write_leaves_no_transaction_open(tmp_path: Path, turns: int) -> None:
    """Whoever is cancelled in the middle of a write must not keep later writes of others off the disk."""
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        writing = asyncio.create_task(database.write_many(WRITE, [("a", "1"), ("b", "2")]))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        await database.write(WRITE, ("later", "3"))
        there = on_disk(tmp_path / "db")
        assert there.pop("later", None) == "3"
        assert there in ({}, {"a": "1", "b": "2"})


async def test_migrations_are_applied_once_and_what_is_stored_stays(tmp_path: Path) -> None:
    for start in range(3):
        async with open_database(tmp_path / "db", fakes.clock()) as database:
            await database.write(WRITE, (f"start {start}", "x"))
            ((version,),) = await database.rows("PRAGMA user_version")
            assert isinstance(version, int)
            assert version >= 1
    assert len(on_disk(tmp_path / "db")) == 3


async def test_a_directory_that_is_missing_is_made(tmp_path: Path) -> None:
    async with open_database(tmp_path / "new" / "deeper" / "db", fakes.clock()):
        assert (tmp_path / "new" / "deeper" / "db").exists()


def _a_file_where_the_directory_should_be(path: Path) -> None:
    path.parent.write_text("no directory")


def _not_a_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database at all" * 100)


def _database_of_another_program(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE events (something_else TEXT)")
        connection.commit()


@pytest.mark.parametrize(
    "prepare", [_a_file_where_the_directory_should_be, _not_a_database, _database_of_another_program]
)
async def test_what_is_not_ours_is_not_opened(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    path = tmp_path / "storage" / "db"
    prepare(path)
    with pytest.raises(StorageError):
        async with open_database(path, fakes.clock()):
            pytest.fail("it was opened")


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        pass
    with pytest.raises(StorageError):
        await database.write(WRITE, ("a", "1"))


async def fill(database: Database) -> int:
    """Write until the disk is full; returns the number of rows that were stored."""
    count = 0
    with contextlib.suppress(StorageError):
        while True:
            await database.write(WRITE, (f"row {count}", "x" * 2000))
            count += 1
    return count


async def test_a_full_disk_is_an_error_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        ((pages,),) = await database.rows("PRAGMA page_count")
        await database.rows(f"PRAGMA max_page_count={int(str(pages)) + 5}")
        count = await fill(database)
        assert count > 0
        with pytest.raises(StorageError, match="full"):
            await database.write_many(WRITE, [(f"many {index}", "x" * 2000) for index in range(20)])
        assert len(on_disk(tmp_path / "db")) == count
        await database.rows("PRAGMA max_page_count=1000000")
        await database.write(WRITE, ("room again", "x"))
        assert len(on_disk(tmp_path / "db")) == count + 1


_FULL_FILE_SYSTEM = """
import asyncio, resource, signal, sys
from pathlib import Path
from station.storage.database import StorageError
from tests.databases import open_database
from tests import fakes

async def main(path):
    async with open_database(path, fakes.clock()) as database:
        limit = path.with_name("db-wal").stat().st_size + 30_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        taken = 0
        try:
            for taken in range(1000):
                await database.write("INSERT INTO facts VALUES (?, ?)", (f"row {taken}", "x" * 2000))
        except StorageError:
            print(taken)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await database.write("INSERT INTO facts VALUES ('room again', 'x')")

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_file_system_without_room_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    finished = subprocess.run(
        [sys.executable, "-c", _FULL_FILE_SYSTEM, str(tmp_path / "db")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    acknowledged = int(finished.stdout)
    assert acknowledged > 0
    assert set(on_disk(tmp_path / "db")) == {f"row {index}" for index in range(acknowledged)} | {"room again"}


_FULL_BEFORE_THE_START = """
import asyncio, resource, signal, sys
from pathlib import Path
from station.storage.database import StorageError
from tests.databases import open_database
from tests import fakes

async def main(path):
    async with open_database(path, fakes.clock()) as database:
        await database.write("INSERT INTO facts VALUES ('before', 'x')")
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, resource.RLIM_INFINITY))
    async with open_database(path, fakes.clock()) as database:
        print(await database.rows("SELECT name FROM facts"))
        try:
            await database.write("INSERT INTO facts VALUES ('full', 'x')")
        except StorageError:
            print("full")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await database.write("INSERT INTO facts VALUES ('room again', 'x')")

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main(Path(sys.argv[1])))
"""


def test_it_opens_on_a_full_disk_with_what_is_on_record(tmp_path: Path) -> None:
    """There is no room for the file of the log's index either; the station is to start all the same."""
    finished = subprocess.run(
        [sys.executable, "-c", _FULL_BEFORE_THE_START, str(tmp_path / "db")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split("\n") == ["[('before',)]", "full", ""]
    assert set(on_disk(tmp_path / "db")) == {"before", "room again"}


INSERT = WRITE + " RETURNING name"


async def test_rows_inserted_together_are_committed_together_and_each_returns_its_own(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await database.write(WRITE, ("old", "1"))
        delete = ("DELETE FROM facts WHERE name = ?", [("old",)])
        assert await database.insert_each(INSERT, [("a", "1"), ("b", "2")], delete) == [("a",), ("b",)]
        assert on_disk(tmp_path / "db") == {"a": "1", "b": "2"}


@pytest.mark.parametrize("bad", [("a", "again"), ("c", "\ud800"), ("c", None)])
async def test_a_row_that_is_refused_is_left_out_and_the_others_are_inserted(
    tmp_path: Path, bad: tuple[str, str | None]
) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        first, second, third = await database.insert_each(INSERT, [("a", "1"), bad, ("b", "2")])
        assert (first, third) == (("a",), ("b",))
        assert isinstance(second, StorageError)
        assert on_disk(tmp_path / "db") == {"a": "1", "b": "2"}


async def test_nothing_is_inserted_if_what_comes_before_fails_or_the_disk_refuses(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        with pytest.raises(StorageError):
            await database.insert_each(INSERT, [("a", "1")], (WRITE, [("b", "2"), ("b", "again")]))
        assert on_disk(tmp_path / "db") == {}
        await database.write(
            "CREATE TRIGGER full BEFORE INSERT ON facts WHEN NEW.name = 'c' BEGIN SELECT RAISE(ROLLBACK, 'full'); END"
        )
        with pytest.raises(StorageError):
            await database.insert_each(INSERT, [("a", "1"), ("c", "3"), ("b", "2")])
        assert on_disk(tmp_path / "db") == {}
        assert await database.insert_each(INSERT, [("a", "1"), ("b", "2")]) == [("a",), ("b",)]


async def test_the_first_rows_of_a_query_end_with_the_one_that_reaches_the_size(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await database.write_many(WRITE, [(name, "x" * 10) for name in "abcd"])
        query = "SELECT value FROM facts WHERE name > ? ORDER BY name"
        for max_chars, count in ((1, 1), (10, 1), (11, 2), (30, 3)):
            assert await database.first_rows(query, ("",), max_chars=max_chars) == ([("x" * 10,)] * count, False)
        assert await database.first_rows(query, ("",), max_chars=40) == ([("x" * 10,)] * 4, True)
        assert await database.first_rows(query, ("z",), max_chars=1) == ([], True)
        await database.write(WRITE, ("e", "1"))  # no query is left open that would block it
