"""Whatever is configured, reported, silent or restarted: the EVSEs are never offered more than the smallest maximum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, GridConnection, LoadController
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.meter_limits import ReportedLimits, StoredMeterState
from energy.profile_store import ProfileStore, no_selectable_phases
from foundation.frozen import Frozen
from metering.reading import UNKNOWN_PHASES, Phases
from tests import fakes
from tests.examples import examples
from tests.loops import run_on_station_loop

amperes = st.floats(6.0, 32.0)


class Step(Frozen):
    """Some seconds at a site: the meter's values, the selector's position, and each vehicle's behaviour."""

    seconds: int
    house_a: float | None
    """None: the meter is silent"""
    fuse_a: float | None
    selector_a: float
    vehicles: tuple[tuple[bool, float], ...]
    """whether each wants energy, and the part of its offer that it draws"""
    restarts: bool
    """the program starts again before this step"""


class Site(Frozen):
    """A connection and the EVSEs behind it."""

    connection: GridConnection
    ratings_a: tuple[float, ...]
    cables_a: tuple[float, ...]


sites = st.builds(
    Site,
    st.builds(
        GridConnection,
        st.just(3),
        safe_current_a=st.floats(6.0, 80.0),
        max_current_a=st.none() | amperes,
        silent_least_after_s=st.sampled_from([10.0, 600.0]),
        silent_pause_after_s=st.none() | st.sampled_from([10.0, 900.0]),
    ),
    st.tuples(*[amperes] * 3),
    st.tuples(*[amperes] * 3),
)
steps = st.lists(
    st.builds(
        Step,
        st.integers(1, 40),
        st.none() | st.floats(0.0, 60.0),
        st.none() | amperes,
        st.sampled_from([8.0, 12.0, 16.0, 20.0, 25.0, 32.0]),
        st.tuples(*[st.tuples(st.booleans(), st.floats(0.0, 1.0))] * 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


async def run_controller(
    site: Site, steps: list[Step]
) -> list[tuple[Step, float | None, dict[int, float], list[bool]]]:
    """Each decision of a run: step, reported limit, the offer of each EVSE, and which of them want energy."""
    clock, meter_state = fakes.clock(), StoredMeterState()
    profiles = ProfileStore({1: 3, 2: 3, 3: 3}, no_selectable_phases)
    controller = LoadController(clock, profiles, site.connection, station_limit_a=steps[0].selector_a)
    offered_a: dict[int, float] = {1: 0.0, 2: 0.0, 3: 0.0}
    wants_energy = [False] * 3
    found: list[tuple[Step, float | None, dict[int, float], list[bool]]] = []
    for step in steps:
        if step.restarts:
            monitor = controller.connection_monitor
            assert monitor is not None
            meter_state = StoredMeterState(monitor.reported, monitor.silent_s)
            controller = LoadController(clock, profiles, site.connection, meter_state=meter_state)
            offered_a = {1: 0.0, 2: 0.0, 3: 0.0}
        controller.limits.set_selector(step.selector_a)
        for _ in range(5):
            demands = [
                demand_of(number, site, wants, offered_a[number] * uses * wants_energy[number - 1], offered_a[number])
                for number, (wants, uses) in enumerate(step.vehicles, start=1)
            ]
            controller.observe_draw(demands)
            if step.house_a is not None:
                drawn_a = sum(demand.max_current_a for demand in demands)
                currents = Phases[float | None].all(step.house_a + drawn_a)
                controller.process_sample(GridSample(clock.now(), currents, fuse_a=step.fuse_a))
            offered_a = {number: decision.current_a for number, decision in controller.decide(demands).items()}
            wants_energy = [wants for wants, _ in step.vehicles]
            found.append((step, controller.grid.fixed_limit_a, offered_a, wants_energy))
            await clock.advance(step.seconds / 5)
    return found


def demand_of(number: int, site: Site, wants: bool, drawn_a: float, offered_a: float) -> Demand:
    limits = (
        Limit(site.ratings_a[number - 1], LimitSource.HARDWARE, fakes.NOON),
        Limit(site.cables_a[number - 1], LimitSource.CABLE, fakes.NOON),
    )
    return Demand(ProfileTarget(number), 3, wants, Phases[float | None].all(drawn_a), limits, offered_a)


@examples(100)
@given(sites, steps)
def test_the_offers_never_exceed_the_smallest_of_selector_connection_fuse_rating_and_cable(
    site: Site, planned_steps: list[Step]
) -> None:
    fuse_a: float | None = None
    for step, fixed_limit_a, offered_a, wants_energy in run_on_station_loop(run_controller(site, planned_steps)):
        fuse_a = step.fuse_a if step.house_a is not None else fuse_a
        known = (step.selector_a, site.connection.max_current_a, fuse_a)
        most_a = min(limit_a for limit_a in known if limit_a is not None)
        assert fixed_limit_a == most_a
        for number, current_a in offered_a.items():
            assert current_a <= min(most_a, site.ratings_a[number - 1], site.cables_a[number - 1]) + 1e-6
        sum_a = sum(offered_a[number] for number, wants in enumerate(wants_energy, start=1) if wants)
        assert sum_a <= most_a + 1e-6


def first_offer(connection: GridConnection, meter_state: StoredMeterState, selector_a: float = 32.0) -> Decision:
    """The offer to a vehicle right after the start, before the meter has sent anything."""
    controller = LoadController(
        fakes.clock(),
        ProfileStore({1: 3}, no_selectable_phases),
        connection,
        station_limit_a=selector_a,
        meter_state=meter_state,
    )
    rating = (Limit(32.0, LimitSource.HARDWARE, fakes.NOON),)
    return controller.decide([Demand(ProfileTarget(1), 3, True, UNKNOWN_PHASES, rating)])[1]


def test_a_safe_current_above_the_connection_gives_the_connection_no_more() -> None:
    decision = first_offer(GridConnection(3, safe_current_a=32.0, max_current_a=20.0), StoredMeterState())
    assert decision.current_a == 20.0
    assert decision.binding is not None
    assert decision.binding.source is LimitSource.FAILSAFE


@pytest.mark.parametrize(
    ("limits", "current_a"),
    [
        (ReportedLimits(fuse_a=10.0), 10.0),
        (ReportedLimits(subscribed_a=15.0), 15.0),
        (ReportedLimits(cut_off_va=6_900.0), 10.0),
        (ReportedLimits(limiter_w=6_900.0), 10.0),
        (ReportedLimits(), 16.0),
    ],
)
def test_a_limit_that_the_meter_has_reported_before_the_start_applies_until_it_reports_another(
    limits: ReportedLimits, current_a: float
) -> None:
    assert first_offer(GridConnection(3, safe_current_a=16.0), StoredMeterState(limits)).current_a == current_a


@pytest.mark.parametrize(("silent_s", "current_a"), [(0.0, 16.0), (599.0, 16.0), (600.0, 6.0), (3600.0, 0.0)])
def test_a_silence_that_began_before_the_start_goes_on_after_it(silent_s: float, current_a: float) -> None:
    assert (
        first_offer(GridConnection(3, safe_current_a=16.0), StoredMeterState(silent_s=silent_s)).current_a == current_a
    )


async def test_the_meter_is_silent_from_the_start_until_its_first_sample_and_again_after_its_last() -> None:
    clock = fakes.clock()
    profiles = ProfileStore({1: 3}, no_selectable_phases)
    controller = LoadController(
        clock, profiles, GridConnection(3, 16.0, 32.0), meter_state=StoredMeterState(silent_s=100.0)
    )
    monitor = controller.connection_monitor
    assert monitor is not None
    await clock.advance(20.0)
    assert monitor.silent_s == 120.0
    controller.process_sample(GridSample(clock.now(), Phases(1.0, 1.0, 1.0)))
    assert monitor.silent_s == 0.0
    await clock.advance(7.0)
    assert monitor.silent_s == 7.0


def test_the_safe_current_that_a_doubted_meter_leaves_is_not_above_the_connection_either() -> None:
    connection = GridConnection(3, 40.0, 20.0)
    assert connection.failsafe(20.0).safe_a == 20.0
    assert connection.failsafe(None).safe_a == 40.0
