"""Small facts on disk: by kind and name, and all kinds at once while a station starts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from station.storage.database import Database
from station.storage.fact_store import FactsAtStart, FactStore
from tests import fakes
from tests.databases import open_database

LONG = "x" * 600_000


@contextlib.asynccontextmanager
async def stored_facts(folder: Path) -> AsyncGenerator[Database]:
    async with open_database(folder / "db", fakes.clock()) as database:
        await FactStore(database, "cable").save("1", "retained")
        await FactStore(database, "cable").save("a/b", "free")
        await FactStore(database, "card").save("04AB", "Anna")
        yield database


async def test_each_kind_has_its_own_names(tmp_path: Path) -> None:
    async with stored_facts(tmp_path) as database:
        for at_start in (None, FactsAtStart(database)):
            if at_start is not None:
                await at_start.read()
            assert await FactStore(database, "cable", at_start).load() == {"1": "retained", "a/b": "free"}
            assert await FactStore(database, "card", at_start).load() == {"04AB": "Anna"}
            assert await FactStore(database, "prices", at_start).load() == {}


async def test_facts_of_all_kinds_are_read_once_while_a_station_starts(tmp_path: Path) -> None:
    async with stored_facts(tmp_path) as database:
        at_start = FactsAtStart(database)
        await at_start.read()
        assert at_start.take("cable") == {"1": "retained", "a/b": "free"}
        assert at_start.take("prices") == {}
        assert at_start.take("cable") is None  # handed out: it may have changed since


async def test_a_kind_that_was_written_is_read_from_disk(tmp_path: Path) -> None:
    async with stored_facts(tmp_path) as database:
        at_start = FactsAtStart(database)
        await at_start.read()
        cables, cards = FactStore(database, "cable", at_start), FactStore(database, "card", at_start)
        await cables.save("1", "free")
        await cards.remove("04AB")
        assert await cables.load() == {"1": "free", "a/b": "free"}
        assert await cards.load() == {}


async def test_after_the_start_facts_are_read_from_disk(tmp_path: Path) -> None:
    async with stored_facts(tmp_path) as database:
        at_start = FactsAtStart(database)
        await at_start.read()
        at_start.end()
        await FactStore(database, "cable").save("2", "retained")
        assert set(await FactStore(database, "cable", at_start).load()) == {"1", "a/b", "2"}


async def test_unusually_long_facts_are_read_kind_by_kind(tmp_path: Path) -> None:
    async with stored_facts(tmp_path) as database:
        for name in ("1", "2", "3"):
            await FactStore(database, "long").save(name, LONG)
        at_start = FactsAtStart(database)
        await at_start.read()
        assert at_start.take("cable") is None
        assert len(await FactStore(database, "long", at_start).load()) == 3
