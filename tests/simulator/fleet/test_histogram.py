"""Histograms of durations: what they say is exact to a bucket, and merging them loses nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fleet.histogram import DurationHistogram

DURATIONS = st.lists(st.floats(0.0, 1e5, allow_nan=False), max_size=60)


def histogram(durations_s: list[float]) -> DurationHistogram:
    durations = DurationHistogram()
    for duration_s in durations_s:
        durations.record(duration_s)
    return durations


@given(st.lists(DURATIONS, max_size=5))
def test_merged_histograms_are_the_histogram_of_all_durations(parts: list[list[float]]) -> None:
    merged = DurationHistogram(histogram(part).data() for part in parts)
    expected = histogram([duration for part in parts for duration in part])
    assert merged.data().buckets == expected.data().buckets
    assert (merged.count, merged.min_s, merged.max_s) == (expected.count, expected.min_s, expected.max_s)
    assert merged.mean_s == pytest.approx(expected.mean_s)


@given(DURATIONS.filter(bool), st.sampled_from([1.0, 50.0, 75.0, 95.0, 99.0, 99.9, 100.0]))
def test_a_percentile_is_that_of_the_sorted_durations_to_a_bucket(durations_s: list[float], percent: float) -> None:
    exact_s = sorted(durations_s)[max(0, math.ceil(percent / 100.0 * len(durations_s) - 1e-9) - 1)]
    found_s = histogram(durations_s).percentile_s(percent)
    assert exact_s <= found_s + 1e-12
    assert found_s <= max(exact_s * (1.0 + 1.0 / 64.0), exact_s + 1e-6) + 1e-9


@given(DURATIONS, DURATIONS)
def test_the_durations_since_an_earlier_content_are_those_recorded_since(
    earlier_s: list[float], later_s: list[float]
) -> None:
    all_durations = histogram(earlier_s)
    before = all_durations.data()
    for duration_s in later_s:
        all_durations.record(duration_s)
    since = all_durations.without(before)
    assert since.data().buckets == histogram(later_s).data().buckets
    assert since.count == len(later_s)


def test_an_empty_histogram_has_no_durations() -> None:
    empty = DurationHistogram()
    assert (empty.count, empty.mean_s, empty.min_s, empty.max_s, empty.percentile_s(95)) == (0, 0.0, 0.0, 0.0, 0.0)
    assert DurationHistogram([empty.data(), histogram([2.0]).data()]).min_s == 2.0
