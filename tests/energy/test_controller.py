"""All limits of a station together: the tightest holds, and says its name."""

from __future__ import annotations

import sys
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, GridConnection, LoadController, SharedLimit
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.pausing import RESUME_AFTER_S
from energy.phase_map import PhaseMap
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.trip import LINKY, Protection
from metering.reading import UNKNOWN_PHASES, Phases
from simulator.clock import VirtualClock
from tests import fakes

HOUSE = GridConnection(phases=3, safe_current_a=8.0, max_current_a=41.0)
"""of which one ampere is kept for meters that round"""


class Site:
    """A controller, its clock, and what its vehicles draw."""

    def __init__(self, connection: GridConnection | None = HOUSE, *, evses: int = 1, phases: int = 3) -> None:
        self.clock: VirtualClock = fakes.clock()
        self.profiles = ProfileStore(dict.fromkeys(range(1, evses + 1), phases), no_selectable_phases)
        self.controller = LoadController(self.clock, self.profiles, connection)
        rating = Limit(32.0, LimitSource.HARDWARE, fakes.NOON)
        self.demands = {
            evse_id: Demand(ProfileTarget(evse_id), phases, False, UNKNOWN_PHASES, (rating,))
            for evse_id in range(1, evses + 1)
        }

    def set_demand(self, evse_id: int = 1, *, wants: bool = True, **changed: object) -> None:
        """Set the demand of a vehicle: that it wants energy, and other fields."""
        changed["may_charge"] = wants
        self.demands[evse_id] = replace(self.demands[evse_id], **changed)

    def draw(self, current_a: float, evse_id: int = 1) -> None:
        """A vehicle draws this on each phase."""
        self.set_demand(evse_id, draw_a=Phases[float | None].all(current_a))

    def decide(self) -> dict[int, Decision]:
        """Decide for all EVSEs."""
        return self.controller.decide(list(self.demands.values()))

    def decision(self, evse_id: int = 1) -> Decision:
        """Decide, and return the decision for one EVSE."""
        return self.decide()[evse_id]

    def sample(self, *currents_a: float | None, subscribed_current_a: float | None = None) -> None:
        """Process a sample of the grid meter, with a new time."""
        three = Phases(*currents_a) if len(currents_a) == 3 else Phases[float | None].all(currents_a[0])
        self.controller.process_sample(GridSample(self.clock.now(), three, subscribed_current_a))

    async def pass_time(self, seconds: float) -> None:
        """Advance the clock."""
        await self.clock.advance(seconds)


def test_without_a_house_the_hardware_limits() -> None:
    site = Site(None)
    site.set_demand()
    decision = site.decision()
    assert decision.current_a == 32.0
    assert decision.binding == Limit(32.0, LimitSource.HARDWARE, fakes.NOON)


def test_the_tightest_limit_binds_and_all_are_reported() -> None:
    site = Site(None)
    selector = Limit(16.0, LimitSource.SELECTOR, fakes.NOON)
    cable = Limit(20.0, LimitSource.CABLE, fakes.NOON)
    site.set_demand(own_limits=(*site.demands[1].own_limits, selector, cable))
    assert site.decision().current_a == 16.0
    assert site.decision().binding == selector
    assert len(site.decision().limits) == 3


@pytest.mark.parametrize(("limit_a", "current_a"), [(5.9, 0.0), (6.0, 6.0), (0.0, 0.0)])
def test_less_than_6_a_is_a_pause(limit_a: float, current_a: float) -> None:
    site = Site(None)
    site.set_demand(own_limits=(Limit(limit_a, LimitSource.CABLE, fakes.NOON),))
    assert site.decision().current_a == current_a


def test_a_charging_profile_is_a_limit_like_the_others_and_keeps_the_moment_since_it_holds() -> None:
    site = Site(None)
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 10.0), SchedulePeriod(60, 20.0)), starts_at=fakes.NOON)
    site.profiles.install(ChargingProfile(1, 0, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule))
    site.set_demand()
    soon = fakes.NOON + timedelta(seconds=60)
    assert site.decision().binding == Limit(10.0, LimitSource.CHARGING_PROFILE, fakes.NOON, soon)


@pytest.mark.parametrize("unit", RateUnit)
@pytest.mark.parametrize("purpose", [Purpose.STATION_MAX, Purpose.TX_DEFAULT])
@pytest.mark.parametrize("start_s", [0, 60])
async def test_a_limit_of_the_highest_double_now_or_in_a_later_period_does_not_limit(
    unit: RateUnit, purpose: Purpose, start_s: int
) -> None:
    """It is what many back ends send for "no limit"."""
    site = Site(None)
    earlier = (SchedulePeriod(0, 6900.0 if unit is RateUnit.W else 10.0),) if start_s else ()
    schedule = Schedule(1, unit, (*earlier, SchedulePeriod(start_s, sys.float_info.max)), starts_at=fakes.NOON)
    profile = ChargingProfile(1, 0, 0, purpose, Kind.ABSOLUTE, schedule)
    site.profiles.install(profile)
    site.set_demand()
    assert site.decision().current_a == (10.0 if start_s else 32.0)
    await site.pass_time(61)
    assert site.decision().current_a == 32.0
    assert site.profiles.all() == (profile,)  # reported as it was given


