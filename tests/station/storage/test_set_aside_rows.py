"""Rows that a safe start sets aside: out of the way of every reader, and back unchanged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

from simulator.clock import VirtualClock
from station.storage.database import Database
from station.storage.set_aside_rows import (
    CHARGING_PROFILES,
    KINDS,
    MONITORS,
    SETTINGS,
    RowKind,
    SetAsideRows,
)
from tests.databases import open_database
from tests.stored.storage import DATABASE, all_stored, tables

LOCAL_LIST = next(kind for kind in KINDS if kind.name == "local-list")
FACTS = next(kind for kind in KINDS if kind.name == "other-facts")


@contextlib.asynccontextmanager
async def filled(folder: Path) -> AsyncGenerator[tuple[Database, SetAsideRows]]:
    """The storage of the last release, in which every table has rows."""
    all_stored()[-1].restore(folder)
    async with open_database(folder / DATABASE, VirtualClock()) as database:
        aside = SetAsideRows(database)
        await aside.load()
        yield database, aside


def content(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        return tables(database)


async def test_rows_of_every_kind_are_gone_while_set_aside_and_are_the_same_afterwards(tmp_path: Path) -> None:
    async with filled(tmp_path) as (_, aside):
        before = content(tmp_path)
        await aside.set_aside(KINDS)
        meanwhile = content(tmp_path)
        for kind in KINDS:
            for rows in kind.rows:
                if rows.table != "facts":
                    assert before[rows.table], rows.table
                    assert meanwhile[rows.table] == [], rows.table
        assert aside.counts.keys() == {kind.name for kind in KINDS}
        retained_kinds = {str(name).partition("/")[0] for name, *_ in meanwhile["facts"]}
        assert retained_kinds.isdisjoint(FACTS.rows[0].fact_kinds)
        assert retained_kinds >= {"account", "prices", "network", "shared-limit", "residual-current", "activation"}
        assert {table: rows for table, rows in meanwhile.items() if table in ("events", "transactions")} == {
            table: before[table] for table in ("events", "transactions")
        }
        await aside.put_back(KINDS)
        assert content(tmp_path) == before
        assert aside.counts == {}


async def test_one_kind_comes_back_alone(tmp_path: Path) -> None:
    async with filled(tmp_path) as (_, aside):
        before = content(tmp_path)
        await aside.set_aside(KINDS)
        await aside.put_back([CHARGING_PROFILES])
        now = content(tmp_path)
        assert now["charging_profiles"] == before["charging_profiles"]
        assert now["settings"] == []
        assert CHARGING_PROFILES.name not in aside.counts
        assert aside.counts[SETTINGS.name] == len(before["settings"])


async def test_a_second_time_keeps_what_is_aside_already(tmp_path: Path) -> None:
    async with filled(tmp_path) as (database, aside):
        before = content(tmp_path)
        await aside.set_aside([SETTINGS])
        await database.write("INSERT INTO settings (name, value) VALUES ('of_meanwhile', '1')")
        await aside.set_aside([SETTINGS])
        await aside.put_back([SETTINGS])
        assert sorted(content(tmp_path)["settings"]) == sorted([*before["settings"], ("of_meanwhile", "1")])


async def test_of_two_rows_with_the_same_key_that_are_set_aside_the_later_one_comes_back(tmp_path: Path) -> None:
    async with filled(tmp_path) as (database, aside):
        name = str(content(tmp_path)["settings"][0][0])
        await aside.set_aside([SETTINGS])
        await database.write("INSERT INTO settings (name, value) VALUES (?, 'newer')", (name,))
        await aside.set_aside([SETTINGS])
        await aside.put_back([SETTINGS])
        assert (name, "newer") in content(tmp_path)["settings"]
        assert len([row for row in content(tmp_path)["settings"] if row[0] == name]) == 1


async def test_a_row_that_was_stored_meanwhile_under_the_same_key_stays(tmp_path: Path) -> None:
    async with filled(tmp_path) as (database, aside):
        name = str(content(tmp_path)["settings"][0][0])
        await aside.set_aside([SETTINGS])
        await database.write("INSERT INTO settings (name, value) VALUES (?, 'newer')", (name,))
        await aside.put_back([SETTINGS])
        assert (name, "newer") in content(tmp_path)["settings"]
        assert aside.counts == {}


async def test_a_local_list_that_was_sent_meanwhile_replaces_the_one_set_aside(tmp_path: Path) -> None:
    async with filled(tmp_path) as (database, aside):
        await aside.set_aside([LOCAL_LIST])
        await database.write("INSERT INTO local_list_state (id, version, entries, size_bytes) VALUES (1, 99, 0, 0)")
        await aside.put_back([LOCAL_LIST])
        now = content(tmp_path)
        assert (now["local_list"], now["local_list_state"]) == ([], [(1, 99, 0, 0)])
        assert aside.counts == {}


async def test_rows_are_deleted_by_the_ids_that_the_csms_knows(tmp_path: Path) -> None:
    async with filled(tmp_path) as (_, aside):
        ids = [int(str(row[0])) for row in content(tmp_path)["charging_profiles"]]
        assert await aside.delete_ids(CHARGING_PROFILES, ids[:1]) == [], "nothing is set aside"
        await aside.set_aside([CHARGING_PROFILES, MONITORS])
        assert await aside.delete_ids(CHARGING_PROFILES, [ids[0], 424242]) == [ids[0]]
        await aside.put_back([CHARGING_PROFILES])
        assert [row[0] for row in content(tmp_path)["charging_profiles"]] == ids[1:]


async def test_what_is_deleted_does_not_come_back(tmp_path: Path) -> None:
    async with filled(tmp_path) as (_, aside):
        await aside.set_aside([CHARGING_PROFILES, SETTINGS])
        assert await aside.delete([CHARGING_PROFILES]) > 0
        assert await aside.delete([CHARGING_PROFILES]) == 0
        await aside.put_back(KINDS)
        now = content(tmp_path)
        assert now["charging_profiles"] == []
        assert now["settings"]


async def test_a_later_version_with_one_more_column_takes_them_back(tmp_path: Path) -> None:
    async with filled(tmp_path) as (database, aside):
        before = content(tmp_path)["display_messages"]
        await aside.set_aside([kind_of("display-messages")])
        await database.write("ALTER TABLE display_messages ADD COLUMN extra TEXT")
        await aside.put_back([kind_of("display-messages")])
        assert content(tmp_path)["display_messages"] == [(*row, None) for row in before]


async def test_what_is_set_aside_survives_a_restart_and_the_tables_exist_only_meanwhile(tmp_path: Path) -> None:
    async with filled(tmp_path) as (_, aside):
        schema = set(content(tmp_path))
        await aside.set_aside(KINDS)
        counts = aside.counts
    async with open_database(tmp_path / DATABASE, VirtualClock()) as database:
        aside = SetAsideRows(database)
        await aside.load()
        assert aside.counts == counts
        await aside.put_back(KINDS)
        assert set(content(tmp_path)) == schema


def kind_of(name: str) -> RowKind:
    """The kind of rows of this name."""
    return next(kind for kind in KINDS if kind.name == name)
