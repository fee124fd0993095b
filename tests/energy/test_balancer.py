"""The control law: never too much, never too soon, never back and forth, also with late vehicles and meters."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from energy.balancer import (
    STEP_UP_A,
    STEP_UP_EVERY_S,
    PhaseCapacity,
    PhaseSample,
    update_capacity,
)
from energy.draw import DrawBounds, DrawHistory, SampleAgeEstimator
from metering.reading import Phases

LIMIT_A = 30.0
CALM_S = 30.0
"""the current that the tests request, independent of the control law"""

amperes = st.floats(0, 80)
capacities = st.builds(PhaseCapacity, amperes, st.floats(0, 1000), st.floats(0, 1000), st.none() | amperes)


def calm_phase(current_a: float, house_a: float | None = None) -> PhaseCapacity:
    """The state of a phase without recent overload or step."""
    return PhaseCapacity(current_a, overloaded_at_s=-1000.0, stepped_at_s=-1000.0, house_a=house_a)


def phase_sample(
    grid_a: float, draw_a: float, most_a: float | None = None, *, offered_a: float = 0.0, now_s: float
) -> PhaseSample:
    """One sample under a limit of 30 A."""
    return PhaseSample(LIMIT_A, grid_a, draw_a, draw_a if most_a is None else most_a, offered_a, now_s)


@given(capacities, amperes, st.floats(-40, 120), amperes, amperes, amperes, st.floats(0, 2000))
def test_no_more_is_given_than_the_house_can_have_left(
    before: PhaseCapacity,
    limit_a: float,
    grid_a: float,
    first_a: float,
    second_a: float,
    offered_a: float,
    now_s: float,
) -> None:
    least_a, most_a = sorted((first_a, second_a))
    after = update_capacity(before, PhaseSample(limit_a, grid_a, least_a, most_a, offered_a, now_s))
    assert 0.0 <= after.current_a <= max(0.0, limit_a - (grid_a - most_a)) + 1e-9


@given(capacities, amperes, st.floats(-40, 120), st.floats(1.0, 80), amperes, st.floats(0, 2000))
def test_more_is_given_only_after_a_calm_time_and_in_small_steps(
    before: PhaseCapacity, limit_a: float, grid_a: float, draw_a: float, offered_a: float, now_s: float
) -> None:
    after = update_capacity(before, PhaseSample(limit_a, grid_a, draw_a, draw_a, offered_a, now_s))
    if after.current_a > before.current_a:
        assert now_s - before.overloaded_at_s >= CALM_S
        assert now_s - before.stepped_at_s >= STEP_UP_EVERY_S
        assert after.current_a - before.current_a <= STEP_UP_A + 1e-9
        assert after.stepped_at_s == now_s
        assert grid_a <= limit_a + 1e-9  # the rounding of a sum


@given(capacities, amperes, st.floats(-40, 120), st.floats(1.0, 80), amperes, st.floats(0, 2000))
def test_less_is_given_at_once_all_of_it(
    before: PhaseCapacity, limit_a: float, grid_a: float, draw_a: float, offered_a: float, now_s: float
) -> None:
    room_a = max(0.0, limit_a - (grid_a - draw_a))
    after = update_capacity(before, PhaseSample(limit_a, grid_a, draw_a, draw_a, offered_a, now_s))
    if room_a < before.current_a:
        assert after.current_a == room_a


@given(capacities, st.floats(31, 120), st.floats(1.0, 80), st.floats(0, 2000))
def test_an_overload_restarts_the_calm_time(before: PhaseCapacity, grid_a: float, draw_a: float, now_s: float) -> None:
    assert update_capacity(before, phase_sample(grid_a, draw_a, now_s=now_s)).overloaded_at_s == now_s


def test_what_is_ordered_already_counts_before_it_flows() -> None:
    """20 A are offered and 10 drawn when the house takes 15: it would be too much as soon as the vehicle follows."""
    after = update_capacity(calm_phase(20.0, 10.0), phase_sample(25.0, 10.0, offered_a=20.0, now_s=0.0))
    assert after.current_a == 15.0
    assert after.overloaded_at_s == 0.0


def test_a_load_that_takes_nothing_from_anybody_is_no_overload() -> None:
    after = update_capacity(calm_phase(28.0, 2.0), phase_sample(16.0, 10.0, offered_a=10.0, now_s=0.0))
    assert after.current_a == 24.0
    assert after.overloaded_at_s == -1000.0


def test_a_meter_that_speaks_of_an_overrun_itself_gets_nothing_more() -> None:
    sample = replace(phase_sample(10.0, 8.0, now_s=0.0), overrun=True)
    assert update_capacity(calm_phase(8.0, 2.0), sample) == PhaseCapacity(8.0, 0.0, -1000.0, 2.0, ((0.0, 2.0),), 2.0)


def test_a_motor_that_starts_is_waited_out_for_one_sample_where_there_is_time() -> None:
    """And the half minute after it does not count it."""
    capacity = calm_phase(22.0, 8.0)
    for second, grid_a in enumerate((28.0, 50.0, 28.0, 28.0)):
        capacity = update_capacity(
            capacity, replace(phase_sample(grid_a, 20.0, offered_a=20.0, now_s=float(second)), confirms_rise=True)
        )
        assert capacity.current_a == 22.0
    waiting_capacity = calm_phase(22.0, 8.0)
    offers: list[float] = []
    for second, grid_a in enumerate((28.0, 34.0, 34.0)):
        waiting_capacity = update_capacity(
            waiting_capacity,
            replace(phase_sample(grid_a, 20.0, offered_a=20.0, now_s=float(second)), confirms_rise=True),
        )
        offers.append(waiting_capacity.current_a)
    assert offers == [22.0, 22.0, 16.0]


def test_a_packet_that_a_slow_meter_met_once_may_come_again_unseen_for_a_quarter_of_an_hour() -> None:
    """Together with it no more flows than the protection bears; a meter that speaks each second forgets it sooner."""
    bears_a = LIMIT_A * 1.1
    slow = quick = calm_phase(25.0, 5.0)
    offers: list[float] = []
    for second in range(0, 1000, 10):
        house_a = 20.0 if second == 0 else 5.0
        draw_a = min(slow.current_a, 25.0)
        slow = update_capacity(
            slow,
            replace(
                phase_sample(house_a + draw_a, draw_a, offered_a=slow.current_a, now_s=float(second)),
                sustained_limit_a=bears_a,
            ),
        )
        quick = update_capacity(
            quick,
            phase_sample(house_a + quick.current_a, quick.current_a, offered_a=quick.current_a, now_s=float(second)),
        )
        offers.append(slow.current_a)
    assert offers[0] == 10.0
    assert max(offers[:90]) == offers[89] == pytest.approx(bears_a - 20.0)
    assert offers[-1] == quick.current_a == 25.0


def test_a_house_that_exports_leaves_more_than_the_limit() -> None:
    assert update_capacity(calm_phase(40.0), phase_sample(-10.0, 0.0, now_s=0.0)).current_a == 40.0


@pytest.mark.parametrize("draw_a", [0.0, 0.9])
def test_while_nobody_charges_all_that_is_left_is_given_at_once(draw_a: float) -> None:
    after = update_capacity(PhaseCapacity(6.0, 0.0, 0.0), phase_sample(4.0 + draw_a, draw_a, now_s=1.0))
    assert after.current_a == pytest.approx(26.0)


def test_a_vehicle_on_its_way_down_is_not_taken_for_the_house() -> None:
    """It went from 16 to 10 A: the sample may have been taken before or after, and the house is as it was."""
    for grid_a in (24.0, 22.0, 18.0):
        after = update_capacity(calm_phase(22.0, 8.0), phase_sample(grid_a, 10.0, 16.0, now_s=0.0))
        assert (after.current_a, after.house_a) == (22.0, 8.0)


def test_a_vehicle_on_its_way_down_hides_no_more_of_the_house_than_its_step() -> None:
    after = update_capacity(calm_phase(16.0, 8.0), phase_sample(33.0, 10.0, 16.0, now_s=0.0))
    assert after.house_a == 17.0
    assert after.current_a == 13.0


def test_a_second_load_before_the_vehicle_has_followed_is_answered_at_once() -> None:
    """The vehicle has been commanded to go from 16 to 10 A and has not yet; the first load was 6 A, the second is 4."""
    first = update_capacity(calm_phase(16.0, 14.0), phase_sample(36.0, 16.0, offered_a=16.0, now_s=0.0))
    assert first.current_a == 10.0
    second = update_capacity(first, phase_sample(40.0, 16.0, offered_a=10.0, now_s=2.0))
    assert second.current_a == 6.0


def test_room_counts_only_when_it_has_been_there_for_half_a_minute() -> None:
    """A hob goes on for 10 s in every 30: the vehicle stays where the hob leaves it, and does not chase."""
    capacity, offers = calm_phase(20.0, 2.0), set[float]()
    for second in range(300):
        house_a = 12.0 if second % 30 < 10 else 2.0
        draw_a = min(capacity.current_a, 32.0)
        capacity = update_capacity(
            capacity, phase_sample(house_a + draw_a, draw_a, offered_a=draw_a, now_s=float(second))
        )
        if second > 40:
            offers.add(round(capacity.current_a, 6))
    assert offers == {18.0}


@given(st.floats(0, 25), st.floats(6, 32))
def test_it_converges_to_what_the_house_leaves(house_a: float, start_a: float) -> None:
    capacity = PhaseCapacity(start_a, 0.0, 0.0)
    for second in range(1, 200):
        draw_a = capacity.current_a
        capacity = update_capacity(
            capacity, phase_sample(house_a + draw_a, draw_a, offered_a=draw_a, now_s=float(second))
        )
    assert capacity.current_a == pytest.approx(LIMIT_A - house_a, abs=1e-6)


# The closed loop


@dataclass
class Loop:
    """A control loop: a house, a delayed vehicle, a delayed meter, and the control law. One second per step."""

    reaction_s: int
    delay_s: int
    vehicle_max_a: float = 32.0
    house_a: float = 2.0
    capacity: PhaseCapacity = field(default_factory=lambda: PhaseCapacity(16.0, 0.0, 0.0))
    now_s: int = 0

    def __post_init__(self) -> None:
        self.vehicle_a = 0.0
        self.offered_a = 0.0
        self.history = DrawHistory()
        self.age = SampleAgeEstimator()
        self._offers: deque[float] = deque([0.0] * (self.reaction_s + 1), self.reaction_s + 1)
        self._grid: deque[float] = deque([self.house_a] * (self.delay_s + 1), self.delay_s + 1)
        self.changes: list[tuple[int, float]] = []

    @property
    def grid_a(self) -> float:
        """The current through the grid connection now."""
        return self.house_a + self.vehicle_a

    def step(self) -> None:
        """One second passes, with one sample of the meter."""
        self.now_s += 1
        self.offered_a = self.capacity.current_a if self.capacity.current_a >= 6.0 else 0.0
        self._offers.append(min(self.offered_a, self.vehicle_max_a))
        self.vehicle_a = self._offers[0]
        self._grid.append(self.grid_a)
        draw = Phases(self.vehicle_a, self.vehicle_a, self.vehicle_a)
        self.history.add(float(self.now_s), DrawBounds(draw, draw))
        self.age.learn(self.history, [self._grid[0]] * 3, float(self.now_s))
        window = self.age.draw_at_sample(self.history, float(self.now_s))
        before_a = self.capacity.current_a
        self.capacity = update_capacity(
            self.capacity,
            PhaseSample(
                LIMIT_A,
                self._grid[0],
                window.least_a.l1,
                window.most_a.l1,
                min(self.offered_a, self.vehicle_max_a),
                float(self.now_s),
            ),
        )
        if abs(self.capacity.current_a - before_a) > 1e-9 and window.most_a.l1 >= 1.0:
            self.changes.append((self.now_s, self.capacity.current_a - before_a))


LOOPS = [(reaction_s, delay_s) for reaction_s in range(6) for delay_s in range(3)]


@pytest.mark.parametrize(("reaction_s", "delay_s"), LOOPS)
def test_an_overload_ends_as_soon_as_meter_and_vehicle_can(reaction_s: int, delay_s: int) -> None:
    """The house switches loads on at random; what the vehicle could not yet know of, it is not blamed for."""
    random_source = random.Random(reaction_s * 10 + delay_s)
    for _ in range(10):
        loop = Loop(reaction_s, delay_s)
        for _ in range(150):
            loop.step()
        loop.house_a = random_source.uniform(2.0, 24.0)
        overloaded_s = 0
        for _ in range(150):
            loop.step()
            overloaded_s += loop.grid_a > LIMIT_A + 1e-6
        assert overloaded_s <= reaction_s + delay_s + 1
        assert loop.grid_a <= LIMIT_A + 1e-6


@pytest.mark.parametrize("apart_s", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(("reaction_s", "delay_s"), [delays for delays in LOOPS if delays[0] > 0])
def test_two_loads_in_a_row_are_answered_each(reaction_s: int, delay_s: int, apart_s: int) -> None:
    """The second comes while the vehicle follows the first; the meter's age is learned, so nothing is hidden."""
    loop = Loop(reaction_s, delay_s)
    for _ in range(150):
        loop.step()
    loop.house_a = 11.0
    for _ in range(apart_s):
        loop.step()
    loop.house_a = 20.0
    overloaded_s = 0
    for _ in range(60):
        loop.step()
        overloaded_s += loop.grid_a > LIMIT_A + 1e-6
    # Where the second load and the vehicle's step fall into the same second, it takes another look.
    assert overloaded_s <= reaction_s + delay_s + 3
    assert loop.grid_a <= LIMIT_A + 1e-6


