"""The file of the database shrinks again after much was deleted, also one that an older program made."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from simulator.clock import VirtualClock
from station.storage import compaction
from station.storage.compaction import reclaim_when_idle
from station.storage.database import Database
from station.storage.database_schema import migrations
from tests import fakes
from tests.databases import open_database
from tests.patience import until

_MANY = 50_000
_INSERT = (
    "INSERT INTO transactions (transaction_id, evse_id, began_at, ended_at, bill)"
    " VALUES (?, 1, '2026-01-01', '2026-01-02', ?)"
)
_BILL = "x" * 400


async def fill(database: Database, many: int = _MANY) -> None:
    """So many transactions on record."""
    await database.write_many(_INSERT, [(f"transaction-{number:036d}", _BILL) for number in range(many)])


async def empty(database: Database) -> None:
    """All but the newest hundred are forgotten."""
    await database.write("DELETE FROM transactions WHERE number <= (SELECT MAX(number) - 100 FROM transactions)")


def size(path: Path) -> int:
    """Of the file and its log, in MiB, rounded up."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return -(-sum(file.stat().st_size for file in files if file.exists()) // 2**20)


def names(folder: Path) -> list[str]:
    """Of the files that are there."""
    return [file.name for file in folder.iterdir()]


async def create_old_database(path: Path) -> None:
    """Create a database as older versions did: the free pages of deleted rows stay in the file."""
    async with open_database(path, fakes.clock()) as database:
        await fill(database)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.execute("VACUUM")
        connection.execute("DELETE FROM transactions WHERE number <= (SELECT MAX(number) - 100 FROM transactions)")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    assert size(path) > 30


async def count_transactions(database: Database) -> int:
    """Count the transactions."""
    ((count,),) = await database.rows("SELECT COUNT(*) FROM transactions")
    return int(str(count))


async def test_what_50_000_deleted_transactions_took_is_given_back_when_nobody_charges(tmp_path: Path) -> None:
    path, clock = tmp_path / "db", VirtualClock(rate=0.0)
    idle = False
    async with open_database(path, clock) as database:
        await fill(database)
        await empty(database)
        assert size(path) > 30
        reclaiming = asyncio.create_task(reclaim_when_idle(database, lambda: idle, clock))
        await clock.advance(7_200)
        assert size(path) > 30, "somebody charges"
        idle = True
        # 1 MiB of free pages, and a log of 4 MiB at the most
        await until(lambda: size(path) <= 6, meanwhile=lambda: clock.advance(60))
        assert 0 < await database.free_pages() <= 256, "a little stays for what is recorded next"
        assert await count_transactions(database) == 100
        reclaiming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reclaiming


async def test_whoever_begins_to_charge_stops_it(tmp_path: Path) -> None:
    clock = VirtualClock(rate=0.0)
    async with open_database(tmp_path / "db", clock) as database:
        await fill(database, 10_000)
        await empty(database)
        before = await database.free_pages()
        idle_answers = iter([True, True])
        reclaiming = asyncio.create_task(reclaim_when_idle(database, lambda: next(idle_answers, False), clock))
        for _ in range(200):
            await clock.advance(10)
            await database.free_pages()  # its thread has done what was asked of it
        assert await database.free_pages() == before - 2 * 256
        reclaiming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reclaiming


async def test_the_database_of_an_older_program_is_rewritten_once_and_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await create_old_database(path)
    node = path.stat().st_ino
    async with open_database(path, fakes.clock()) as database:
        assert size(path) < 2
        assert await count_transactions(database) == 100
        assert await database.rows("PRAGMA auto_vacuum") == [(2,)]
        assert await database.rows("PRAGMA journal_mode") == [("wal",)]
        assert await database.rows("PRAGMA integrity_check") == [("ok",)]
        ((version,),) = await database.rows("PRAGMA user_version")
        assert version != 0
    assert path.stat().st_mode & 0o777 == 0o600
    rewritten = path.stat().st_ino
    assert rewritten != node
    async with open_database(path, fakes.clock()):
        assert path.stat().st_ino == rewritten
    assert names(tmp_path) == ["db"]


async def test_a_rewriting_that_a_power_cut_broke_off_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await create_old_database(path)
    (tmp_path / ".db.rewritten").write_bytes(path.read_bytes()[:100_000])
    async with open_database(path, fakes.clock()) as database:
        assert await count_transactions(database) == 100
        assert size(path) < 2
    assert names(tmp_path) == ["db"]


def _full(_: Path) -> int:
    return 0


async def test_a_disk_without_room_or_a_slow_one_leaves_the_old_database_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "db"
    await create_old_database(path)
    with monkeypatch.context() as full:
        full.setattr(compaction, "free_bytes", _full)
        async with open_database(path, fakes.clock()) as database:
            assert await count_transactions(database) == 100
    assert "not enough disk space for a copy" in caplog.text
    with monkeypatch.context() as slow:
        slow.setattr(compaction, "_WITHIN_S", -1.0)
        async with open_database(path, fakes.clock()) as database:
            assert await count_transactions(database) == 100
    assert "it took more than -1 s" in caplog.text
    assert size(path) > 30
    assert sorted(names(tmp_path)) == [".db.slow", "db"]


async def test_an_old_database_that_cannot_be_rewritten_is_brought_up_to_date_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for migration in migrations()[:-1]:
            connection.executescript(f"{migration.sql}\nPRAGMA user_version={migration.number};")
    monkeypatch.setattr(compaction, "free_bytes", _full)
    async with open_database(path, fakes.clock()) as database:
        assert await database.rows("PRAGMA user_version") == [(len(migrations()),)]
        assert await database.rows("PRAGMA synchronous") == [(2,)]
        assert await database.rows("PRAGMA auto_vacuum") == [(0,)]
    assert "not enough disk space for a copy" in caplog.text


async def test_a_rewriting_that_took_too_long_delays_no_other_start_until_half_of_the_database_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db"
    await create_old_database(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executemany(_INSERT, [(f"kept-{number:036d}", _BILL) for number in range(1_000)])
    with monkeypatch.context() as slow:
        slow.setattr(compaction, "_WITHIN_S", -1.0)
        async with open_database(path, fakes.clock()) as database:
            assert await count_transactions(database) == 1_100
    async with open_database(path, fakes.clock()) as database:
        assert await count_transactions(database) == 1_100
        assert size(path) > 30, "it is not tried again"
        await database.write("DELETE FROM transactions WHERE number <= (SELECT MAX(number) - 100 FROM transactions)")
    async with open_database(path, fakes.clock()) as database:
        assert await count_transactions(database) == 100
        assert size(path) < 2
    assert names(tmp_path) == ["db"]


async def test_a_database_that_another_program_looks_into_is_not_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What went into the log of the old file would be lost."""
    path = tmp_path / "db"
    await create_old_database(path)
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute("SELECT COUNT(*) FROM transactions").fetchone()
        async with open_database(path, fakes.clock()) as database:
            await database.write(_INSERT, ("new", _BILL))
            assert await count_transactions(database) == 101
    assert "another program has the file open" in caplog.text
    async with open_database(path, fakes.clock()) as database:
        assert await count_transactions(database) == 101
    assert size(path) < 2


async def test_the_log_of_a_large_write_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "db-wal"
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await fill(database)
        large = log.stat().st_size
        for number in range(3):
            await database.write("INSERT INTO facts (name, value) VALUES (?, '')", (f"later {number}",))
        assert large > 20 * 2**20
        assert log.stat().st_size <= 4 * 2**20
