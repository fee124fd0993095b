"""Keys of many rows are found page by page, in groups for one write each."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.maintenance.found_rows import KEYS_PER_WRITE, find_keys
from tests import fakes
from tests.databases import open_database


@pytest.mark.parametrize("count", [0, 1, 999, 1_000, 1_001, 2_000])
async def test_each_row_is_found_once_although_those_found_are_changed_meanwhile(tmp_path: Path, count: int) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        insert = "INSERT INTO ended_samples (transaction_id, payload) VALUES (?, 'x')"
        await database.write_many(insert, [(name,) for _ in range(count) for name in ("a", "b")])
        found: list[object] = []
        async for keys in find_keys(database, "ended_samples", "transaction_id = ?", ("a",)):
            assert 0 < len(keys) <= KEYS_PER_WRITE
            found += keys
            await database.write_many("DELETE FROM ended_samples WHERE id = ?", [(key,) for key in keys])
        assert found == list(range(1, 2 * count, 2))
        assert await database.rows("SELECT COUNT(*) FROM ended_samples") == [(count,)]
