"""How old the last word of a grid source is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from energy.freshness import Freshness
from energy.grid import GridSample
from metering.reading import Phases

NOON = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)


def sample(after_s: float = 0.0, current_a: float = 5.0) -> GridSample:
    return GridSample(taken_at=NOON + timedelta(seconds=after_s), currents_a=Phases(current_a, None, None))


def test_a_source_that_never_spoke_has_no_age() -> None:
    silent = Freshness()
    assert silent.last is None
    assert silent.age_s(now_s=0.0) is None


def test_each_new_time_stamp_makes_it_fresh_again() -> None:
    freshness = Freshness()
    for second in range(60):
        freshness = freshness.after(sample(second), now_s=float(second))
    assert freshness.age_s(now_s=65.0) == 6.0
    assert freshness.last == sample(59)


def test_a_time_stamp_that_repeats_does_not_make_it_fresh() -> None:
    freshness = Freshness()
    for second in range(12):
        freshness = freshness.after(sample(), now_s=float(second))
    assert freshness.age_s(now_s=12.0) == 12.0


def test_the_values_of_a_repeated_time_stamp_are_the_newer_ones() -> None:
    freshness = Freshness().after(sample(), now_s=0.0).after(sample(current_a=30.0), now_s=1.0)
    assert freshness.last == sample(current_a=30.0)
    assert freshness.age_s(now_s=1.0) == 1.0


def test_a_clock_that_was_set_back_makes_no_source_older() -> None:
    freshness = Freshness().after(sample(), now_s=0.0)
    for second in range(1, 20):
        freshness = freshness.after(sample(second - 3600), now_s=float(second))
    assert freshness.age_s(now_s=20.0) == 1.0
