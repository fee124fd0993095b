"""The composite schedule: compared with a reading of the rules second by second, and never above a limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Recurrency, Schedule, SchedulePeriod
from energy.composite import ProfileTarget, limit_a, limits_over, station_limit_a
from energy.composite_schedule import (
    CompositePeriod,
    EvseForecast,
    StationForecast,
    composite_schedule,
    count_periods,
    in_whole_seconds,
)
from energy.sharing import share
from tests.examples import examples

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
HORIZON_S = 400
LOCAL_A = 32.0
TX = ProfileTarget(1, "tx", NOON)


def site(*consumers: EvseForecast, local_a: float | None = None) -> StationForecast:
    """A station with these EVSEs; by default one that charges."""
    return StationForecast(consumers or (EvseForecast(TX, 3, LOCAL_A, True),), local_a, share)


def noon_plus(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


def profile(*periods: tuple[int, float], **changed: object) -> ChargingProfile:
    """An absolute default profile from noon, with periods of (start, amperes)."""
    schedule = Schedule(
        1, RateUnit.A, tuple(SchedulePeriod(start_s, limit) for start_s, limit in periods), starts_at=NOON
    )
    base = ChargingProfile(1, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule)
    return replace(base, **changed)


def with_duration(source: ChargingProfile, duration_s: int) -> ChargingProfile:
    """The same with a duration."""
    return replace(source, schedule=replace(source.schedule, duration_s=duration_s))


def steps(levels: Sequence[CompositePeriod]) -> list[tuple[int, float]]:
    """Start and limit of each level, the limit without the dust of its arithmetic."""
    return [(level.start_s, round(level.limit, 9)) for level in levels]


def schedule_of(
    profiles: list[ChargingProfile],
    *,
    where: StationForecast | None = None,
    evse_id: int = 1,
    unit: RateUnit = RateUnit.A,
) -> list[CompositePeriod]:
    """The composite schedule from noon on."""
    return composite_schedule(profiles, where or site(), evse_id, NOON, HORIZON_S, unit)


def test_without_a_profile_it_is_what_the_hardware_allows() -> None:
    assert schedule_of([]) == [CompositePeriod(0, 32.0, 3)]
    assert schedule_of([], where=site(local_a=20.0)) == [CompositePeriod(0, 20.0, 3)]


def test_stacked_profiles_follow_one_another() -> None:
    """K08.FR.02, as in TC_K_40_CS."""
    low = with_duration(profile((0, 6.0), (100, 8.0), (200, 10.0)), 400)
    high = with_duration(profile((0, 7.0), (100, 9.0), id=2, stack_level=1), 150)
    assert steps(schedule_of([low, high])) == [(0, 7.0), (100, 9.0), (150, 8.0), (200, 10.0)]


def test_the_purposes_are_combined_to_the_lowest() -> None:
    """K08.FR.04, K02.FR.08, as in TC_K_41_CS."""
    most = profile((0, 10.0), purpose=Purpose.STATION_MAX, evse_id=0)
    default = with_duration(profile((0, 6.0), (60, 10.0), (120, 8.0), (180, 15.0), (260, 8.0), id=2), 300)
    of_tx = profile((0, 8.0), (50, 11.0), (140, 16.0), (200, 6.0), (240, 12.0), id=3)
    of_tx = with_duration(replace(of_tx, purpose=Purpose.TX, transaction_id="tx"), 260)
    assert steps(schedule_of([most, default, of_tx])) == [
        (0, 8.0),
        (50, 10.0),
        (200, 6.0),
        (240, 10.0),
        (260, 8.0),
        (300, 10.0),
    ]


def test_external_constraints_hold_it_down_too() -> None:
    """SC.01"""
    external = with_duration(profile((0, 9.0), id=-1, purpose=Purpose.EXTERNAL_CONSTRAINTS, evse_id=0), 60)
    assert steps(schedule_of([external, profile((0, 16.0))])) == [(0, 9.0), (60, 16.0)]


def test_an_evse_without_a_transaction_counts_as_if_one_had_just_begun() -> None:
    """K08.FR.06; the schedule of a Relative profile begins with it."""
    relative = profile((0, 10.0), (60, 20.0), kind=Kind.RELATIVE, valid_from=noon_plus(30))
    relative = replace(relative, schedule=replace(relative.schedule, starts_at=None))
    idle = site(EvseForecast(ProfileTarget(1), 3, LOCAL_A, False))
    assert steps(schedule_of([relative], where=idle)) == [(0, 32.0), (30, 10.0), (60, 20.0)]


def test_of_the_grid_connection_it_is_the_sum_of_all_evses_and_no_more_than_they_share() -> None:
    """K08.FR.03, K04.FR.05, as in TC_K_22_CS."""
    two = site(EvseForecast(ProfileTarget(1), 3, LOCAL_A, False), EvseForecast(ProfileTarget(2), 3, LOCAL_A, False))
    default = with_duration(profile((0, 6.0), evse_id=0), 300)
    assert steps(schedule_of([default], where=two, evse_id=0)) == [(0, 12.0), (300, 64.0)]
    most = profile((0, 40.0), id=2, purpose=Purpose.STATION_MAX, evse_id=0)
    assert steps(schedule_of([default, most], where=two, evse_id=0)) == [(0, 12.0), (300, 40.0)]
    supplied = replace(two, local_a=25.0)
    assert steps(schedule_of([default, most], where=supplied, evse_id=0)) == [(0, 12.0), (300, 25.0)]


@pytest.mark.parametrize("unit", RateUnit)
@pytest.mark.parametrize(("most_a", "parts_a"), [(5.0, (0.0, 0.0)), (11.0, (8.0, 0.0)), (14.0, (7.0, 7.0))])
def test_of_the_grid_connection_it_is_the_sum_of_its_evses_where_some_get_nothing(
    most_a: float, parts_a: tuple[float, float], unit: RateUnit
) -> None:
    """K08.FR.03: what is left below 6 A is drawn by nobody."""
    most = profile((0, most_a), id=2, purpose=Purpose.STATION_MAX, evse_id=0)
    two = site(EvseForecast(TX, 3, 8.0, True), EvseForecast(ProfileTarget(2, "other", NOON), 3, 8.0, True))
    factor = 1.0 if unit is RateUnit.A else 690.0
    for evse_id, expected_a in ((1, parts_a[0]), (2, parts_a[1]), (0, sum(parts_a))):
        levels = schedule_of([most], where=two, evse_id=evse_id, unit=unit)
        assert steps(levels) == [(0, pytest.approx(expected_a * factor))]


@pytest.mark.parametrize("unit", RateUnit)
@pytest.mark.parametrize("station_a", [None, 12.0, 10.0, 9.9, 5.0])
def test_of_the_grid_connection_less_than_6_a_for_each_is_nothing(station_a: float | None, unit: RateUnit) -> None:
    """K08.FR.03: no pilot offers it, whether or not the limit of the station is enough for the sum."""
    default = profile((0, 5.0), (60, 8.0), (120, 5.9), id=1, evse_id=0)
    two = site(EvseForecast(TX, 3, 32.0, True), EvseForecast(ProfileTarget(2, "other", NOON), 3, 32.0, True))
    levels = schedule_of([default], where=replace(two, local_a=station_a), evse_id=0, unit=unit)
    factor = 1.0 if unit is RateUnit.A else 690.0
    least_a = {None: 16.0, 12.0: 12.0, 10.0: 8.0, 9.9: 8.0, 5.0: 0.0}[station_a]
    expected = [(0, 0.0), (60, least_a * factor), (120, 0.0)] if least_a else [(0, 0.0)]
    assert steps(levels) == expected


def test_of_the_grid_connection_it_is_no_less_than_what_the_vehicles_that_are_there_draw() -> None:
    """K08.FR.03: with one more on one phase, the watts of all would be fewer."""
    most = profile((0, 16.0), id=2, purpose=Purpose.STATION_MAX, evse_id=0)
    target_site = site(EvseForecast(TX, 3, LOCAL_A, True), EvseForecast(ProfileTarget(2), 1, LOCAL_A, False))
    for evse_id in (0, 1):
        assert steps(schedule_of([most], where=target_site, evse_id=evse_id, unit=RateUnit.W)) == [(0, 16.0 * 690.0)]


def test_evses_that_charge_share_what_the_station_may_have() -> None:
    """K04.FR.05: the expectation of one knows of the others."""
    most = profile((0, 20.0), id=2, purpose=Purpose.STATION_MAX, evse_id=0)
    first, second = EvseForecast(TX, 3, LOCAL_A, True), EvseForecast(ProfileTarget(2, "other", NOON), 3, LOCAL_A, True)
    assert steps(schedule_of([most], where=site(first, second))) == [(0, 10.0)]
    assert steps(schedule_of([most], where=site(first, replace(second, may_charge=False)))) == [(0, 20.0)]


@pytest.mark.parametrize(("phases", "watts"), [(3, 4140.0), (1, 1380.0)])
def test_watts_are_those_of_the_phases_that_are_there(phases: int, watts: float) -> None:
    """K01.FR.45, K01.FR.50: a one-phase EVSE draws a third of what three phases would."""
    in_watts = profile((0, 4140.0))
    in_watts = replace(in_watts, schedule=replace(in_watts.schedule, unit=RateUnit.W))
    levels = schedule_of([in_watts], where=site(EvseForecast(TX, phases, LOCAL_A, True)), unit=RateUnit.W)
    assert steps(levels) == [(0, watts)]
    assert levels[0].phases == phases
    assert steps(schedule_of([in_watts])) == [(0, 6.0)]


def test_a_daily_profile_comes_again_within_a_long_schedule() -> None:
    daily = with_duration(profile((0, 10.0), kind=Kind.RECURRING, recurrency=Recurrency.DAILY), 3600)
    levels = composite_schedule([daily], site(), 1, NOON, 2 * 86_400 + 60, RateUnit.A)
    day = 86_400
    assert steps(levels) == [(0, 10.0), (3600, 32.0), (day, 10.0), (day + 3600, 32.0), (2 * day, 10.0)]
    assert count_periods([daily], timedelta(days=2)) == 4


@pytest.mark.parametrize("duration_s", [None, 200_000])
def test_a_recurring_schedule_restarts_even_where_it_is_not_over(duration_s: int | None) -> None:
    daily = profile((0, 10.0), (3600, 20.0), kind=Kind.RECURRING, recurrency=Recurrency.DAILY)
    daily = replace(daily, schedule=replace(daily.schedule, duration_s=duration_s))
    levels = composite_schedule([daily], site(), 1, NOON, 2 * 86_400, RateUnit.A)
    assert steps(levels) == [(0, 10.0), (3600, 20.0), (86_400, 10.0), (90_000, 20.0)]


def test_a_level_that_begins_or_ends_within_a_second_is_on_the_careful_side() -> None:
    sub_second_levels = [(0, 1_500_000, 10.0), (1_500_000, 3_400_000, 6.0), (3_400_000, 5_000_000, 12.0)]
    assert in_whole_seconds(sub_second_levels) == [(0, 1, 10.0), (1, 4, 6.0), (4, 5, 12.0)]
    several = [
        (0, 2_100_000, 10.0),
        (2_100_000, 2_400_000, 7.0),
        (2_400_000, 2_700_000, 5.0),
        (2_700_000, 4_000_000, 8.0),
    ]
    assert in_whole_seconds(several) == [(0, 2, 10.0), (2, 3, 5.0), (3, 4, 8.0)]
    assert in_whole_seconds([(0, 1_000_000, 6.0), (1_000_000, 2_000_000, 6.0)]) == [(0, 2, 6.0)]
    assert in_whole_seconds([(0, 1_200_000, 6.0), (1_200_000, 1_300_000, 5.0), (1_300_000, 3_000_000, 6.0)]) == [
        (0, 1, 6.0),
        (1, 2, 5.0),
        (2, 3, 6.0),
    ]


# The rules, read second by second


def profile_limit(entry: ChargingProfile, charge: ProfileTarget, now: datetime) -> float | None:
    """The limit of one profile now, found by walking its periods instead of computing with dates."""
    valid = (entry.valid_from is None or entry.valid_from <= now) and (entry.valid_to is None or now < entry.valid_to)
    begin = charge.started_at if entry.kind is Kind.RELATIVE else entry.schedule.starts_at
    if not valid or begin is None or now < begin:
        return None
    if entry.kind is Kind.RECURRING:
        step = timedelta(days=7) if entry.recurrency is Recurrency.WEEKLY else timedelta(days=1)
        while begin + step <= now:
            begin += step
    limit: float | None = None
    for period in entry.schedule.periods:
        if begin + timedelta(seconds=period.start_s) <= now:
            volts = 1.0 if entry.schedule.unit is RateUnit.A else 230.0 * (period.phases or 3)
            limit = period.limit / volts
    duration_s = entry.schedule.duration_s
    over = duration_s is not None and now >= begin + timedelta(seconds=duration_s)
    return None if over else limit


def limit_of_highest_level(profiles: list[ChargingProfile], charge: ProfileTarget, now: datetime) -> float | None:
    """The limit of the highest stack level that has one."""
    limits = {
        entry.stack_level: limit for entry in profiles if (limit := profile_limit(entry, charge, now)) is not None
    }
    return limits[max(limits)] if limits else None


def expected_own_limit(profiles: list[ChargingProfile], charge: ProfileTarget, now: datetime) -> float | None:
    """The limit of one EVSE's own profiles, as the specification defines it."""
    applicable = [entry for entry in profiles if entry.evse_id in (0, charge.evse_id)]
    of_tx = [
        entry for entry in applicable if entry.purpose is Purpose.TX and entry.transaction_id == charge.transaction_id
    ]
    own = limit_of_highest_level(of_tx, charge, now) if charge.transaction_id is not None else None
    return (
        own
        if own is not None
        else limit_of_highest_level([entry for entry in applicable if entry.purpose is Purpose.TX_DEFAULT], charge, now)
    )


