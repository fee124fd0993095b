"""`borne check --storage`: which rows of a storage cannot be read, also beside a station that uses it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from borne.stored_rows import describe_unreadable_rows
from station.charging.authorization.owner_cards import OwnerCards
from station.core.model import EventType, TriggerReason
from station.maintenance.storage_check import StorageUnreadableError
from station.storage.database_schema import MIGRATIONS
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from station.storage.unreadable_rows import RowAddress
from tests import fakes
from tests.borne.test_cli import borne
from tests.databases import open_database
from tests.station.storage.test_outbox import VALUE

SPOILT = {
    "events": (
        "payload = json_remove(payload, '$.trigger')",
        "events 1 of transaction a, event 0: trigger: is missing",
    ),
    "ended_samples": ("payload = '{'", "ended_samples 1 of transaction a: Invalid JSON"),
    "awaited_ends": ("payload = '[]'", "awaited_ends a of transaction a: "),
    "transactions": ("began_at = 'x'", "transactions a of transaction a: "),
    "transactions.prices": ("prices = '{\"currency\": 1}'", "transactions.prices a of transaction a: currency: "),
    "transactions.bill": (
        "bill = '{}'",
        "transactions.bill a of transaction a: currency: is missing; lines: is missing",
    ),
    "tariff_readings": ("at = 'x'", "tariff_readings 1 of transaction a: "),
    "signed_records": ("taken_at = 'x'", "signed_records 1 of transaction a: "),
    "charging_profiles": ("payload = '{}'", "charging_profiles 7: id: is missing"),
    "firmware_updates": ("payload = '{}'", "firmware_updates 1: request_id: is missing"),
    "firmware_statuses": ("status = 'Later'", "firmware_statuses 1: "),
    "authorization_cache": ("info = '{}'", "authorization_cache "),
    "local_list": ("info = '{'", "local_list "),
    "local_list_state": ("version = 'x'", "local_list_state 1: "),
    "security_events": ("occurred_at = 'x'", "security_events 1: "),
    "settings": ("value = 'perhaps'", "settings smart_charging_enabled: "),
}
"""for each table: what spoils its row, and how the sentence about it begins"""
ROWS = (
    "INSERT INTO tariff_readings (transaction_id, at, period) VALUES ('a', '2026-01-01T00:00:00+00:00', 'HP')",
    "INSERT INTO signing_keys VALUES ('f', 1, 'station', x'00', '2026-01-01T00:00:00+00:00')",
    "INSERT INTO signed_records (evse_id, fingerprint, context, page, transaction_id, reason, taken_at, record)"
    " VALUES (1, 'f', 'T', 1, 'a', 'B', '2026-01-01T00:00:00+00:00', 'OCMF')",
    'INSERT INTO charging_profiles VALUES (7, \'{"id":7,"evse_id":1,"stack_level":0,"purpose":"TxDefaultProfile",'
    '"kind":"Relative","schedule":{"id":1,"unit":"A","periods":[{"start_s":0,"limit":10.0}]}}\')',
    "INSERT INTO firmware_updates (payload) VALUES"
    ' (\'{"request_id":1,"location":null,"retrieve_at":"2026-01-01T00:00:00Z"}\')',
    "INSERT INTO firmware_statuses (update_id, request_id, status) VALUES (1, 1, 'Downloading')",
    "INSERT INTO authorization_cache (token, type, info, updated_at) VALUES"
    " ('04aabbccdd', 'ISO14443', '{\"status\":\"Accepted\"}', '2026-01-01T00:00:00+00:00')",
    "INSERT INTO local_list (token, type, info) VALUES ('04aabbccdd', 'ISO14443', '{\"status\":\"Blocked\"}')",
    "INSERT INTO local_list_state VALUES (1, 7, 1, 60)",
    "INSERT INTO security_events (type, occurred_at, info, to_tell) VALUES ('X', '2026-01-01T00:00:00+00:00', '', 0)",
    "INSERT INTO settings VALUES ('smart_charging_enabled', 'true')",
    'UPDATE transactions SET prices = \'{"currency":"EUR"}\', bill = \'{"currency":"EUR","lines":[],"total":"1.00"}\'',
)


async def fill(storage: Path) -> None:
    """Store a row of each kind."""
    clock = fakes.clock()
    async with open_database(storage / "borne.sqlite", clock) as database:
        outbox = Outbox(database, clock)
        await outbox.append(fakes.event("a", EventType.STARTED, TriggerReason.AUTHORIZED))
        await outbox.end_data.store_sample("a", VALUE)
        await outbox.end_data.store_end(fakes.event("a", EventType.ENDED, TriggerReason.EV_DEPARTED))
        for statement in ROWS:
            await database.write(statement)


def spoil(storage: Path, source: str) -> str:
    """Spoil the row of a table; returns how the sentence about it begins."""
    change, sentence = SPOILT[source]
    with contextlib.closing(sqlite3.connect(storage / "borne.sqlite")) as database:
        assert database.execute(f"UPDATE {source.partition('.')[0]} SET {change}").rowcount == 1
        database.commit()
    return sentence


def contents(folder: Path) -> dict[str, bytes]:
    """The files in a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def test_a_storage_in_order_has_no_unreadable_row(tmp_path: Path) -> None:
    await fill(tmp_path)
    assert describe_unreadable_rows(tmp_path) == []


