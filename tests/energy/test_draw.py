"""What our EVSEs drew when a sample was taken, and how the age of a source's samples is learned."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.draw import AGES_S, NO_DRAW, DrawBounds, DrawHistory, SampleAgeEstimator
from metering.reading import Phases


def draw_of(current_a: float) -> DrawBounds:
    """So much on each phase."""
    currents = Phases(current_a, current_a, current_a)
    return DrawBounds(currents, currents)


def test_before_any_reading_nothing_is_drawn() -> None:
    assert DrawHistory().bounds_at(0.0) == NO_DRAW.bounds
    assert DrawHistory().latest == NO_DRAW


def test_a_reading_of_the_moment_is_used_and_else_those_around_it() -> None:
    history = DrawHistory()
    for second, current_a in enumerate((16.0, 16.0, 10.0, 10.0)):
        history.add(float(second), draw_of(current_a))
    assert history.bounds_at(1.0)[0] == (16.0, 16.0)
    assert history.bounds_at(1.5)[0] == (10.0, 16.0)
    assert history.bounds_at(2.1)[0] == (10.0, 10.0)
    assert history.bounds_at(9.0)[0] == (10.0, 10.0)
    assert history.bounds_at(-9.0)[0] == (16.0, 16.0)


def test_the_same_reading_again_is_no_later_one() -> None:
    history = DrawHistory()
    history.add(1.0, draw_of(16.0))
    history.add(1.0, draw_of(10.0))
    history.add(0.5, draw_of(8.0))
    assert history.bounds_at(1.0)[0] == (8.0, 8.0)


def test_old_readings_are_forgotten_but_not_the_one_that_still_holds() -> None:
    history = DrawHistory()
    for second in range(100):
        history.add(float(second), draw_of(float(second)))
    assert history.bounds_at(0.0)[0][1] <= 96.0
    assert history.bounds_at(99.0 - max(AGES_S))[0][0] >= 95.0


@given(st.lists(st.floats(0, 32), min_size=1, max_size=20), st.floats(-5, 30))
def test_the_truth_at_a_reading_lies_within_its_bounds(currents: list[float], at_s: float) -> None:
    history = DrawHistory()
    for second, current_a in enumerate(currents):
        history.add(float(second), draw_of(current_a))
    least_a, most_a = history.bounds_at(at_s)[0]
    assert least_a <= most_a
    assert min(currents) <= least_a
    assert most_a <= max(currents)


@pytest.mark.parametrize("age_s", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_age_of_the_samples_is_learned_from_our_own_steps(age_s: float, seed: int) -> None:
    """In a house that moves, with a meter of whole amperes."""
    random_source, history, age = random.Random(seed), DrawHistory(), SampleAgeEstimator()
    drawn: dict[int, float] = {}
    current_a, house_a = 0.0, 4.0
    for second in range(300):
        if second % 40 == 20:
            current_a = random_source.choice([0.0, 8.0, 16.0, 30.0])
        if random_source.random() < 0.03:
            house_a = random_source.uniform(1.0, 15.0)
        drawn[second] = current_a
        history.add(float(second), draw_of(current_a))
        grid_a = round(house_a + drawn.get(second - int(age_s), 0.0))
        age.learn(history, [grid_a] * 3, float(second))
    assert age_s in age.likely_s
    assert len(age.likely_s) == 1


def test_while_nothing_of_ours_moves_every_age_is_possible() -> None:
    history, age = DrawHistory(), SampleAgeEstimator()
    for second in range(60):
        history.add(float(second), draw_of(16.0))
        age.learn(history, [20.0 + second % 7] * 3, float(second))
    assert age.likely_s == list(AGES_S)


def test_another_meter_is_learned_again() -> None:
    history, age = DrawHistory(), SampleAgeEstimator()
    drawn = [10.0 + 10.0 * (second // 20 % 2) for second in range(4000)]
    for second, current_a in enumerate(drawn):
        history.add(float(second), draw_of(current_a))
        age_s = 0 if second < 2000 else 2
        age.learn(history, [5.0 + drawn[max(0, second - age_s)]] * 3, float(second))
    assert age.likely_s == [2.0]
