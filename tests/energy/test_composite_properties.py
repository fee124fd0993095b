"""The composite schedule of a station with two EVSEs, with whatever profiles its store takes, against the rules."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Recurrency, Schedule, SchedulePeriod
from energy.composite import ProfileTarget
from energy.composite_schedule import CompositePeriod, EvseForecast, StationForecast, composite_schedule
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.sharing import Bound, Policy, share, share_conductor
from energy.vehicle_use import VehicleUses
from ocpp_handlers.translate.charging_profiles import composite_to_wire
from tests.energy.test_composite_schedule import NOON, expected_own_limit, expected_station_limit, noon_plus
from tests.energy.test_sharing import conductor, single_conductor_cases
from tests.examples import examples

HORIZON_S = 300
DAY_S = 86_400
PHASES = {1: 3, 2: 1}
LOCAL_A = {1: 32.0, 2: 20.0}
HIGHEST = {RateUnit.A: 40.0, RateUnit.W: 25_000.0}

moments = st.integers(-150, HORIZON_S + 50)
starts = st.lists(
    st.integers(1, 250) | st.integers(DAY_S - 100, DAY_S + 250) | st.integers(7 * DAY_S - 100, 7 * DAY_S + 100),
    max_size=4,
    unique=True,
).map(lambda starts: [0, *sorted(starts)])
durations = st.none() | st.integers(0, 400) | st.integers(DAY_S - 50, DAY_S + 300) | st.integers(6 * DAY_S, 8 * DAY_S)


@st.composite
def profiles(draw: st.DrawFn) -> ChargingProfile:
    """A profile that may be any good, or not."""
    kind, unit = draw(st.sampled_from(Kind)), draw(st.sampled_from(RateUnit))
    purpose = draw(st.sampled_from([*Purpose, Purpose.TX, Purpose.TX_DEFAULT]))
    began = noon_plus(draw(moments)) - timedelta(days=draw(st.sampled_from([0, 0, 1, 2, 6, 7, 8, 30])))
    limits, phases = st.floats(0, HIGHEST[unit]), st.sampled_from([None, None, 3, 1])
    schedule = Schedule(
        1,
        unit,
        tuple(SchedulePeriod(start, draw(limits), draw(phases)) for start in draw(starts)),
        None if kind is Kind.RELATIVE else began,
        draw(durations),
    )
    valid = [noon_plus(moment) for moment in draw(st.lists(moments, max_size=2))]
    places = {Purpose.TX: [1], Purpose.TX_DEFAULT: [0, 1, 2]}.get(purpose, [0])
    return ChargingProfile(
        draw(st.integers(1, 20)),
        draw(st.sampled_from(places)),
        draw(st.integers(0, 3)),
        purpose,
        kind,
        schedule,
        draw(st.sampled_from(Recurrency)),
        valid_from=valid[0] if valid else None,
        valid_to=valid[1] if len(valid) > 1 else None,
        transaction_id="tx" if purpose is Purpose.TX else None,
    )


def installed(offered: list[ChargingProfile]) -> list[ChargingProfile]:
    """The profiles that a store with a transaction on EVSE 1 accepts; external constraints are installed directly."""
    store = ProfileStore(PHASES, no_selectable_phases)
    external: dict[int, ChargingProfile] = {}
    for candidate in offered:
        if candidate.purpose is Purpose.EXTERNAL_CONSTRAINTS:
            if candidate.schedule.starts_at is not None:
                external[candidate.id] = candidate
        elif store.refusal(candidate, "tx" if candidate.evse_id == 1 else None) is None:
            store.install(candidate)
    return [*store.all(), *external.values()]


stations = st.lists(profiles(), max_size=12).map(installed)
loads = st.sampled_from([frozenset({0}), frozenset({1}), frozenset({0, 1, 2})])
consumers = st.tuples(
    st.builds(
        EvseForecast,
        st.builds(ProfileTarget, st.just(1), st.just("tx"), moments.map(noon_plus)),
        st.just(PHASES[1]),
        st.just(LOCAL_A[1]),
        st.just(True),
    ),
    st.builds(
        EvseForecast,
        st.builds(ProfileTarget, st.just(2), st.none(), moments.map(noon_plus)),
        st.just(PHASES[2]),
        st.just(LOCAL_A[2]),
        st.booleans(),
        loads,
    ),
).flatmap(st.permutations)
connections = st.none() | st.floats(0, 60)


@st.composite
def sites(draw: st.DrawFn) -> tuple[StationForecast, Policy]:
    """A station, the first served first, and how it divides."""
    policy = draw(st.sampled_from(Policy))
    return StationForecast(draw(consumers), draw(connections), VehicleUses(policy).share), policy


def limit_at(levels: list[CompositePeriod], second: float) -> float:
    """The limit of a schedule at a moment."""
    return [level.limit for level in levels if level.start_s <= second][-1]


def with_three_phases(source: ChargingProfile) -> ChargingProfile:
    """The profile with three phases in every period: a limit in watts for all EVSEs does not depend on phases."""
    periods = tuple(replace(period, phases=3) for period in source.schedule.periods)
    return replace(source, schedule=replace(source.schedule, periods=periods))


def expected_caps(
    profiles: list[ChargingProfile], site: StationForecast, second: int
) -> tuple[list[float], list[float]]:
    """The limits of all EVSEs together in one second: amperes on each conductor, and watts."""
    external = [entry for entry in profiles if entry.purpose is Purpose.EXTERNAL_CONSTRAINTS]
    per_phase = [entry for entry in profiles if entry not in external or entry.schedule.unit is RateUnit.A]
    watts = [
        limit * 230.0 * 3
        for entry in external
        if entry not in per_phase
        and (limit := expected_station_limit([with_three_phases(entry)], noon_plus(second))) is not None
    ]
    amperes = [
        limit for limit in (expected_station_limit(per_phase, noon_plus(second)), site.local_a) if limit is not None
    ]
    return amperes, watts


def expected_limit(
    profiles: list[ChargingProfile],
    site_and_policy: tuple[StationForecast, Policy],
    evse_id: int,
    second: int,
    unit: RateUnit,
) -> float:
    """The expected limit in one second, for one EVSE or for all (0), computed directly from the rules."""
    counted = [
        evse for evse in site_and_policy[0].evses if evse_id == 0 or evse.may_charge or evse.target.evse_id == evse_id
    ]
    charging = [evse for evse in counted if evse.may_charge]
    groups = [counted, charging] if evse_id == 0 and charging else [counted]
    return max(expected_draw(profiles, site_and_policy, group, evse_id, second, unit) for group in groups)


def expected_draw(
    profiles: list[ChargingProfile],
    site_and_policy: tuple[StationForecast, Policy],
    counted: list[EvseForecast],
    evse_id: int,
    second: int,
    unit: RateUnit,
) -> float:
    """The draw of one EVSE, or of all (0), when the counted EVSEs charge: the sum of their shares."""
    now, (site, policy) = noon_plus(second), site_and_policy
    demand_a: dict[int, float] = {}
    for evse in counted:
        charge = (
            evse.target if evse.may_charge else ProfileTarget(evse.target.evse_id, evse.target.transaction_id, NOON)
        )
        own = expected_own_limit(profiles, charge, now)
        demand_a[charge.evse_id] = evse.local_a if own is None else min(evse.local_a, own)
    amperes, watts = expected_caps(profiles, site, second)
    volts = {evse.target.evse_id: 230.0 * evse.phases for evse in counted}
    phases = [[evse.target.evse_id for evse in counted if phase in evse.grid_phases] for phase in range(3)]
    limits = [[Bound(min(amperes), dict.fromkeys(on, 1.0)) for on in phases if on]] if amperes else []
    limits += [[Bound(min(watts), volts)]] if watts else []
    for bounds in sorted(
        limits, key=lambda bounds_of_unit: min(bound.capacity / sum(bound.weights.values()) for bound in bounds_of_unit)
    ):
        demand_a = expected_shares(bounds, demand_a, policy)
    if evse_id == 0:  # no pilot offers less than 6 A
        demand_a = {number: value if value >= 6.0 - 1e-9 else 0.0 for number, value in demand_a.items()}
    if evse_id == 0 and unit is RateUnit.A:
        return max(sum(demand_a[number] for number in numbers) for numbers in phases)
    if evse_id == 0:
        return sum(demand_a[number] * volts[number] for number in demand_a)
    return demand_a[evse_id] * (1.0 if unit is RateUnit.A else volts[evse_id])


def expected_shares(bounds: list[Bound], demand_a: dict[int, float], policy: Policy) -> dict[int, float]:
    """The current of each EVSE under the bounds: its demand where all demands fit, else its share."""
    if len(demand_a) == 1:
        return {
            number: min(value, *(bound.capacity / bound.weights[number] for bound in bounds))
            for number, value in demand_a.items()
        }
    if all(
        sum(demand_a[number] * weight for number, weight in bound.weights.items()) <= bound.capacity for bound in bounds
    ):
        return demand_a
    return share(bounds, demand_a, list(demand_a), policy)


@examples(100)
@given(stations, sites(), st.sampled_from([0, 1, 2]), st.sampled_from(RateUnit))
def test_every_second_is_what_the_rules_say_of_it(
    profiles: list[ChargingProfile], site_and_policy: tuple[StationForecast, Policy], evse_id: int, unit: RateUnit
) -> None:
    """K08.FR.02, K08.FR.03, K08.FR.04, K08.FR.06, K04.FR.05"""
    levels = composite_schedule(profiles, site_and_policy[0], evse_id, NOON, HORIZON_S, unit)
    for second in range(HORIZON_S):
        expected, scheduled = expected_limit(profiles, site_and_policy, evse_id, second, unit), limit_at(levels, second)
        assert abs(scheduled - expected) <= 1e-6 * max(1.0, expected), (second, scheduled, expected)


@examples(60)
@given(stations, sites(), st.sampled_from(RateUnit))
def test_of_all_evses_nothing_is_expected_that_no_pilot_can_offer(
    profiles: list[ChargingProfile], site_and_policy: tuple[StationForecast, Policy], unit: RateUnit
) -> None:
    """K08.FR.03"""
    least = 6.0 if unit is RateUnit.A else 6.0 * 230.0 * min(PHASES.values())
    for level in composite_schedule(profiles, site_and_policy[0], 0, NOON, HORIZON_S, unit):
        assert level.limit == 0.0 or level.limit >= least - 1e-6


@examples(60)
@given(stations, sites(), st.sampled_from([0, 1, 2]), st.sampled_from(RateUnit))
def test_no_two_consecutive_periods_of_a_message_are_equal(
    profiles: list[ChargingProfile], site_and_policy: tuple[StationForecast, Policy], evse_id: int, unit: RateUnit
) -> None:
    """Limits are rounded for the message, after which those of two periods may be equal."""
    levels = composite_schedule(profiles, site_and_policy[0], evse_id, NOON, HORIZON_S, unit)
    close_levels = [replace(level, limit=level.limit + (index % 2) * 0.01) for index, level in enumerate(levels)]
    for periods_sent in (levels, close_levels):
        periods = composite_to_wire(evse_id, NOON, HORIZON_S, unit, periods_sent)["chargingSchedulePeriod"]
        assert periods[0]["startPeriod"] == 0
        for before, after in pairwise(periods):
            assert (before.get("limit"), before.get("numberPhases")) != (after.get("limit"), after.get("numberPhases"))


@examples(50)
@given(stations, sites())
def test_together_they_never_have_more_than_the_station_may(
    profiles: list[ChargingProfile], site_and_policy: tuple[StationForecast, Policy]
) -> None:
    """K04.FR.05, SC.01"""
    site, _ = site_and_policy
    charging = [evse for evse in site.evses if evse.may_charge]
    in_a, in_w = (
        {evse: composite_schedule(profiles, site, evse.target.evse_id, NOON, HORIZON_S, unit) for evse in charging}
        for unit in RateUnit
    )
    total_a, total_w = (composite_schedule(profiles, site, 0, NOON, HORIZON_S, unit) for unit in RateUnit)
    for second in range(0, HORIZON_S, 4):
        amperes, watts = expected_caps(profiles, site, second)
        for phase in range(3):
            on_phase = sum(limit_at(levels, second) for evse, levels in in_a.items() if phase in evse.grid_phases)
            assert all(on_phase <= cap + 1e-6 for cap in amperes), (second, on_phase, amperes)
            offered = [limit_at(levels, second) for evse, levels in in_a.items() if phase in evse.grid_phases]
            assert sum(current_a for current_a in offered if current_a >= 6.0) <= limit_at(total_a, second) + 1e-6
        sum_w = sum(limit_at(levels, second) for levels in in_w.values())
        assert all(sum_w <= cap + 1e-3 for cap in watts), (second, sum_w, watts)
        drawn = [limit_at(levels, second) for evse, levels in in_w.items() if limit_at(in_a[evse], second) >= 6.0]
        assert sum(drawn) <= limit_at(total_w, second) + 1e-3


@given(single_conductor_cases, st.sampled_from(Policy))
def test_the_quick_division_is_the_division(case: tuple[dict[int, float], list[int], float], policy: Policy) -> None:
    demand_a, order, capacity_a = case
    quick = share_conductor(capacity_a, demand_a, order, policy)
    thorough = share([conductor(capacity_a, order)], demand_a, order, policy)
    assert list(quick) == list(thorough)
    for evse_id, current_a in thorough.items():
        assert abs(quick[evse_id] - current_a) <= 1e-6
