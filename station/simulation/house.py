"""A simulated house behind the grid meter: loads that go on and off, and the vehicle's current on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from metering.reading import Phases
from station.simulation.vehicle import VOLTAGE_V

if TYPE_CHECKING:
    from metering.clock import Clock


class House:
    """What the house draws per phase, apart from and together with the EVSEs."""

    def __init__(self, clock: Clock, evse_currents: Sequence[Callable[[], Phases[float]]], *, phases: int) -> None:
        self._clock = clock
        self._evse_currents = evse_currents
        self._loads: dict[str, Phases[float]] = {"base": Phases(2.0, 1.0 if phases == 3 else 0.0, 0.0)}
        self._energy_wh = 4_242_000.0
        self._counted_s = clock.monotonic()
        self.phases = phases

    @property
    def loads(self) -> dict[str, Phases[float]]:
        """What is switched on, amperes per phase."""
        return dict(self._loads)

    def switch_on(self, name: str, currents_a: Phases[float]) -> None:
        """A load goes on, or changes."""
        self._count()
        self._loads[name] = currents_a

    def switch_off(self, name: str) -> None:
        """A load goes off; harmless when it was."""
        self._count()
        self._loads.pop(name, None)

    def set_currents(self, currents_a: Phases[float]) -> None:
        """Everything but the EVSEs together draws this."""
        self._count()
        self._loads = {"house": currents_a}

    @property
    def currents_a(self) -> Phases[float]:
        """What the grid meter sees, amperes per phase."""
        totals = [0.0, 0.0, 0.0]
        for currents in [*self._loads.values(), *(evse() for evse in self._evse_currents)]:
            for index, current_a in enumerate(currents):
                totals[index] += current_a
        if self.phases == 1:
            return Phases(totals[0], 0.0, 0.0)
        return Phases(*totals)

    @property
    def energy_wh(self) -> float:
        """The index of the grid meter."""
        self._count()
        return self._energy_wh

    def _count(self) -> None:
        now_s = self._clock.monotonic()
        self._energy_wh += sum(self.currents_a) * VOLTAGE_V * (now_s - self._counted_s) / 3600.0
        self._counted_s = now_s