async def test_a_limit_says_since_when_it_has_its_value() -> None:
    site = Site(None)
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 10.0), SchedulePeriod(60, 20.0)), starts_at=fakes.NOON)
    site.profiles.install(ChargingProfile(1, 0, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule))
    site.set_demand()
    since: list[tuple[float, int]] = []
    for _ in range(4):
        binding = site.decision().binding
        assert binding is not None
        since.append((binding.current_a, int((binding.since - fakes.NOON).total_seconds())))
        await site.pass_time(30)
    assert since == [(10.0, 0), (10.0, 0), (20.0, 60), (20.0, 60)]


async def test_a_limit_that_comes_back_holds_since_then() -> None:
    site = Site(None)
    site.set_demand()
    user_limit = SharedLimit(LimitSource.USER, current_a=10.0, by="Home Assistant")
    for seconds, limit in ((0, user_limit), (60, None), (60, user_limit)):
        await site.pass_time(seconds)
        site.controller.limits.set_shared("user", limit)
        decision = site.decision()
    assert decision.binding is not None
    assert decision.binding.since == fakes.NOON + timedelta(seconds=120)


def test_before_the_meter_has_spoken_the_safe_current_holds() -> None:
    site = Site()
    site.set_demand()
    assert site.decision().current_a == 8.0
    binding = site.decision().binding
    assert binding is not None
    assert binding.source is LimitSource.FAILSAFE


def test_a_vehicle_gets_what_the_house_leaves() -> None:
    site = Site()
    site.set_demand()
    site.decide()
    site.sample(20.0)
    decision = site.decision()
    assert decision.current_a == pytest.approx(20.0)
    assert decision.binding is not None
    assert decision.binding.source is LimitSource.GRID


def test_the_fullest_phase_counts_for_a_three_phase_vehicle_and_only_its_own_for_another() -> None:
    site = Site()
    site.set_demand()
    site.decide()
    site.sample(10.0, 20.0, 30.0)
    assert site.decision().current_a == pytest.approx(10.0)
    single_phase = Site(phases=1)
    single_phase.set_demand()
    single_phase.decide()
    single_phase.sample(10.0, 20.0, 30.0)
    assert single_phase.decision().current_a == pytest.approx(30.0)


def test_the_subscribed_current_that_the_meter_reports_counts_when_it_is_the_smaller() -> None:
    site = Site()
    site.set_demand()
    site.decide()
    site.sample(10.0, subscribed_current_a=31.0)
    assert site.controller.grid.limit_a == 31.0
    assert site.decision().current_a == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("reported", "limit_a"),
    [
        ({"subscribed_current_a": 39.1, "cut_off_va": 6900.0}, 30.0),  # a Linky whose power was limited
        ({"subscribed_current_a": 30.0, "cut_off_va": 9000.0}, 30.0),
        ({"cut_off_va": 7200.0, "voltages_v": Phases(240.0, None, None)}, 30.0),
        ({"fuse_a": 30.0}, 30.0),  # Belgium
        ({"limiter_w": 6900.0}, 30.0),
        ({}, 41.0),
    ],
)
def test_the_tightest_limit_of_meter_and_installer_applies(reported: dict[str, Any], limit_a: float) -> None:
    site = Site(replace(HOUSE, phases=1), phases=1)
    site.set_demand()
    site.decide()
    sample = GridSample(site.clock.now(), only_l1(10.5), **reported)
    site.controller.process_sample(sample)
    assert site.controller.grid.limit_a == pytest.approx(limit_a)
    assert site.decision().current_a == pytest.approx(limit_a - 10.75, abs=0.06)  # a quarter is kept


async def test_a_linky_whose_cut_off_power_is_below_the_contract_never_opens_for_the_vehicle() -> None:
    site = Site(GridConnection(1, 6.0), phases=1)
    site.set_demand()
    drawn_a, linky, offered = 0.0, Protection(LINKY), [0.0]
    for _ in range(900):
        flows_a = 5.0 + drawn_a
        linky = linky.after(flows_a * 230.0 / 6000.0, 1.0)
        assert not linky.tripped
        site.set_demand(draw_a=only_l1(drawn_a), offered_a=offered[-1])
        site.controller.observe_draw(list(site.demands.values()))
        sample = GridSample(
            site.clock.now(), only_l1(flows_a), 39.1, flows_a * 230.0, subscribed_va=9e3, cut_off_va=6e3
        )
        site.controller.process_sample(sample)
        offered.append(site.decision().current_a)
        drawn_a = offered[-2]
        await site.pass_time(1)
    assert offered[-1] == pytest.approx(6000 / 230 - 5.0, abs=0.2)


def test_a_sample_without_a_phase_of_the_house_changes_nothing() -> None:
    site = Site()
    site.set_demand()
    site.decide()
    site.sample(10.0, None, 10.0)
    assert site.decision().current_a == 8.0


async def test_a_repeated_telegram_is_silence() -> None:
    """Silence is not zero: ten seconds later the safe current holds."""
    site = Site()
    site.set_demand()
    site.decide()
    repeated = GridSample(fakes.NOON, Phases[float | None].all(10.0))
    currents: list[float] = []
    for _ in range(13):
        site.controller.process_sample(repeated)
        currents.append(site.decision().current_a)
        await site.pass_time(1)
    assert currents[0] == pytest.approx(30.0)
    assert currents == sorted(currents, reverse=True)
    assert currents[10:] == [8.0, 8.0, 8.0]


