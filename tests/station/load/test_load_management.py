"""What the house draws reaches the EVSE at once, however slow its meter is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.controller import GridConnection, LoadController, SharedLimit
from energy.grid import GridSample
from energy.limit import LimitSource, tightest
from energy.profile_store import ProfileStore, no_selectable_phases
from metering.reading import Phases
from station.load.load_management import LoadManagement
from tests import fakes
from tests.station.load.assembled_load import assemble
from tests.station.post import Post, post


class _Talker:
    """A grid meter that waits for nobody, as a Linky and a P1 port."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[GridSample] = asyncio.Queue()

    async def samples(self) -> AsyncGenerator[GridSample]:
        while True:
            yield await self.told.get()

    def say(self, it: Post, current_a: float) -> GridSample:
        """So much flows now, through each phase of the connection."""
        sample = GridSample(it.clock.now(), Phases[float | None].all(current_a))
        self.told.put_nowait(sample)
        return sample


@contextlib.asynccontextmanager
async def balanced(path: Path, *, charges: bool = True) -> AsyncGenerator[tuple[Post, _Talker, LoadManagement]]:
    """A vehicle of 16 A that is offered 32, and so may change at any moment, beside a house that speaks.

    `charges`: False: no vehicle is there.
    """
    talker = _Talker()
    async with post(path) as it:
        it.meter.clock = it.clock
        store = ProfileStore({1: 3}, no_selectable_phases)
        controller = LoadController(it.clock, store, GridConnection(3, 8.0, 40.0))
        load = assemble(controller, store, {1: it.evse}, it.database, talker)
        tasks = [asyncio.create_task(load.run()), asyncio.create_task(load.meter.follow())]
        talker.say(it, 4.0)
        if charges:
            await it.charge()
        yield it, talker, load
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("takes_s", [0.0, 0.2, 0.7, 1.2, 5.0])
async def test_a_slow_billing_meter_holds_no_sample_of_the_house_up(tmp_path: Path, takes_s: float) -> None:
    async with balanced(tmp_path) as (it, talker, _):
        it.meter.takes_s = takes_s
        for _ in range(60):
            talker.say(it, 20.0)
            await it.clock.advance(1)
            assert it.evse.offered_a == 32.0
        for _ in range(2):  # the first might be a motor that starts
            talker.say(it, 50.0)
            await it.clock.advance(1)
        assert it.evse.offered_a == 6.0


async def test_of_the_samples_that_wait_the_newest_is_heard(tmp_path: Path) -> None:
    async with balanced(tmp_path) as (it, talker, load):
        it.meter.takes_s = 5.0
        await it.clock.advance(1)
        heard: list[GridSample | None] = []
        load.decisions.after_decision.subscribe(lambda _: heard.append(load.grid.last_sample))
        first = talker.say(it, 21.0)
        await it.clock.advance(0.1)
        talker.say(it, 22.0)
        await it.clock.advance(0.1)
        last = talker.say(it, 23.0)
        await it.clock.advance(0.5)
        assert list(dict.fromkeys(heard)) == [first, last]


def _limit_of_house(it: Post) -> float:
    return next(one.current_a for one in it.evse.limits if one.source in {LimitSource.GRID, LimitSource.FAILSAFE})


async def test_samples_that_repeat_decide_nothing_while_no_vehicle_is_there(tmp_path: Path) -> None:
    async with balanced(tmp_path, charges=False) as (it, talker, load):
        for _ in range(600):  # until the control law has raised the limit to what the house leaves
            talker.say(it, 4.0)
            await it.clock.advance(1)
        decided_s: list[float] = []
        load.decisions.after_decision.subscribe(lambda _: decided_s.append(it.clock.monotonic()))
        for _ in range(180):
            talker.say(it, 4.0)
            await it.clock.advance(1)
        assert len(decided_s) == 3, "once a minute"
        before_a = _limit_of_house(it)
        talker.say(it, 20.0)
        await it.clock.advance(0)
        assert len(decided_s) == 4, "at once"
        assert _limit_of_house(it) < before_a


async def test_a_grid_meter_that_falls_silent_is_noted_while_no_vehicle_is_there(tmp_path: Path) -> None:
    async with balanced(tmp_path, charges=False) as (it, talker, load):
        for _ in range(100):
            talker.say(it, 4.0)
            await it.clock.advance(1)
        assert not load.grid.meter_silent
        await it.clock.advance(10)
        assert load.grid.meter_silent
        assert LimitSource.FAILSAFE in {limit.source for limit in it.evse.limits}
        talker.say(it, 4.0)
        await it.clock.advance(0)
        assert not load.grid.meter_silent, "the first sample afterwards is the same as before"
        assert LimitSource.FAILSAFE not in {limit.source for limit in it.evse.limits}