def expected_station_limit(profiles: list[ChargingProfile], now: datetime) -> float | None:
    """The limit of the profiles for the whole station."""
    most = limit_of_highest_level(
        [entry for entry in profiles if entry.purpose is Purpose.STATION_MAX], ProfileTarget(0), now
    )
    external = [
        profile_limit(entry, ProfileTarget(0), now)
        for entry in profiles
        if entry.purpose is Purpose.EXTERNAL_CONSTRAINTS
    ]
    return min((limit for limit in (most, *external) if limit is not None), default=None)


def days_before(second: float, days: int) -> datetime:
    """A start that lies back so far."""
    return noon_plus(second) - timedelta(days=days)


second_offsets = st.integers(-200, HORIZON_S).map(float)
any_seconds = st.floats(-200, HORIZON_S).map(lambda second: round(second, 6))


def profiles_from(moments: st.SearchStrategy[float]) -> st.SearchStrategy[list[ChargingProfile]]:
    """Lists of profiles of every purpose and kind whose moments are some of these."""
    periods = st.lists(st.integers(1, 300), max_size=4, unique=True).flatmap(
        lambda starts: st.tuples(
            *[
                st.builds(SchedulePeriod, st.just(start), st.floats(0, 40), st.sampled_from([None, 3]))
                for start in [0, *sorted(starts)]
            ]
        )
    )
    schedules = st.builds(
        Schedule,
        st.just(1),
        st.sampled_from(RateUnit),
        periods,
        starts_at=st.builds(days_before, moments, st.integers(0, 20)),
        duration_s=st.none() | st.integers(1, 400),
    )
    return st.lists(
        st.builds(
            ChargingProfile,
            st.integers(1, 1000),
            st.sampled_from([0, 1, 1, 2]),
            st.integers(0, 100),
            st.sampled_from(Purpose),
            st.sampled_from(Kind),
            schedules,
            st.sampled_from(Recurrency),
            st.none() | moments.map(noon_plus),
            st.none() | moments.map(noon_plus),
            st.sampled_from(["tx", "another"]),
        ).map(lambda entry: replace(entry, evse_id=0) if "Station" in entry.purpose else entry),
        max_size=6,
        unique_by=lambda entry: (entry.purpose, entry.stack_level),
    )


