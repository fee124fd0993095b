"""Charging profiles and a moment give a limit, whatever their purpose, kind, unit and place in the stack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Recurrency, Schedule, SchedulePeriod
from energy.composite import (
    ProfileTarget,
    amperes,
    limit_a,
    limits_over,
    next_change,
    next_station_change,
    station_limit_a,
)

MONDAY = datetime(2026, 1, 12, tzinfo=UTC)
NOON = MONDAY + timedelta(hours=12)
EVSE_1_TX = ProfileTarget(1, "tx", NOON)


def profile(*periods: tuple[int, float], **changed: object) -> ChargingProfile:
    """An absolute default profile from noon, with periods of (start, amperes)."""
    schedule = Schedule(
        1, RateUnit.A, tuple(SchedulePeriod(start_s, limit) for start_s, limit in periods), starts_at=NOON
    )
    base = ChargingProfile(1, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule)
    return replace(base, **changed)


def noon_plus(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("second", "expected"), [(-1, None), (0, 16.0), (599, 16.0), (600, 8.0), (899, 8.0), (900, 32.0), (10**7, 32.0)]
)
def test_each_period_holds_until_the_next_and_the_last_without_end(second: int, expected: float | None) -> None:
    assert limit_a([profile((0, 16.0), (600, 8.0), (900, 32.0))], EVSE_1_TX, noon_plus(second)) == expected


def test_a_schedule_is_over_after_its_duration() -> None:
    """K01.FR.11"""
    single = profile((0, 16.0))
    single = replace(single, schedule=replace(single.schedule, duration_s=60))
    assert limit_a([single], EVSE_1_TX, noon_plus(59.999)) == 16.0
    assert limit_a([single], EVSE_1_TX, noon_plus(60)) is None


def test_a_transaction_goes_before_the_default_whatever_the_stack_levels() -> None:
    """K01.FR.17"""
    default = profile((0, 10.0), stack_level=9)
    of_tx = profile((0, 20.0), id=2, purpose=Purpose.TX, transaction_id="tx")
    assert limit_a([default, of_tx], EVSE_1_TX, NOON) == 20.0
    assert limit_a([default, of_tx], ProfileTarget(1, "another", NOON), NOON) == 10.0
    assert limit_a([default, of_tx], ProfileTarget(1), NOON) == 10.0


def test_the_higher_stack_level_goes_first_and_leaves_the_word_when_it_is_over() -> None:
    """K01.FR.13, K01.FR.30"""
    low = profile((0, 10.0))
    high = profile((0, 25.0), id=2, stack_level=1)
    high = replace(high, schedule=replace(high.schedule, duration_s=60))
    for profiles in ([low, high], [high, low]):
        assert limit_a(profiles, EVSE_1_TX, noon_plus(30)) == 25.0
        assert limit_a(profiles, EVSE_1_TX, noon_plus(60)) == 10.0


@pytest.mark.parametrize(
    ("second", "changes"), [(-60, 0), (0, 30), (30, 100), (99, 100), (100, 600), (600, 700), (700, None)]
)
def test_a_limit_may_change_when_its_period_ends_or_another_profile_begins(second: int, changes: int | None) -> None:
    low = profile((0, 10.0), (600, 16.0), (700, 20.0))
    high = profile((0, 25.0), id=2, stack_level=1, valid_from=noon_plus(30), valid_to=noon_plus(100))
    distant = profile((0, 6.0), id=3, stack_level=2, valid_from=noon_plus(10**7))
    profiles = [low, high, distant]
    expected = noon_plus(changes) if changes is not None else None
    assert next_change(profiles, EVSE_1_TX, noon_plus(second)) == expected
    of_station = [replace(entry, purpose=Purpose.STATION_MAX, evse_id=0) for entry in profiles]
    assert next_station_change(of_station, noon_plus(second)) == expected


def test_a_daily_profile_may_change_when_it_begins_again() -> None:
    daily = profile((0, 10.0), kind=Kind.RECURRING)
    daily = replace(daily, schedule=replace(daily.schedule, duration_s=60), recurrency=Recurrency.DAILY)
    assert next_change([daily], EVSE_1_TX, noon_plus(30)) == noon_plus(60)
    assert next_change([daily], EVSE_1_TX, noon_plus(60)) == noon_plus(86_400)


def test_a_profile_for_evse_0_counts_for_each_and_one_for_another_for_none() -> None:
    assert limit_a([profile((0, 10.0), evse_id=0)], EVSE_1_TX, NOON) == 10.0
    assert limit_a([profile((0, 10.0), evse_id=2)], EVSE_1_TX, NOON) is None


def test_a_profile_counts_within_its_validity_only() -> None:
    """K01.FR.36, K01.FR.37"""
    single = profile((0, 10.0), valid_from=noon_plus(60), valid_to=noon_plus(120))
    assert [limit_a([single], EVSE_1_TX, noon_plus(second)) for second in (59, 60, 119, 120)] == [
        None,
        10.0,
        10.0,
        None,
    ]


def test_a_relative_schedule_counts_from_the_moment_that_energy_could_flow() -> None:
    """K01.FR.42"""
    single = profile((0, 10.0), (60, 20.0), kind=Kind.RELATIVE)
    single = replace(single, schedule=replace(single.schedule, starts_at=None))
    ready = ProfileTarget(1, "tx", noon_plus(1000))
    assert [limit_a([single], ready, noon_plus(second)) for second in (999, 1000, 1059, 1060)] == [
        None,
        10.0,
        10.0,
        20.0,
    ]
    assert limit_a([single], ProfileTarget(1), noon_plus(1000)) is None


def test_a_daily_schedule_restarts_every_day() -> None:
    daily = profile((0, 10.0), (3600, 20.0), kind=Kind.RECURRING, recurrency=Recurrency.DAILY)
    daily = replace(daily, schedule=replace(daily.schedule, duration_s=7200))
    day = 86_400
    moments = (-1, 0, 3600, 7200, day - 1, day, day + 3600, 400 * day + 3599)
    expected = [None, 10.0, 20.0, None, None, 10.0, 20.0, 10.0]
    assert [limit_a([daily], EVSE_1_TX, noon_plus(second)) for second in moments] == expected


@pytest.mark.parametrize(
    ("period", "unit", "expected"),
    [
        (SchedulePeriod(0, 16.0), RateUnit.A, 16.0),
        (SchedulePeriod(0, 11_040.0), RateUnit.W, 16.0),
        (SchedulePeriod(0, 11_040.0, phases=3), RateUnit.W, 16.0),
        (SchedulePeriod(0, 3_680.0, phases=1), RateUnit.W, 16.0),
        (SchedulePeriod(0, 0.0), RateUnit.W, 0.0),
    ],
)
def test_watts_are_over_all_phases_and_amperes_for_each(
    period: SchedulePeriod, unit: RateUnit, expected: float
) -> None:
    """K01.FR.49, K01.FR.50, K01.FR.51"""
    assert amperes(period, unit) == pytest.approx(expected)


def test_nobody_speaks_where_there_is_no_profile() -> None:
    assert limit_a([], EVSE_1_TX, NOON) is None


def test_the_station_has_the_highest_stack_level_of_its_own_purpose() -> None:
    """K04.FR.05: profiles of EVSEs and transactions say nothing of the station."""
    low = profile((0, 20.0), evse_id=0, purpose=Purpose.STATION_MAX)
    high = replace(
        low, id=2, stack_level=1, schedule=replace(low.schedule, duration_s=60, periods=(SchedulePeriod(0, 30.0),))
    )
    everybody = [profile((0, 6.0), id=3, evse_id=0), low, high]
    assert station_limit_a(everybody, noon_plus(59)) == 30.0
    assert station_limit_a(everybody, noon_plus(60)) == 20.0
    assert station_limit_a(everybody, noon_plus(-1)) is None
    assert limit_a([low, high], EVSE_1_TX, NOON) is None


def test_over_a_span_of_time_it_is_the_same_to_the_microsecond() -> None:
    half = timedelta(microseconds=500_000)
    ready = ProfileTarget(1, "tx", NOON + half)
    relative = profile((0, 10.0), (60, 20.0), kind=Kind.RELATIVE)
    relative = replace(relative, schedule=replace(relative.schedule, starts_at=None, duration_s=90))
    assert limits_over([relative], ready, NOON, timedelta(seconds=200)) == [
        (500_000, 60_500_000, 10.0),
        (60_500_000, 90_500_000, 20.0),
    ]
    assert limits_over([relative], ProfileTarget(1), NOON, timedelta(seconds=200)) == []
