"""A row that cannot be read is set aside: it holds no other up, is never lost, and comes back when it can be read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from borne.station_settings import StationSettings
from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.profile_store import ProfileStore, no_selectable_phases
from simulator.clock import VirtualClock
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.authorization.owner_cards import OwnerCards
from station.charging.recovery import end_open_transactions
from station.charging.sampling_settings import SamplingSettings
from station.core.model import (
    AuthorizationStatus,
    EventType,
    IdToken,
    IdTokenInfo,
    StoppedReason,
    TransactionEvent,
    TriggerReason,
)
from station.load.charging_profiles import PersistentProfiles
from station.load.smart_charging_settings import SmartChargingSettings
from station.maintenance.storage_check import UnreadableRowsMonitor
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.database import Database
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from station.storage.settings_table import SettingsTable
from tests import fakes
from tests.databases import open_database
from tests.station.storage.test_outbox import VALUE, drain, next_event

SPOILT = {
    "a missing field": ("json_remove(payload, '$.trigger')", "trigger: is missing"),
    "an unknown field": ("json_set(payload, '$.cause', 'x')", "cause: is not known"),
    "an unknown word": ("json_set(payload, '$.trigger', 'Later')", "trigger: has an unknown value"),
    "no number": ("json_set(payload, '$.evse_id', 'one')", "evse_id: Input should be a valid integer"),
    "broken JSON": ("'{' || payload", "Invalid JSON"),
    "a missing field inside": ("json_set(payload, '$.evse', json('{}'))", "evse.evse_id: is missing"),
}
RENAME = "UPDATE events SET payload = replace(payload, '\"trigger\"', '\"cause\"') WHERE "
RENAME_BACK = "UPDATE events SET payload = replace(payload, '\"cause\"', '\"trigger\"')"
SETTINGS = StationSettings().groups


@contextlib.asynccontextmanager
async def opened(path: Path, clock: VirtualClock | None = None) -> AsyncGenerator[tuple[Outbox, Database]]:
    """An outbox on a disk, as after a start."""
    clock = clock or fakes.clock()
    async with open_database(path / "db", clock) as database:
        outbox = Outbox(database, clock)
        await outbox.check()
        yield outbox, database


@contextlib.asynccontextmanager
async def running(monitor: UnreadableRowsMonitor) -> AsyncGenerator[None]:
    """Run the monitor during the block."""
    task = asyncio.create_task(monitor.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def station_maximum(identity: int) -> ChargingProfile:
    """A charging profile that is stored on disk."""
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 16.0),), fakes.NOON)
    return ChargingProfile(identity, 0, 0, Purpose.STATION_MAX, Kind.ABSOLUTE, schedule)


def numbers(events: list[TransactionEvent]) -> list[tuple[str, int | None]]:
    """Transaction and number of events."""
    return [(event.transaction_id, event.seq_no) for event in events]


async def fill(outbox: Outbox) -> None:
    """Append the events of two transactions, three each."""
    for _ in range(3):
        for name in ("a", "b"):
            await outbox.append(fakes.event(name))


@pytest.mark.parametrize("kind", SPOILT)
async def test_a_row_that_cannot_be_read_is_set_aside_and_the_others_are_delivered_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    changed, problem = SPOILT[kind]
    async with opened(tmp_path) as (outbox, database):
        await fill(outbox)
        await database.write(f"UPDATE events SET payload = {changed} WHERE transaction_id = 'a' AND seq_no = 1")
        delivered = numbers(await drain(outbox))
        assert delivered == [("a", 0), ("b", 0), ("b", 1), ("a", 2), ("b", 2)]
        (row,) = database.unreadable.all()
        assert (row.address.source, row.address.transaction_id, row.address.seq_no) == ("events", "a", 1)
        assert problem in row.problem
        assert numbers(await outbox.events("a")) == [("a", 0), ("a", 2)]
        errors = [
            record for record in caplog.records if record.levelno == logging.ERROR and "event 1" in record.getMessage()
        ]
        assert len(errors) == 1
        assert "transaction a" in errors[0].getMessage()
        assert problem in errors[0].getMessage()
    async with opened(tmp_path) as (outbox, database):
        assert await outbox.oldest() is None
        assert database.unreadable.all() == [row]
        rows = await database.rows("SELECT settled_at, given_up FROM events WHERE transaction_id = 'a' AND seq_no = 1")
        assert rows == [(None, 0)]
        assert sum("event 1" in record.getMessage() for record in caplog.records) == 1


async def test_no_problem_names_a_value(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("a"))
        await database.write("UPDATE events SET payload = json_set(payload, '$.id_token', json('{\"value\": 17}'))")
        assert await outbox.oldest() is None
        (row,) = database.unreadable.all()
        assert row.problem == "id_token.value: Input should be a valid string; id_token.type: is missing"


async def test_what_another_version_reads_again_is_sent_before_all_that_is_newer_with_its_own_number(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (outbox, database):
        await fill(outbox)
        await database.write(RENAME + "transaction_id = 'a' AND seq_no IN (0, 1)")
        await outbox.settle(await next_event(outbox))  # b, 0
        await outbox.settle(await next_event(outbox))  # b, 1
        await outbox.settle(await next_event(outbox))  # a, 2: a later event of the same transaction
        await outbox.flush()
        await database.write(RENAME_BACK)
    async with opened(tmp_path) as (outbox, database):
        assert database.unreadable.all() == []
        assert await outbox.count_waiting("a") == 2
        delivered = await drain(outbox)
        assert numbers(delivered) == [("a", 0), ("a", 1), ("b", 2)]
        assert all(event.offline for event in delivered)
        assert (await outbox.append(fakes.event("a"))).seq_no == 3
    async with opened(tmp_path) as (outbox, database):
        assert numbers(await drain(outbox)) == [("a", 3)]


@pytest.mark.parametrize("saved", [True, False])
async def test_a_power_cut_between_setting_aside_and_delivering_loses_nothing(tmp_path: Path, saved: bool) -> None:
    async with opened(tmp_path) as (outbox, database):
        await fill(outbox)
        await database.write(RENAME + "transaction_id = 'a'")
        assert (await next_event(outbox)).event.transaction_id == "b"
        if not saved:  # the power went before the list was on disk
            await database.write("DELETE FROM unreadable_rows")
    async with opened(tmp_path) as (outbox, database):
        assert numbers(await drain(outbox)) == [("b", 0), ("b", 1), ("b", 2)]
        assert [row.address.seq_no for row in database.unreadable.of("events")] == [0, 1, 2]
    async with opened(tmp_path) as (outbox, database):
        await database.write(RENAME_BACK)
    async with opened(tmp_path) as (outbox, database):
        assert numbers(await drain(outbox)) == [("a", 0), ("a", 1), ("a", 2)]


async def test_nothing_that_cannot_be_read_is_thinned_out_or_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("a", EventType.STARTED, TriggerReason.AUTHORIZED))
        for _ in range(80):
            await outbox.append(fakes.event("a"))
        await outbox.end_data.store_sample("a", VALUE)
        await outbox.end_data.store_sample("gone", VALUE)
        await outbox.end_data.store_end(fakes.event("a", EventType.ENDED, TriggerReason.EV_DEPARTED))
        await database.write("UPDATE ended_samples SET payload = '{' || payload")
        await database.write("UPDATE awaited_ends SET payload = '{' || payload")
        await database.write(RENAME + "seq_no BETWEEN 11 AND 20")
        for event in await outbox.events("a"):
            assert event.seq_no not in range(11, 21)
        assert await outbox.end_data.samples("a") == await outbox.end_data.samples("gone") == []
        assert await outbox.end_data.find_end("a") is None
        assert await outbox.limit_queue(10) > 0
        await outbox.append(fakes.event("a", EventType.ENDED, TriggerReason.EV_DEPARTED))
        await drain(outbox)
        await outbox.prune(0)
        left = await database.rows("SELECT seq_no FROM events ORDER BY seq_no")
        assert left == [(number,) for number in range(11, 21)]
        assert await database.rows("SELECT COUNT(*) FROM ended_samples") == [(2,)]
        assert await database.rows("SELECT COUNT(*) FROM awaited_ends") == [(1,)]


async def test_a_transaction_of_which_nothing_can_be_read_ends_after_a_power_cut_all_the_same(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with opened(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("a", EventType.STARTED, TriggerReason.AUTHORIZED, evse_id=7))
        await outbox.append(fakes.event("a", evse_id=7))
        await outbox.end_data.store_sample("a", VALUE)
        await database.write(RENAME + "TRUE")
    async with opened(tmp_path) as (outbox, database):
        assert await end_open_transactions(outbox, {}, SamplingSettings(), clock) == []
        assert await end_open_transactions(outbox, {}, SamplingSettings(), clock) == []
        (ended,) = await drain(outbox)
        assert (ended.transaction_id, ended.evse_id, ended.seq_no) == ("a", 7, 2)
        assert (ended.event_type, ended.stopped_reason) == (EventType.ENDED, StoppedReason.POWER_LOSS)
        assert ended.register is not None
        assert (ended.register.energy_import_wh, ended.register.substitute) == (1234.567, True)


async def test_a_security_event_says_once_which_transaction_lacks_what(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with opened(tmp_path) as (outbox, database):
        await fill(outbox)
        await database.write(RENAME + "transaction_id = 'a' AND seq_no = 1")
        await outbox.end_data.store_sample("a", VALUE)
        await database.write("UPDATE ended_samples SET payload = '{' || payload")
    for _ in range(2):
        async with opened(tmp_path, clock) as (_, database):
            events = SecurityEvents(database, clock)
            monitor = UnreadableRowsMonitor(database, events, SETTINGS, clock)
            async with running(monitor):
                await clock.advance(1.0)
            reported = [event for event in await events.entries() if event.type == SecurityEventType.UNREADABLE_RECORD]
            assert [event.to_tell for event in reported] == [True, True]
            assert reported[0].info.startswith("ended_samples 1 of transaction a: Invalid JSON")
            assert reported[1].info == "events 3 of transaction a, event 1: trigger: is missing; cause: is not known"


async def test_at_the_start_a_row_that_can_be_read_or_is_gone_leaves_the_list(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with opened(tmp_path) as (outbox, database):
        for _ in range(2):
            await outbox.end_data.store_sample("a", VALUE)
        await database.write("UPDATE ended_samples SET payload = '{' || payload")
        assert await outbox.end_data.samples("a") == []
        await database.unreadable.save()
        await database.write("UPDATE ended_samples SET payload = substr(payload, 2) WHERE id = 1")
        await database.write("DELETE FROM ended_samples WHERE id = 2")
    async with opened(tmp_path, clock) as (outbox, database):
        assert len(database.unreadable.all()) == 2
        async with running(UnreadableRowsMonitor(database, SecurityEvents(database, clock), SETTINGS, clock)):
            await clock.advance(1.0)
        assert database.unreadable.all() == []
        assert await database.rows("SELECT * FROM unreadable_rows") == []
        assert await outbox.end_data.samples("a") == [VALUE]


async def test_a_setting_and_a_fact_that_cannot_be_read_are_listed_until_they_are_set_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, database):
        await database.write("INSERT INTO settings VALUES ('tx_ended_interval_s', 'x')")
        await database.write("INSERT INTO settings VALUES ('smart_charging_enabled', 'perhaps')")
        await StationSettings().groups.load(SettingsTable(database))
        assert [row.address.key for row in database.unreadable.of("settings")] == ["smart_charging_enabled"]
        await database.write("UPDATE settings SET value = 'true'")
        await StationSettings().groups.load(SettingsTable(database))
        assert database.unreadable.all() == []


async def test_a_fact_a_cached_token_and_a_profile_leave_the_list_when_others_take_their_place(tmp_path: Path) -> None:
    clock, settings = fakes.clock(), AuthorizationSettings()
    async with opened(tmp_path, clock) as (_, database):
        await database.write("INSERT INTO facts VALUES ('card/1', '{}'), ('card/2', '{}')")
        await database.write("INSERT INTO charging_profiles VALUES (7, '{}')")
        for token in ("one", "two"):
            await database.write(
                "INSERT INTO authorization_cache (token, type, info, updated_at) VALUES (?, 'ISO14443', '{}', 'x')",
                (token,),
            )
        tokens, facts = AuthorizationCache(database, settings, clock), FactStore(database, "card")
        await tokens.load()
        await OwnerCards(facts, clock).load()
        profiles = PersistentProfiles(
            ProfileStore({1: 3}, no_selectable_phases), database, SmartChargingSettings(), clock
        )
        await profiles.load()
        assert len(database.unreadable.all()) == 5
        await facts.remove("1")
        await profiles.install(station_maximum(7))
        await tokens.put(IdToken("one", "ISO14443"), IdTokenInfo(AuthorizationStatus.ACCEPTED))
        assert sorted(row.address.source for row in database.unreadable.all()) == ["authorization_cache", "facts"]
        await database.write("DELETE FROM facts")
        await tokens.clear()
        await database.unreadable.save()
    async with opened(tmp_path, clock) as (_, database):
        await AuthorizationCache(database, settings, clock).load()
        async with running(UnreadableRowsMonitor(database, SecurityEvents(database, clock), SETTINGS, clock)):
            await clock.advance(1.0)
        assert database.unreadable.all() == []


def test_the_renamed_field_of_these_tests_is_one_that_is_stored() -> None:
    from station.storage import payloads

    assert "trigger" in json.loads(payloads.event_to_text(fakes.event("a")))