def charges_from(moments: st.SearchStrategy[float]) -> st.SearchStrategy[ProfileTarget]:
    """What may go on at EVSE 1."""
    return st.builds(ProfileTarget, st.just(1), st.none() | st.just("tx"), st.none() | moments.map(noon_plus))


@examples(80)
@given(profiles_from(second_offsets), charges_from(second_offsets))
def test_a_moment_equals_a_reading_of_the_rules(profiles: list[ChargingProfile], charge: ProfileTarget) -> None:
    for second in range(-50, HORIZON_S, 7):
        now = noon_plus(second)
        assert limit_a(profiles, charge, now) == expected_own_limit(profiles, charge, now)
        of_station = [entry for entry in profiles if entry.purpose is Purpose.STATION_MAX]
        assert station_limit_a(profiles, now) == expected_station_limit(of_station, now)


@examples(60)
@given(profiles_from(second_offsets), charges_from(second_offsets))
def test_it_equals_a_reading_of_the_rules_second_by_second(
    profiles: list[ChargingProfile], charge: ProfileTarget
) -> None:
    """K08.FR.02, K08.FR.04"""
    levels = schedule_of(profiles, where=site(EvseForecast(charge, 3, LOCAL_A, True), local_a=30.0))
    assert levels[0].start_s == 0
    starts = [level.start_s for level in levels]
    assert starts == sorted(set(starts))
    for second in range(HORIZON_S):
        now = noon_plus(second)
        limits = [expected_own_limit(profiles, charge, now), expected_station_limit(profiles, now), LOCAL_A, 30.0]
        expected = min(limit for limit in limits if limit is not None)
        scheduled = [level.limit for level in levels if level.start_s <= second][-1]
        assert scheduled == expected, second


