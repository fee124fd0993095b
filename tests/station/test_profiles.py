"""Charging profiles outlive a restart; those of a transaction do not outlive the transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from energy.charging_profile import ChargingProfile, Kind, Period, Purpose, RateUnit, Recurrency, Schedule
from energy.profile_store import Criteria, ProfileStore
from station.database import Database, open_database
from station.profiles import Profiles
from tests import fakes

SCHEDULE = Schedule(1, RateUnit.W, (Period(0, 11_000.0), Period(60, 3_680.0, 1)), fakes.NOON, 3600, 6.0)
DEFAULT = ChargingProfile(1, 0, 3, Purpose.TX_DEFAULT, Kind.RECURRING, SCHEDULE, Recurrency.WEEKLY, fakes.NOON, None)
OF_TX = replace(DEFAULT, id=2, evse_id=1, purpose=Purpose.TX, transaction_id="tx")


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[tuple[Profiles, Database]]:
    """The profiles of a station that has just started."""
    async with open_database(path / "db", fakes.clock()) as database:
        profiles = Profiles(ProfileStore({1, 2}), database)
        await profiles.load()
        yield profiles, database


async def after_restart(path: Path) -> set[ChargingProfile]:
    """What a restart finds."""
    async with opened(path) as (profiles, _):
        return set(profiles.store.all())


async def test_an_installed_profile_survives_a_restart_in_every_field(tmp_path: Path) -> None:
    """K01.FR.27"""
    async with opened(tmp_path) as (profiles, _):
        await profiles.install(DEFAULT)
    assert await after_restart(tmp_path) == {DEFAULT}


async def test_what_replaces_and_what_is_cleared_is_so_after_a_restart(tmp_path: Path) -> None:
    changed = replace(DEFAULT, stack_level=4)
    same_place = replace(changed, id=9)
    async with opened(tmp_path) as (profiles, _):
        await profiles.install(DEFAULT)
        await profiles.install(changed)
        await profiles.install(same_place)
        await profiles.install(replace(DEFAULT, id=3, stack_level=7))
        assert await profiles.clear(Criteria(stack_level=7)) == 1
        assert await profiles.clear(Criteria(stack_level=7)) == 0
    assert await after_restart(tmp_path) == {same_place}


async def test_the_profile_of_a_transaction_is_gone_with_it_and_with_the_power(tmp_path: Path) -> None:
    async with opened(tmp_path) as (profiles, _):
        profiles.follow(1, "tx")
        await profiles.install(OF_TX)
        await profiles.install(DEFAULT)
    assert await after_restart(tmp_path) == {DEFAULT}
    async with opened(tmp_path) as (profiles, database):
        profiles.follow(1, "tx")
        await profiles.install(OF_TX)
        profiles.follow(1, None)
        assert profiles.store.all() == (DEFAULT,)
        await profiles.flush()
        assert await database.rows("SELECT id FROM charging_profiles") == [(DEFAULT.id,)]


async def test_a_profile_that_came_with_a_remote_start_waits_for_its_transaction(tmp_path: Path) -> None:
    """F01.FR.10"""
    async with opened(tmp_path) as (profiles, _):
        profiles.expect(1, replace(OF_TX, transaction_id=None))
        profiles.follow(1, None)
        profiles.follow(2, "another")
        assert profiles.store.all() == ()
        profiles.follow(1, "tx")
        assert profiles.store.all() == (OF_TX,)
        profiles.follow(1, None)
        profiles.follow(1, "next")
        assert profiles.store.all() == ()


async def test_what_the_disk_refuses_counts_and_is_saved_with_the_next_flush(tmp_path: Path) -> None:
    async with opened(tmp_path) as (profiles, database):
        await database.rows("PRAGMA query_only=1")
        await profiles.install(DEFAULT)
        assert profiles.store.all() == (DEFAULT,)
        assert await database.rows("SELECT id FROM charging_profiles") == []
        await database.rows("PRAGMA query_only=0")
        await profiles.flush()
    assert await after_restart(tmp_path) == {DEFAULT}
