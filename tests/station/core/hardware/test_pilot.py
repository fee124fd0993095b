"""The pilot in numbers: what is offered is what a vehicle reads, and a voltage near a border decides nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.core.hardware.pilot import (
    HYSTERESIS_V,
    STEADY,
    cable_limit_a,
    cable_plugged,
    cable_rating,
    diode_fault,
    duty_cycle,
    pilot_state,
    read_duty_cycle,
)
from station.core.model import PilotState
from tests.rows import each_row

AMPERES = st.floats(min_value=6.0, max_value=80.0)
VOLTS = st.floats(min_value=-13.0, max_value=13.0)
OHMS = st.floats(min_value=0.0, max_value=1e6)


@pytest.mark.parametrize(
    ("current_a", "duty"),
    [
        (6.0, 0.10),
        (10.0, 1 / 6),
        (16.0, 16 / 60),
        (32.0, 32 / 60),
        (51.0, 0.85),
        (52.5, 0.85),
        (63.0, 0.892),
        (80, 0.96),
    ],
)
def test_a_current_has_its_duty_cycle(current_a: float, duty: float) -> None:
    assert duty_cycle(current_a) == pytest.approx(duty)


@pytest.mark.parametrize(
    ("duty", "current_a"),
    [
        (0.0, 0.0),
        (0.029, 0.0),
        (0.075, 0.0),
        (0.08, 6.0),
        (0.0999, 6.0),
        (0.10, 6.0),
        (0.5, 30.0),
        (0.85, 51.0),
        (0.8501, 52.525),
        (0.90, 65.0),
        (0.96, 80.0),
        (0.965, 80.0),
        (0.971, 0.0),
        (STEADY, 0.0),
    ],
)
def test_a_vehicle_reads_a_duty_cycle(duty: float, current_a: float) -> None:
    assert read_duty_cycle(duty).current_a == pytest.approx(current_a)
    assert not read_duty_cycle(duty).digital


@pytest.mark.parametrize("duty", [0.03, 0.05, 0.07])
def test_five_percent_asks_for_digital_communication_and_offers_nothing_by_itself(duty: float) -> None:
    assert (read_duty_cycle(duty).current_a, read_duty_cycle(duty).digital) == (0.0, True)


def test_a_steady_pilot_offers_nothing() -> None:
    assert duty_cycle(None) == STEADY
    assert read_duty_cycle(duty_cycle(None)).current_a == 0.0


@pytest.mark.parametrize("current_a", [0.0, 5.99, 80.01, -6.0, float("nan")])
def test_what_a_pilot_cannot_signal_is_refused(current_a: float) -> None:
    with pytest.raises(ValueError, match="6 to 80 A"):
        duty_cycle(current_a)


@given(AMPERES)
def test_a_vehicle_never_reads_more_than_was_meant_and_hardly_less(current_a: float) -> None:
    read_a = read_duty_cycle(duty_cycle(current_a)).current_a
    assert read_a <= current_a + 1e-9
    assert read_a >= current_a - 1.5  # between the two lines of the table, 51 to 52.5 A
    assert 51.0 <= current_a <= 52.5 or read_a == pytest.approx(current_a)


@given(AMPERES, AMPERES)
def test_more_amperes_are_never_a_smaller_duty_cycle(first_a: float, second_a: float) -> None:
    smaller, larger = sorted((first_a, second_a))
    assert duty_cycle(smaller) <= duty_cycle(larger)


@given(st.floats(min_value=0.0, max_value=1.0))
def test_whatever_the_duty_cycle_is_a_vehicle_reads_nothing_or_six_to_eighty_amperes(duty: float) -> None:
    read_a = read_duty_cycle(duty).current_a
    assert read_a == 0.0 or 6.0 <= read_a <= 80.0


NOMINAL = [(12.0, "A"), (9.0, "B"), (6.0, "C"), (3.0, "D"), (0.0, "E"), (-12.0, "F")]


@each_row(("volts", "state"), NOMINAL)
@each_row("deviation_v", [-1.0, 0.0, 1.0])
@each_row("before", [None, *PilotState])
def test_the_nominal_voltages_are_their_states_whatever_was_before(
    volts: float, state: str, deviation_v: float, before: PilotState | None
) -> None:
    assert pilot_state(volts + deviation_v, before) is PilotState(state)


@given(VOLTS, st.sampled_from(PilotState), st.floats(min_value=-HYSTERESIS_V, max_value=HYSTERESIS_V))
def test_noise_smaller_than_the_hysteresis_never_makes_a_state_flicker(
    volts: float, before: PilotState, noise_v: float
) -> None:
    settled = pilot_state(volts, before)
    nearest = pilot_state(volts)
    if settled is nearest:
        assert pilot_state(volts + noise_v, settled) is settled


@given(VOLTS, st.sampled_from([None, *PilotState]))
def test_every_voltage_is_some_state_and_a_second_measurement_of_it_changes_nothing(
    volts: float, before: PilotState | None
) -> None:
    settled = pilot_state(volts, before)
    assert pilot_state(volts, settled) is settled


@pytest.mark.parametrize("state", [PilotState.B, PilotState.C, PilotState.D])
def test_a_negative_half_that_is_not_negative_has_no_diode_behind_it(state: PilotState) -> None:
    assert diode_fault(-6.0, state)
    assert not diode_fault(-11.5, state)
    assert not diode_fault(None, state)


@pytest.mark.parametrize("state", [PilotState.A, PilotState.E, PilotState.F])
def test_without_a_vehicle_there_is_no_diode_to_miss(state: PilotState) -> None:
    assert not diode_fault(0.0, state)


@pytest.mark.parametrize(("nominal_ohm", "rating"), [(1500.0, 13), (680.0, 20), (220.0, 32), (100.0, 63)])
@pytest.mark.parametrize("tolerance", [0.9, 1.0, 1.1])
def test_a_resistor_within_ten_percent_gives_the_rating_of_its_cable(
    nominal_ohm: float, rating: int, tolerance: float
) -> None:
    assert cable_rating(nominal_ohm * tolerance) == rating


@given(OHMS, OHMS)
def test_a_larger_resistor_never_gives_a_larger_rating(first_ohm: float, second_ohm: float) -> None:
    smaller, larger = sorted((first_ohm, second_ohm))
    stronger, weaker = cable_rating(smaller), cable_rating(larger)
    assert stronger is None or weaker is None or stronger >= weaker


@pytest.mark.parametrize("resistance_ohm", [70.0, 150.0, 350.0, 1000.0, 3000.0])
def test_a_cable_without_a_rating_gets_what_is_configured_for_it(resistance_ohm: float) -> None:
    assert cable_limit_a(resistance_ohm, "refuse") == 0.0
    assert cable_limit_a(resistance_ohm, 10) == 10.0
    assert cable_limit_a(resistance_ohm, 13) == 13.0


def test_a_short_circuit_is_no_cable_whatever_is_configured() -> None:
    assert cable_limit_a(0.0, 13) == 0.0


def test_an_open_contact_is_no_cable_at_all() -> None:
    assert cable_limit_a(float("inf"), 13) is None
    assert not cable_plugged(1e6)


@given(OHMS, st.sampled_from(["refuse", 10, 13]))
def test_a_cable_never_gets_more_than_its_rating_or_than_what_is_configured(
    resistance_ohm: float, unrated: object
) -> None:
    limit_a = cable_limit_a(resistance_ohm, unrated)  # pyright: ignore[reportArgumentType]  # a table
    rating = cable_rating(resistance_ohm)
    if limit_a is None:
        assert not cable_plugged(resistance_ohm)
    elif rating is not None:
        assert limit_a == rating
    else:
        assert limit_a in {0.0, 10.0, 13.0}