async def test_a_silent_meter_goes_down_the_whole_ladder() -> None:
    """Held, then the safe current, then 6 A, then nothing: never the last set-point for ever."""
    site = Site()
    site.set_demand()
    site.decide()
    site.sample(10.0)
    site.draw(30.0)
    for expected_a in (30.0, 30.0, 8.0, 8.0):
        assert site.decision().current_a == pytest.approx(expected_a)
        await site.pass_time(5)
    binding = site.decision().binding
    assert binding is not None
    assert (binding.source, binding.next_change) == (LimitSource.FAILSAFE, fakes.NOON + timedelta(seconds=600))
    await site.pass_time(600)
    assert site.decision().current_a == 6.0
    await site.pass_time(3000)
    for _ in range(11):  # a shortage is bridged
        site.decide()
        await site.pass_time(1)
    assert site.decision().current_a == 0.0
    await site.pass_time(86_400)
    assert site.decision().current_a == 0.0


async def test_a_station_whose_meter_never_speaks_goes_down_the_ladder_too() -> None:
    site = Site()
    site.set_demand()
    assert site.decision().current_a == 8.0
    await site.pass_time(601)
    assert site.decision().current_a == 6.0
    await site.pass_time(3000)
    assert site.decision().current_a == 0.0


async def test_a_meter_that_speaks_again_starts_from_the_safe_current() -> None:
    site = Site()
    site.set_demand()
    site.decide()
    site.sample(10.0)
    site.draw(30.0)
    await site.pass_time(15)
    site.draw(8.0)
    for _ in range(7):
        site.decide()
        await site.pass_time(1)
    site.sample(18.0)
    assert site.decision().current_a <= 8.0 + 4.0


def test_two_vehicles_share_and_one_alone_has_all() -> None:
    site = Site(evses=2)
    site.set_demand(1)
    site.decide()
    site.sample(20.0)
    assert site.decision(1).current_a == pytest.approx(20.0)
    site.set_demand(2)
    decisions = site.decide()
    assert [decisions[evse_id].current_a for evse_id in (1, 2)] == pytest.approx([10.0, 10.0])


@pytest.mark.parametrize("house_a", [0.0, 10.0, 25.0, 28.1, 33.9, 34.1, 50.0])
def test_those_that_start_together_never_have_more_than_the_house_leaves(house_a: float) -> None:
    site = Site(evses=3)
    for evse_id in (1, 2, 3):
        site.set_demand(evse_id)
    site.decide()
    site.sample(house_a)
    currents = [decision.current_a for decision in site.decide().values()]
    assert sum(currents) <= max(0.0, 41.0 - house_a) + 1e-6
    assert all(current_a == 0.0 or current_a >= 6.0 for current_a in currents)


async def test_a_shortage_of_a_charging_vehicle_is_bridged_then_a_pause_then_a_resume() -> None:
    site = Site()
    site.set_demand()
    site.decide()
    site.sample(10.0)
    site.draw(16.0)
    offered: list[float] = []
    for second in range(int(RESUME_AFTER_S) + 60):
        paused = bool(offered) and offered[-1] == 0.0
        site.draw(0.0 if paused else 6.0)
        site.decide()
        await site.pass_time(1)
        house_a = 38.0 if second < 20 else 5.0
        site.sample(house_a + (0.0 if paused else 6.0))
        offered.append(site.decision().current_a)
    first_pause, resumed = offered.index(0.0), len(offered) - offered[::-1].index(0.0)
    assert 9 <= first_pause <= 12
    assert set(offered[1:first_pause]) == {6.0}  # the first sample might have been a motor that starts
    assert set(offered[first_pause:resumed]) == {0.0}
    assert resumed >= 20 + RESUME_AFTER_S
    assert offered[-1] >= 6.0


def test_the_age_of_the_last_sample_is_reported() -> None:
    site = Site()
    assert site.controller.grid.sample_age_s is None
    assert site.controller.grid.last_sample is None
    site.sample(5.0)
    assert site.controller.grid.sample_age_s == 0.0
    assert site.controller.grid.last_sample == GridSample(fakes.NOON, Phases[float | None].all(5.0))


# Phases


def only_l1(current_a: float) -> Phases[float | None]:
    """The currents of a one-phase meter."""
    return Phases(current_a, None, None)


def charging_demand(evse_id: int, *, phases: int, rotation: str = "RST") -> Demand:
    """An EVSE that wants energy."""
    rating = Limit(32.0, LimitSource.HARDWARE, fakes.NOON)
    return Demand(
        ProfileTarget(evse_id), phases, True, UNKNOWN_PHASES, (rating,), rotation=PhaseMap.from_rotation(rotation)
    )


def test_a_rotated_one_phase_vehicle_is_limited_by_its_own_phase() -> None:
    site = Site()
    site.demands[1] = charging_demand(1, phases=1, rotation="STR")
    site.decide()
    site.sample(10.0, 25.0, 5.0)
    assert site.decision().current_a == pytest.approx(15.0)


def test_vehicles_on_different_phases_do_not_share() -> None:
    site = Site(evses=3)
    for evse_id, rotation in enumerate(("RST", "STR", "TRS"), 1):
        site.demands[evse_id] = charging_demand(evse_id, phases=1, rotation=rotation)
    site.decide()
    site.sample(10.0, 25.0, 33.0)
    currents = [decision.current_a for decision in site.decide().values()]
    assert currents == pytest.approx([30.0, 15.0, 7.0])


def test_while_the_rotation_is_not_known_the_fullest_phase_counts() -> None:
    site = Site()
    site.demands[1] = replace(charging_demand(1, phases=1), rotation=None)
    site.decide()
    site.sample(10.0, 25.0, 5.0)
    assert site.decision().current_a == pytest.approx(15.0)