@examples(80)
@given(profiles_from(any_seconds), charges_from(any_seconds), st.lists(any_seconds, min_size=20, max_size=20))
def test_it_is_never_above_a_limit_at_any_moment(
    profiles: list[ChargingProfile], charge: ProfileTarget, moments: list[float]
) -> None:
    """K08.FR.04, SC.01: also where limits begin and end within a second."""
    levels = schedule_of(profiles, where=site(EvseForecast(charge, 3, LOCAL_A, True)))
    for moment in [candidate for candidate in moments if candidate >= 0.0]:
        now = noon_plus(moment)
        scheduled = [level.limit for level in levels if level.start_s <= moment][-1]
        for limit in (expected_own_limit(profiles, charge, now), expected_station_limit(profiles, now), LOCAL_A):
            assert limit is None or scheduled <= limit


@examples(60)
@given(profiles_from(any_seconds), charges_from(any_seconds), st.lists(any_seconds, min_size=20, max_size=20))
def test_a_span_of_time_is_what_each_of_its_moments_says(
    profiles: list[ChargingProfile], charge: ProfileTarget, moments: list[float]
) -> None:
    pieces = limits_over(profiles, charge, NOON, timedelta(seconds=HORIZON_S))
    assert all(until > since for since, until, _ in pieces)
    assert all(before[1] <= after[0] for before, after in pairwise(pieces))
    for moment in [candidate for candidate in moments if 0.0 <= candidate < HORIZON_S]:
        now = noon_plus(moment)
        place = (now - NOON) // timedelta(microseconds=1)
        limit_in_piece = next((limit for since, until, limit in pieces if since <= place < until), None)
        assert limit_in_piece == limit_a(profiles, charge, now)


