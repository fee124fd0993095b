"""Clamps that measure the same conductor are found, and a house that loads its phases alike is not suspected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, GridConnection, LoadController
from energy.equal_phase_check import STEPS, EqualPhaseCheck
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.profile_store import ProfileStore, no_selectable_phases
from metering.reading import Phases
from tests import fakes

Loads = tuple[float, float, float]


def house(seed: int) -> Iterator[Loads]:
    """Loads on single phases that are switched on and off, each second."""
    random_source = Random(seed)
    on = [0.0, 0.0, 0.0]
    while True:
        if random_source.random() < 0.05:
            on[random_source.randrange(3)] = random_source.choice([0.0, 2.6, 4.3, 8.7, 13.0])
        yield (0.7 + on[0], 0.9 + on[1], 0.4 + on[2])


def wired_correctly(loads: Loads) -> Loads:
    return loads


def three_on_one_channel(loads: Loads) -> Loads:
    return (loads[0], loads[0], loads[0])


def two_on_one_conductor(loads: Loads) -> Loads:
    return (loads[0], loads[0] * 1.02 + 0.1, loads[2])


def observe(wiring: Callable[[Loads], Loads], seconds: int = 3600) -> EqualPhaseCheck:
    check, loads = EqualPhaseCheck(), house(1)
    for second in range(seconds):
        check = check.after(wiring(next(loads)), (0.0, 0.0, 0.0), float(second))
    return check


@pytest.mark.parametrize(
    ("wiring", "phases"),
    [(wired_correctly, set[int]()), (three_on_one_channel, {0, 1, 2}), (two_on_one_conductor, {0, 1})],
)
def test_phases_that_always_show_the_same_are_doubted(wiring: Callable[[Loads], Loads], phases: set[int]) -> None:
    assert observe(wiring).doubted == phases


def test_phases_that_differ_once_are_believed() -> None:
    check = observe(three_on_one_channel)
    assert check.doubted == {0, 1, 2}
    check = check.after((3.0, 3.0, 9.0), (0.0, 0.0, 0.0), 3600.0)
    assert check.doubted == {0, 1}
    assert not check.after((3.0, 8.0, 9.0), (0.0, 0.0, 0.0), 3601.0).doubted


def test_a_load_on_three_phases_beside_others_is_not_suspected() -> None:
    check = EqualPhaseCheck()
    for second in range(3600):
        pump_a = 9.0 if second // 60 % 2 else 0.0
        check = check.after((0.4 + pump_a, 1.6 + pump_a, 0.8 + pump_a), (0.0, 0.0, 0.0), float(second))
    assert not check.doubted


def test_a_quiet_house_with_a_heat_pump_on_three_phases_is_not_suspected_as_long_as_a_refrigerator_runs() -> None:
    """Nearly equal base loads, twelve cycles of the pump in four hours, and one of the refrigerator in each of them."""
    check = EqualPhaseCheck()
    for second in range(4 * 3600):
        pump_a = 6.0 if second % 1200 < 600 else 0.0
        refrigerator_a = 0.6 if second % 3600 < 900 else 0.0
        check = check.after(
            (0.6 + pump_a, 0.7 + pump_a, 0.55 + pump_a + refrigerator_a), (0.0, 0.0, 0.0), float(second)
        )
        assert check.doubted <= {0, 1}
    assert not observe_pump(cycles=11).doubted
    assert observe_pump(cycles=13).doubted == {0, 1, 2}


def observe_pump(cycles: int) -> EqualPhaseCheck:
    """A load on three phases alone, switched on and off so often."""
    check = EqualPhaseCheck()
    for second in range(cycles * 100):
        pump_a = 6.0 if second % 100 >= 50 else 0.0
        check = check.after((0.6 + pump_a, 0.7 + pump_a, 0.55 + pump_a), (0.0, 0.0, 0.0), float(second))
    return check


def test_our_own_vehicle_on_three_phases_proves_nothing() -> None:
    check = EqualPhaseCheck()
    for second in range(3600):
        own_a = 16.0 if second // 60 % 2 else 0.0
        check = check.after((0.4 + own_a,) * 3, (own_a,) * 3, float(second))
    assert not check.doubted


def test_the_steps_of_a_vehicle_on_one_phase_prove_that_another_clamp_measures_the_same() -> None:
    check = EqualPhaseCheck()
    for second in range(60 * 2 * STEPS):
        own_a = 16.0 if second // 60 % 2 else 0.0
        check = check.after((0.4 + own_a, 0.4 + own_a, 0.4), (own_a, 0.0, 0.0), float(second))
    assert check.doubted == {0, 1}


async def test_clamps_on_one_channel_leave_the_safe_current_and_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The house loads L2 up to the breaker, which no clamp measures."""
    clock, loads = fakes.clock(), house(2)
    controller = LoadController(clock, ProfileStore({1: 3}, no_selectable_phases), GridConnection(3, 8.0, 25.0))
    rating = (Limit(16.0, LimitSource.HARDWARE, fakes.NOON),)
    decision = Decision(0.0, ())
    for second in range(3000):
        await clock.advance(1)
        drawn_a = decision.current_a if second > 2400 else 0.0
        demand = Demand(ProfileTarget(1), 3, True, Phases[float | None].all(drawn_a), rating, decision.current_a)
        controller.observe_draw([demand])
        clamp_currents = three_on_one_channel(next(loads))
        controller.process_sample(GridSample(clock.now(), Phases(*(clamp_a + drawn_a for clamp_a in clamp_currents))))
        decision = controller.decide([demand])[1]
    assert decision.current_a <= 8.0
    assert decision.binding is not None
    assert decision.binding.source is LimitSource.BLIND_METER
    assert "grid meter always shows the same current on L1 and L2 and L3" in caplog.text