def test_a_one_phase_connection_has_nothing_to_learn() -> None:
    site = Site(GridConnection(1, 8.0, 41.0), phases=1)
    site.demands[1] = replace(charging_demand(1, phases=1), rotation=None)
    site.decide()
    site.controller.process_sample(GridSample(site.clock.now(), only_l1(10.0)))
    assert site.decision().current_a == pytest.approx(30.0)


async def test_the_rotation_is_learned_from_the_steps_of_the_vehicle() -> None:
    site = Site()
    site.demands[1] = replace(charging_demand(1, phases=1), rotation=None)
    house = [10.0, 25.0, 5.0]
    for step in range(8):
        drawn_a = 6.0 + 6.0 * (step % 2)
        site.set_demand(draw_a=only_l1(drawn_a))
        for _ in range(8):
            site.decide()
            site.sample(house[0], house[1], house[2] + drawn_a)
            await site.pass_time(1)
    assert site.controller.grid.phase_map_of(site.demands[1]).grid_phases(frozenset({0})) == {2}


@pytest.mark.parametrize("phase", [0, 1, 2])
async def test_a_steady_vehicle_is_stepped_until_its_phase_is_known(phase: int) -> None:
    site = Site()
    site.demands[1] = replace(charging_demand(1, phases=1), rotation=None)
    sources: list[LimitSource] = []
    drawn_a, house = 0.0, [9.0, 14.0, 5.0]
    for second in range(120):
        flows = [house_a + (drawn_a if index == phase else 0.0) for index, house_a in enumerate(house)]
        site.set_demand(draw_a=only_l1(drawn_a), offered_a=drawn_a)
        site.controller.observe_draw(list(site.demands.values()))
        site.sample(*flows)
        decision = site.decision()
        assert decision.binding is not None
        sources.append(decision.binding.source)
        drawn_a = decision.current_a if second > 5 else 0.0
        await site.pass_time(1)
    assert site.controller.grid.phase_map_of(site.demands[1]).grid_phases(frozenset({0})) == {phase}
    assert LimitSource.LEARNING in sources
    assert LimitSource.LEARNING not in sources[90:]


async def test_a_vehicle_whose_phase_cannot_be_detected_is_stepped_eight_times_and_then_left_alone() -> None:
    site = Site()
    site.demands[1] = replace(charging_demand(1, phases=1), rotation=None)
    offered, drawn_a = [0.0], 0.0
    for second in range(600):
        site.set_demand(draw_a=only_l1(drawn_a), offered_a=offered[-1])
        site.controller.observe_draw(list(site.demands.values()))
        site.sample(5.0 + drawn_a)  # all three move alike
        offered.append(site.decision().current_a)
        drawn_a = offered[-1] if second > 5 else 0.0
        await site.pass_time(1)
    steps = [second for second, (before, after) in enumerate(pairwise(offered)) if after <= before - 3.0]
    assert len(steps) == 8
    assert steps[-1] < 300


async def test_a_vehicle_whose_steps_were_lost_is_stepped_again_after_an_hour() -> None:
    site = Site(replace(HOUSE, safe_current_a=12.0))
    site.demands[1] = replace(charging_demand(1, phases=1), rotation=None)
    offered, drawn_a = [0.0], 0.0
    for second in range(3900):
        site.set_demand(draw_a=only_l1(drawn_a), offered_a=offered[-1])
        site.controller.observe_draw(list(site.demands.values()))
        lost = second < 300  # its clamp is not closed yet
        site.sample(5.0, 5.0, 5.0 + (0.0 if lost else drawn_a))
        offered.append(site.decision().current_a)
        drawn_a = offered[-1] if second > 15 else 0.0
        await site.pass_time(1)
    assert site.controller.grid.phase_map_of(site.demands[1]).grid_phases(frozenset({0})) == {2}
    assert offered[3500] == 12.0
    assert offered[-1] == 32.0


def test_one_phase_vehicles_keep_the_unbalance_within_its_bound() -> None:
    site = Site(replace(HOUSE, unbalance_a=20.0, max_current_a=81.0), evses=2)
    site.demands = {1: charging_demand(1, phases=1)}
    site.decide()
    site.sample(1.0)
    binding = site.decision().binding
    assert binding is not None
    assert (binding.source, binding.current_a) == (LimitSource.UNBALANCE, 20.0)
    site.demands = {1: charging_demand(1, phases=3)}
    assert site.decision().current_a == 32.0


def test_what_a_one_phase_vehicle_may_draw_on_any_phase_balances_nothing() -> None:
    site = Site(replace(HOUSE, unbalance_a=20.0, max_current_a=81.0), evses=2)
    site.demands = {1: replace(charging_demand(1, phases=1), rotation=None)}
    site.decide()
    site.sample(1.0)
    site.set_demand(draw_a=only_l1(20.0), offered_a=20.0)
    assert unbalanced_a(site.decision()) == 20.0
    known = [
        replace(charging_demand(evse_id, phases=1, rotation=rotation), draw_a=only_l1(12.0), offered_a=12.0)
        for evse_id, rotation in ((2, "STR"), (3, "TRS"))
    ]
    site.demands |= {demand.evse_id: demand for demand in known}
    site.demands[1] = replace(site.demands[1], rotation=PhaseMap.from_rotation("RST"))
    assert unbalanced_a(site.decision()) == 32.0


def unbalanced_a(decision: Decision) -> float | None:
    """What the unbalance of the phases allows."""
    found = [limit.current_a for limit in decision.limits if limit.source is LimitSource.UNBALANCE]
    return min(found, default=None)