def test_watts_for_three_phases_are_the_amperes_of_three_also_where_a_board_leaves_one() -> None:
    """K01.FR.50 (errata 2025-09, 2.40), K08.FR.02; a level says how many phases it is for."""
    watts = Schedule(1, RateUnit.W, (SchedulePeriod(0, 4600.0, 1), SchedulePeriod(60, 6900.0, 3)), starts_at=NOON)
    watt_profile = replace(profile((0, 0.0)), schedule=watts)
    for on in (1, 3):
        where = site(EvseForecast(replace(TX, phases=on), on, LOCAL_A, True))
        levels = schedule_of([watt_profile], where=where, unit=RateUnit.W)
        assert [(level.start_s, round(level.limit, 6), level.phases) for level in levels] == [
            (0, 4600.0, 1),
            (60, 2300.0 * on, on),
        ]
        assert steps(schedule_of([watt_profile], where=where)) == [(0, 20.0), (60, 10.0)]
        most = replace(watt_profile, id=2, purpose=Purpose.STATION_MAX, evse_id=0)
        for evse_id in (0, 1):
            levels = schedule_of([most], where=where, evse_id=evse_id, unit=RateUnit.W)
            assert [(level.start_s, round(level.limit, 6), level.phases) for level in levels] == [
                (0, 4600.0, 1),
                (60, 2300.0 * on, on),
            ]


def test_amperes_on_one_phase_are_a_third_of_the_watts() -> None:
    """K01.FR.51"""
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 10.0, 1), SchedulePeriod(60, 10.0, 3)), starts_at=NOON)
    watt_profile = replace(profile((0, 0.0)), schedule=schedule)
    levels = schedule_of(
        [watt_profile], where=site(EvseForecast(replace(TX, phases=3), 3, LOCAL_A, True)), unit=RateUnit.W
    )
    assert [(level.start_s, round(level.limit, 6), level.phases) for level in levels] == [
        (0, 2300.0, 1),
        (60, 6900.0, 3),
    ]