async def test_a_vehicle_that_comes_is_decided_on_at_once_after_samples_that_repeat(tmp_path: Path) -> None:
    async with balanced(tmp_path, charges=False) as (it, talker, _):
        for _ in range(100):
            talker.say(it, 4.0)
            await it.clock.advance(1)
        await it.charge()
        assert it.evse.offered_a > 0.0


async def test_a_vehicle_that_has_moved_is_looked_at_before_a_sample_counts(tmp_path: Path) -> None:
    async with balanced(tmp_path) as (it, talker, _):
        await it.clock.advance(0.5)
        it.meter.shows = fakes.reading(1000.0, 31.5)
        talker.say(it, 36.0)
        await it.clock.advance(0)
        assert it.evse.state.draw_a == 31.5


async def test_a_cable_limits_since_it_was_plugged_in(tmp_path: Path) -> None:
    async with balanced(tmp_path) as (it, _, _):
        for cable_max_a in (13.0, 20.0, 13.0):
            await it.clock.advance(60)
            plugged_at = it.clock.now()
            await it.see(cable_max_a=cable_max_a)
            await it.clock.advance(30)
            told = [(one.current_a, one.since) for one in it.evse.limits if one.source is LimitSource.CABLE]
            assert told == [(cable_max_a, pytest.approx(plugged_at, abs=timedelta(seconds=1.5)))]
            await it.see(cable_max_a=None)
        await it.clock.advance(2)
        assert LimitSource.CABLE not in {limit.source for limit in it.evse.limits}
        assert tightest(it.evse.limits) is not None


async def test_another_one_who_sets_the_same_limit_is_told_as_the_reason_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with balanced(tmp_path) as (it, _, load):
        for by in ("solar", "heat pump"):
            load.limits.set_shared("user", SharedLimit(LimitSource.USER, current_a=10.0, by=by))
            heard = asyncio.create_task(load.decisions.limits_changed.wait(load.decisions.limits_changed.count))
            load.decisions.request()
            await it.clock.advance(0)
            assert heard.done()
            assert caplog.messages[-1] == f"EVSE 1 may draw 10.0 A: user, the owner's limit ({by})"


def default(limit_a: float) -> ChargingProfile:
    """The TxDefaultProfile of the station."""
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, limit_a),), starts_at=fakes.clock().now() - timedelta(days=1))
    return ChargingProfile(1, 0, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule)


@contextlib.asynccontextmanager
async def deciding(path: Path) -> AsyncGenerator[tuple[Post, LoadManagement, list[float | None]]]:
    """A vehicle that charges without a grid meter, and the limit of the profiles at each decision."""
    async with post(path) as it:
        store = ProfileStore({1: 3}, no_selectable_phases)
        load = assemble(LoadController(it.clock, store, None), store, {1: it.evse}, it.database)
        decided: list[float | None] = []

        def note(_: None) -> None:
            found = [one.current_a for one in it.evse.limits if one.source is LimitSource.CHARGING_PROFILE]
            decided.append(found[0] if found else None)

        load.decisions.after_decision.subscribe(note)
        running = asyncio.create_task(load.run())
        await it.clock.advance(0.5)
        decided.clear()
        yield it, load, decided
        running.cancel()


async def install(it: Post, load: LoadManagement, limit_a: float) -> None:
    """The CSMS sets the profile, and the station does what it does at once."""
    load.profiles.store.install(default(limit_a))
    load.decisions.note_profiles_changed()
    await it.clock.advance(0)


async def test_many_profiles_one_after_the_other_are_decided_together(tmp_path: Path) -> None:
    async with deciding(tmp_path) as (it, load, decided):
        for limit_a in (10.0, 11.0, 12.0, 13.0):
            await install(it, load, limit_a)
        assert decided == [10.0], "the first at once"
        await it.clock.advance(0.06)
        assert decided == [10.0, 13.0], "the others in 50 ms"


async def test_a_limit_that_falls_is_decided_at_once(tmp_path: Path) -> None:
    async with deciding(tmp_path) as (it, load, decided):
        for limit_a in (16.0, 20.0, 18.0, 15.0, 14.0):
            await install(it, load, limit_a)
        assert decided == [16.0, 15.0, 14.0], "18 A are more than what applies: 16 A"
        await it.clock.advance(0.06)
        assert decided == [16.0, 15.0, 14.0], "nothing waits any more"


async def test_a_profile_that_comes_alone_is_decided_at_once(tmp_path: Path) -> None:
    async with deciding(tmp_path) as (it, load, decided):
        for limit_a in (10.0, 11.0, 12.0):
            await install(it, load, limit_a)
            await it.clock.advance(0.06)
        assert decided == [10.0, 11.0, 12.0]
