"""Less current when it is hot: a line between two temperatures, nothing beyond, and no coming and going."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.limit import Limit, LimitSource
from station.load.derating import Derating, TemperatureRange
from tests.fakes import NOON


def derated(derating: Derating, celsius: float | None) -> Limit | None:
    """The limit at a temperature."""
    derating.update(celsius, NOON)
    return derating.limit


CELSIUS = st.floats(min_value=-60, max_value=100)


@pytest.mark.parametrize(
    ("celsius", "current_a"),
    [(-41, 0.0), (-40, None), (20, None), (45, None), (46, 26.8), (47.5, 19.0), (50, 6.0), (50.5, 0.0), (None, None)],
)
def test_a_temperature_allows_so_much(celsius: float | None, current_a: float | None) -> None:
    limit = derated(Derating(32.0, TemperatureRange()), celsius)
    assert (limit.current_a if limit is not None else None) == (
        pytest.approx(current_a) if current_a is not None else None
    )
    if limit is not None:
        assert limit.source is LimitSource.TEMPERATURE


@pytest.mark.parametrize(("beyond_c", "still", "again"), [(50.5, 48.5, 48.0), (-40.5, -38.5, -38.0)])
def test_a_pause_ends_only_well_inside_the_range(beyond_c: float, still: float, again: float) -> None:
    derating = Derating(32.0, TemperatureRange())
    for celsius in (beyond_c, still):
        limit = derated(derating, celsius)
        assert limit is not None
        assert limit.current_a == 0.0
    limit = derated(derating, again)
    assert limit is None or limit.current_a >= 6.0


@given(st.lists(CELSIUS, min_size=1, max_size=20))
def test_whatever_the_temperatures_were_the_limit_is_a_pause_or_at_least_what_a_pilot_offers(
    temperatures: list[float],
) -> None:
    derating = Derating(32.0, TemperatureRange())
    for celsius in temperatures:
        limit = derated(derating, celsius)
        if limit is None:
            assert -40.0 <= celsius <= 45.0
        else:
            assert limit.current_a == 0.0 or 6.0 <= limit.current_a <= 32.0
        if celsius > 50.0 or celsius < -40.0:
            assert limit is not None
            assert limit.current_a == 0.0


@given(CELSIUS, CELSIUS)
def test_hotter_is_never_more(first_c: float, second_c: float) -> None:
    cooler, hotter = sorted((max(-40.0, first_c), max(-40.0, second_c)))
    allowed = [derated(Derating(32.0, TemperatureRange()), celsius) for celsius in (cooler, hotter)]
    more, less = (limit.current_a if limit is not None else 32.0 for limit in allowed)
    assert less <= more