# Limits for all EVSEs together


def test_a_power_limit_counts_phases_and_is_divided() -> None:
    site = Site(None, evses=2)
    site.controller.limits.set_shared("grid-order", SharedLimit(LimitSource.GRID_ORDER, power_w=7560.0))
    site.demands = {1: charging_demand(1, phases=1)}
    binding = site.decision().binding
    assert binding is not None
    assert (binding.source, binding.current_a) == (LimitSource.GRID_ORDER, 32.0) or binding.current_a == 32.0
    site.demands = {1: charging_demand(1, phases=3), 2: charging_demand(2, phases=1)}
    currents = {evse_id: decision.current_a for evse_id, decision in site.decide().items()}
    assert 690 * currents[1] + 230 * currents[2] <= 7560.0
    assert currents[1] == pytest.approx(8.2)
    assert currents[2] == pytest.approx(8.2)


def draw_fields(current_a: float, *, offered_a: float) -> dict[str, Any]:
    """A vehicle that draws so much, and is offered so much."""
    return {"draw_a": Phases[float | None].all(current_a), "offered_a": offered_a}


def site_with_selector(*, evses: int) -> Site:
    """A selector at 32 A for all EVSEs together."""
    site = Site(None, evses=evses)
    site.controller.limits.set_selector(32.0)
    for evse_id in site.demands:
        site.set_demand(evse_id)
    return site


@pytest.mark.parametrize(("still_a", "remaining_a"), [(0.0, 32.0), (16.0, 16.0), (32.0, 6.0)])
def test_a_limit_for_all_counts_a_vehicle_that_may_not_draw_any_more(still_a: float, remaining_a: float) -> None:
    """K04.FR.05; but for the least current, with which nobody's charge is broken off."""
    site = site_with_selector(evses=2)
    site.set_demand(1, wants=False, **draw_fields(still_a, offered_a=0.0))
    decisions = site.decide()
    assert decisions[2].current_a == remaining_a
    limits = {limit.source: limit.current_a for limit in decisions[1].limits}
    assert limits[LimitSource.SELECTOR] == 32.0  # what the other draws is its own


async def test_who_draws_without_a_right_for_a_minute_keeps_the_others_waiting_until_it_stops() -> None:
    """K04.FR.05: a contactor that is welded never ends what is 6 A too much for a moment."""
    site = site_with_selector(evses=3)
    site.set_demand(1, wants=False, **draw_fields(24.0, offered_a=0.0))
    for evse_id in (2, 3):
        site.set_demand(evse_id, **draw_fields(6.0, offered_a=6.0))
    assert await final_currents(site, 50) == [6.0, 6.0]
    assert await final_currents(site, 20) == [6.0, 0.0]
    site.set_demand(3, **draw_fields(0.0, offered_a=0.0))
    assert await final_currents(site, 20) == [8.0, 0.0]
    site.set_demand(1, wants=False, **draw_fields(0.0, offered_a=0.0))
    assert [site.decision(evse_id).current_a for evse_id in (2, 3)] == [16.0, 16.0]
    site.set_demand(1, wants=False, **draw_fields(24.0, offered_a=0.0))  # the next time it has its time again
    assert await final_currents(site, 50) == [6.0, 6.0]


async def test_what_hardly_shows_of_a_vehicle_that_is_done_pauses_nobody() -> None:
    site = site_with_selector(evses=3)
    site.controller.limits.set_selector(12.0)
    site.set_demand(1, wants=False, **draw_fields(0.9, offered_a=0.0))
    for evse_id in (2, 3):
        site.set_demand(evse_id, **draw_fields(6.0, offered_a=6.0))
    await final_currents(site, 90)
    assert await final_currents(site, 90) == [6.0, 6.0]


async def final_currents(site: Site, seconds: int) -> list[float]:
    """Let time pass; returns the final currents of the second and third EVSE."""
    for _ in range(seconds):
        site.decide()
        await site.pass_time(1)
    return [site.decision(evse_id).current_a for evse_id in (2, 3)]


def test_a_meter_of_an_evse_that_is_wired_backwards_makes_no_room_for_the_others() -> None:
    site = site_with_selector(evses=2)
    site.set_demand(1, wants=False, **draw_fields(-16.0, offered_a=0.0))
    assert site.decision(2).current_a == 16.0


def test_a_limit_in_watts_holds_while_a_vehicle_draws_that_may_not_any_more() -> None:
    site = Site(None, evses=2)
    site.controller.limits.set_shared("user", SharedLimit(LimitSource.USER, power_w=11_040.0))
    site.set_demand(1, wants=False, **draw_fields(8.0, offered_a=0.0))
    site.set_demand(2)
    assert site.decision(2).current_a == 8.0


def test_a_newcomer_has_the_least_until_the_others_have_given_way() -> None:
    site = site_with_selector(evses=2)
    site.set_demand(1, **draw_fields(32.0, offered_a=32.0))
    currents = {evse_id: decision.current_a for evse_id, decision in site.decide().items()}
    assert currents == {1: 16.0, 2: 6.0}
    site.set_demand(1, **draw_fields(24.0, offered_a=16.0))
    assert [decision.current_a for decision in site.decide().values()] == [16.0, 8.0]
    site.set_demand(1, **draw_fields(16.0, offered_a=16.0))
    assert [decision.current_a for decision in site.decide().values()] == [16.0, 16.0]


