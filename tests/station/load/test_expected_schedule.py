"""The composite schedule divides limits of all EVSEs together as the controller does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from energy.charging_profile import (
    ChargingLimitSource,
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Schedule,
    SchedulePeriod,
)
from energy.composite import ProfileTarget
from energy.composite_schedule import composite_schedule
from energy.controller import Demand, LoadController, SharedLimit
from energy.limit import Limit, LimitSource
from energy.phase_map import ROTATIONS, UNKNOWN_MAP, PhaseMap
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.sharing import Policy
from metering.reading import UNKNOWN_PHASES, Phases
from station.load.expected_schedule import station_forecast
from tests import fakes
from tests.examples import examples

FLOORED_A = 0.3
"""the controller rounds each limit down to a tenth of an ampere, a schedule only the reported value"""


def station_profile(limit: float, unit: RateUnit, **changed: object) -> ChargingProfile:
    """A limit of the whole station, from noon on."""
    given: dict[str, object] = {"id": 1, "purpose": Purpose.STATION_MAX, "source": ChargingLimitSource.CSO} | changed
    schedule = Schedule(1, unit, (SchedulePeriod(0, limit),), starts_at=fakes.NOON)
    return ChargingProfile(evse_id=0, stack_level=0, kind=Kind.ABSOLUTE, schedule=schedule, **given)  # type: ignore[arg-type]


def demand(evse_id: int, phases: int = 3, rating_a: float = 32.0, **changed: object) -> Demand:
    """A vehicle that wants energy and does not draw yet."""
    given: dict[str, object] = {"may_charge": True, "draw_a": UNKNOWN_PHASES} | changed
    limits = (Limit(rating_a, LimitSource.HARDWARE, fakes.NOON),)
    return Demand(ProfileTarget(evse_id), phases, own_limits=limits, **given)  # type: ignore[arg-type]


class LoadHarness:
    """A load controller with its demands and profiles, as the station assembles it."""

    def __init__(self, demands: list[Demand], policy: Policy = Policy.FAIR, selected_a: float | None = None) -> None:
        self.demands = demands
        self.store = ProfileStore({demand.evse_id: demand.phases for demand in demands}, no_selectable_phases)
        self.clock = fakes.clock()
        self.controller = LoadController(self.clock, self.store, None, station_limit_a=selected_a, policy=policy)

    def limit(self, source: LimitSource, current_a: float | None = None, power_w: float | None = None) -> None:
        """Set a limit that is not the CSMS's: in the controller, and as a charging profile."""
        self.controller.limits.set_shared(source, SharedLimit(source, current_a, power_w))
        unit, value = (RateUnit.A, current_a) if current_a is not None else (RateUnit.W, power_w or 0.0)
        identity = -len(self.controller.limits.shared)
        self.store.install(station_profile(value, unit, id=identity, purpose=Purpose.EXTERNAL_CONSTRAINTS))

    def allocated_a(self) -> dict[int, float]:
        """The current that the controller allocates to each EVSE now."""
        return {evse_id: decision.current_a for evse_id, decision in self.controller.decide(self.demands).items()}

    def forecast(self, unit: RateUnit = RateUnit.A) -> dict[int, float]:
        """The first limit of each EVSE's composite schedule; 0 below the 6 A at which charging is possible."""
        site = station_forecast(self.controller, self.demands)
        levels = {
            demand.evse_id: composite_schedule(self.store.applicable(), site, demand.evse_id, fakes.NOON, 60, unit)[
                0
            ].limit
            for demand in self.demands
        }
        return {evse_id: limit if limit >= 6.0 else 0.0 for evse_id, limit in levels.items()}


demands = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        *[
            st.builds(
                demand,
                st.just(number),
                st.sampled_from([1, 3]),
                st.sampled_from([10.0, 16.0, 32.0]),
                rotation=st.sampled_from(ROTATIONS).map(PhaseMap.from_rotation) | st.just(UNKNOWN_MAP),
                priority=st.integers(0, 2),
            )
            for number in range(1, count + 1)
        ]
    ).map(list)
)


