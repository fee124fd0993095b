"""Profiles with maxOfflineDuration: suspended while the CSMS is away for too long, then resumed or removed (K01)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.profile_store import ProfileStore, no_selectable_phases
from simulator.clock import VirtualClock
from station.load.charging_profiles import PersistentProfiles
from station.load.offline_profiles import OfflineProfiles
from station.load.smart_charging_settings import SmartChargingSettings
from tests import fakes

LOWER = ChargingProfile(
    1, 0, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, Schedule(1, RateUnit.A, (SchedulePeriod(0, 6.0),), fakes.NOON)
)
UPPER = replace(LOWER, id=2, stack_level=1, max_offline_s=60)


class Harness:
    """Profiles that are suspended by a running task."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        store = ProfileStore({1: 3}, no_selectable_phases)
        self.profiles = PersistentProfiles(store, None, SmartChargingSettings(), self.clock)
        self.offline = OfflineProfiles(self.profiles, self.clock)

    @property
    def applicable(self) -> set[int]:
        """The ids of the profiles that limit something."""
        return {profile.id for profile in self.profiles.store.applicable()}


@contextlib.asynccontextmanager
async def running() -> AsyncGenerator[Harness]:
    """A station that is connected and has both profiles."""
    harness = Harness()
    task = asyncio.create_task(harness.offline.run())
    harness.offline.set_connected(connected=True)
    await harness.profiles.install(LOWER)
    await harness.profiles.install(UPPER)
    yield harness
    task.cancel()


async def test_a_profile_is_suspended_when_its_time_has_passed_and_applies_again_afterwards() -> None:
    """K01.FR.101, K01.FR.102, K01.FR.103."""
    async with running() as harness:
        harness.offline.set_connected(connected=False)
        await harness.clock.advance(59.0)
        assert harness.applicable == {1, 2}
        await harness.clock.advance(2.0)
        assert harness.applicable == {1}, "the lower one has no time limit"
        harness.offline.set_connected(connected=True)
        assert harness.applicable == {1, 2}
        await harness.clock.advance(3_600.0)
        assert harness.applicable == {1, 2}, "connected for as long as it may be"


async def test_each_outage_counts_alone() -> None:
    async with running() as harness:
        for _ in range(5):
            harness.offline.set_connected(connected=False)
            await harness.clock.advance(50.0)
            harness.offline.set_connected(connected=True)
            await harness.clock.advance(50.0)
            assert harness.applicable == {1, 2}


async def test_one_that_is_invalid_afterwards_is_removed_only_after_a_long_outage() -> None:
    """K01.FR.102."""
    async with running() as harness:
        await harness.profiles.install(replace(UPPER, invalid_after_offline=True))
        harness.offline.set_connected(connected=False)
        await harness.clock.advance(50.0)
        harness.offline.set_connected(connected=True)
        assert harness.applicable == {1, 2}
        harness.offline.set_connected(connected=False)
        await harness.clock.advance(61.0)
        assert harness.applicable == {1}
        assert {profile.id for profile in harness.profiles.store.all()} == {1, 2}, "it is still installed"
        harness.offline.set_connected(connected=True)
        assert {profile.id for profile in harness.profiles.store.all()} == {1}


async def test_no_time_at_all_suspends_at_once() -> None:
    """As in TC_K_100_CS."""
    async with running() as harness:
        await harness.profiles.install(replace(UPPER, max_offline_s=0, invalid_after_offline=True))
        assert harness.applicable == {1, 2}
        harness.offline.set_connected(connected=False)
        assert harness.applicable == {1}
        harness.offline.set_connected(connected=True)
        assert harness.applicable == {1}


@pytest.mark.parametrize("seconds", [59.0, 61.0])
async def test_a_station_that_starts_counts_as_offline(seconds: float) -> None:
    harness = Harness()
    task = asyncio.create_task(harness.offline.run())
    await harness.profiles.install(UPPER)
    await harness.clock.advance(seconds)
    assert harness.applicable == ({2} if seconds < 60.0 else set())
    task.cancel()
