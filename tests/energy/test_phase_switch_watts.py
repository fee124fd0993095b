"""A limit in watts on a board that takes two phases away: the power holds at every second, and is used."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, LoadController, SharedLimit
from energy.limit import Limit, LimitSource
from energy.profile_store import ProfileStore
from metering.reading import Phases
from simulator.clock import VirtualClock
from tests import fakes
from tests.examples import examples
from tests.loops import run_on_station_loop

MAX_A = 32.0
MOVES_S = 3
VOLTS = 230.0


@dataclass
class Bench:
    """A controller, a board that moves its phases while nothing flows, and a vehicle that takes all and is quick."""

    clock: VirtualClock
    store: ProfileStore
    controller: LoadController
    single_phases: frozenset[int] = frozenset({1, 2, 3})
    phases: int = 3
    phase: int = 1
    offered_a: float = 0.0
    switching_s: int = 0

    @classmethod
    def create(cls) -> Bench:
        """A bench without a vehicle."""
        clock = fakes.clock()
        store = ProfileStore({1: 3}, lambda _: frozenset({1, 2, 3}))
        return cls(clock, store, LoadController(clock, store, None))

    @property
    def draws(self) -> Phases[float]:
        """The current at each terminal."""
        on = {0, 1, 2} if self.phases == 3 else {self.phase - 1}
        return Phases(*(self.offered_a if terminal in on else 0.0 for terminal in range(3)))

    @property
    def power_w(self) -> float:
        """The power of the vehicle."""
        return sum(self.draws) * VOLTS

    def limit(self, watts: float, purpose: Purpose = Purpose.TX_DEFAULT, *, phases: int | None = None) -> None:
        """The CSMS installs a profile, in place of the one before."""
        schedule = Schedule(1, RateUnit.W, (SchedulePeriod(0, watts, phases),), starts_at=fakes.NOON)
        self.store.install(ChargingProfile(1, 0, 0, purpose, Kind.ABSOLUTE, schedule))

    def limit_power(self, watts: float) -> None:
        """An energy manager limits the power of all EVSEs, in place of what it said before."""
        self.controller.limits.set_shared("user", SharedLimit(LimitSource.USER, power_w=watts))

    async def run_for(self, seconds: int) -> Decision:
        """Let time pass; returns the last decision."""
        decision = self.second()
        for _ in range(seconds):
            await self.clock.advance(1.0)
            decision = self.second()
        return decision

    def demand(self, *, may_charge: bool = True) -> Demand:
        """The demand of the EVSE now."""
        rating = (Limit(MAX_A, LimitSource.HARDWARE, fakes.NOON),)
        draws = self.draws.map(lambda current_a: current_a if self.offered_a else None)
        return Demand(
            ProfileTarget(1), 3, may_charge, draws, rating, self.offered_a, selectable_phases=self.single_phases
        )

    def second(self) -> Decision:
        """Decide once, and let the board and the vehicle follow."""
        decision = self.controller.decide([self.demand()])[1]
        assert decision.phases is not None
        selected = (decision.phases, decision.phase if decision.phases == 1 else self.phase)
        if selected == (self.phases, self.phase):
            self.offered_a, self.switching_s = decision.current_a, 0
            return decision
        self.offered_a, self.switching_s = 0.0, self.switching_s + 1
        if self.switching_s > MOVES_S:
            self.phases, self.phase = selected
        return decision


async def test_watts_are_three_times_the_amperes_on_one_phase_and_a_third_on_three_again() -> None:
    bench = Bench.create()
    bench.limit_power(6900.0)
    assert (await bench.run_for(5)).current_a == pytest.approx(10.0)
    bench.limit_power(3000.0)
    decision = await bench.run_for(30)
    assert (decision.phases, decision.current_a) == (1, pytest.approx(3000.0 / VOLTS, abs=0.1))
    bench.limit_power(11_000.0)
    decision = await bench.run_for(900)
    assert (decision.phases, decision.current_a) == (3, pytest.approx(11_000.0 / VOLTS / 3.0, abs=0.1))


async def test_from_one_phase_to_three_the_amperes_fall_with_the_order_and_not_after_it() -> None:
    bench = Bench.create()
    bench.limit_power(3000.0)
    await bench.run_for(30)
    bench.limit_power(11_000.0)
    while (decision := await bench.run_for(1)).phases == 1:
        pass
    assert bench.phases == 1  # the board has not moved yet
    assert decision.current_a == pytest.approx(11_000.0 / VOLTS / 3.0, abs=0.1)


async def test_looking_at_an_evse_where_nobody_may_charge_forgets_no_phase_and_deciding_does() -> None:
    bench = Bench.create()
    bench.limit_power(3000.0)
    await bench.run_for(30)
    idle, ready = bench.demand(may_charge=False), bench.demand()
    for _ in range(2):
        phases = [demand.phases for demand in bench.controller.with_chosen_phases([idle, ready])]
        assert phases == [3, 1]
    bench.controller.decide([idle])
    assert [demand.phases for demand in bench.controller.with_chosen_phases([ready])] == [3]


@pytest.mark.parametrize(
    ("in_watts", "in_amperes"),
    [(Purpose.STATION_MAX, Purpose.TX_DEFAULT), (Purpose.TX_DEFAULT, Purpose.STATION_MAX)],
)
@pytest.mark.parametrize("phases", [3, None])
async def test_watts_for_three_phases_are_a_third_per_phase_also_on_one(
    in_watts: Purpose, in_amperes: Purpose, phases: int | None
) -> None:
    """K01.FR.49, K01.FR.50 (errata 2025-09, 2.40)"""
    bench = Bench.create()
    bench.limit(6900.0, in_watts, phases=phases)
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 32.0, 1),), starts_at=fakes.NOON)
    bench.store.install(ChargingProfile(2, 0, 0, in_amperes, Kind.ABSOLUTE, schedule))
    decision = await bench.run_for(30)
    assert (decision.phases, bench.phases, decision.current_a) == (1, 1, pytest.approx(10.0))


@pytest.mark.parametrize("purpose", [Purpose.TX_DEFAULT, Purpose.STATION_MAX])
async def test_a_profile_that_orders_one_phase_has_it_at_once_and_its_watts_are_of_that_phase(purpose: Purpose) -> None:
    """K01.FR.43, K01.FR.50"""
    bench = Bench.create()
    bench.limit(4600.0, purpose, phases=1)
    decision = bench.second()
    assert (decision.phases, decision.current_a, bench.offered_a) == (1, pytest.approx(20.0, abs=0.1), 0.0)
    decision = await bench.run_for(1200)
    assert (decision.phases, bench.power_w) == (1, pytest.approx(4600.0, abs=23.0))


async def test_the_phase_that_a_profile_names_is_used_and_another_one_when_it_names_another() -> None:
    """K01.FR.46, K01.FR.47"""
    bench = Bench.create()
    for named, used in ((2, 2), (3, 3), (None, 3), (1, 1)):
        schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 12.0, 1, named),), starts_at=fakes.NOON)
        bench.store.install(ChargingProfile(1, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule))
        await bench.run_for(10)
        assert [index + 1 for index, current_a in enumerate(bench.draws) if current_a == 12.0] == [used]


moments = st.lists(
    st.tuples(st.integers(1, 60) | st.just(1100), st.floats(0.0, 24_000.0), st.sampled_from([None, 1, 2, 3])),
    min_size=1,
    max_size=6,
)


@examples(20)
@given(moments, st.sampled_from([Purpose.TX_DEFAULT, Purpose.STATION_MAX]))
def test_a_phase_never_carries_more_than_its_part_of_the_watts(
    history: list[tuple[int, float, int | None]], purpose: Purpose
) -> None:
    """K01.FR.50: also while the board moves, and all of it is used once it has moved and a pilot can offer it."""

    async def play() -> None:
        bench = Bench.create()
        for seconds, watts, phases in history:
            bench.limit(watts, purpose, phases=phases)
            part_a = min(watts / VOLTS / (phases or 3), MAX_A)
            for _ in range(seconds):
                bench.second()
                assert max(bench.draws) <= part_a + 1e-6
                await bench.clock.advance(1.0)
            if seconds > 1000:
                assert max(bench.draws) >= (part_a - 0.1 if part_a >= 6.0 else 0.0)

    run_on_station_loop(play())


@examples(20)
@given(moments)
def test_the_power_is_never_above_the_watts_and_is_all_of_them_where_a_pilot_can_signal_it(
    history: list[tuple[int, float, int | None]],
) -> None:
    async def play() -> None:
        bench = Bench.create()
        for seconds, watts, _ in history:
            bench.limit_power(watts)
            for _ in range(seconds):
                bench.second()
                assert bench.power_w <= watts + 1e-6
                await bench.clock.advance(1.0)
            if seconds > 1000:
                single_phase_a = min(watts / VOLTS, MAX_A)
                single_phase_w = single_phase_a * VOLTS if single_phase_a >= 6.0 else 0.0
                three_a = min(watts / VOLTS / 3.0, MAX_A)
                # Up is worth an interruption from 7.5 A; below it goes on with one, or stays on three where it was.
                on_three = three_a * VOLTS * 3.0 if three_a >= 7.5 else 0.0
                assert bench.power_w >= max(single_phase_w, on_three) - 0.1 * VOLTS * bench.phases - 1e-6

    run_on_station_loop(play())
