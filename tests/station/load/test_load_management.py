"""What the house draws reaches the EVSE at once, however slow its meter is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.controller import GridConnection, LoadController, SharedLimit
from energy.demand import Demand
from energy.grid import GridSample
from energy.limit import Limit, LimitSource, tightest
from energy.profile_store import ProfileStore, no_selectable_phases
from metering.reading import Phases
from station.charging.evse import Evse
from station.load.limit_providers import LimitProvider
from station.load.load_management import LoadManagement
from tests import fakes
from tests.station.evse_fixture import EvseFixture, evse_fixture
from tests.station.load.assembled_load import assemble


class _ScriptedGridMeter:
    """A grid meter that sends its samples unrequested, as a Linky and a P1 port do."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[GridSample] = asyncio.Queue()

    async def samples(self) -> AsyncGenerator[GridSample]:
        while True:
            yield await self.queue.get()

    def report(self, fixture: EvseFixture, current_a: float) -> GridSample:
        """Report this current on each phase of the connection."""
        sample = GridSample(fixture.clock.now(), Phases[float | None].all(current_a))
        self.queue.put_nowait(sample)
        return sample


@contextlib.asynccontextmanager
async def load_balancing(
    path: Path, *, charges: bool = True, further: Sequence[LimitProvider] = ()
) -> AsyncGenerator[tuple[EvseFixture, _ScriptedGridMeter, LoadManagement]]:
    """A vehicle that draws 16 A of 32 A offered, beside a house whose grid meter reports.

    `charges`: False: no vehicle is there. `further`: limits of the EVSE besides the usual ones.
    """
    grid_meter = _ScriptedGridMeter()
    async with evse_fixture(path) as fixture:
        fixture.meter.clock = fixture.clock
        store = ProfileStore({1: 3}, no_selectable_phases)
        controller = LoadController(fixture.clock, store, GridConnection(3, 8.0, 40.0))
        load = assemble(controller, store, {1: fixture.evse}, fixture.database, grid_meter, further=further)
        tasks = [asyncio.create_task(load.run()), asyncio.create_task(load.meter.follow())]
        grid_meter.report(fixture, 4.0)
        if charges:
            await fixture.charge()
        yield fixture, grid_meter, load
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("takes_s", [0.0, 0.2, 0.7, 1.2, 5.0])
async def test_a_slow_billing_meter_holds_no_sample_of_the_house_up(tmp_path: Path, takes_s: float) -> None:
    async with load_balancing(tmp_path) as (fixture, grid_meter, _):
        fixture.meter.read_duration_s = takes_s
        for _ in range(60):
            grid_meter.report(fixture, 20.0)
            await fixture.clock.advance(1)
            assert fixture.evse.offered_a == 32.0
        for _ in range(2):  # the first might be a motor that starts
            grid_meter.report(fixture, 50.0)
            await fixture.clock.advance(1)
        assert fixture.evse.offered_a == 6.0


async def test_of_the_samples_that_wait_the_newest_is_used(tmp_path: Path) -> None:
    async with load_balancing(tmp_path) as (fixture, grid_meter, load):
        fixture.meter.read_duration_s = 5.0
        await fixture.clock.advance(1)
        decided: list[GridSample | None] = []
        load.decisions.after_decision.subscribe(lambda _: decided.append(load.grid.last_sample))
        first = grid_meter.report(fixture, 21.0)
        await fixture.clock.advance(0.1)
        grid_meter.report(fixture, 22.0)
        await fixture.clock.advance(0.1)
        last = grid_meter.report(fixture, 23.0)
        await fixture.clock.advance(0.5)
        assert list(dict.fromkeys(decided)) == [first, last]


class _LimitUntil:
    """A limit of an EVSE that ends at a moment; counts how often it is asked."""

    def __init__(self) -> None:
        self.ends_at = fakes.NOON
        self.asked = 0

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit | None:
        del evse, demand
        self.asked += 1
        return Limit(7.0, LimitSource.USER, fakes.NOON, self.ends_at) if now < self.ends_at else None


