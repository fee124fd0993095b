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
from tests.energy.test_composite_schedule import NOON, at, own_by_hand, station_by_hand
from tests.energy.test_sharing import even, one_bound
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
).map(lambda those: [0, *sorted(those)])
durations = st.none() | st.integers(0, 400) | st.integers(DAY_S - 50, DAY_S + 300) | st.integers(6 * DAY_S, 8 * DAY_S)


@st.composite
def profiles(draw: st.DrawFn) -> ChargingProfile:
    """A profile that may be any good, or not."""
    kind, unit = draw(st.sampled_from(Kind)), draw(st.sampled_from(RateUnit))
    purpose = draw(st.sampled_from([*Purpose, Purpose.TX, Purpose.TX_DEFAULT]))
    began = at(draw(moments)) - timedelta(days=draw(st.sampled_from([0, 0, 1, 2, 6, 7, 8, 30])))
    limits, phases = st.floats(0, HIGHEST[unit]), st.sampled_from([None, None, 3, 1])
    schedule = Schedule(
        1,
        unit,
        tuple(SchedulePeriod(start, draw(limits), draw(phases)) for start in draw(starts)),
        None if kind is Kind.RELATIVE else began,
        draw(durations),
    )
    valid = [at(moment) for moment in draw(st.lists(moments, max_size=2))]
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
    """What a store with a transaction on EVSE 1 takes of these; external constraints come to it on another way."""
    store = ProfileStore(PHASES, no_selectable_phases)
    external: dict[int, ChargingProfile] = {}
    for one in offered:
        if one.purpose is Purpose.EXTERNAL_CONSTRAINTS:
            if one.schedule.starts_at is not None:
                external[one.id] = one
        elif store.refusal(one, "tx" if one.evse_id == 1 else None) is None:
            store.install(one)
    return [*store.all(), *external.values()]


