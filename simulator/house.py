"""A simulated house behind the grid meter: switchable loads, plus the currents of the EVSEs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from metering.reading import Phases

if TYPE_CHECKING:
    from foundation.clock import Clock


_RECKONED_V: Final = 200
TariffPeriod = Literal["TH..", "HC..", "HP..", "HN..", "PM..", "HCJB", "HPJB", "HCJW", "HPJW", "HCJR", "HPJR"]


class HouseReading(Frozen):
    """The values of the house connection at one moment, as its meter measures them."""

    currents_a: Phases[float | None]
    """imported, or negative when exported; L2 and L3 are None in a single-phase house"""
    subscribed_va: int = 9000
    voltage_v: float = NOMINAL_VOLTAGE_V
    energy_import_wh: float = 0.0
    energy_export_wh: float | None = None
    """None unless it is a producer's meter"""
    period: TariffPeriod = "TH.."
    """the running tariff period in historique notation, which also determines the contract"""
    tomorrow: Literal["----", "BLEU", "BLAN", "ROUG"] = "----"
    """tomorrow's colour, in a Tempo contract"""

    def __post_init__(self) -> None:
        if self.currents_a.l1 is None or (self.currents_a.l2 is None) != (self.currents_a.l3 is None):
            raise ValueError("currents_a: L1 alone or all three phases")

    @property
    def amperes(self) -> list[float]:
        """The currents of the existing phases."""
        return [current for current in self.currents_a if current is not None]

    @property
    def drawn_va(self) -> float:
        """Sum of the apparent powers of all phases; negative when exported."""
        return sum(self.amperes) * self.voltage_v

    @property
    def reference_a(self) -> int:
        """The contract's current per phase (ISOUSC)."""
        return self.subscribed_va // _RECKONED_V // len(self.amperes)

    @property
    def phases_over(self) -> list[int]:
        """The numbers, from 1, of the phases beyond the contract."""
        return [phase for phase, a in enumerate(self.amperes, start=1) if a > self.reference_a]


class SimulatedHouse:
    """The currents of the house per phase, without and with the EVSEs."""

    def __init__(self, clock: Clock, evse_currents: Sequence[Callable[[], Phases[float]]], *, phases: int) -> None:
        self._clock = clock
        self._evse_currents = evse_currents
        self._loads: dict[str, Phases[float]] = {"base": Phases(2.0, 1.0 if phases == 3 else 0.0, 0.0)}
        self._trace: Sequence[Phases[float]] = ()
        self._trace_began_s = 0.0
        self._energy_wh = 4_242_000.0
        self._counted_s = clock.monotonic()
        self.phases = phases

    @property
    def loads(self) -> dict[str, Phases[float]]:
        """The loads that are switched on, amperes per phase."""
        return dict(self._loads)

    def switch_on(self, name: str, currents_a: Phases[float]) -> None:
        """Switch on a load, or change its current."""
        self._count()
        self._loads[name] = currents_a

    def switch_off(self, name: str) -> None:
        """Switch off a load; does nothing if it is off."""
        self._count()
        self._loads.pop(name, None)

    def set_currents(self, currents_a: Phases[float]) -> None:
        """Set the total current without the EVSEs, in place of all loads."""
        self._count()
        self._trace = ()
        self._loads = {"house": currents_a}

    def replay(self, trace: Sequence[Phases[float]]) -> None:
        """Replay recorded currents, one entry per second, in place of all loads; after the last, nothing is drawn."""
        self._count()
        self._loads = {}
        self._trace, self._trace_began_s = trace, self._clock.monotonic()

    @property
    def currents_a(self) -> Phases[float]:
        """The currents at the grid meter, amperes per phase."""
        return self._currents_at(self._clock.monotonic())

    def _currents_at(self, moment_s: float) -> Phases[float]:
        totals = [0.0, 0.0, 0.0]
        second = int(moment_s - self._trace_began_s)
        recorded = self._trace[second : second + 1]
        for currents in [*self._loads.values(), *recorded, *(evse() for evse in self._evse_currents)]:
            for index, current_a in enumerate(currents):
                totals[index] += current_a
        if self.phases == 1:
            return Phases(totals[0], 0.0, 0.0)
        return Phases(*totals)

    @property
    def energy_wh(self) -> float:
        """The energy register of the grid meter."""
        self._count()
        return self._energy_wh

    def _count(self) -> None:
        now_s = self._clock.monotonic()
        while self._counted_s < now_s:  # a trace changes each second
            until_s = min(now_s, self._counted_s + 1.0) if self._trace else now_s
            power_w = sum(self._currents_at(self._counted_s)) * NOMINAL_VOLTAGE_V
            self._energy_wh += power_w * (until_s - self._counted_s) / 3600.0
            self._counted_s = until_s