async def test_a_limit_that_says_when_it_ends_is_decided_on_then_although_nothing_happens(tmp_path: Path) -> None:
    limit = _LimitUntil()
    async with evse_fixture(tmp_path) as fixture:
        store = ProfileStore({1: 3}, no_selectable_phases)
        controller = LoadController(fixture.clock, store, None)
        load = assemble(controller, store, {1: fixture.evse}, fixture.database, further=[limit])
        limit.ends_at = fixture.clock.now() + timedelta(seconds=90)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(load.run())
            await fixture.clock.advance(29.9)
            limit.asked = 0
            await fixture.clock.advance(60)
            assert limit.asked == 1, "once a minute"
            assert LimitSource.USER in {limit.source for limit in fixture.evse.limits}
            await fixture.clock.advance(0.1)
            assert LimitSource.USER not in {limit.source for limit in fixture.evse.limits}
            running.cancel()


async def test_the_demand_of_a_charging_evse_is_collected_once_for_each_sample(tmp_path: Path) -> None:
    limit = _LimitUntil()
    async with load_balancing(tmp_path, further=[limit]) as (fixture, grid_meter, _):
        limit.asked = 0
        for _ in range(10):
            grid_meter.report(fixture, 20.0)
            await fixture.clock.advance(0.1)
        assert limit.asked in {10, 11}, "of each sample, and of the second that has passed"


def _limit_of_house(fixture: EvseFixture) -> float:
    return next(
        limit.current_a for limit in fixture.evse.limits if limit.source in {LimitSource.GRID, LimitSource.FAILSAFE}
    )


async def test_samples_that_repeat_decide_nothing_while_no_vehicle_is_there(tmp_path: Path) -> None:
    async with load_balancing(tmp_path, charges=False) as (fixture, grid_meter, load):
        for _ in range(600):  # until the control law has raised the limit to what the house leaves
            grid_meter.report(fixture, 4.0)
            await fixture.clock.advance(1)
        decided_s: list[float] = []
        load.decisions.after_decision.subscribe(lambda _: decided_s.append(fixture.clock.monotonic()))
        for _ in range(180):
            grid_meter.report(fixture, 4.0)
            await fixture.clock.advance(1)
        assert len(decided_s) == 3, "once a minute"
        before_a = _limit_of_house(fixture)
        grid_meter.report(fixture, 20.0)
        await fixture.clock.advance(0)
        assert len(decided_s) == 4, "at once"
        assert _limit_of_house(fixture) < before_a


async def test_a_grid_meter_that_falls_silent_is_noted_while_no_vehicle_is_there(tmp_path: Path) -> None:
    async with load_balancing(tmp_path, charges=False) as (fixture, grid_meter, load):
        for _ in range(100):
            grid_meter.report(fixture, 4.0)
            await fixture.clock.advance(1)
        assert not load.grid.meter_silent
        await fixture.clock.advance(10)
        assert load.grid.meter_silent
        assert LimitSource.FAILSAFE in {limit.source for limit in fixture.evse.limits}
        grid_meter.report(fixture, 4.0)
        await fixture.clock.advance(0)
        assert not load.grid.meter_silent, "the first sample afterwards is the same as before"
        assert LimitSource.FAILSAFE not in {limit.source for limit in fixture.evse.limits}


async def test_a_vehicle_that_comes_is_decided_on_at_once_after_samples_that_repeat(tmp_path: Path) -> None:
    async with load_balancing(tmp_path, charges=False) as (fixture, grid_meter, _):
        for _ in range(100):
            grid_meter.report(fixture, 4.0)
            await fixture.clock.advance(1)
        await fixture.charge()
        assert fixture.evse.offered_a > 0.0


async def test_a_vehicle_that_has_moved_is_looked_at_before_a_sample_counts(tmp_path: Path) -> None:
    async with load_balancing(tmp_path) as (fixture, grid_meter, _):
        await fixture.clock.advance(0.5)
        fixture.meter.reading = fakes.reading(1000.0, 31.5)
        grid_meter.report(fixture, 36.0)
        await fixture.clock.advance(0)
        assert fixture.evse.state.draw_a == 31.5


