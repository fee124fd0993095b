"""Synthetic loads of a household, second by second, from a seed; or a trace from a CSV file.

None of this was measured. Each appliance is a small model of its current, duration and switching. The values are
typical ratings at 230 V.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulator.trace import read_trace

HOUR_S = 3600
DAY_S = 24 * HOUR_S
Phases3 = tuple[float, float, float]


@dataclass(slots=True)
class LoadTrace:
    """Amperes on L1, L2, L3 for each second, without any vehicle; it begins at `begins_s` of the day."""

    begins_s: int
    currents_a: list[list[float]] = field(default_factory=lambda: [[], [], []])

    def __len__(self) -> int:
        return len(self.currents_a[0])

    def at(self, second: int) -> Phases3:
        """The currents of the house in a second."""
        l1, l2, l3 = self.currents_a
        return l1[second], l2[second], l3[second]


class HouseDay:
    """A day of a house, to which appliances are added."""

    def __init__(self, dice: random.Random, begins_s: int, length_s: int) -> None:
        self.dice = dice
        self.begins_s = begins_s
        self.trace = LoadTrace(begins_s, [[0.0] * length_s for _ in range(3)])
        self._length_s = length_s

    def add(self, at_s: float, amperes: list[float], *phases: int) -> None:
        """Add these currents, one per second, from a second of the day on (beyond midnight if needed)."""
        first = int(at_s) - self.begins_s
        for offset, current_a in enumerate(amperes):
            if 0 <= first + offset < self._length_s:
                for phase in phases:
                    self.trace.currents_a[phase][first + offset] += current_a

    def some_time(self, from_h: float, to_h: float) -> float:
        """A random second between two hours of the day."""
        return self.dice.uniform(from_h, to_h) * HOUR_S


# Appliances, each from the second at which it is switched on


def base(house: HouseDay, level_a: float, *phases: int) -> None:
    """Standby, light, screens: a level that wanders, and a little noise."""
    level, length = level_a, len(house.trace)
    wandering: list[float] = []
    for _ in range(length):
        level += house.dice.gauss(0.0, 0.01) + (level_a - level) * 0.002
        wandering.append(max(0.1, level) + house.dice.uniform(-0.1, 0.1))
    house.add(house.begins_s, wandering, *phases)


def fridge(house: HouseDay, phase: int) -> None:
    """0.6 A for a quarter of an hour in each of 50 minutes; 3 A for a second when its compressor starts."""
    at_s = house.begins_s - house.dice.uniform(0, 3000)
    while at_s < house.begins_s + len(house.trace):
        house.add(at_s, [3.0, *[0.6] * 900], phase)
        at_s += house.dice.uniform(2700, 3300)


def kettle(house: HouseDay, at_s: float, phase: int) -> None:
    """2.2 kW for two to four minutes."""
    house.add(at_s, [9.6] * int(house.dice.uniform(120, 240)), phase)


def thermostat(house: HouseDay, at_s: float, current_a: float, heat_s: float, hold_s: float, phase: int) -> None:
    """Heats up, then holds: on and off in cycles of one to three minutes."""
    house.add(at_s, [current_a] * int(heat_s), phase)
    at_s += heat_s
    end_s = at_s + hold_s
    while at_s < end_s:
        at_s += house.dice.uniform(50, 120)
        on_s = house.dice.uniform(25, 60)
        house.add(at_s, [current_a] * int(on_s), phase)
        at_s += on_s


def hob(house: HouseDay, at_s: float, minutes: float, phase: int) -> None:
    """Induction: full power for some minutes, then packets of a few seconds in every ten."""
    full_a = house.dice.choice([8.0, 9.6, 13.0])
    amperes = [full_a] * int(house.dice.uniform(120, 300))
    while len(amperes) < minutes * 60:
        on = house.dice.randint(2, 7)
        amperes += ([full_a] * on + [0.1] * (10 - on)) * house.dice.randint(3, 20)
    house.add(at_s, amperes, phase)


def washing_machine(house: HouseDay, at_s: float, phase: int) -> None:
    """Heats for a quarter of an hour with 2 kW, then turns its drum both ways."""
    amperes = [8.7] * int(house.dice.uniform(700, 1100))
    for _ in range(180):
        amperes += [1.8] * 8 + [0.2] * 7
    house.add(at_s, amperes, phase)


def water_heater(house: HouseDay, at_s: float, phase: int) -> None:
    """2.4 kW from the moment the off-peak contact closes, for two to four hours, with the thermostat at the end."""
    house.add(at_s, [10.4] * int(house.dice.uniform(2.0, 4.0) * HOUR_S), phase)


def heat_pump(house: HouseDay, *phases: int, rated_a: float = 6.0) -> None:
    """An inverter that follows the weather slowly, and defrosts for five minutes every hour or two."""
    at_s, level = 0.0, rated_a * 0.5
    amperes: list[float] = []
    next_defrost_s = house.dice.uniform(1800, 7200)
    while len(amperes) < len(house.trace):
        level = min(rated_a, max(rated_a * 0.3, level + house.dice.gauss(0.0, rated_a * 0.003)))
        if next_defrost_s <= at_s < next_defrost_s + 300:
            amperes.append(rated_a * 0.25)
        elif next_defrost_s + 300 <= at_s < next_defrost_s + 900:
            amperes.append(rated_a)  # catches up after defrosting
        else:
            amperes.append(level)
        at_s += 1
        if at_s > next_defrost_s + 900:
            next_defrost_s = at_s + house.dice.uniform(3600, 7200)
    house.add(house.begins_s, amperes, *phases)


def machine(house: HouseDay, at_s: float, minutes: float, run_a: float) -> None:
    """A three-phase motor: three times its current for a second at each start, load that comes and goes."""
    amperes: list[float] = []
    while len(amperes) < minutes * 60:
        on_s = int(house.dice.uniform(10, 90))
        amperes += [3.0 * run_a, *[run_a * house.dice.uniform(0.5, 1.0) for _ in range(on_s)]]
        amperes += [0.0] * int(house.dice.uniform(10, 120))
    house.add(at_s, amperes, 0, 1, 2)


def compressor(house: HouseDay, from_h: float, to_h: float, run_a: float) -> None:
    """Runs for two minutes every five to twenty minutes."""
    at_s = from_h * HOUR_S
    while at_s < to_h * HOUR_S:
        house.add(at_s, [3.5 * run_a, *[run_a] * 120], 0, 1, 2)
        at_s += house.dice.uniform(300, 1200)


# Houses


def flat(dice: random.Random) -> LoadTrace:
    """One phase, from six in the evening to seven: dinner, television, the water heater at half past ten."""
    house = HouseDay(dice, 18 * HOUR_S, 13 * HOUR_S)
    base(house, 1.8, 0)
    fridge(house, 0)
    _evening(house, oven=0, hobs=[0, 0], kettle_phase=0, wash=0)
    water_heater(house, 22.5 * HOUR_S + dice.uniform(0, 60), 0)
    thermostat(house, house.some_time(18, 22), 4.3, 600, 5400, 0)  # a small electric heater
    return house.trace


def small_flat(dice: random.Random) -> LoadTrace:
    """One phase, a small contract: like `flat`, without oven and washing machine."""
    house = HouseDay(dice, 18 * HOUR_S, 13 * HOUR_S)
    base(house, 1.2, 0)
    fridge(house, 0)
    kettle(house, house.some_time(18, 20), 0)
    hob(house, house.some_time(18.5, 20), dice.uniform(15, 30), 0)
    kettle(house, house.some_time(30, 30.9), 0)
    water_heater(house, 22.5 * HOUR_S + dice.uniform(0, 60), 0)
    return house.trace


def all_electric_flat(dice: random.Random) -> LoadTrace:
    """One phase, heated electrically: heaters with thermostats leave little spare current, for short times."""
    house = HouseDay(dice, 18 * HOUR_S, 13 * HOUR_S)
    base(house, 1.5, 0)
    fridge(house, 0)
    for current_a in (4.3, 6.5, 6.5):
        at_s = 18 * HOUR_S + dice.uniform(0, 1200)
        while at_s < 31 * HOUR_S:
            thermostat(house, at_s, current_a, dice.uniform(300, 900), dice.uniform(600, 2400), 0)
            at_s += dice.uniform(3600, 7200)
    _evening(house, oven=0, hobs=[0], kettle_phase=0, wash=0)
    water_heater(house, 22.5 * HOUR_S + dice.uniform(0, 60), 0)
    return house.trace


def family_house(dice: random.Random) -> LoadTrace:
    """Three phases: hob on two, oven on the third, a heat pump on all, the evening of a family."""
    house = HouseDay(dice, 18 * HOUR_S, 13 * HOUR_S)
    for phase, level_a in enumerate((1.5, 0.8, 0.6)):
        base(house, level_a, phase)
    fridge(house, 0)
    fridge(house, 1)
    heat_pump(house, 0, 1, 2, rated_a=5.0)
    _evening(house, oven=2, hobs=[0, 1], kettle_phase=1, wash=2)
    water_heater(house, 22.5 * HOUR_S + dice.uniform(0, 60), 0)
    return house.trace


def workshop(dice: random.Random) -> LoadTrace:
    """Three phases, from eight to six: saws, a compressor, a coffee machine."""
    house = HouseDay(dice, 8 * HOUR_S, 10 * HOUR_S)
    for phase, level_a in enumerate((2.0, 2.5, 1.5)):
        base(house, level_a, phase)
    for _ in range(6):
        machine(house, house.some_time(8, 17), dice.uniform(10, 40), dice.choice([5.0, 7.0, 9.0]))
    compressor(house, 8, 18, 5.0)
    for _ in range(6):
        kettle(house, house.some_time(8, 17.5), 0)
    return house.trace


def _evening(house: HouseDay, *, oven: int, hobs: list[int], kettle_phase: int, wash: int) -> None:
    dice = house.dice
    dinner_s = house.some_time(18.2, 20.0)
    for phase in hobs:
        hob(house, dinner_s + dice.uniform(0, 900), dice.uniform(15, 35), phase)
    if dice.random() < 0.6:
        thermostat(house, dinner_s - dice.uniform(0, 900), 10.9, dice.uniform(420, 720), dice.uniform(1200, 3000), oven)
    for _ in range(dice.randint(2, 4)):
        kettle(house, house.some_time(18, 23), kettle_phase)
    kettle(house, house.some_time(30.2, 30.9), kettle_phase)
    if dice.random() < 0.5:
        washing_machine(house, house.some_time(18, 22), wash)


HOUSES: dict[str, Callable[[random.Random], LoadTrace]] = {
    "flat": flat,
    "small flat": small_flat,
    "all-electric flat": all_electric_flat,
    "family house": family_house,
    "workshop": workshop,
}


def load_traces(kind: str, seed: int, count: int) -> Iterator[LoadTrace]:
    """Generate `count` days of a house, reproducibly by seed."""
    for day in range(count):
        yield HOUSES[kind](random.Random(f"{kind}/{seed}/{day}"))


def read_trace_csv(path: Path) -> LoadTrace:
    """Read a trace from CSV: a header, then a line per second with the amperes of L1, L2 and L3 in its last columns.

    Raises:
        TraceError: a line is malformed.
    """
    trace = LoadTrace(0)
    for currents in read_trace(path):
        for phase, current_a in enumerate(currents):
            trace.currents_a[phase].append(current_a)
    return trace
