"""One phase where three have no 6 A: when it is worth the interruption, and that no limit is broken on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, GridConnection, LoadController, SharedLimit
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.phase_switch import DOWN_AFTER_S, STAYS_S, UP_AFTER_S, PhaseChoice, choose_phases
from energy.profile_store import ProfileStore, no_selectable_phases
from metering.reading import Phases
from tests import fakes

HOUSE = GridConnection(phases=3, safe_current_a=8.0, max_current_a=25.25)


class Site:
    """A house, a controller and a vehicle on a board that follows it within some seconds."""

    def __init__(self, *, vehicle_phases: int = 3, connection: GridConnection | None = HOUSE) -> None:
        self.clock = fakes.clock()
        self.controller = LoadController(self.clock, ProfileStore({1: 3}, no_selectable_phases), connection)
        self.vehicle_phases = vehicle_phases
        self.house_a = (2.5, 2.5, 2.5)
        self.connected = 3
        self.offered_a = 0.0
        self.drawn_a = 0.0
        self.changes: list[int] = []
        self._opened_s = 0

    @property
    def draws(self) -> Phases[float]:
        used = min(self.vehicle_phases, self.connected)
        return Phases(self.drawn_a, *(self.drawn_a if used >= phase else 0.0 for phase in (2, 3)))

    async def run_for(self, seconds: int) -> Decision:
        """Let time pass; returns the last decision."""
        decision = self.run_second()
        for _ in range(seconds):
            await self.clock.advance(1.0)
            decision = self.run_second()
        return decision

    def run_second(self) -> Decision:
        """Sample, decide and apply the decision, for one second."""
        rating = (Limit(16.0, LimitSource.HARDWARE, fakes.NOON),)
        draw = self.draws.map(lambda current_a: current_a if self.drawn_a else None)
        demand = Demand(ProfileTarget(1), 3, True, draw, rating, self.offered_a, selectable_phases=frozenset({1}))
        self.controller.observe_draw([demand])
        flows: list[float | None] = [house + own for house, own in zip(self.house_a, self.draws, strict=True)]
        self.controller.process_sample(GridSample(self.clock.now(), Phases(*flows)))
        decision = self.controller.decide([demand])[1]
        self._apply(decision)
        return decision

    def _apply(self, decision: Decision) -> None:
        assert decision.phases in {1, 3}
        switching = decision.phases != self.connected
        self.offered_a = 0.0 if switching else decision.current_a
        self.drawn_a = self.offered_a
        self._opened_s = self._opened_s + 1 if switching else 0
        if self._opened_s > 3:
            self.connected = decision.phases
            self.changes.append(decision.phases)


async def test_where_three_phases_have_no_6_a_one_goes_on_and_the_charge_is_no_pause() -> None:
    site = Site()
    assert (await site.run_for(60)).current_a == 16.0
    site.house_a = (2.5, 22.5, 2.5)
    decision = await site.run_for(20)
    assert (decision.phases, decision.current_a, site.connected) == (1, 16.0, 1)


async def test_three_come_back_when_they_are_worth_more_for_long_and_not_before() -> None:
    site = Site()
    await site.run_for(60)
    site.house_a = (2.5, 22.5, 2.5)
    await site.run_for(20)
    site.house_a = (2.5, 2.5, 2.5)
    assert (await site.run_for(int(STAYS_S) - 60)).phases == 1
    decision = await site.run_for(120)
    assert (decision.phases, site.connected, site.changes) == (3, 3, [1, 3])
    assert decision.current_a == 16.0


async def test_a_vehicle_that_uses_one_phase_is_never_switched() -> None:
    site = Site(vehicle_phases=1)
    await site.run_for(60)
    site.house_a = (2.5, 24.0, 24.0)
    decision = await site.run_for(60)
    assert (decision.phases, decision.current_a, site.changes) == (3, 16.0, [])


async def test_no_phase_left_is_a_pause_on_all_of_them() -> None:
    site = Site()
    await site.run_for(60)
    site.house_a = (24.0, 24.0, 24.0)
    decision = await site.run_for(60)
    assert (decision.phases, decision.current_a, site.changes) == (3, 0.0, [])


async def test_a_power_that_three_phases_cannot_use_is_used_on_one() -> None:
    site = Site(connection=None)
    await site.run_for(5)
    site.controller.limits.set_shared("user", SharedLimit(LimitSource.USER, power_w=3000.0))
    decision = await site.run_for(20)
    assert (decision.phases, decision.current_a) == (1, 13.0)
    binding = decision.binding
    assert binding is not None
    assert binding.source is LimitSource.USER


async def test_the_next_vehicle_begins_on_three_phases() -> None:
    site = Site()
    await site.run_for(60)
    site.house_a = (2.5, 22.5, 2.5)
    await site.run_for(20)
    unplugged = Demand(ProfileTarget(1), 3, False, Phases[float | None].all(None), (), selectable_phases=frozenset({1}))
    assert site.controller.decide([unplugged])[1].phases == 3


def test_an_evse_whose_board_cannot_switch_gets_no_phases() -> None:
    controller = LoadController(fakes.clock(), ProfileStore({1: 3}, no_selectable_phases), None)
    demand = Demand(
        ProfileTarget(1), 3, True, Phases[float | None].all(None), (Limit(16.0, LimitSource.CABLE, fakes.NOON),)
    )
    assert controller.decide([demand])[1].phases is None


possible_currents = st.lists(st.tuples(st.floats(0, 32), st.floats(0, 32), st.floats(0.5, 400)), max_size=60)


@given(possible_currents)
def test_it_never_flaps(possible: list[tuple[float, float, float]]) -> None:
    choice, now_s, changes = PhaseChoice(), 0.0, list[tuple[float, int]]()
    for three_a, single_phase_a, seconds in possible:
        now_s += seconds
        after = choose_phases(choice, three_a, max(three_a, single_phase_a), now_s)
        if after.phases != choice.phases:
            changes.append((now_s, after.phases))
            since_s = choice.other_since_s
            assert since_s is not None
            assert now_s - since_s >= (UP_AFTER_S if after.phases == 3 else DOWN_AFTER_S)
        choice = after
    for (down_s, _), (up_s, phases) in zip(changes[::2], changes[1::2], strict=False):
        assert phases == 3
        assert up_s - down_s >= STAYS_S


def test_a_choice_that_is_no_better_any_more_restarts_its_wait() -> None:
    choice = choose_phases(PhaseChoice(), 5.0, 16.0, 0.0)
    choice = choose_phases(choice, 6.0, 16.0, DOWN_AFTER_S)
    assert choice == replace(PhaseChoice(), other_since_s=None)
    assert choose_phases(choice, 5.0, 16.0, DOWN_AFTER_S + 1.0).phases == 3
