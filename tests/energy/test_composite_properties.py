"""The composite schedule of a station with two EVSEs, with whatever profiles its store takes, against the rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from energy.charging_profile import ChargingProfile, Kind, Period, Purpose, RateUnit, Recurrency, Schedule
from energy.composite import Charge
from energy.composite_schedule import Consumer, Level, Site, composite_schedule
from energy.profile_store import ProfileStore
from energy.sharing import share, share_evenly
from tests.energy.test_composite_schedule import NOON, at, own_by_hand, station_by_hand
from tests.energy.test_sharing import even, one_bound

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
        tuple(Period(start, draw(limits), draw(phases)) for start in draw(starts)),
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
    store = ProfileStore(PHASES)
    external: dict[int, ChargingProfile] = {}
    for one in offered:
        if one.purpose is Purpose.EXTERNAL_CONSTRAINTS:
            if one.schedule.starts_at is not None:
                external[one.id] = one
        elif store.refusal(one, "tx" if one.evse_id == 1 else None) is None:
            store.install(one)
    return [*store.all(), *external.values()]


stations = st.lists(profiles(), max_size=12).map(installed)
consumers = st.tuples(
    st.builds(
        Consumer,
        st.builds(Charge, st.just(1), st.just("tx"), moments.map(at)),
        st.just(PHASES[1]),
        st.just(LOCAL_A[1]),
        st.just(True),
    ),
    st.builds(
        Consumer,
        st.builds(Charge, st.just(2), st.none(), moments.map(at)),
        st.just(PHASES[2]),
        st.just(LOCAL_A[2]),
        st.booleans(),
    ),
)
connections = st.none() | st.floats(0, 60)


def divide(capacity_a: float, wanted_a: Mapping[int, float]) -> Mapping[int, float]:
    """The station's own division."""
    return share_evenly(capacity_a, wanted_a, sorted(wanted_a))


def told_at(levels: list[Level], second: float) -> float:
    """The limit that a schedule tells of a moment."""
    return [level.limit for level in levels if level.start_s <= second][-1]


def by_hand(those: list[ChargingProfile], site: Site, evse_id: int, second: int, unit: RateUnit) -> float:
    """What the rules say of one second, for one EVSE or for all (0)."""
    now = at(second)
    asked = [one for one in site.consumers if evse_id == 0 or one.wants or one.charge.evse_id == evse_id]
    wanted: dict[int, float] = {}
    for one in asked:
        charge = one.charge if one.wants else Charge(one.charge.evse_id, one.charge.transaction_id, NOON)
        own = own_by_hand(those, charge, now)
        wanted[charge.evse_id] = one.local_a if own is None else min(one.local_a, own)
    caps = [limit for limit in (station_by_hand(those, now), site.local_a) if limit is not None]
    volts = {one.charge.evse_id: 1.0 if unit is RateUnit.A else 230.0 * one.phases for one in asked}
    if evse_id == 0:
        total = sum(wanted[number] * volts[number] for number in wanted)
        return min([total, *(cap * max(volts.values()) for cap in caps)])
    if not caps:
        return wanted[evse_id] * volts[evse_id]
    if len(wanted) == 1:
        return min(wanted[evse_id], *caps) * volts[evse_id]
    shares = share([even(min(caps), sorted(wanted))], wanted, sorted(wanted))
    return shares[evse_id] * volts[evse_id]


@settings(max_examples=100, deadline=None)
@given(stations, consumers, connections, st.sampled_from([0, 1, 2]), st.sampled_from(RateUnit))
def test_every_second_is_what_the_rules_say_of_it(
    those: list[ChargingProfile],
    two: tuple[Consumer, Consumer],
    local_a: float | None,
    evse_id: int,
    unit: RateUnit,
) -> None:
    """K08.FR.02, K08.FR.03, K08.FR.04, K08.FR.06, K04.FR.05"""
    site = Site(two, local_a, divide)
    levels = composite_schedule(those, site, evse_id, NOON, HORIZON_S, unit)
    for second in range(HORIZON_S):
        expected, told = by_hand(those, site, evse_id, second, unit), told_at(levels, second)
        assert abs(told - expected) <= 1e-9 * max(1.0, expected), (second, told, expected)


@settings(max_examples=60, deadline=None)
@given(stations, consumers, connections)
def test_together_they_never_have_more_than_the_station_may(
    those: list[ChargingProfile], two: tuple[Consumer, Consumer], local_a: float | None
) -> None:
    """K04.FR.05, SC.01"""
    site = Site(two, local_a, divide)
    schedules = [
        composite_schedule(those, site, one.charge.evse_id, NOON, HORIZON_S, RateUnit.A) for one in two if one.wants
    ]
    whole = composite_schedule(those, site, 0, NOON, HORIZON_S, RateUnit.A)
    for second in range(HORIZON_S):
        caps = [limit for limit in (station_by_hand(those, at(second)), local_a) if limit is not None]
        together = sum(told_at(levels, second) for levels in schedules)
        assert all(together <= cap + 1e-9 for cap in caps), (second, together, caps)
        assert together <= told_at(whole, second) + 1e-9


@given(one_bound)
def test_the_quick_division_is_the_division(case: tuple[dict[int, float], list[int], float]) -> None:
    wanted, order, capacity_a = case
    quick, thorough = share_evenly(capacity_a, wanted, order), share([even(capacity_a, order)], wanted, order)
    assert list(quick) == list(thorough)
    for evse_id, current_a in thorough.items():
        assert abs(quick[evse_id] - current_a) <= 1e-6