async def test_a_cable_limits_since_it_was_plugged_in(tmp_path: Path) -> None:
    async with load_balancing(tmp_path) as (fixture, _, _):
        for cable_max_a in (13.0, 20.0, 13.0):
            await fixture.clock.advance(60)
            plugged_at = fixture.clock.now()
            await fixture.observe(cable_max_a=cable_max_a)
            await fixture.clock.advance(30)
            cable_limits = [
                (limit.current_a, limit.since) for limit in fixture.evse.limits if limit.source is LimitSource.CABLE
            ]
            assert cable_limits == [(cable_max_a, pytest.approx(plugged_at, abs=timedelta(seconds=1.5)))]
            await fixture.observe(cable_max_a=None)
        await fixture.clock.advance(2)
        assert LimitSource.CABLE not in {limit.source for limit in fixture.evse.limits}
        assert tightest(fixture.evse.limits) is not None


async def test_another_source_of_the_same_limit_is_logged_as_the_reason_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with load_balancing(tmp_path) as (fixture, _, load):
        for by in ("solar", "heat pump"):
            load.limits.set_shared("user", SharedLimit(LimitSource.USER, current_a=10.0, by=by))
            decided = asyncio.create_task(load.decisions.limits_changed.wait(load.decisions.limits_changed.count))
            load.decisions.request()
            await fixture.clock.advance(0)
            assert decided.done()
            assert caplog.messages[-1] == f"EVSE 1 may draw 10.0 A: user, the owner's limit ({by})"


def tx_default_profile(limit_a: float) -> ChargingProfile:
    """The TxDefaultProfile of the station."""
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, limit_a),), starts_at=fakes.clock().now() - timedelta(days=1))
    return ChargingProfile(1, 0, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule)


@contextlib.asynccontextmanager
async def decisions_without_meter(path: Path) -> AsyncGenerator[tuple[EvseFixture, LoadManagement, list[float | None]]]:
    """A vehicle that charges without a grid meter, and the limit of the profiles at each decision."""
    async with evse_fixture(path) as fixture:
        store = ProfileStore({1: 3}, no_selectable_phases)
        load = assemble(LoadController(fixture.clock, store, None), store, {1: fixture.evse}, fixture.database)
        decided: list[float | None] = []

        def note(_: None) -> None:
            found = [limit.current_a for limit in fixture.evse.limits if limit.source is LimitSource.CHARGING_PROFILE]
            decided.append(found[0] if found else None)

        load.decisions.after_decision.subscribe(note)
        running = asyncio.create_task(load.run())
        await fixture.clock.advance(0.5)
        decided.clear()
        yield fixture, load, decided
        running.cancel()


async def install(fixture: EvseFixture, load: LoadManagement, limit_a: float) -> None:
    """Install a TxDefaultProfile as the CSMS does, and let the station react at once."""
    load.profiles.store.install(tx_default_profile(limit_a))
    load.decisions.note_profiles_changed()
    await fixture.clock.advance(0)


async def test_many_profiles_one_after_the_other_are_decided_together(tmp_path: Path) -> None:
    async with decisions_without_meter(tmp_path) as (fixture, load, decided):
        for limit_a in (10.0, 11.0, 12.0, 13.0):
            await install(fixture, load, limit_a)
        assert decided == [10.0], "the first at once"
        await fixture.clock.advance(0.06)
        assert decided == [10.0, 13.0], "the others in 50 ms"


async def test_a_limit_that_falls_is_decided_at_once(tmp_path: Path) -> None:
    async with decisions_without_meter(tmp_path) as (fixture, load, decided):
        for limit_a in (16.0, 20.0, 18.0, 15.0, 14.0):
            await install(fixture, load, limit_a)
        assert decided == [16.0, 15.0, 14.0], "18 A are more than what applies: 16 A"
        await fixture.clock.advance(0.06)
        assert decided == [16.0, 15.0, 14.0], "nothing waits any more"


async def test_a_profile_that_comes_alone_is_decided_at_once(tmp_path: Path) -> None:
    async with decisions_without_meter(tmp_path) as (fixture, load, decided):
        for limit_a in (10.0, 11.0, 12.0):
            await install(fixture, load, limit_a)
            await fixture.clock.advance(0.06)
        assert decided == [10.0, 11.0, 12.0]
