"""A meter that does not see our own vehicles is not believed: an unplugged clamp shows no error but no current."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, GridConnection, LoadController
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.phase_map import RST_MAP, PhaseMap
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.step_check import StepCheck
from metering.reading import Phases
from tests import fakes
from tests.energy.listening import configured


def observe(check: StepCheck, seconds: range, own_a: float, grid_a: float, *, signed: bool = True) -> StepCheck:
    """A second after the other of the same."""
    for second in seconds:
        check = check.observe(own_a, grid_a, float(second), signed=signed)
    return check


def doubted_after_start(before_a: float, after_a: float, *, step_a: float = 10.0, signed: bool = True) -> bool:
    """Whether a phase is doubted that showed this before a vehicle began to draw `step_a`, and that after."""
    check = observe(StepCheck(6.0), range(15), 0.0, before_a, signed=signed)
    return observe(check, range(15, 30), step_a, after_a, signed=signed).doubted


@pytest.mark.parametrize(
    ("before_a", "after_a", "signed", "blind"),
    [
        (4.0, 14.0, True, False),
        (4.0, 12.0, True, False),  # a clamp of its class, whole amperes
        (4.0, 4.0, True, True),  # on another conductor
        (0.0, 0.0, True, True),  # unplugged
        (4.0, 8.0, True, True),  # not closed
        (4.0, -6.0, True, True),  # the wrong way round
        (-12.0, -2.0, True, False),
        (12.0, 2.0, False, False),  # the house fed back 12 A, which an unsigned meter does not show
        (5.0, 5.0, False, False),  # it fed back 5 A, now it draws as much
        (0.0, 0.0, False, True),
    ],
)
def test_a_step_of_our_own_shows_or_does_not(before_a: float, after_a: float, signed: bool, blind: bool) -> None:
    assert doubted_after_start(before_a, after_a, signed=signed) is blind


@given(st.floats(-30, 30), st.floats(6, 32), st.booleans())
def test_a_meter_that_sees_all_is_never_doubted(house_a: float, step_a: float, signed: bool) -> None:
    flows = (house_a, house_a + step_a) if signed else (abs(house_a), abs(house_a + step_a))
    assert doubted_after_start(*flows, step_a=step_a, signed=signed) is False


def test_what_we_change_while_a_vehicle_charges_answers_the_house_and_proves_nothing() -> None:
    check = observe(StepCheck(6.0), range(30), 16.0, 20.0)
    assert not observe(check, range(30, 60), 8.0, 20.0).doubted  # the house took 8 A more, so the vehicle gave way


def test_a_house_that_switches_all_the_time_hides_no_meter_that_sees() -> None:
    check = StepCheck(6.0)
    for second in range(120):
        own_a = 0.0 if second < 20 else 16.0 if second < 60 else 6.0
        kettle_a = 9.6 if second // 3 % 2 else 0.0
        check = check.observe(own_a, own_a + kettle_a, float(second), signed=True)
        assert not check.doubted


def test_one_step_that_was_missed_is_asked_again_with_the_way_down_to_the_safe_current() -> None:
    check = observe(StepCheck(6.0), range(15), 0.0, 12.0)
    suspected = observe(check, range(15, 30), 16.0, 16.0)  # the kettle went off
    assert (suspected.doubted, suspected.blind) == (True, False)
    assert not observe(suspected, range(30, 45), 6.0, 6.0).doubted
    assert observe(suspected, range(30, 45), 6.0, 16.0).blind


def test_where_there_is_no_way_down_the_next_step_upwards_asks() -> None:
    check = observe(StepCheck(6.0), range(15), 0.0, 6.0)
    suspected = observe(check, range(15, 30), 6.0, 6.0)
    assert (suspected.doubted, suspected.suspect_a) == (False, 6.0)
    assert observe(suspected, range(30, 45), 16.0, 16.0).suspect_a is None
    assert observe(suspected, range(30, 45), 16.0, 6.0).blind


def test_a_blind_meter_is_believed_again_when_it_sees_a_step() -> None:
    blind = observe(StepCheck(6.0), range(15), 0.0, 4.0)
    blind = observe(observe(blind, range(15, 30), 16.0, 4.0), range(30, 45), 6.0, 4.0)
    assert blind.blind
    stopped = observe(blind, range(45, 60), 0.0, 4.0)
    assert stopped.blind
    assert not observe(stopped, range(60, 75), 6.0, 10.0).doubted


class Site:
    """A house with clamps, of which one may be unplugged, and a vehicle that follows."""

    def __init__(self) -> None:
        self.clock = fakes.clock()
        connection = GridConnection(phases=3, safe_current_a=8.0, max_current_a=41.0)
        self.controller = LoadController(self.clock, ProfileStore({1: 3}, no_selectable_phases), connection)
        self.unplugged = False
        self.drawn_a = 0.0
        self.wants = False
        self.house_a = 5.5
        self.draws = (1.0, 1.0, 1.0)
        """of what it is offered, at the terminals"""
        self.rotation: PhaseMap | None = RST_MAP
        """the known rotation; None: unknown, and in fact STR"""

    async def run_for(self, seconds: int) -> Decision:
        decision = self.run_second()
        for _ in range(seconds):
            await self.clock.advance(1.0)
            decision = self.run_second()
        return decision

    def run_second(self) -> Decision:
        self.controller.observe_draw([self.demand])
        flows: list[float | None] = [self.house_a] * 3
        for part, phase in zip(self.draws, (self.rotation or PhaseMap.from_rotation("STR")).terminals, strict=True):
            flows[phase or 0] = self.house_a + part * self.drawn_a
        if self.unplugged:
            flows[1] = 0.0
        self.controller.process_sample(GridSample(self.clock.now(), Phases(*flows)))
        return self.decide()

    @property
    def demand(self) -> Demand:
        rating = (Limit(16.0, LimitSource.HARDWARE, fakes.NOON),)
        draw = Phases[float | None](*(part * self.drawn_a for part in self.draws))
        return Demand(ProfileTarget(1), 3, self.wants, draw, rating, self.drawn_a, rotation=self.rotation)

    @property
    def doubted(self) -> bool:
        watch = self.controller.connection_monitor
        return watch is not None and bool(watch.doubted_phases)

    def decide(self) -> Decision:
        decision = self.controller.decide([self.demand])[1]
        self.drawn_a = decision.current_a if self.wants else 0.0
        return decision


async def test_a_clamp_that_is_unplugged_is_found_when_the_charge_begins_and_leaves_the_safe_current() -> None:
    site = Site()
    site.unplugged = True
    await site.run_for(20)
    site.wants = True
    assert (await site.run_for(2)).current_a == 16.0
    decision = await site.run_for(60)
    assert decision.current_a == 8.0
    binding = decision.binding
    assert binding is not None
    assert binding.source is LimitSource.BLIND_METER
    assert binding.source_text == "the grid meter does not show the vehicle's current"


@pytest.mark.parametrize(
    ("draws", "rotation"),
    [
        ((1.0, 0.0, 0.0), PhaseMap.from_rotation("STR")),
        ((1.0, 0.0, 0.0), None),  # one unknown phase, and no phase shows it
        ((1.0, 0.98, 0.99), PhaseMap.from_rotation("STR")),
        ((1.0, 0.98, 0.99), None),  # about the same on all, wherever they are
    ],
)
async def test_an_unplugged_clamp_is_found_whatever_is_known_of_the_phases(
    draws: tuple[float, float, float], rotation: PhaseMap | None
) -> None:
    site = Site()
    site.draws, site.rotation, site.unplugged = draws, rotation, True
    await site.run_for(20)
    site.wants = True
    decision = await site.run_for(60)
    assert decision.current_a == 8.0
    site.wants = site.unplugged = False
    await site.run_for(20)
    site.wants = True
    assert (await site.run_for(60)).current_a > 8.0


async def test_the_step_of_a_vehicle_whose_phase_is_not_known_may_show_on_any() -> None:
    site = Site()
    site.draws, site.rotation = (1.0, 0.0, 0.0), None
    await site.run_for(20)
    site.wants = True
    for _ in range(240):
        await site.run_for(1)
        assert not site.doubted
    site.wants = False
    await site.run_for(20)
    assert not site.doubted


async def test_a_blind_meter_that_falls_silent_too_raises_nothing() -> None:
    site = Site()
    site.unplugged = True
    await site.run_for(20)
    site.wants = True
    offered = [(await site.run_for(60)).current_a]
    for _ in range(700):
        await site.clock.advance(1.0)
        offered.append(site.decide().current_a)
    assert offered[0] == 8.0
    assert offered == sorted(offered, reverse=True)


async def test_a_clamp_that_is_plugged_in_again_is_believed_after_the_next_step() -> None:
    site = Site()
    site.unplugged = True
    await site.run_for(20)
    site.wants = True
    await site.run_for(40)
    site.wants = site.unplugged = False
    await site.run_for(20)
    site.wants = True
    assert (await site.run_for(90)).current_a == 16.0


async def test_a_kettle_that_goes_off_as_the_charge_begins_costs_a_moment_and_no_charge() -> None:
    site = Site()
    site.house_a = 15.5
    await site.run_for(20)
    site.wants = True
    await site.run_for(1)
    site.house_a = 5.5
    currents_a = [(await site.run_for(1)).current_a for _ in range(180)]
    assert min(currents_a) == 8.0
    assert currents_a[-1] == 16.0


@pytest.mark.parametrize(("every_s", "warned"), [(1.0, False), (2.5, False), (10.0, True)])
def test_a_meter_that_is_asked_too_seldom_to_be_checked_is_said(
    every_s: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    meter = {"type": "modbus-tcp", "model": "siemens-pac2200", "host": "127.0.0.1", "unit": 1}
    configured({"type": "modbus", "meter": meter, "every_s": every_s}).open(fakes.clock())
    assert ("whether it shows the vehicles' current is not checked" in caplog.text) is warned