@pytest.mark.parametrize("most", [{"current_a": 32.0}, {"power_w": 22_080.0}])
def test_the_phases_that_a_board_is_to_take_away_are_not_given_to_another_while_they_are_loaded(
    most: dict[str, Any],
) -> None:
    """K04.FR.05; the contactor opens within 6 s of the order."""
    site = Site(None, evses=2)
    site.controller.limits.set_shared("user", SharedLimit(LimitSource.USER, **most))
    schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 32.0, 1),), starts_at=fakes.NOON)
    site.profiles.install(ChargingProfile(1, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, schedule))
    site.set_demand(1, **draw_fields(32.0, offered_a=32.0), selectable_phases=frozenset({1}))
    site.demands[2] = charging_demand(2, phases=1, rotation="STR")
    assert [(decision.phases, decision.current_a) for decision in site.decide().values()][1] == (None, 6.0)
    site.set_demand(1, draw_a=UNKNOWN_PHASES, offered_a=0.0)
    assert [(decision.phases, decision.current_a) for decision in site.decide().values()] == [(1, 32.0), (None, 32.0)]


def test_where_all_have_to_give_way_none_is_kept_below_its_share() -> None:
    site = site_with_selector(evses=2)
    for evse_id in (1, 2):
        site.set_demand(evse_id, **draw_fields(24.0, offered_a=24.0))
    assert [decision.current_a for decision in site.decide().values()] == [16.0, 16.0]
    site.set_demand(2, **draw_fields(0.0, offered_a=16.0))  # offered already: not withdrawn for the moment
    assert [decision.current_a for decision in site.decide().values()] == [16.0, 16.0]


def test_dimmed_to_4_2_kw_three_phases_go_on_at_6_a_and_one_phase_at_18() -> None:
    """EnWG §14a, by the nominal voltage"""
    site = Site(None)
    site.controller.limits.set_shared("grid-order", SharedLimit(LimitSource.GRID_ORDER, power_w=4200.0))
    site.demands = {1: charging_demand(1, phases=3)}
    assert site.decision().current_a == 6.0
    site.demands = {1: charging_demand(1, phases=1)}
    assert site.decision().current_a == 18.2


def test_what_the_house_produces_may_be_added_to_a_dimmed_power() -> None:
    site = Site()
    site.demands = {1: charging_demand(1, phases=3)}
    order = SharedLimit(LimitSource.GRID_ORDER, power_w=4200.0, plus_surplus=True)
    site.controller.limits.set_shared("grid-order", order)
    site.decide()
    site.controller.process_sample(GridSample(site.clock.now(), Phases(-3.0, -3.0, -3.0), power_w=-2070.0, signed=True))
    assert site.decision().current_a == pytest.approx((4200 + 2070) / 690, abs=0.1)


async def test_of_a_silent_meter_nobody_knows_what_the_house_produces() -> None:
    site = Site()
    site.demands = {1: charging_demand(1, phases=3)}
    order = SharedLimit(LimitSource.GRID_ORDER, power_w=4200.0, plus_surplus=True)
    site.controller.limits.set_shared("grid-order", order)
    site.decide()
    exported = GridSample(site.clock.now(), Phases(-9.0, -9.0, -9.0), power_w=-6210.0, signed=True)
    site.controller.process_sample(exported)
    order_limits_a: list[float] = []
    for _ in range(10):
        order_limits_a += [
            limit.current_a for limit in site.decision().limits if limit.source is LimitSource.GRID_ORDER
        ]
        await site.pass_time(1)
    assert order_limits_a[:5] == [pytest.approx((4200 + 6210) / 690, abs=0.1)] * 5
    assert order_limits_a[6:] == [6.0] * 4


async def test_a_limit_with_a_time_out_ends_by_itself_and_says_when() -> None:
    site = Site(None)
    until = fakes.NOON + timedelta(seconds=60)
    site.controller.limits.set_shared("user", SharedLimit(LimitSource.USER, 10.0, until=until, by="app"))
    site.set_demand()
    assert site.decision().binding == Limit(10.0, LimitSource.USER, fakes.NOON, until, "app")
    await site.pass_time(60)
    assert site.decision().current_a == 32.0


# Vehicles that do not take what they may


async def test_what_a_vehicle_does_not_use_is_given_to_the_other_and_back_when_it_would() -> None:
    site = Site(evses=2)
    site.set_demand(1, offered_a=15.0)
    site.set_demand(2, offered_a=15.0)
    site.decide()
    site.sample(10.0)
    site.set_demand(1, draw_a=Phases[float | None].all(8.0), offered_a=15.0)
    site.set_demand(2, draw_a=Phases[float | None].all(15.0), offered_a=15.0)
    currents = await run_until_settled(site, 40, house_a=10.0)
    assert currents == pytest.approx([10.0, 20.0], abs=0.2)
    site.set_demand(1, draw_a=Phases[float | None].all(10.0), offered_a=10.0)
    assert [d.current_a for d in site.decide().values()] == pytest.approx([15.0, 15.0], abs=0.2)


async def run_until_settled(site: Site, seconds: int, *, house_a: float) -> list[float]:
    """Let time pass with a new sample each second; returns the final current of each EVSE."""
    currents: list[float] = []
    for _ in range(seconds):
        drawn_a = sum((demand.draw_a.l1 or 0.0) for demand in site.demands.values())
        site.controller.observe_draw(list(site.demands.values()))
        site.sample(house_a + drawn_a)
        currents = [decision.current_a for decision in site.decide().values()]
        await site.pass_time(1)
    return currents