@pytest.mark.parametrize("apart_s", [2, 3, 4])
def test_a_second_load_two_to_four_seconds_after_the_first_is_in_the_next_order(apart_s: int) -> None:
    """A vehicle that takes its 5 s: the order answers the second load with the first sample that shows it."""
    loop = Loop(reaction_s=5, delay_s=1)
    for _ in range(150):
        loop.step()
    loop.house_a = 11.0
    for _ in range(apart_s):
        loop.step()
    loop.house_a = 20.0
    for _ in range(2):
        loop.step()
    assert loop.capacity.current_a == pytest.approx(10.0)


@pytest.mark.parametrize(("reaction_s", "delay_s"), LOOPS)
def test_nothing_goes_up_within_half_a_minute_after_an_overload(reaction_s: int, delay_s: int) -> None:
    """No flapping, whatever the house does."""
    random_source = random.Random(reaction_s * 10 + delay_s)
    loop = Loop(reaction_s, delay_s)
    for _ in range(3600):
        if random_source.random() < 0.02:
            loop.house_a = random_source.uniform(0.0, 20.0)
        before = loop.capacity
        loop.step()
        if loop.changes and loop.changes[-1] == (loop.now_s, loop.capacity.current_a - before.current_a):
            assert loop.changes[-1][1] < 0 or loop.now_s - before.overloaded_at_s >= CALM_S
    assert any(change_a < 0 for _, change_a in loop.changes)
    assert any(change_a > 0 for _, change_a in loop.changes)


@pytest.mark.parametrize(("reaction_s", "delay_s"), LOOPS)
def test_a_steady_house_gets_a_steady_pilot_that_uses_what_is_left(reaction_s: int, delay_s: int) -> None:
    loop = Loop(reaction_s, delay_s, house_a=9.0)
    for _ in range(300):
        loop.step()
    loop.changes.clear()
    for _ in range(300):
        loop.step()
    assert loop.changes == []
    assert loop.grid_a == pytest.approx(LIMIT_A, abs=0.01)
