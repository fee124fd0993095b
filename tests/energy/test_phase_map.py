"""Which phase of the connection feeds which terminal: named, or learned."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.phase_map import ROTATIONS, RST_MAP, UNKNOWN_MAP, PhaseMap, RotationLearner
from metering.reading import Phases
from tests.rows import each_row

amperes = st.floats(0, 32)
drawn = st.builds(Phases, amperes, amperes, amperes)
maps = st.sampled_from([PhaseMap.from_rotation(name) for name in ROTATIONS])


@pytest.mark.parametrize("name", ROTATIONS)
def test_a_rotation_has_the_name_that_ocpp_gives_it(name: str) -> None:
    assert PhaseMap.from_rotation(name).rotation == name
    assert PhaseMap.from_rotation(name).known


def test_str_has_the_second_phase_at_its_first_terminal() -> None:
    assert PhaseMap.from_rotation("STR").to_grid(Phases(16.0, 10.0, 0.0))[0] == Phases(0.0, 16.0, 10.0)


@pytest.mark.parametrize("name", ["", "rst", "RS", "RSS", "RSTR"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="RST"):
        PhaseMap.from_rotation(name)


@given(maps, drawn)
def test_nothing_is_lost_on_the_way_to_the_grid(phase_map: PhaseMap, drawn_a: Phases[float]) -> None:
    least, most = phase_map.to_grid(drawn_a)
    assert least == most
    assert sorted(most) == sorted(drawn_a)


@given(maps, st.sets(st.integers(0, 2)), drawn)
def test_what_is_not_known_holds_the_truth_between_its_bounds(
    truth: PhaseMap, forgotten: set[int], drawn_a: Phases[float]
) -> None:
    terminals = [None if index in forgotten else phase for index, phase in enumerate(truth.terminals)]
    least, most = PhaseMap((terminals[0], terminals[1], terminals[2])).to_grid(drawn_a)
    for low_a, true_a, high_a in zip(least, truth.to_grid(drawn_a)[0], most, strict=True):
        assert low_a <= true_a <= high_a


def test_an_unknown_terminal_may_be_at_every_phase_that_is_left() -> None:
    assert UNKNOWN_MAP.grid_phases(frozenset({0})) == {0, 1, 2}
    assert PhaseMap((1, None, None)).grid_phases(frozenset({1})) == {0, 2}
    assert RST_MAP.grid_phases(frozenset({2})) == {2}
    assert UNKNOWN_MAP.rotation is None


def learned_rotation(truth: PhaseMap, *, seed: int, phases: int, house_moves: float = 0.0, steps: int = 40) -> PhaseMap:
    """The learned rotation of a vehicle that changes its current now and then, beside changing house loads."""
    random_source, learner = random.Random(seed), RotationLearner()
    house = [random_source.uniform(1.0, 10.0) for _ in range(3)]
    drawn_a = Phases(0.0, 0.0, 0.0)
    for step in range(steps * 10):
        if step % 10 == 0:
            current_a = random_source.choice([0.0, 6.0, 10.0, 16.0])
            drawn_a = Phases(*(current_a if index < phases else 0.0 for index in range(3)))
        if random_source.random() < house_moves:
            house[random_source.randrange(3)] = random_source.uniform(1.0, 20.0)
        flows = [h + a for h, a in zip(house, truth.to_grid(drawn_a)[0], strict=True)]
        learner = learner.observe(drawn_a, Phases(*(float(round(a)) for a in flows)), float(step))
    return learner.phase_map


@each_row("seed", range(10))
@each_row("name", ROTATIONS)
def test_the_phase_of_a_one_phase_vehicle_is_learned_in_a_busy_house(name: str, seed: int) -> None:
    truth = PhaseMap.from_rotation(name)
    found = learned_rotation(truth, seed=seed, phases=1, house_moves=0.05)
    assert found.terminals[0] == truth.terminals[0]


@pytest.mark.parametrize("name", ROTATIONS)
def test_both_phases_of_a_two_phase_vehicle_stay_open_as_they_move_together(name: str) -> None:
    assert learned_rotation(PhaseMap.from_rotation(name), seed=1, phases=2) == UNKNOWN_MAP


def test_a_three_phase_vehicle_teaches_nothing_and_needs_nothing() -> None:
    assert learned_rotation(RST_MAP, seed=1, phases=3) == UNKNOWN_MAP


def test_a_vehicle_that_never_changes_teaches_nothing() -> None:
    learner = RotationLearner()
    for second in range(600):
        learner = learner.observe(Phases(16.0, 0.0, 0.0), Phases(18.0, 3.0, 4.0), float(second))
    assert learner.phase_map == UNKNOWN_MAP


def test_a_house_that_moves_alike_once_does_not_convince() -> None:
    learner = RotationLearner().observe(Phases(0.0, 0.0, 0.0), Phases(2.0, 2.0, 2.0), 0.0)
    learner = learner.observe(Phases(10.0, 0.0, 0.0), Phases(2.0, 12.0, 2.0), 10.0)
    assert learner.phase_map == UNKNOWN_MAP