@pytest.mark.parametrize("source", SPOILT)
async def test_each_table_is_looked_through(tmp_path: Path, source: str) -> None:
    await fill(tmp_path)
    sentence = spoil(tmp_path, source)
    (found,) = describe_unreadable_rows(tmp_path)
    assert found.startswith(sentence)
    assert "04aabbccdd" not in found


async def test_all_of_them_are_listed_also_beside_a_station_that_runs(tmp_path: Path) -> None:
    await fill(tmp_path)
    for source in SPOILT:
        spoil(tmp_path, source)
    clock = fakes.clock()
    async with open_database(tmp_path / "borne.sqlite", clock) as database:
        await Outbox(database, clock).append(fakes.event("b"))
        assert len(describe_unreadable_rows(tmp_path)) == len(SPOILT)
        await Outbox(database, clock).append(fakes.event("b"))


async def test_nothing_is_written_where_no_station_runs(tmp_path: Path) -> None:
    await fill(tmp_path)
    before = contents(tmp_path)
    assert before.keys() == {"borne.sqlite"}
    assert describe_unreadable_rows(tmp_path) == []
    assert contents(tmp_path) == before


async def test_what_the_station_could_not_read_of_its_facts_is_listed_too(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "borne.sqlite", clock) as database:
        await database.write("INSERT INTO facts VALUES ('card/1', '{}')")
        await OwnerCards(FactStore(database, "card"), clock).load()
        await database.unreadable.save()
    assert describe_unreadable_rows(tmp_path) == ["facts card/1: value: is missing"]


async def test_before_an_upgrade_only_rows_count_that_the_station_could_read(tmp_path: Path) -> None:
    await fill(tmp_path)
    sentence = spoil(tmp_path, "charging_profiles")
    assert len(describe_unreadable_rows(tmp_path, only_new=True)) == 1
    async with open_database(tmp_path / "borne.sqlite", fakes.clock()) as database:
        database.unreadable.add(RowAddress("charging_profiles", "7"), "id: is missing")
        database.unreadable.add(RowAddress("facts", "card/1"), "value: is missing")
        await database.unreadable.save()
    assert describe_unreadable_rows(tmp_path, only_new=True) == []
    profile, card = describe_unreadable_rows(tmp_path)
    assert (profile.startswith(sentence), card) == (True, "facts card/1: value: is missing")
    other = spoil(tmp_path, "firmware_updates")
    (found,) = describe_unreadable_rows(tmp_path, only_new=True)
    assert found.startswith(other)


def test_a_storage_of_an_older_version_is_read_as_after_its_start(tmp_path: Path) -> None:
    scripts = sorted(MIGRATIONS.glob("*.sql"))
    with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
        for script in scripts[:5]:
            database.executescript(script.read_text(encoding="utf-8"))
        database.execute("PRAGMA user_version = 5")
        payload = json.dumps({"transaction_id": "a"})
        database.execute(
            "INSERT INTO events (transaction_id, seq_no, evse_id, event_type, occurred_at, offline, payload)"
            " VALUES ('a', 0, 1, 'Updated', '2026-01-01T00:00:00+00:00', 0, ?)",
            (payload,),
        )
        database.commit()
    before = (tmp_path / "borne.sqlite").read_bytes()
    (found,) = describe_unreadable_rows(tmp_path)
    assert found.startswith("events 1 of transaction a, event 0: evse_id: is missing; event_type: is missing")
    assert (tmp_path / "borne.sqlite").read_bytes() == before


@pytest.mark.parametrize("content", [None, b"no database at all, but long enough to differ from an empty one" * 20])
def test_what_is_no_storage_is_said(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "borne.sqlite").write_bytes(content)
    with pytest.raises(StorageUnreadableError, match=r"borne\.sqlite: "):
        describe_unreadable_rows(tmp_path)


async def test_a_storage_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageUnreadableError, match="newer version"):
        describe_unreadable_rows(tmp_path)


async def test_the_command_lists_rows_and_says_by_its_exit_status_whether_there_are_any(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("[station]\nidentity = 'BORNE-0001'\nstorage = 'data'\n")
    absent = borne("check", "--storage", "station.toml", cwd=tmp_path)
    assert (absent.returncode, absent.stdout) == (2, "")
    assert "borne.sqlite: does not exist" in absent.stderr
    (tmp_path / "data").mkdir()
    await fill(tmp_path / "data")
    process = borne("check", "--storage", "station.toml", cwd=tmp_path)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.endswith("ok: every row can be read\n")
    sentence = spoil(tmp_path / "data", "events")
    process = borne("check", "--storage", "station.toml", cwd=tmp_path)
    assert (process.returncode, process.stdout, process.stderr) == (1, f"{sentence}\n", "")