stations = st.lists(profiles(), max_size=12).map(installed)
loads = st.sampled_from([frozenset({0}), frozenset({1}), frozenset({0, 1, 2})])
consumers = st.tuples(
    st.builds(
        EvseForecast,
        st.builds(ProfileTarget, st.just(1), st.just("tx"), moments.map(at)),
        st.just(PHASES[1]),
        st.just(LOCAL_A[1]),
        st.just(True),
    ),
    st.builds(
        EvseForecast,
        st.builds(ProfileTarget, st.just(2), st.none(), moments.map(at)),
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


def told_at(levels: list[CompositePeriod], second: float) -> float:
    """The limit that a schedule tells of a moment."""
    return [level.limit for level in levels if level.start_s <= second][-1]


def on_three(one: ChargingProfile) -> ChargingProfile:
    """The same in watts of three phases throughout: watts for all are the same whatever phases a period tells."""
    periods = tuple(replace(period, phases=3) for period in one.schedule.periods)
    return replace(one, schedule=replace(one.schedule, periods=periods))


def caps_by_hand(those: list[ChargingProfile], site: StationForecast, second: int) -> tuple[list[float], list[float]]:
    """What all have together in one second: amperes on each conductor, and watts."""
    external = [one for one in those if one.purpose is Purpose.EXTERNAL_CONSTRAINTS]
    per_phase = [one for one in those if one not in external or one.schedule.unit is RateUnit.A]
    watts = [
        limit * 230.0 * 3
        for one in external
        if one not in per_phase and (limit := station_by_hand([on_three(one)], at(second))) is not None
    ]
    amperes = [limit for limit in (station_by_hand(per_phase, at(second)), site.local_a) if limit is not None]
    return amperes, watts


def by_hand(
    those: list[ChargingProfile], place: tuple[StationForecast, Policy], evse_id: int, second: int, unit: RateUnit
) -> float:
    """What the rules say of one second, for one EVSE or for all (0): those that are there, or one more at each."""
    asked = [one for one in place[0].evses if evse_id == 0 or one.may_charge or one.target.evse_id == evse_id]
    wanting = [one for one in asked if one.may_charge]
    groups = [asked, wanting] if evse_id == 0 and wanting else [asked]
    return max(drawn_by_hand(those, place, group, evse_id, second, unit) for group in groups)


def drawn_by_hand(
    those: list[ChargingProfile],
    place: tuple[StationForecast, Policy],
    asked: list[EvseForecast],
    evse_id: int,
    second: int,
    unit: RateUnit,
) -> float:
    """What one EVSE or all (0) draw when these want energy: the sum of their shares."""
    now, (site, policy) = at(second), place
    wanted: dict[int, float] = {}
    for one in asked:
        charge = one.target if one.may_charge else ProfileTarget(one.target.evse_id, one.target.transaction_id, NOON)
        own = own_by_hand(those, charge, now)
        wanted[charge.evse_id] = one.local_a if own is None else min(one.local_a, own)
    amperes, watts = caps_by_hand(those, site, second)
    volts = {one.target.evse_id: 230.0 * one.phases for one in asked}
    phases = [[one.target.evse_id for one in asked if phase in one.grid_phases] for phase in range(3)]
    limits = [[Bound(min(amperes), dict.fromkeys(on, 1.0)) for on in phases if on]] if amperes else []
    limits += [[Bound(min(watts), volts)]] if watts else []
    for bounds in sorted(limits, key=lambda those: min(one.capacity / sum(one.weights.values()) for one in those)):
        wanted = shared(bounds, wanted, policy)
    if evse_id == 0:  # no pilot offers less than 6 A
        wanted = {one: value if value >= 6.0 - 1e-9 else 0.0 for one, value in wanted.items()}
    if evse_id == 0 and unit is RateUnit.A:
        return max(sum(wanted[number] for number in those_on) for those_on in phases)
    if evse_id == 0:
        return sum(wanted[one] * volts[one] for one in wanted)
    return wanted[evse_id] * (1.0 if unit is RateUnit.A else volts[evse_id])


def shared(bounds: list[Bound], wanted: dict[int, float], policy: Policy) -> dict[int, float]:
    """What each has of a limit: all if it is alone, what it wants where that fits, else its share."""
    if len(wanted) == 1:
        return {
            one: min(value, *(bound.capacity / bound.weights[one] for bound in bounds)) for one, value in wanted.items()
        }
    if all(sum(wanted[one] * weight for one, weight in bound.weights.items()) <= bound.capacity for bound in bounds):
        return wanted
    return share(bounds, wanted, list(wanted), policy)


@examples(100)
@given(stations, sites(), st.sampled_from([0, 1, 2]), st.sampled_from(RateUnit))
def test_every_second_is_what_the_rules_say_of_it(
    those: list[ChargingProfile], place: tuple[StationForecast, Policy], evse_id: int, unit: RateUnit
) -> None:
    """K08.FR.02, K08.FR.03, K08.FR.04, K08.FR.06, K04.FR.05"""
    levels = composite_schedule(those, place[0], evse_id, NOON, HORIZON_S, unit)
    for second in range(HORIZON_S):
        expected, told = by_hand(those, place, evse_id, second, unit), told_at(levels, second)
        assert abs(told - expected) <= 1e-6 * max(1.0, expected), (second, told, expected)


@examples(60)
@given(stations, sites(), st.sampled_from(RateUnit))
def test_of_all_evses_nothing_is_expected_that_no_pilot_can_offer(
    those: list[ChargingProfile], place: tuple[StationForecast, Policy], unit: RateUnit
) -> None:
    """K08.FR.03"""
    least = 6.0 if unit is RateUnit.A else 6.0 * 230.0 * min(PHASES.values())
    for level in composite_schedule(those, place[0], 0, NOON, HORIZON_S, unit):
        assert level.limit == 0.0 or level.limit >= least - 1e-6


@examples(60)
@given(stations, sites(), st.sampled_from([0, 1, 2]), st.sampled_from(RateUnit))
def test_no_two_consecutive_periods_of_a_message_are_equal(
    those: list[ChargingProfile], place: tuple[StationForecast, Policy], evse_id: int, unit: RateUnit
) -> None:
    """Limits are rounded for the message, after which those of two periods may be equal."""
    levels = composite_schedule(those, place[0], evse_id, NOON, HORIZON_S, unit)
    nearly = [replace(one, limit=one.limit + (index % 2) * 0.01) for index, one in enumerate(levels)]
    for told in (levels, nearly):
        periods = composite_to_wire(evse_id, NOON, HORIZON_S, unit, told)["chargingSchedulePeriod"]
        assert periods[0]["startPeriod"] == 0
        for before, after in pairwise(periods):
            assert (before["limit"], before.get("numberPhases")) != (after["limit"], after.get("numberPhases"))


@examples(50)
@given(stations, sites())
def test_together_they_never_have_more_than_the_station_may(
    those: list[ChargingProfile], place: tuple[StationForecast, Policy]
) -> None:
    """K04.FR.05, SC.01"""
    site, _ = place
    wanting = [one for one in site.evses if one.may_charge]
    in_a, in_w = (
        {one: composite_schedule(those, site, one.target.evse_id, NOON, HORIZON_S, unit) for one in wanting}
        for unit in RateUnit
    )
    whole_a, whole_w = (composite_schedule(those, site, 0, NOON, HORIZON_S, unit) for unit in RateUnit)
    for second in range(0, HORIZON_S, 4):
        amperes, watts = caps_by_hand(those, site, second)
        for phase in range(3):
            on_phase = sum(told_at(levels, second) for one, levels in in_a.items() if phase in one.grid_phases)
            assert all(on_phase <= cap + 1e-6 for cap in amperes), (second, on_phase, amperes)
            offered = [told_at(levels, second) for one, levels in in_a.items() if phase in one.grid_phases]
            assert sum(one for one in offered if one >= 6.0) <= told_at(whole_a, second) + 1e-6
        together = sum(told_at(levels, second) for levels in in_w.values())
        assert all(together <= cap + 1e-3 for cap in watts), (second, together, watts)
        drawn = [told_at(levels, second) for one, levels in in_w.items() if told_at(in_a[one], second) >= 6.0]
        assert sum(drawn) <= told_at(whole_w, second) + 1e-3


@given(one_bound, st.sampled_from(Policy))
def test_the_quick_division_is_the_division(case: tuple[dict[int, float], list[int], float], policy: Policy) -> None:
    wanted, order, capacity_a = case
    quick = share_conductor(capacity_a, wanted, order, policy)
    thorough = share([even(capacity_a, order)], wanted, order, policy)
    assert list(quick) == list(thorough)
    for evse_id, current_a in thorough.items():
        assert abs(quick[evse_id] - current_a) <= 1e-6
