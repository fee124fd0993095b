"""The disk that is full for some of what is stored refuses that and nothing else, as SQLite does."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.storage.database import StorageError
from station.storage.fact_store import save_fact
from tests import fakes
from tests.databases import open_database
from tests.full_disk import FullDisk


async def test_it_refuses_the_table_or_value_that_a_test_names_and_undoes_the_transaction(
    tmp_path: Path, disk: FullDisk
) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await save_fact(database, "kept", "before")
        with disk.refusing("facts"), pytest.raises(StorageError, match="database or disk is full"):
            await save_fact(database, "kept", "after")
        with disk.refusing("'second'"), pytest.raises(StorageError, match="database or disk is full"):
            await database.write_together(
                ("UPDATE facts SET value = ?", [("after",)]),
                ("INSERT INTO facts (name, value) VALUES (?, ?)", [("second", "")]),
            )
        assert await database.rows("SELECT name, value FROM facts") == [("kept", "before")]
        await save_fact(database, "kept", "after")
        assert await database.rows("SELECT name, value FROM facts") == [("kept", "after")]


async def test_a_full_disk_that_nobody_has_met_proves_nothing(tmp_path: Path, disk: FullDisk) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        with pytest.raises(AssertionError, match="nobody has written"), disk.refusing("facts"):
            await database.rows("SELECT name FROM facts")
