"""How long the station waits before it dials again (part 4 §5.3, §8.1–§8.3)."""

from __future__ import annotations

import random
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from ocpp_handlers.connection.back_off import back_off, repetition_delays
from ocpp_handlers.connection.link_settings import CsmsLinkSettings


def _settings(minimum_s: int, range_s: int, repeats: int) -> CsmsLinkSettings:
    settings = CsmsLinkSettings()
    settings.override(CsmsLinkSettings.retry_back_off_wait_minimum_s, minimum_s)
    settings.override(CsmsLinkSettings.retry_back_off_random_range_s, range_s)
    settings.override(CsmsLinkSettings.retry_back_off_repeat_times, repeats)
    return settings


def test_the_wait_doubles_as_often_as_configured_and_then_stays() -> None:
    settings = _settings(minimum_s=10, range_s=0, repeats=3)
    assert list(islice(back_off(settings, random.uniform), 6)) == [10, 20, 40, 80, 80, 80]


def test_without_repeats_the_wait_stays_the_minimum() -> None:
    settings = _settings(minimum_s=7, range_s=0, repeats=0)
    assert list(islice(back_off(settings, random.uniform), 3)) == [7, 7, 7]


def test_a_fresh_random_part_is_added_to_every_wait_and_never_doubled() -> None:
    settings = _settings(minimum_s=10, range_s=4, repeats=2)
    drawn = iter([1.0, 2.0, 3.0, 4.0])
    ranges: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        ranges.append((low, high))
        return next(drawn)

    assert list(islice(back_off(settings, uniform), 4)) == [11, 22, 43, 44]
    assert ranges == [(0.0, 4)] * 4


def test_a_change_of_the_settings_counts_from_the_next_wait() -> None:
    settings = _settings(minimum_s=10, range_s=0, repeats=5)
    delays = back_off(settings, random.uniform)
    assert [next(delays), next(delays)] == [10, 20]
    settings.override(CsmsLinkSettings.retry_back_off_wait_minimum_s, 1)
    assert next(delays) == 4


@given(
    minimum_s=st.integers(1, 3_600),
    range_s=st.integers(0, 3_600),
    repeats=st.integers(0, 20),
    seed=st.integers(),
)
def test_each_wait_lies_between_its_base_and_the_random_range_above(
    minimum_s: int, range_s: int, repeats: int, seed: int
) -> None:
    """Whatever is drawn: min * 2^n <= wait <= min * 2^n + range, with n growing to RetryBackOffRepeatTimes.

    But no wait is longer than a day: the variables allow for a hundred years.
    """
    waits = list(islice(back_off(_settings(minimum_s, range_s, repeats), random.Random(seed).uniform), repeats + 4))
    bases = [min(minimum_s * 2 ** min(attempt, repeats), 86_400) for attempt in range(repeats + 4)]
    assert all(base <= wait <= base + range_s for base, wait in zip(bases, waits, strict=True))


def test_a_refused_notification_is_repeated_more_and_more_rarely_for_ten_minutes() -> None:
    delays = list(repetition_delays())
    assert delays == [5, 10, 20, 40, 80, 160, 320]
    assert sum(delays) <= 11 * 60


def test_no_choice_of_the_csms_keeps_the_station_away_for_more_than_a_day() -> None:
    settings = _settings(minimum_s=3_600, range_s=0, repeats=20)
    assert max(islice(back_off(settings, random.uniform), 30)) == 86_400