async def test_a_full_vehicle_does_not_keep_another_waiting() -> None:
    site = Site(evses=2)
    site.set_demand(1, offered_a=10.0, draw_a=Phases[float | None].all(0.0))
    site.decide()
    site.sample(30.0)
    await run_until_settled(site, 61, house_a=30.0)
    site.set_demand(2)
    assert [d.current_a for d in site.decide().values()] == pytest.approx([0.0, 10.0])


@pytest.mark.parametrize("other_meter_fails", [False, True])
async def test_where_the_meter_of_an_idle_evse_has_failed_no_excess_is_subtracted_twice_at_the_others(
    other_meter_fails: bool,
) -> None:
    """Samples and vehicle are both 2 s late."""
    site = Site(evses=2)
    offered, drawn = [0.0] * 3, [0.0] * 3
    for second in range(80):
        drawn.append(offered[-3])
        site.set_demand(1, **draw_fields(drawn[-1], offered_a=offered[-1]), read_at_s=site.clock.monotonic())
        read_at_s = -100.0 if other_meter_fails else site.clock.monotonic()
        site.set_demand(2, wants=False, read_at_s=read_at_s)
        site.controller.observe_draw(list(site.demands.values()))
        site.sample((10.0 if second < 60 else 20.0) + drawn[-3])
        offered.append(site.decision().current_a)
        await site.pass_time(1)
    assert set(offered[50:]) == {30.0, 20.0}


async def test_a_vehicle_that_does_not_follow_is_offered_the_least() -> None:
    site = Site(None)
    site.set_demand(offered_a=10.0, draw_a=Phases[float | None].all(16.0))
    site.decide()
    await site.pass_time(5)
    binding = site.decision().binding
    assert binding is not None
    assert (binding.source, binding.current_a) == (LimitSource.VEHICLE, 6.0)


async def test_a_vehicle_that_takes_its_5_s_for_each_of_many_steps_follows() -> None:
    """IEC 61851-1"""
    site = Site(None)
    offered = [32.0] * 6
    for second in range(24):
        offered.append(max(8.0, 31.0 - second))
        site.set_demand(draw_a=Phases[float | None].all(offered[-6]), offered_a=offered[-1])
        assert site.decision().current_a == 32.0
        await site.pass_time(1)


async def test_who_waits_gets_a_turn() -> None:
    site = Site(evses=2)
    for evse_id in (1, 2):
        site.set_demand(evse_id)
    site.decide()
    site.sample(30.0)
    assert [d.current_a for d in site.decide().values()] == pytest.approx([10.0, 0.0])
    site.set_demand(1, draw_a=Phases[float | None].all(10.0), offered_a=10.0)
    await run_until_settled(site, 899, house_a=30.0)
    assert [d.current_a for d in site.decide().values()] == pytest.approx([10.0, 0.0])
    currents = await run_until_settled(site, 2, house_a=30.0)
    assert currents == [0.0, 0.0]  # as long as the first has not followed
    site.set_demand(1, draw_a=Phases[float | None].all(0.0), offered_a=0.0)
    assert [d.current_a for d in site.decide().values()] == pytest.approx([0.0, 10.0])


async def run_with_following_vehicles(
    site: Site, seconds: int, *, house_a: float, after_s: int = 2
) -> list[list[float]]:
    """Let time pass with vehicles that draw what they are offered, delayed; returns each offer, second by second."""
    orders = [[demand.offered_a for demand in site.demands.values()]] * after_s
    for _ in range(seconds):
        for evse_id, drawn_a in zip(site.demands, orders[-after_s], strict=True):
            wants = site.demands[evse_id].may_charge
            site.set_demand(evse_id, wants=wants, **draw_fields(drawn_a, offered_a=orders[-1][evse_id - 1]))
        allowed_a = await run_until_settled(site, 1, house_a=house_a)
        orders.append(
            [a if demand.may_charge else 0.0 for a, demand in zip(allowed_a, site.demands.values(), strict=True)]
        )
    return orders[after_s:]


@pytest.mark.parametrize(("room_a", "resumes"), [(7.4, False), (7.6, True)])
async def test_a_pause_ends_where_there_is_more_than_the_least_with_something_to_spare(
    room_a: float, resumes: bool
) -> None:
    site = Site()
    site.set_demand()
    await run_with_following_vehicles(site, 20, house_a=10.0)
    assert (await run_with_following_vehicles(site, 30, house_a=45.0))[-1] == [0.0]
    offered = await run_with_following_vehicles(site, 600, house_a=41.0 - 0.25 - room_a)  # a quarter is kept
    assert ([room_a] in [[round(current_a, 1) for current_a in currents_a] for currents_a in offered]) is resumes


@pytest.mark.parametrize("full_from_s", [0, 20])
@pytest.mark.parametrize("both_a", [10.0, 20.0])
async def test_what_all_may_have_is_not_kept_for_one_that_waits_for_the_house(both_a: float, full_from_s: int) -> None:
    """Its phase is full, that of the other is not; and when it goes on both keep the limit again, at any moment."""
    site = Site(evses=2)
    site.controller.limits.set_shared("user", SharedLimit(LimitSource.USER, power_w=230.0 * both_a))
    site.demands = {
        1: replace(charging_demand(1, phases=1), priority=1),
        2: charging_demand(2, phases=1, rotation="STR"),
    }
    site.decide()
    offers, drawn = [[0.0, 0.0]], [[0.0, 0.0]] * 3
    for second in range(500):
        for evse_id in (1, 2):
            drawn_a, offered_a = drawn[-1][evse_id - 1], offers[-1][evse_id - 1]
            site.set_demand(evse_id, draw_a=only_l1(drawn_a), offered_a=offered_a)
        site.controller.observe_draw(list(site.demands.values()))
        site.sample((38.0 if full_from_s <= second < 200 else 5.0) + drawn[-1][0], 5.0 + drawn[-1][1], 5.0)
        offers.append([decision.current_a for decision in site.decide().values()])
        drawn.append(offers[-3] if second > 3 else [0.0, 0.0])  # they follow 2 s late
        assert sum(drawn[-1]) <= both_a or sum(drawn[-8]) <= both_a >= sum(drawn[-1]) - 6.0
        await site.pass_time(1)
    assert offers[100] == [0.0, both_a]
    assert offers[-1] == ([10.0, 0.0] if both_a == 10.0 else [10.0, 10.0])


