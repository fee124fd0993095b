"""The heat of a protection: the seconds that Enedis publishes, and what IEC 60898-1 leaves of a breaker."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from energy.trip import BREAKER_B, BREAKER_C, CURVES, LINKY, Protection, TripCurve

curves = st.sampled_from(sorted(CURVES.values(), key=lambda curve: curve.name))
loads = st.floats(-2.0, 6.0)
WARM = 1.0
"""the heat of a long full load"""


def steps_to_open(curve: TripCurve, heat: float, load: float) -> int:
    """How many seconds it bears a load, second by second."""
    protection, seconds = Protection(curve, heat), 0
    while not protection.tripped:
        protection, seconds = protection.after(load, 1.0), seconds + 1
        assert seconds < 100_000
    return seconds


@pytest.mark.parametrize(("load", "seconds"), [(1.4, 158), (2.0, 33), (2.5, 18), (3.0, 12)])
def test_a_linky_opens_from_full_load_when_enedis_says(load: float, seconds: int) -> None:
    assert steps_to_open(LINKY, WARM, load) == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize(("load", "seconds"), [(1.4, 247), (2.5, 39)])
def test_a_linky_opens_from_no_load_when_its_formula_says(load: float, seconds: int) -> None:
    assert steps_to_open(LINKY, 0.0, load) == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize("load", [0.5, 1.1, 1.29])
def test_below_1_3_a_linky_never_opens(load: float) -> None:
    assert math.isinf(Protection(LINKY, WARM).seconds_left(load))
    assert not Protection(LINKY, WARM).after(load, 1e6).tripped


def test_a_second_of_a_linky_is_its_published_filter() -> None:
    assert Protection(LINKY, 1.2).after(1.7, 1.0).heat == pytest.approx(0.008 * 1.7**2 + 0.992 * 1.2)


def test_injection_cools() -> None:
    assert Protection(LINKY, 1.2).after(-3.0, 10.0) == Protection(LINKY, 1.2).after(0.0, 10.0)


@pytest.mark.parametrize(("curve", "at_once"), [(BREAKER_B, 3.0), (BREAKER_C, 5.0)])
def test_the_magnetic_part_of_a_breaker_does_not_wait(curve: TripCurve, at_once: float) -> None:
    assert Protection(curve).seconds_left(at_once) == 0.0
    assert Protection(curve).after(at_once, 0.01).tripped
    assert Protection(curve).seconds_left(at_once - 0.01) > 0.0


@pytest.mark.parametrize("curve", [BREAKER_B, BREAKER_C])
def test_a_breaker_stays_within_iec_60898(curve: TripCurve) -> None:
    assert math.isinf(Protection(curve).seconds_left(1.13))
    assert Protection(curve).seconds_left(1.45) < 3600.0
    assert 1.0 < Protection(curve).seconds_left(2.55) < 60.0


@given(curves, st.floats(0, 1.6), loads)
def test_the_budget_is_what_the_filter_takes(curve: TripCurve, heat: float, load: float) -> None:
    assume(abs(load - 1.3) > 0.001)  # there it takes for ever, to within a rounding
    protection = Protection(curve, heat)
    remaining_s = protection.seconds_left(load)
    if math.isinf(remaining_s):
        assert not protection.after(load, 1e5).tripped
    else:
        assert protection.after(load, remaining_s + 0.01).tripped
        if remaining_s > 0.02:
            assert not protection.after(load, remaining_s - 0.01).tripped


@given(curves, st.floats(0, 1.6), loads, st.floats(0, 100), st.floats(0, 100))
def test_seconds_add_up(curve: TripCurve, heat: float, load: float, first_s: float, second_s: float) -> None:
    at_once = Protection(curve, heat).after(load, first_s + second_s)
    assert Protection(curve, heat).after(load, first_s).after(load, second_s).heat == pytest.approx(at_once.heat)


@given(curves, st.floats(0, 1.6), st.floats(0, 1.6), loads)
def test_a_warmer_one_never_bears_more(curve: TripCurve, first: float, second: float, load: float) -> None:
    cold, warm = sorted((first, second))
    assert Protection(curve, warm).seconds_left(load) <= Protection(curve, cold).seconds_left(load) + 1e-9
