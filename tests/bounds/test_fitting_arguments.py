"""Arithmetic is total where arguments must fit each other: sharing, composite schedules, a controller at work."""

from __future__ import annotations

import math
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, RateUnit
from energy.composite import ProfileTarget, limits_over
from energy.composite_schedule import EvseForecast, StationForecast, composite_schedule
from energy.controller import Demand, GridConnection, LoadController, SharedLimit
from energy.equal_phase_check import EqualPhaseCheck
from energy.grid import GridSample, without_impossible_values
from energy.limit import Limit, LimitSource
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.sharing import Bound, Policy, raise_after_others, share, share_conductor, spread_remainder
from foundation.bounds import CURRENT_A, POWER_W
from foundation.constants import NOMINAL_VOLTAGE_V
from metering.reading import Phases
from simulator.clock import VirtualClock
from tests import fakes
from tests.bounds.values import built, numbers, profiles, sent_profiles, values
from tests.examples import examples

EVSES = (1, 2, 3)
amperes = numbers("limit_a").map(abs)
demands_a = st.fixed_dictionaries(dict.fromkeys(EVSES, amperes))
weights = st.dictionaries(st.sampled_from(EVSES), st.sampled_from([1.0, NOMINAL_VOLTAGE_V, 3 * NOMINAL_VOLTAGE_V]))
bounds = st.lists(st.builds(Bound, numbers("limit_a") | numbers("limit_w"), weights), max_size=3)


@examples(25)
@given(bounds, demands_a, demands_a, demands_a, st.permutations(EVSES), st.sampled_from(Policy))
def test_a_capacity_of_any_size_is_divided_into_shares_that_nobody_exceeds(
    bounds: list[Bound],
    demand_a: dict[int, float],
    drawn_a: dict[int, float],
    offered_a: dict[int, float],
    order: list[int],
    policy: Policy,
) -> None:
    shares = share(bounds, demand_a, order, policy)
    more = spread_remainder(shares, bounds, demand_a)
    patient = raise_after_others(more, bounds, drawn_a, offered_a, 6.0)
    alone = share_conductor(bounds[0].capacity if bounds else 0.0, demand_a, order, policy)
    for found in (shares, more, patient, alone):
        for evse_id, current_a in found.items():
            assert 0.0 <= current_a <= max(demand_a[evse_id], drawn_a[evse_id], offered_a[evse_id]) + 1e-3


forecasts = st.lists(
    built(
        EvseForecast,
        target=built(ProfileTarget, evse_id=st.just(0)),
        grid_phases=st.sampled_from([frozenset({0}), frozenset({0, 1, 2})]),
        local_a=amperes,
    ),
    min_size=1,
    max_size=3,
).map(
    lambda demands: [
        replace(demand, target=replace(demand.target, evse_id=number)) for number, demand in enumerate(demands, 1)
    ]
)


@examples(25)
@given(
    st.lists(profiles(), max_size=3),
    forecasts,
    st.none() | amperes,
    st.integers(1, 2**31 - 1) | st.sampled_from([1, 86_400, 2**31 - 1]),
    st.sampled_from(RateUnit),
)
def test_a_composite_schedule_of_any_length_has_limits_that_the_hardware_can_offer(
    profiles: list[ChargingProfile],
    evses: list[EvseForecast],
    local_a: float | None,
    duration_s: int,
    unit: RateUnit,
) -> None:
    duration_s = min(duration_s, 30 * 86_400) if any(profile.recurrency for profile in profiles) else duration_s
    station = StationForecast(evses, local_a, share)
    for evse_id in range(len(evses) + 1):
        levels = composite_schedule(profiles, station, evse_id, fakes.NOON, duration_s, unit)
        assert levels[0].start_s == 0
        assert all(0 <= level.start_s < duration_s for level in levels)
        assert all(0.0 <= level.limit <= 3 * 3 * CURRENT_A.highest * NOMINAL_VOLTAGE_V for level in levels)
    limits_over(profiles, evses[0].target, fakes.NOON, timedelta(seconds=duration_s))


phase_currents = st.tuples(*[numbers("measured_a") | numbers("limit_a")] * 3)


