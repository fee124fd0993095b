"""Charging profiles outlive a restart; those of a transaction do not outlive the transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Recurrency, Schedule, SchedulePeriod
from energy.composite import ProfileTarget, limit_a, next_station_change, station_limit_a, station_limits_over
from energy.profile_store import MAX_PROFILES, ProfileCriteria, ProfileStore, no_selectable_phases
from station.load.charging_profiles import PersistentProfiles
from station.load.smart_charging_settings import SmartChargingSettings
from station.storage.database import Database, StorageError
from tests import fakes
from tests.databases import open_database

SCHEDULE = Schedule(1, RateUnit.W, (SchedulePeriod(0, 11_000.0), SchedulePeriod(60, 3_680.0, 1)), fakes.NOON, 3600, 6.0)
DEFAULT = ChargingProfile(1, 0, 3, Purpose.TX_DEFAULT, Kind.RECURRING, SCHEDULE, Recurrency.WEEKLY, fakes.NOON, None)
OF_TX = replace(DEFAULT, id=2, evse_id=1, purpose=Purpose.TX, transaction_id="tx")


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[tuple[PersistentProfiles, Database]]:
    """The profiles of a station that has just started."""
    async with open_database(path / "db", fakes.clock()) as database:
        profiles = PersistentProfiles(
            ProfileStore({1: 3, 2: 1}, no_selectable_phases), database, SmartChargingSettings(), fakes.clock()
        )
        await profiles.load()
        yield profiles, database


async def profiles_after_restart(path: Path) -> set[ChargingProfile]:
    """The profiles that are loaded after a restart."""
    async with opened(path) as (profiles, _):
        return set(profiles.store.all())


async def test_an_installed_profile_survives_a_restart_in_every_field(tmp_path: Path) -> None:
    """K01.FR.27"""
    async with opened(tmp_path) as (profiles, _):
        await profiles.install(DEFAULT)
    assert await profiles_after_restart(tmp_path) == {DEFAULT}


async def test_what_replaces_and_what_is_cleared_is_so_after_a_restart(tmp_path: Path) -> None:
    changed = replace(DEFAULT, stack_level=4)
    async with opened(tmp_path) as (profiles, _):
        await profiles.install(DEFAULT)
        await profiles.install(changed)
        await profiles.install(replace(DEFAULT, id=3, stack_level=7))
        assert await profiles.clear(ProfileCriteria(stack_level=7)) == 1
        assert await profiles.clear(ProfileCriteria(stack_level=7)) == 0
    assert await profiles_after_restart(tmp_path) == {changed}


async def test_the_profile_of_a_transaction_is_gone_with_it_and_with_the_power(tmp_path: Path) -> None:
    async with opened(tmp_path) as (profiles, _):
        profiles.set_transaction(1, "tx")
        await profiles.install(OF_TX)
        await profiles.install(DEFAULT)
    assert await profiles_after_restart(tmp_path) == {DEFAULT}
    async with opened(tmp_path) as (profiles, database):
        profiles.set_transaction(1, "tx")
        await profiles.install(OF_TX)
        profiles.set_transaction(1, None)
        assert profiles.store.all() == (DEFAULT,)
        await profiles.flush()
        assert await database.rows("SELECT id FROM charging_profiles") == [(DEFAULT.id,)]


async def test_a_profile_that_came_with_a_remote_start_waits_for_its_transaction(tmp_path: Path) -> None:
    """F01.FR.10"""
    async with opened(tmp_path) as (profiles, _):
        profiles.install_expected(1, replace(OF_TX, transaction_id=None))
        profiles.set_transaction(1, None)
        profiles.set_transaction(2, "another")
        assert profiles.store.all() == ()
        profiles.set_transaction(1, "tx")
        assert profiles.store.all() == (OF_TX,)
        profiles.set_transaction(1, None)
        profiles.set_transaction(1, "next")
        assert profiles.store.all() == ()


async def test_what_came_with_a_start_counts_before_its_transaction_begins(tmp_path: Path) -> None:
    """F01.FR.10: with EnergyTransfer as the start point energy flows first; it is installed with the transaction."""
    async with opened(tmp_path) as (profiles, _):
        profiles.install_expected(1, replace(OF_TX, transaction_id=None, evse_id=0))
        begun = ProfileTarget(1, profiles.transaction_of(1, None), fakes.NOON)
        assert limit_a(profiles.store.applicable(), begun, fakes.NOON) == pytest.approx(11_000 / 690)
        assert profiles.transaction_of(2, None) is None
        assert limit_a(profiles.store.applicable(), replace(begun, evse_id=2), fakes.NOON) is None
        assert profiles.store.all() == ()
        profiles.set_transaction(1, "tx")
        assert profiles.transaction_of(1, "tx") == "tx"
        assert profiles.store.all() == (OF_TX,)
        profiles.install_expected(1, OF_TX)
        profiles.cancel_expected(1)
        assert profiles.transaction_of(1, None) is None


def profile_of_day(day: int) -> ChargingProfile:
    """A profile of a past day; of odd days it ends by its duration, of even days by its validity."""
    at = fakes.NOON - timedelta(days=MAX_PROFILES - day)
    hour, periods = timedelta(hours=1), (SchedulePeriod(0, 6_900.0),)
    of_hour = Schedule(1, RateUnit.W, periods, at, 3600)
    until_end = Schedule(1, RateUnit.W, periods, at)
    profile = ChargingProfile(day, 0, day, Purpose.TX_DEFAULT, Kind.ABSOLUTE, of_hour)
    return profile if day % 2 else replace(profile, schedule=until_end, valid_from=at, valid_to=at + hour)


NEW = ChargingProfile(
    1000, 0, 7, Purpose.TX_DEFAULT, Kind.ABSOLUTE, Schedule(1, RateUnit.A, (SchedulePeriod(0, 6.0),), fakes.NOON)
)


async def test_what_is_over_is_replaced_at_its_place_in_the_stack_when_the_new_one_is_installed(tmp_path: Path) -> None:
    """A CSMS that sends a profile each day and clears none is not refused some day."""
    async with opened(tmp_path) as (profiles, database):
        await profiles.install(profile_of_day(7))
        await profiles.install(profile_of_day(9))
        assert profiles.refusal(NEW, None) is None
        assert len(profiles.store.all()) == 2, "a question takes nothing away"
        await profiles.install(NEW)
        assert profiles.store.all() == (profile_of_day(9), NEW)
        assert await database.rows("SELECT id FROM charging_profiles ORDER BY id") == [(9,), (NEW.id,)]


async def test_what_gives_way_and_what_takes_its_place_are_on_disk_together(tmp_path: Path) -> None:
    """After a power cut between the two the old one, which limits nothing, would take the place of the new one."""
    old = replace(profile_of_day(7), id=NEW.id + 1)
    async with opened(tmp_path) as (profiles, database):
        await profiles.install(old)
        await database.rows(
            "CREATE TRIGGER spoilt BEFORE DELETE ON charging_profiles BEGIN SELECT RAISE(ABORT, 'spoilt'); END"
        )
        with pytest.raises(StorageError):
            await profiles.install(NEW)
        assert profiles.store.all() == (old,)
        await profiles.flush()
    assert await profiles_after_restart(tmp_path) == {old}


async def test_where_all_places_are_taken_the_profile_gives_way_whose_validity_ended_first(tmp_path: Path) -> None:
    """K01.FR.10: one without validTo stays until it is replaced, however long its schedule has been over."""
    async with opened(tmp_path) as (profiles, database):
        for day in range(1, MAX_PROFILES + 1):
            await profiles.install(profile_of_day(day))
        newcomer = replace(NEW, stack_level=0)
        assert profiles.refusal(newcomer, None) is None
        await profiles.install(newcomer)
        left = {day for day in range(1, MAX_PROFILES + 1) if day != 2} | {NEW.id}
        assert {profile.id for profile in profiles.store.all()} == left
        assert {identity for (identity,) in await database.rows("SELECT id FROM charging_profiles")} == left
        for day in range(4, MAX_PROFILES + 1, 2):
            await profiles.clear(ProfileCriteria(profile_ids=[day]))
            await profiles.install(replace(profile_of_day(day), valid_to=None))
        refusal = profiles.refusal(replace(NEW, id=1001, evse_id=1, stack_level=2), None)
        assert refusal is not None
        assert refusal.reason_code == "TooManyElements"


async def test_a_profile_that_is_refused_as_a_duplicate_takes_nothing_away(tmp_path: Path) -> None:
    """K01.FR.52, K09.FR.06: what is over stays installed, and is reported."""
    async with opened(tmp_path) as (profiles, database):
        installed = [profile_of_day(7), profile_of_day(8), replace(profile_of_day(9), evse_id=1)]
        for profile in installed:
            await profiles.install(profile)
        for newcomer in (replace(NEW, evse_id=1), replace(NEW, stack_level=9)):
            refusal = profiles.refusal(newcomer, None)
            assert refusal is not None
            assert refusal.reason_code == "DuplicateProfile"
        await profiles.flush()
        assert profiles.store.all() == tuple(installed)
        assert len(await database.rows("SELECT id FROM charging_profiles")) == 3


async def test_what_may_still_limit_makes_no_room(tmp_path: Path) -> None:
    async with opened(tmp_path) as (profiles, _):
        begins = replace(profile_of_day(1), schedule=replace(NEW.schedule, duration_s=3600))
        daily = replace(profile_of_day(3), kind=Kind.RECURRING, recurrency=Recurrency.DAILY)
        relative = replace(profile_of_day(5), kind=Kind.RELATIVE, schedule=replace(SCHEDULE, starts_at=None))
        for profile in (begins, daily, relative):
            await profiles.install(profile)
            refusal = profiles.refusal(replace(NEW, stack_level=profile.stack_level), None)
            assert refusal is not None
            assert refusal.reason_code == "DuplicateProfile"


async def test_what_came_with_a_start_replaces_what_the_transaction_had_already(tmp_path: Path) -> None:
    """F01.FR.10: the transaction had begun without authorization, and had a profile."""
    with_start = replace(OF_TX, id=9, transaction_id=None, with_start=True)
    async with opened(tmp_path) as (profiles, database):
        profiles.set_transaction(1, "tx")
        await profiles.install(OF_TX)
        profiles.install_expected(1, with_start)
        profiles.set_transaction(1, "tx")
        assert profiles.store.all() == (replace(with_start, transaction_id="tx"),)
        await profiles.flush()
        assert await database.rows("SELECT id FROM charging_profiles") == [(9,)]


async def test_a_relative_limit_of_the_station_holds_also_if_the_clock_is_set_back_since_it_arrived(
    tmp_path: Path,
) -> None:
    """It has begun: by a Heartbeat that corrects the clock, or a start without a clock, the current does not rise."""
    sent = replace(
        NEW,
        stack_level=0,
        purpose=Purpose.STATION_MAX,
        kind=Kind.RELATIVE,
        schedule=replace(NEW.schedule, starts_at=None),
    )
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        profiles = PersistentProfiles(
            ProfileStore({1: 3}, no_selectable_phases),
            database,
            SmartChargingSettings(),
            fakes.clock(),
            accepts_relative_station_limits=True,
        )
        await profiles.install(profiles.apply_tolerances(sent))
    (restored,) = await profiles_after_restart(tmp_path)
    for now in (fakes.NOON, fakes.NOON - timedelta(hours=1)):
        assert station_limit_a([restored], now) == 6.0
        assert next_station_change([restored], now) is None
        currents, _ = station_limits_over([restored], now, timedelta(hours=2))
        assert currents == [(0, 7_200_000_000, 6.0)]
    absolute = replace(restored, from_arrival=False)
    assert station_limit_a([absolute], fakes.NOON - timedelta(hours=1)) is None, "K01.FR.30"


async def test_a_unit_that_the_installation_does_not_support_is_refused(tmp_path: Path) -> None:
    """K01.FR.26"""
    settings = SmartChargingSettings()
    settings.preset(SmartChargingSettings.charging_rate_units, ("A",))
    profiles = PersistentProfiles(ProfileStore({1: 3}, no_selectable_phases), None, settings, fakes.clock())
    refusal = profiles.refusal(DEFAULT, None)
    assert refusal is not None
    assert refusal.reason_code == "UnsupportedRateUnit"
    in_amperes = replace(DEFAULT, schedule=replace(SCHEDULE, unit=RateUnit.A, periods=(SchedulePeriod(0, 6.0),)))
    assert profiles.refusal(in_amperes, None) is None


async def test_profiles_count_as_long_as_smart_charging_is_enabled() -> None:
    settings = SmartChargingSettings()
    profiles = PersistentProfiles(ProfileStore({1: 3}, no_selectable_phases), None, settings, fakes.clock())
    await profiles.install(DEFAULT)
    settings.override(SmartChargingSettings.smart_charging_enabled, False)
    assert profiles.store.applicable() == ()
    settings.restore(SmartChargingSettings.smart_charging_enabled)
    assert profiles.store.applicable() == (DEFAULT,)


async def test_what_the_disk_refuses_is_not_installed_and_leaves_what_was(tmp_path: Path) -> None:
    """K01.FR.27: it would be gone with the power, and the CSMS would not know."""
    async with opened(tmp_path) as (profiles, database):
        await profiles.install(DEFAULT)
        await database.rows("PRAGMA query_only=1")
        with pytest.raises(StorageError):
            await profiles.install(replace(DEFAULT, stack_level=4))
        with pytest.raises(StorageError):
            await profiles.install(replace(DEFAULT, id=3, stack_level=7))
        assert profiles.store.all() == (DEFAULT,)
        await database.rows("PRAGMA query_only=0")
        await profiles.install(replace(DEFAULT, id=3, stack_level=7))
    assert await profiles_after_restart(tmp_path) == {DEFAULT, replace(DEFAULT, id=3, stack_level=7)}


async def test_a_profile_of_a_transaction_needs_no_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as (profiles, database):
        await database.rows("PRAGMA query_only=1")
        profiles.set_transaction(1, "tx")
        await profiles.install(OF_TX)
        assert profiles.store.all() == (OF_TX,)


async def test_what_is_cleared_while_the_disk_refuses_is_cleared_there_with_the_next_flush(tmp_path: Path) -> None:
    async with opened(tmp_path) as (profiles, database):
        await profiles.install(DEFAULT)
        await database.rows("PRAGMA query_only=1")
        assert await profiles.clear(ProfileCriteria()) == 1
        assert profiles.store.all() == ()
        await database.rows("PRAGMA query_only=0")
        await profiles.flush()
    assert await profiles_after_restart(tmp_path) == set()
