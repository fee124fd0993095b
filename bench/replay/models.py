"""Models of a replay: vehicle and meter with their delays, contactor, and thermal protection."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from bench.replay.traces import Phases3
from energy.trip import Protection, TripCurve
from foundation.constants import MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V


@dataclass(frozen=True, slots=True)
class ReplayVehicleModel:
    """The reaction of a vehicle to the pilot."""

    name: str
    phases: int
    max_a: float
    reaction_s: int
    """delay of its reaction, up and down; at most 5 (IEC 61851-1)"""
    ramp_a_per_s: float
    """rate at which its current rises"""
    wakes_s: int = 8
    """time from the end of a pause until it draws current"""


BRISK = ReplayVehicleModel("brisk, 1 phase 32 A", 1, 32.0, 1, 8.0)
COMMON = ReplayVehicleModel("common, 3 phases 16 A", 3, 16.0, 2, 4.0)
SLOW_ONE = ReplayVehicleModel("slow, 1 phase 32 A", 1, 32.0, 4, 3.0)
STRONG = ReplayVehicleModel("strong, 3 phases 32 A, as slow as is allowed", 3, 32.0, 5, 3.0)


class ReplayVehicle:
    """A vehicle: draws the current offered `reaction_s` ago, and raises it with a ramp."""

    def __init__(self, model: ReplayVehicleModel) -> None:
        self.model = model
        self.current_a = 0.0
        self._offers: deque[float] = deque([0.0] * (model.reaction_s + 1), model.reaction_s + 1)
        self._asleep_s = 0

    def step(self, offered_a: float, closed: bool) -> None:
        """A second passes."""
        self._offers.append(offered_a if offered_a >= MINIMUM_CURRENT_A else 0.0)
        wanted_a = min(self._offers[0], self.model.max_a)
        if not closed or wanted_a == 0.0:
            self.current_a = 0.0
            self._asleep_s = self.model.wakes_s
            return
        if self._asleep_s > 0:
            self._asleep_s -= 1
            return
        self.current_a = min(wanted_a, self.current_a + self.model.ramp_a_per_s)

    @property
    def currents_a(self) -> Phases3:
        """The currents on L1, L2, L3."""
        l1_a, three = self.current_a, self.current_a if self.model.phases == 3 else 0.0
        return l1_a, three, three


@dataclass(frozen=True, slots=True)
class ReplayMeterModel:
    """The resolution, interval and delay of a grid meter."""

    name: str
    period_s: int
    delay_s: int
    whole_amperes: bool
    """resolution on three phases; for one phase a Linky also reports the apparent power, to 10 VA"""


LINKY = ReplayMeterModel("Linky, 1 s", 1, 1, whole_amperes=True)
LINKY_STANDARD = ReplayMeterModel("Linky in standard mode, 1 s", 1, 1, whole_amperes=False)
"""reports the apparent power of each phase, to 1 VA"""
P1 = ReplayMeterModel("P1, 10 s", 10, 1, whole_amperes=False)
MODBUS = ReplayMeterModel("Modbus, 1 s", 1, 0, whole_amperes=False)


class ReplayGridMeter:
    """A grid meter: reports the currents periodically, with a delay."""

    def __init__(self, model: ReplayMeterModel, phases: int) -> None:
        self.model = model
        self._step_a = 1.0 if phases == 3 else 10.0 / NOMINAL_VOLTAGE_V
        self._delayed_a: deque[Phases3] = deque(maxlen=model.delay_s + 1)
        self._second = 0

    def step(self, flows_a: Phases3) -> Phases3 | None:
        """Take the currents of this second; returns the reported currents, or None if there is no report."""
        self._delayed_a.append(flows_a)
        self._second += 1
        if self._second % self.model.period_s:
            return None
        reported_a = self._delayed_a[0]
        if not self.model.whole_amperes:
            return reported_a
        return self._rounded(reported_a[0]), self._rounded(reported_a[1]), self._rounded(reported_a[2])

    def _rounded(self, current_a: float) -> float:
        return round(current_a / self._step_a) * self._step_a


@dataclass(frozen=True, slots=True)
class PilotOrder:
    """The order of a controller to the EVSE."""

    offered_a: float
    """amperes per phase; 0 is a pause"""
    open_now: bool = False


class ReplayController(Protocol):
    """A controller, called each second."""

    def step(self, grid_a: Phases3 | None, drawn_a: float, second: int, /) -> PilotOrder:
        """A second passes.

        Args:
            grid_a: currents reported by the grid meter in this second; None: no report.
            drawn_a: reading of the EVSE's meter, amperes per phase that the vehicle uses.
            second: number of the second in the replay.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReplaySite:
    """A house, its connection, its meter and its vehicle."""

    name: str
    house: str
    phases: int
    limit_a: float
    """limit of contract or fuse per phase"""
    curve: TripCurve
    meter: ReplayMeterModel
    vehicle: ReplayVehicleModel


@dataclass(slots=True)
class ReplayScore:
    """The results of a controller at a site."""

    seconds: int = 0
    energy_wh: float = 0.0
    trips: int = 0
    above_s: int = 0
    """seconds in which a phase that the vehicle used carried more than half an ampere over the limit"""
    pauses: int = 0
    operations: int = 0
    """operations of the contactor"""
    under_load: int = 0
    """openings of the contactor under load"""
    hottest: float = 0.0
    """highest heating of the protection; 1: it opens"""
    offers: list[float] = field(default_factory=list[float])
    flows: list[float] = field(default_factory=list[float])


class Contactor:
    """The contactor of the EVSE: waits six seconds for the vehicle to stop before it opens under load."""

    WAITS_S = 6

    def __init__(self) -> None:
        self.closed = False
        self._since_s = 0

    def step(self, order: PilotOrder, drawn_a: float, score: ReplayScore) -> None:
        """A second passes."""
        may_charge = order.offered_a >= MINIMUM_CURRENT_A
        self._since_s = 0 if may_charge else self._since_s + 1
        if may_charge and not self.closed:
            self.closed = True
            score.operations += 1
        elif self.closed and not may_charge and (order.open_now or drawn_a < 1.0 or self._since_s > self.WAITS_S):
            self.closed = False
            score.operations += 1
            score.under_load += drawn_a >= 1.0


class Breaker:
    """The protection of all phases; a trip is counted, and the protection closed again in cold state."""

    def __init__(self, curve: TripCurve, limit_a: float) -> None:
        self._limit_a = limit_a
        self._phases: list[Protection] = [Protection(curve) for _ in range(3)]
        self._curve = curve

    def step(self, flows_a: Phases3, score: ReplayScore) -> None:
        """A second passes."""
        self._phases = [
            phase.after(flow_a / self._limit_a, 1.0) for phase, flow_a in zip(self._phases, flows_a, strict=True)
        ]
        score.hottest = max(score.hottest, *(phase.heat / self._curve.trips_at for phase in self._phases))
        if any(phase.tripped for phase in self._phases):
            score.trips += 1
            self._phases = [Protection(self._curve) for _ in range(3)]