@examples(100)
@given(
    demands,
    st.sampled_from(Policy),
    st.none() | st.integers(6, 63),
    st.none() | st.tuples(st.integers(0, 63), st.sampled_from(RateUnit)),
    st.none() | st.integers(0, 63),
    st.none() | st.integers(0, 200),
)
def test_the_schedule_begins_with_what_each_evse_is_allocated_now(
    wanting: list[Demand],
    policy: Policy,
    selected_a: int | None,
    most: tuple[int, RateUnit] | None,
    operator_a: int | None,
    user_a: int | None,
) -> None:
    """K04.FR.05, K08.FR.02, K08.FR.04"""
    harness = LoadHarness(wanting, policy, selected_a)
    if most is not None:
        harness.store.install(station_profile(most[0] * (690.0 if most[1] is RateUnit.W else 1.0), most[1]))
    if operator_a is not None:
        harness.limit(LimitSource.OPERATOR, current_a=float(operator_a))
    if user_a is not None:
        harness.limit(LimitSource.USER, power_w=230.0 * user_a)
    decided_a, forecast_a = harness.allocated_a(), harness.forecast()
    for evse_id, current_a in decided_a.items():
        assert abs(forecast_a[evse_id] - current_a) <= FLOORED_A, (decided_a, forecast_a)


def test_the_first_who_came_has_all_it_can_use_where_the_station_says_so() -> None:
    harness = LoadHarness([demand(1), demand(2)], Policy.FIRST_COME)
    harness.store.install(station_profile(30.0, RateUnit.A))
    assert harness.allocated_a() == harness.forecast() == {1: 24.0, 2: 6.0}


def test_the_higher_priority_is_served_first() -> None:
    harness = LoadHarness([demand(1), demand(2, priority=1)])
    harness.store.install(station_profile(10.0, RateUnit.A))
    assert harness.allocated_a() == harness.forecast() == {1: 0.0, 2: 10.0}


def test_one_phase_evses_on_conductors_of_their_own_share_none() -> None:
    first, second = (
        demand(number, 1, rotation=PhaseMap.from_rotation(name)) for number, name in ((1, "RST"), (2, "STR"))
    )
    harness = LoadHarness([first, second])
    harness.store.install(station_profile(16.0, RateUnit.A))
    assert harness.allocated_a() == harness.forecast() == {1: 16.0, 2: 16.0}


def test_the_grid_operators_watts_are_divided_as_watts() -> None:
    """Three phases go on at 6 A, one at what is left of the watts."""
    harness = LoadHarness([demand(1), demand(2, 1)])
    harness.limit(LimitSource.GRID_ORDER, power_w=7560.0)
    assert harness.allocated_a() == {1: 8.2, 2: 8.2}
    assert harness.forecast(RateUnit.W) == {1: 5670.0, 2: 1890.0}


def test_an_arriving_vehicle_is_forecast_as_if_it_requested_energy_now() -> None:
    """K08.FR.06"""
    harness = LoadHarness([demand(1), demand(2, may_charge=False)])
    harness.store.install(station_profile(20.0, RateUnit.A))
    assert harness.allocated_a()[1] == 20.0
    assert harness.forecast() == {1: 20.0, 2: 10.0}


async def test_what_a_vehicle_does_not_use_is_forecast_for_the_others() -> None:
    harness = LoadHarness([demand(1, draw_a=Phases[float | None].all(8.0), offered_a=16.0), demand(2)])
    harness.store.install(station_profile(32.0, RateUnit.A))
    assert harness.allocated_a() == harness.forecast() == {1: 16.0, 2: 16.0}
    await harness.clock.advance(31.0)
    assert harness.allocated_a() == harness.forecast() == {1: 10.0, 2: 22.0}