@examples(25)
@given(st.lists(st.tuples(phase_currents, phase_currents), max_size=10))
def test_phases_of_any_currents_are_compared(samples: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    check = EqualPhaseCheck()
    for second, (measured_a, own_a) in enumerate(samples):
        check = check.after(measured_a, own_a, float(second))
        assert check.doubted <= {0, 1, 2}


connections = built(
    GridConnection,
    safe_current_a=amperes,
    max_current_a=st.none() | amperes.filter(bool),
    unbalance_a=st.none() | amperes.filter(bool),
    breaker=st.sampled_from("BC"),
)
samples = built(GridSample, tariff=st.none(), voltages_v=values(Phases[float | None], "voltages_v"))
impossible = st.sampled_from([math.inf, -math.inf, math.nan, 1e300, -1e300, 3.4e38])
damaged = built(
    GridSample,
    currents_a=st.builds(Phases[float | None], *[st.none() | impossible | numbers("current_a")] * 3),
    power_w=impossible,
    fuse_a=impossible,
    tariff=st.none(),
)
demands = st.lists(
    built(
        Demand,
        target=built(ProfileTarget, evse_id=st.just(0), phases=st.none()),
        phases=st.sampled_from([1, 3]),
        phase=st.just(1),
        selectable_phases=st.sampled_from([frozenset[int](), frozenset({1})]),
        own_limits=amperes.map(lambda most_a: (Limit(most_a, LimitSource.HARDWARE, fakes.NOON),)),
        read_at_s=st.none(),
    ),
    min_size=3,
    max_size=3,
).map(
    lambda demands: [
        replace(demand, target=replace(demand.target, evse_id=number)) for number, demand in enumerate(demands, 1)
    ]
)
shared = st.builds(
    SharedLimit, st.sampled_from([LimitSource.USER, LimitSource.GRID_ORDER]), st.none() | amperes,
    st.none() | numbers("power_w").map(abs), st.booleans(),
)  # fmt: skip
steps = st.lists(
    st.tuples(demands, st.none() | samples | damaged, st.none() | shared, st.sampled_from([0.1, 1.0, 60.0, 86_400.0])),
    min_size=1,
    max_size=4,
)


@examples(20)
@given(
    st.none() | connections,
    st.none() | amperes,
    st.lists(sent_profiles(), max_size=3),
    steps,
    st.sampled_from(Policy),
)
async def test_a_controller_decides_whatever_house_vehicles_profiles_and_limits_say(
    connection: GridConnection | None,
    selector_a: float | None,
    profiles: list[ChargingProfile],
    steps: list[tuple[list[Demand], GridSample | None, SharedLimit | None, float]],
    policy: Policy,
) -> None:
    """No offer exceeds the hardware or the selector, and none is between 0 and 6 A."""
    clock: VirtualClock = fakes.clock()
    store = ProfileStore(dict.fromkeys(EVSES, 3), no_selectable_phases)
    for number, profile in enumerate(profiles):
        store.install(replace(profile, id=number))
    controller = LoadController(clock, store, connection, station_limit_a=selector_a, policy=policy)
    for draws, sample, limit, seconds in steps:
        controller.limits.set_shared("user", limit)
        controller.observe_draw(draws)
        if sample is not None:
            controller.process_sample(without_impossible_values(replace(sample, taken_at=clock.now())))
        for demand in draws:
            decision = controller.decide(draws)[demand.target.evse_id]
            assert decision.current_a == 0.0 or 6.0 <= decision.current_a <= demand.own_limits[0].current_a
            assert selector_a is None or decision.current_a <= selector_a
            assert all(not math.isnan(limit.current_a) for limit in decision.limits)
        assert controller.idle_change_s is None or not math.isnan(controller.idle_change_s)
        await clock.advance(seconds)


def test_a_sample_keeps_what_a_connection_can_have() -> None:
    """A damaged register is not a current, and silence is not zero."""
    sample = GridSample(fakes.NOON, Phases(5.0, 1e300, None), fuse_a=math.nan, power_w=-2 * POWER_W.highest)
    assert without_impossible_values(sample) == GridSample(fakes.NOON, Phases(5.0, None, None))
    good = GridSample(fakes.NOON, Phases(5.0, -16.0, None), fuse_a=25.0)
    assert without_impossible_values(good) is good
