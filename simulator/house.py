"""A simulated house behind the grid meter: switchable loads or a recording, plus the currents of the EVSEs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from metering.reading import Phases

if TYPE_CHECKING:
    from foundation.clock import Clock


_CONTRACT_VOLTAGE_V: Final = 200
TariffPeriod = Literal["TH..", "HC..", "HP..", "HN..", "PM..", "HCJB", "HPJB", "HCJW", "HPJW", "HCJR", "HPJR"]
"""running tariff period of a Linky, in historique notation (PTEC)"""


class HouseReading(Frozen):
    """What the grid meter of the simulated house measures at one moment; `SimulatedLinky` and `SimulatedP1` send it."""

    currents_a: Phases[float | None]
    """A, positive when imported, negative when exported; L2 and L3 are None in a single-phase house"""
    subscribed_va: int = 9000
    """subscribed power of the contract, VA"""
    voltage_v: float = NOMINAL_VOLTAGE_V
    """V on each existing phase"""
    energy_import_wh: float = 0.0
    """import register, Wh"""
    energy_export_wh: float | None = None
    """export register, Wh; None unless it is a producer's meter"""
    period: TariffPeriod = "TH.."
    """the running tariff period in historique notation, which also determines the contract"""
    tomorrow: Literal["----", "BLEU", "BLAN", "ROUG"] = "----"
    """tomorrow's colour, in a Tempo contract"""

    def __post_init__(self) -> None:
        if self.currents_a.l1 is None or (self.currents_a.l2 is None) != (self.currents_a.l3 is None):
            raise ValueError("currents_a: L1 alone or all three phases")

    @property
    def amperes(self) -> list[float]:
        """The currents of the existing phases, in A: one or three."""
        return [current for current in self.currents_a if current is not None]

    @property
    def drawn_va(self) -> float:
        """Sum of the apparent powers of all phases in VA; negative when exported."""
        return sum(self.amperes) * self.voltage_v

    @property
    def reference_a(self) -> int:
        """The subscribed current per phase in whole A (ISOUSC), reckoned with 200 V."""
        return self.subscribed_va // _CONTRACT_VOLTAGE_V // len(self.amperes)

    @property
    def phases_over(self) -> list[int]:
        """The numbers, from 1, of the phases that draw more than the subscribed current."""
        return [phase for phase, a in enumerate(self.amperes, start=1) if a > self.reference_a]


class SimulatedHouse:
    """The simulated house: its loads or a recording, and its true currents and energy at the grid meter.

    At first a load `base` of a few amperes is on. `evse_currents`: called for the present currents of each EVSE.
    """

    def __init__(self, clock: Clock, evse_currents: Sequence[Callable[[], Phases[float]]], *, phases: int) -> None:
        self._clock = clock
        self._evse_currents = evse_currents
        self._loads_a: dict[str, Phases[float]] = {"base": Phases(2.0, 1.0 if phases == 3 else 0.0, 0.0)}
        self._trace: Sequence[Phases[float]] = ()
        self._trace_began_s = 0.0
        self._energy_wh = 4_242_000.0
        self._counted_s = clock.monotonic()
        self.phases = phases
        """phases of the grid connection, 1 or 3"""

    @property
    def loads(self) -> dict[str, Phases[float]]:
        """A copy of the loads that are switched on, by name, in A on L1, L2, L3; without recording and EVSEs."""
        return dict(self._loads_a)

    def switch_on(self, name: str, currents_a: Phases[float]) -> None:
        """Switch on a load of this name, or change its current; A on L1, L2, L3."""
        self._count_energy()
        self._loads_a[name] = currents_a

    def switch_off(self, name: str) -> None:
        """Switch off the load of this name; does nothing if it is off."""
        self._count_energy()
        self._loads_a.pop(name, None)

    def set_currents(self, currents_a: Phases[float]) -> None:
        """Replace all loads, and a recording, by one load `house` of these currents in A; the EVSEs add to it."""
        self._count_energy()
        self._trace = ()
        self._loads_a = {"house": currents_a}

    def replay(self, trace: Sequence[Phases[float]]) -> None:
        """Replace all loads by recorded currents, one entry per second of the station's clock from now on.

        The EVSEs, and loads switched on later, add to them. After the last entry the recording draws nothing.
        """
        self._count_energy()
        self._loads_a = {}
        self._trace, self._trace_began_s = trace, self._clock.monotonic()

    @property
    def currents_a(self) -> Phases[float]:
        """The true currents at the grid meter now, EVSEs included, in A on L1, L2, L3; negative when exported."""
        return self._currents_at(self._clock.monotonic())

    def _currents_at(self, moment_s: float) -> Phases[float]:
        totals = [0.0, 0.0, 0.0]
        second = int(moment_s - self._trace_began_s)
        recorded = self._trace[second : second + 1]
        for currents in [*self._loads_a.values(), *recorded, *(evse() for evse in self._evse_currents)]:
            for index, current_a in enumerate(currents):
                totals[index] += current_a
        if self.phases == 1:
            return Phases(totals[0], 0.0, 0.0)
        return Phases(*totals)

    @property
    def energy_wh(self) -> float:
        """The energy register at the grid meter in Wh, counted up to now; exported energy is subtracted."""
        self._count_energy()
        return self._energy_wh

    def _count_energy(self) -> None:
        now_s = self._clock.monotonic()
        while self._counted_s < now_s:  # a trace changes each second
            until_s = min(now_s, self._counted_s + 1.0) if self._trace else now_s
            power_w = sum(self._currents_at(self._counted_s)) * NOMINAL_VOLTAGE_V
            self._energy_wh += power_w * (until_s - self._counted_s) / 3600.0
            self._counted_s = until_s
