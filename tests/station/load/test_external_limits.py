"""Limits of others than the CSMS as charging profiles beside its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from energy.charging_profile import (
    ChargingLimitSource,
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Schedule,
    SchedulePeriod,
)
from energy.composite import station_limits_over
from energy.controller import LoadController, SharedLimit
from energy.limit import LimitSource
from energy.profile_store import ProfileStore, no_selectable_phases
from station.load.external_limits import ExternalLimits
from station.storage.fact_store import FactStore
from tests import fakes
from tests.databases import open_database


async def test_a_profile_of_the_csms_that_comes_to_have_the_id_of_a_limit_costs_neither(tmp_path: Path) -> None:
    """It was accepted before the limit took that id, and was on its way to the disk meanwhile (K01.FR.27)."""
    clock, store = fakes.clock(), ProfileStore({1: 3}, no_selectable_phases)
    controller = LoadController(clock, store, None)
    async with open_database(tmp_path / "db", clock) as database:
        external = ExternalLimits(controller.limits, store, FactStore(database, "external-limit"), clock, phases=3)
        controller.limits.set_shared("user", SharedLimit(LimitSource.USER, 10.0))
        external.update()
        (usual,) = [profile.id for profile in store.all()]
        schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 8.0),), fakes.NOON)
        late = ChargingProfile(usual, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule)
        store.install(late)
        external.update()
        (limit,) = external.all()[ChargingLimitSource.EMS]
        assert limit.id != usual
        assert set(store.all()) == {late, limit}
        controller.limits.set_shared("user", None)
        external.update()
        assert store.all() == (late,)


async def test_a_limit_is_in_the_composite_schedule_also_if_the_clock_is_set_back_since_it_was_set(
    tmp_path: Path,
) -> None:
    """K08.FR.04: it holds now, whatever the time is."""
    clock, store = fakes.clock(), ProfileStore({1: 3}, no_selectable_phases)
    controller = LoadController(clock, store, None)
    async with open_database(tmp_path / "db", clock) as database:
        external = ExternalLimits(controller.limits, store, FactStore(database, "external-limit"), clock, phases=3)
        controller.limits.set_shared("order", SharedLimit(LimitSource.GRID_ORDER, 10.0))
        external.update()
        clock.adjust(timedelta(hours=-1))
        external.update()
        currents, _ = station_limits_over(store.all(), clock.now(), timedelta(minutes=1))
        assert currents == [(0, 60_000_000, 10.0)]
