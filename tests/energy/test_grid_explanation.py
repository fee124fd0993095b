"""Why the house connection leaves a vehicle its current: the numbers add up, and what holds it is named."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, GridConnection, LoadController
from energy.grid import GridSample
from energy.grid_explanation import GridExplanation, GridHold
from energy.limit import Limit, LimitSource
from energy.phase_map import PhaseMap
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.sharing import Policy
from metering.reading import UNKNOWN_PHASES, Phases
from tests import fakes
from tests.energy.test_controller_properties import evses, moments, play
from tests.examples import examples
from tests.loops import run_on_station_loop

connections = st.builds(
    GridConnection, st.just(3), st.just(8.0), st.floats(10, 80), unbalance_a=st.none() | st.just(20.0)
)


@examples(50)
@given(evses, moments, st.sampled_from(Policy), connections)
def test_limit_less_house_and_margin_is_what_the_car_gets_or_what_holds_it_is_named(
    evses: list[tuple[int, PhaseMap | None, float, int]],
    moments: list[tuple[int, tuple[float, ...] | None, list[tuple[bool, float]], float | None]],
    policy: Policy,
    connection: GridConnection,
) -> None:
    def check(controller: LoadController, decisions: dict[int, Decision]) -> None:
        for evse_id, decision in decisions.items():
            of_grid = [limit.current_a for limit in decision.limits if limit.source is LimitSource.GRID]
            explained = controller.grid.explain(evse_id)
            assert (explained is not None) is bool(of_grid)
            if explained is not None:
                assert of_grid == [explained.current_a]
                assert_adds_up(explained)
                houses_a = controller.grid.house_currents_a
                assert explained.phase is not None
                assert tuple(houses_a)[explained.phase - 1] == explained.house_a

    run_on_station_loop(play(evses, moments, policy, check, connection))


def assert_adds_up(explanation: GridExplanation) -> None:
    """The sum of an explanation, in the tenths that people read."""
    amperes = (
        explanation.limit_a,
        explanation.house_a,
        explanation.margin_a,
        explanation.room_a,
        explanation.current_a,
    )
    assert all(round(value, 1) == value for value in amperes)
    assert explanation.margin_a >= 0.0
    rest_a = round(explanation.limit_a - explanation.house_a - explanation.margin_a, 1)
    assert rest_a == explanation.room_a or (explanation.room_a == 0.0 and rest_a < 0.0)
    if explanation.held_by is None:
        assert explanation.current_a == explanation.room_a
    if explanation.current_a > explanation.room_a:
        assert explanation.held_by is GridHold.SHORTAGE
    if explanation.held_by in {GridHold.PAUSE, GridHold.MINIMUM}:
        assert explanation.current_a < 6.0
    assert (explanation.peak_a is not None) is (explanation.held_by in {GridHold.PEAK, GridHold.UNSEEN_PEAK})


class Home:
    """A house of one phase with one vehicle, which follows its pilot at once."""

    def __init__(self, limit_a: float = 26.1, period_s: float = 1.0) -> None:
        self.clock = fakes.clock()
        self.period_s = period_s
        profiles = ProfileStore({1: 1}, no_selectable_phases)
        self.controller = LoadController(self.clock, profiles, GridConnection(1, 8.0, limit_a))
        self.offered_a = 0.0
        self.wants = True

    async def run_for(self, seconds: float, house_a: float | None) -> GridExplanation | None:
        """Let time pass with this current of the house (None: its meter is silent); returns the last explanation."""
        for _ in range(round(seconds / self.period_s)):
            await self.clock.advance(self.period_s)
            rating = Limit(32.0, LimitSource.HARDWARE, fakes.NOON)
            drawn_a = self.offered_a if self.wants else 0.0
            draw = Phases[float | None](drawn_a, None, None)
            demand = Demand(ProfileTarget(1), 1, self.wants, draw, (rating,), self.offered_a)
            self.controller.observe_draw([demand])
            if house_a is not None:
                grid = Phases[float | None](round(house_a + drawn_a, 2), None, None)
                self.controller.process_sample(GridSample(self.clock.now(), grid, period_s=self.period_s))
            self.offered_a = self.controller.decide([demand])[1].current_a
        return self.controller.grid.explain(1)

    async def explain_after(self, seconds: float, house_a: float) -> GridExplanation:
        """Run for some seconds while the meter sends this current of the house; returns the last explanation."""
        found = await self.run_for(seconds, house_a)
        assert found is not None
        return found


async def test_at_full_current_the_car_gets_what_house_and_margin_leave() -> None:
    home = Home()
    explanation = await home.explain_after(200, 2.04)
    assert (explanation.phase, explanation.limit_a, explanation.house_a, explanation.margin_a, explanation.room_a) == (
        None,
        26.1,
        2.0,
        0.3,
        23.8,
    )
    assert (explanation.held_by, explanation.held_until, explanation.current_a) == (None, None, 23.8)


async def test_after_an_overload_that_is_over_the_calm_time_is_named_with_its_end() -> None:
    home = Home()
    await home.explain_after(200, 2.0)
    await home.explain_after(3, 15.0)
    explanation = await home.explain_after(2, 2.0)
    assert explanation.held_by is GridHold.CALM_TIME
    assert explanation.held_until is not None
    assert timedelta(seconds=20) < explanation.held_until - home.clock.now() <= timedelta(seconds=30)
    assert explanation.room_a > explanation.current_a == 10.8


async def test_while_the_current_rises_again_its_steps_are_named() -> None:
    home = Home()
    await home.explain_after(200, 2.0)
    await home.explain_after(3, 15.0)
    explanation = await home.explain_after(33, 2.0)
    assert (explanation.held_by, explanation.room_a) == (GridHold.STEP, 23.8)
    assert 10.8 < explanation.current_a < 23.8


async def test_a_shortage_and_the_pause_that_follows_are_named_with_their_ends() -> None:
    home = Home()
    await home.explain_after(200, 2.0)
    short = await home.explain_after(5, 23.0)
    assert (short.held_by, short.current_a, short.room_a) == (GridHold.SHORTAGE, 6.0, 2.8)
    assert short.held_until is not None
    paused = await home.explain_after(20, 23.0)
    assert (paused.held_by, paused.held_until, paused.current_a) == (GridHold.PAUSE, None, 0.0)
    waits = await home.explain_after(60, 2.0)
    assert (waits.held_by, waits.room_a) == (GridHold.PAUSE, 23.8)
    assert waits.held_until is not None
    assert waits.held_until - home.clock.now() > timedelta(seconds=100)
    assert (await home.explain_after((waits.held_until - home.clock.now()).total_seconds() + 2, 2.0)).current_a == 23.8


async def test_with_less_than_6_a_a_vehicle_that_arrives_waits_and_whole_amperes_cost_a_margin_of_one() -> None:
    home = Home()
    explanation = await home.explain_after(60, 23.0)
    assert (explanation.held_by, explanation.current_a, explanation.room_a) == (GridHold.MINIMUM, 0.0, 2.1)


async def test_a_peak_shortly_before_is_named_with_its_current() -> None:
    home = Home()
    home.wants = False
    await home.explain_after(60, 2.0)
    await home.explain_after(3, 12.0)
    explanation = await home.explain_after(3, 2.0)
    assert (explanation.held_by, explanation.peak_a, explanation.room_a, explanation.current_a) == (
        GridHold.PEAK,
        12.0,
        23.1,
        13.1,
    )
    assert explanation.held_until is not None
    assert timedelta(seconds=20) <= explanation.held_until - home.clock.now() <= timedelta(seconds=25)


async def test_with_a_slow_meter_a_peak_of_the_last_quarter_of_an_hour_is_named() -> None:
    home = Home(period_s=10.0)
    await home.explain_after(300, 2.0)
    await home.explain_after(20, 15.0)
    explanation = await home.explain_after(200, 2.0)
    assert (explanation.held_by, explanation.peak_a, explanation.current_a) == (GridHold.UNSEEN_PEAK, 15.0, 13.4)
    assert explanation.held_until is not None
    assert explanation.held_until - home.clock.now() > timedelta(seconds=600)


async def test_a_silent_meter_leaves_nothing_to_add_up() -> None:
    home = Home()
    await home.explain_after(60, 2.0)
    assert await home.run_for(30, None) is None
    assert Home().controller.grid.explain(1) is None
    assert LoadController(home.clock, ProfileStore({1: 1}, no_selectable_phases), None).grid.explain(1) is None
    assert Home().controller.grid.house_currents_a == UNKNOWN_PHASES
