"""A new database is one write of a template that equals what the migrations make, whatever a power cut left before."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from station.storage import compaction, database_schema
from station.storage.database import StorageError
from tests import fakes
from tests.databases import open_database
from tests.station.storage.conftest import SyncRecorder

_PRAGMAS = ("user_version", "auto_vacuum", "page_size", "encoding", "application_id", "journal_mode", "freelist_count")
WRITE = "INSERT INTO facts (name, value) VALUES (?, ?)"


def dump(path: Path) -> tuple[list[object], ...]:
    """Schema, properties and rows of a database; `sqlite_master` without the pages where its trees begin."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        properties: list[object] = [database.execute(f"PRAGMA {name}").fetchone() for name in _PRAGMAS]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return schema, properties, list(database.iterdump())


def migrated(path: Path, until: int | None = None) -> Path:
    """Make a database as a program does that applies each script, up to number `until`, to the file on disk."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA auto_vacuum={compaction.INCREMENTAL}")
        database.execute("PRAGMA journal_mode=WAL")
        for migration in database_schema.migrations()[:until]:
            database.executescript(f"BEGIN;\n{migration.sql}\nPRAGMA user_version={migration.number};\nCOMMIT;")
    return path


def test_a_new_database_equals_one_that_was_made_by_the_migrations(tmp_path: Path) -> None:
    database_schema.create(tmp_path / "db")
    assert dump(tmp_path / "db") == dump(migrated(tmp_path / "migrated"))
    assert len(dump(tmp_path / "db")[0]) > 20


async def test_a_database_of_an_older_program_becomes_the_same(tmp_path: Path) -> None:
    migrated(tmp_path / "db", len(database_schema.migrations()) // 2)
    async with open_database(tmp_path / "db", fakes.clock()):
        pass
    assert dump(tmp_path / "db") == dump(migrated(tmp_path / "migrated"))


async def test_one_of_a_newer_program_is_refused_and_stays(tmp_path: Path) -> None:
    migrated(tmp_path / "db")
    with contextlib.closing(sqlite3.connect(tmp_path / "db")) as database:
        database.execute("PRAGMA user_version=9999")
    with pytest.raises(StorageError, match="version 9999, which was written by a newer version"):
        async with open_database(tmp_path / "db", fakes.clock()):
            pass
    assert dump(tmp_path / "db")[1][0] == (9999,)


def test_file_and_folder_are_synced_before_it_counts_as_created(tmp_path: Path, syncs: SyncRecorder) -> None:
    syncs.observe = (tmp_path / "new" / "db").exists
    database_schema.create(tmp_path / "new" / "db")
    # The folder in its parent, the content before the name, and then the name.
    assert [Path(path).name for path in syncs.paths] == [tmp_path.name, ".db.new", "new"]
    assert syncs.observations == [False, False, True]
    assert stat.S_IMODE((tmp_path / "new" / "db").stat().st_mode) == 0o600


def test_files_of_a_deleted_database_are_gone_from_the_disk_before_the_new_one_exists(
    tmp_path: Path, syncs: SyncRecorder
) -> None:
    """A power cut could bring the log back beside the new file otherwise."""
    path = tmp_path / "db"
    left = [path.with_name(f"db{suffix}") for suffix in ("-journal", "-shm", "-wal")]
    for leftover in left:
        leftover.touch()
    syncs.observe = lambda: (any(file.exists() for file in left), path.exists())
    database_schema.create(path)
    observed_at_folder = [
        observation for name, observation in zip(syncs.paths, syncs.observations, strict=True) if Path(name).is_dir()
    ]
    assert observed_at_folder.index((False, False)) < observed_at_folder.index((False, True))


def _half_written(path: Path) -> None:
    path.with_name(f".{path.name}.new").write_bytes(database_schema.new_database()[:10_000])


def _empty(path: Path) -> None:
    path.touch()


def _log_of_deleted_database(path: Path) -> None:
    """A write-ahead log with a row that SQLite would read into the new database."""
    with contextlib.closing(sqlite3.connect(migrated(path), isolation_level=None)) as database:
        database.execute(WRITE, ("of the deleted one", "x"))
        log = path.with_name(f"{path.name}-wal").read_bytes()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    path.with_name(f"{path.name}-wal").write_bytes(log)


@pytest.mark.parametrize("left", [_half_written, _empty, _log_of_deleted_database])
async def test_whatever_a_power_cut_left_of_its_creation_a_complete_database_is_opened(
    tmp_path: Path, left: Callable[[Path], None]
) -> None:
    left(tmp_path / "db")
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        assert await database.rows("SELECT * FROM facts") == []
        await database.write(WRITE, ("a", "1"))
        # The power fails now: nothing was closed, and another start finds what was written.
        cut = tmp_path / "cut"
        cut.mkdir()
        for suffix in ("", "-wal"):
            cut.joinpath(f"db{suffix}").write_bytes(tmp_path.joinpath(f"db{suffix}").read_bytes())
    async with open_database(cut / "db", fakes.clock()) as again:
        assert await again.rows("SELECT name, value FROM facts") == [("a", "1")]


async def test_a_database_with_content_is_never_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for number in range(2):
        async with open_database(tmp_path / "db", fakes.clock()) as database:
            await database.write(WRITE, (str(number), "x"))
            assert len(await database.rows("SELECT * FROM facts")) == number + 1
    assert sum("database created" in record.getMessage() for record in caplog.records) == 1


def test_the_template_is_made_once() -> None:
    assert database_schema.new_database() is database_schema.new_database()
