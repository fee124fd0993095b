"""The control law: never too much, never too soon, never back and forth, also with late vehicles and meters."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.balancer import (
    FOLLOW_S,
    STEP_UP_A,
    STEP_UP_EVERY_S,
    DrawHistory,
    PhaseCapacity,
    balance,
)
from metering.reading import Phases

LIMIT_A = 30.0
CALM_S = 30.0
"""what the tests ask for, whatever the law says"""
CALM = PhaseCapacity(16.0, overloaded_at_s=-1000.0, stepped_at_s=-1000.0)

amperes = st.floats(0, 80)
capacities = st.builds(PhaseCapacity, amperes, st.floats(0, 1000), st.floats(0, 1000))


@given(capacities, amperes, st.floats(-40, 120), amperes, amperes, st.floats(0, 2000))
def test_no_more_is_given_than_the_house_leaves(
    before: PhaseCapacity, limit_a: float, grid_a: float, one_a: float, other_a: float, now_s: float
) -> None:
    least_a, most_a = sorted((one_a, other_a))
    after = balance(before, limit_a, grid_a, least_a, most_a, now_s)
    assert 0.0 <= after.current_a <= max(0.0, limit_a - (grid_a - most_a)) + 1e-9


@given(capacities, amperes, st.floats(-40, 120), st.floats(1.0, 80), st.floats(0, 2000))
def test_more_is_given_only_after_a_calm_time_and_in_small_steps(
    before: PhaseCapacity, limit_a: float, grid_a: float, draw_a: float, now_s: float
) -> None:
    after = balance(before, limit_a, grid_a, draw_a, draw_a, now_s)
    if after.current_a > before.current_a:
        assert now_s - before.overloaded_at_s >= CALM_S
        assert now_s - before.stepped_at_s >= STEP_UP_EVERY_S
        assert after.current_a - before.current_a <= STEP_UP_A + 1e-9
        assert after.stepped_at_s == now_s
        assert grid_a <= limit_a


@given(capacities, amperes, st.floats(-40, 120), st.floats(1.0, 80), st.floats(0, 2000))
def test_less_is_given_at_once_and_starts_the_calm_time_anew(
    before: PhaseCapacity, limit_a: float, grid_a: float, draw_a: float, now_s: float
) -> None:
    left_a = max(0.0, limit_a - (grid_a - draw_a))
    after = balance(before, limit_a, grid_a, draw_a, draw_a, now_s)
    if left_a < before.current_a:
        assert after.current_a == left_a
        assert after.overloaded_at_s == now_s


def test_a_house_that_exports_leaves_more_than_the_limit() -> None:
    after = balance(PhaseCapacity(40.0, -1000, -1000), LIMIT_A, grid_a=-10.0, least_draw_a=0, most_draw_a=0, now_s=0)
    assert after.current_a == 40.0


@pytest.mark.parametrize("draw_a", [0.0, 0.9])
def test_while_nobody_charges_all_that_is_left_is_given_at_once(draw_a: float) -> None:
    after = balance(PhaseCapacity(6.0, 0.0, 0.0), LIMIT_A, 4.0 + draw_a, draw_a, draw_a, now_s=1.0)
    assert after.current_a == pytest.approx(26.0)


def test_upward_the_least_draw_is_believed_and_downward_the_most() -> None:
    """A vehicle that went from 16 to 10 A: the sample may have been taken before or after."""
    grid_a = 24.0
    assert balance(PhaseCapacity(19.0, -1000, -1000), LIMIT_A, grid_a, 10.0, 16.0, 0.0).current_a == 19.0
    assert balance(PhaseCapacity(24.0, -1000, -1000), LIMIT_A, grid_a, 10.0, 16.0, 0.0).current_a == 22.0
    assert balance(PhaseCapacity(14.0, -1000, -1000), LIMIT_A, grid_a, 10.0, 16.0, 0.0).current_a == 15.0


@given(st.floats(0, 25), st.floats(6, 32))
def test_it_converges_to_what_the_house_leaves(house_a: float, start_a: float) -> None:
    capacity = PhaseCapacity(start_a, 0.0, 0.0)
    for second in range(1, 200):
        draw_a = capacity.current_a
        capacity = balance(capacity, LIMIT_A, house_a + draw_a, draw_a, draw_a, float(second))
    assert capacity.current_a == pytest.approx(LIMIT_A - house_a, abs=1e-6)


def test_the_history_covers_the_time_that_a_vehicle_may_take_to_follow() -> None:
    history = DrawHistory()
    assert history.window().most_a == Phases(0.0, 0.0, 0.0)
    for second in range(20):
        history.add(float(second), Phases(float(second), 20.0 - second, 3.0))
    window = history.window()
    assert window.most_a == Phases(19.0, 20.0 - (19.0 - FOLLOW_S), 3.0)
    assert window.least_a == Phases(19.0 - FOLLOW_S, 1.0, 3.0)


# The closed loop


@dataclass
class Loop:
    """A house, a vehicle that follows late, a meter that tells late, and the law between them. One second a step."""

    reaction_s: int
    delay_s: int
    vehicle_max_a: float = 32.0
    house_a: float = 2.0
    capacity: PhaseCapacity = field(default_factory=lambda: PhaseCapacity(16.0, 0.0, 0.0))
    now_s: int = 0

    def __post_init__(self) -> None:
        self.vehicle_a = 0.0
        self.history = DrawHistory()
        self._offers: deque[float] = deque([0.0] * (self.reaction_s + 1), self.reaction_s + 1)
        self._grid: deque[float] = deque([self.house_a] * (self.delay_s + 1), self.delay_s + 1)
        self.changes: list[tuple[int, float]] = []

    @property
    def grid_a(self) -> float:
        """What flows through the connection now."""
        return self.house_a + self.vehicle_a

    def step(self) -> None:
        """One second passes, with one sample of the meter."""
        self.now_s += 1
        offered_a = self.capacity.current_a if self.capacity.current_a >= 6.0 else 0.0
        self._offers.append(min(offered_a, self.vehicle_max_a))
        self.vehicle_a = self._offers[0]
        self._grid.append(self.grid_a)
        self.history.add(float(self.now_s), Phases(self.vehicle_a, self.vehicle_a, self.vehicle_a))
        window = self.history.window()
        before_a = self.capacity.current_a
        self.capacity = balance(
            self.capacity, LIMIT_A, self._grid[0], window.least_a.l1, window.most_a.l1, float(self.now_s)
        )
        if abs(self.capacity.current_a - before_a) > 1e-9 and window.most_a.l1 >= 1.0:
            self.changes.append((self.now_s, self.capacity.current_a - before_a))


LOOPS = [(reaction_s, delay_s) for reaction_s in range(6) for delay_s in range(4)]


@pytest.mark.parametrize(("reaction_s", "delay_s"), LOOPS)
def test_an_overload_ends_as_soon_as_meter_and_vehicle_can(reaction_s: int, delay_s: int) -> None:
    """The house switches loads on at random; what the vehicle could not yet know of, it is not blamed for."""
    dice = random.Random(reaction_s * 10 + delay_s)
    for _ in range(10):
        loop = Loop(reaction_s, delay_s)
        for _ in range(150):
            loop.step()
        loop.house_a = dice.uniform(2.0, 24.0)
        overloaded_s = 0
        for _ in range(150):
            loop.step()
            overloaded_s += loop.grid_a > LIMIT_A + 1e-6
        assert overloaded_s <= reaction_s + delay_s + 1
        assert loop.grid_a <= LIMIT_A + 1e-6


@pytest.mark.parametrize(("reaction_s", "delay_s"), LOOPS)
def test_nothing_goes_up_within_half_a_minute_after_it_went_down(reaction_s: int, delay_s: int) -> None:
    """No flapping, whatever the house does."""
    dice = random.Random(reaction_s * 10 + delay_s)
    loop = Loop(reaction_s, delay_s)
    for _ in range(3600):
        if dice.random() < 0.02:
            loop.house_a = dice.uniform(0.0, 20.0)
        loop.step()
    downs = [at_s for at_s, change_a in loop.changes if change_a < 0]
    ups = [at_s for at_s, change_a in loop.changes if change_a > 0]
    assert downs
    assert ups
    assert not [(up, down) for up in ups for down in downs if 0 <= up - down < CALM_S]


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