async def test_when_a_pause_ends_the_other_gives_way_at_once_and_is_not_bridged() -> None:
    site = Site(evses=2)
    site.set_demand(1)
    await run_with_following_vehicles(site, 30, house_a=10.0)
    await run_with_following_vehicles(site, 30, house_a=45.0)
    site.set_demand(2)
    offered = await run_with_following_vehicles(site, 600, house_a=32.84)
    assert [0.0, 7.9] in offered
    assert offered[-1] == [7.9, 0.0]
    assert max(sum(currents_a) for currents_a in offered) == 7.9


# The budget


async def test_where_the_pilot_is_too_slow_the_contactor_opens() -> None:
    """A Linky of 9 kVA, one phase: at five times its power it is a matter of seconds."""
    site = Site(GridConnection(1, 6.0, 60.0), phases=1)
    site.set_demand(draw_a=only_l1(30.0), offered_a=30.0)
    site.decide()
    sample = GridSample(site.clock.now(), Phases(35.0, None, None), 39.0, cut_off_va=9000.0)
    site.controller.process_sample(sample)
    assert not site.decision().open_now
    await site.pass_time(1)
    site.controller.process_sample(replace(sample, taken_at=site.clock.now(), currents_a=Phases(200.0, None, None)))
    decision = site.decision()
    assert decision.open_now
    assert decision.current_a == 0.0


@pytest.mark.parametrize(
    ("house_a", "power_va", "remaining_a"),
    [
        (Phases(10.0, 12.0, 9.0), UNKNOWN_PHASES, 28.0),  # whole amperes: one is kept
        (Phases(10.0, 12.0, 9.0), Phases(2300.0, 2852.0, 2070.0), 28.5),  # 12.4 A, and a tenth is kept
        (Phases(10.0, 18.0, 9.0), Phases(2300.0, 2852.0, 2070.0), 22.9),  # of two moments: the larger
    ],
)
def test_apparent_power_per_phase_is_finer_than_whole_amperes(
    house_a: Phases[float | None], power_va: Phases[float | None], remaining_a: float
) -> None:
    site = Site(GridConnection(3, 6.0, 41.0))
    site.set_demand()
    site.decide()
    site.controller.process_sample(GridSample(site.clock.now(), house_a, apparent_powers_va=power_va))
    assert site.decision().current_a == pytest.approx(remaining_a)


@pytest.mark.parametrize(
    ("house_a", "cut_off_va", "period_s", "bridged_s"),
    [
        (40.0, 9000.0, 1.0, 120),  # 46 A of 39: 1.18 times
        (42.0, 9000.0, 1.0, 10),  # 48 A: 1.23 times
        (40.0, None, 1.0, 10),  # the breaking current is unknown
        (40.0, 9000.0, 10.0, 10),  # changes between two samples are not measured
    ],
)
async def test_a_mild_shortage_at_a_linky_is_bridged_for_two_minutes(
    house_a: float, cut_off_va: float | None, period_s: float, bridged_s: int
) -> None:
    site = Site(GridConnection(1, 6.0, 39.0), phases=1)
    site.set_demand()
    site.decide()
    offered: list[float] = []
    for second in range(200):
        drawn_a = 0.0 if offered and offered[-1] == 0.0 else 6.0
        site.set_demand(draw_a=only_l1(drawn_a), offered_a=offered[-1] if offered else 6.0)
        site.decide()
        grid = Phases[float | None]((20.0 if second < 40 else house_a) + drawn_a, None, None)
        site.controller.process_sample(
            GridSample(site.clock.now(), grid, 39.0, cut_off_va=cut_off_va, period_s=period_s)
        )
        offered.append(site.decision().current_a)
        await site.pass_time(1)
    assert bridged_s - 2 <= offered.index(0.0) - 40 <= bridged_s + 4


async def test_at_twice_its_power_a_linky_leaves_the_vehicle_its_five_seconds() -> None:
    site = Site(GridConnection(1, 6.0, 60.0), phases=1)
    site.set_demand(draw_a=only_l1(30.0), offered_a=30.0)
    site.decide()
    sample = GridSample(site.clock.now(), Phases(35.0, None, None), 39.0, cut_off_va=9000.0)
    site.controller.process_sample(sample)
    opened: list[bool] = []
    for _ in range(40):
        await site.pass_time(1)
        site.controller.process_sample(replace(sample, taken_at=site.clock.now(), currents_a=Phases(78.0, None, None)))
        opened.append(site.decision().open_now)
        if opened[-1]:
            break
    assert not any(opened[:10])
    assert opened[-1]  # a vehicle that does not follow is cut off before the meter trips
    assert len(opened) < 33
