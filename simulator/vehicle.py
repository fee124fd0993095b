"""A simulated vehicle: it follows the pilot like a real one, late, with its own limits and its own mind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import frozen
from metering.reading import Phases
from station.core.model import PilotState

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle

_TAPER_FROM = 0.8
_STEP_S = 1.0


@frozen
class VehicleModel:
    """What a vehicle can do."""

    max_current_a: float = 32.0
    phases: int = 3
    battery_wh: float = 50_000.0
    soc: float = 0.3
    """state of charge when it is plugged in, 0 to 1"""
    reaction_s: float = 1.0
    """how late it follows the pilot; at most 5 s by IEC 61851-1"""
    ventilation: bool = False
    """its battery gases: it asks for ventilation (state D)"""
    ready_after_s: float = 0.0
    """how long after plugging it begins to want energy"""


class Vehicle:
    """One vehicle at a connector. `on_change` is told when its pilot state or its current changes."""

    def __init__(self, model: VehicleModel, clock: Clock, on_change: Callable[[], None]) -> None:
        self.model = model
        self.max_current_a = model.max_current_a
        self.soc = model.soc
        self.pilot = PilotState.B
        self.diode_fault = False
        self.asleep = False
        """it ignores the pilot, as some do after a long pause"""
        self._clock = clock
        self._on_change = on_change
        self._wants = model.ready_after_s <= 0.0
        self._offered_a: float | None = None
        self._following_a = 0.0
        self._powered = False
        self._timers: dict[str, TimerHandle] = {}
        if not self._wants:
            self._later("ready", model.ready_after_s, self.resume)
        self._later("battery", _STEP_S, self._charge_battery)

    @property
    def current_a(self) -> float:
        """What it draws now on each phase that it uses."""
        if not self._powered or self.pilot is PilotState.B or self.soc >= 1.0:
            return 0.0
        taper = 1.0 if self.soc < _TAPER_FROM else 0.1 + 0.9 * (1.0 - self.soc) / (1.0 - _TAPER_FROM)
        return min(self._following_a, self.max_current_a * taper)

    @property
    def currents_a(self) -> Phases[float]:
        """What it draws on L1, L2, L3 of the EVSE."""
        current_a = self.current_a
        return Phases(current_a, *(current_a if self.model.phases >= phase else 0.0 for phase in (2, 3)))

    def set_offer(self, current_a: float | None) -> None:
        """The pilot's duty cycle changes; None is a steady pilot."""
        if current_a != self._offered_a:
            self._offered_a = current_a
            self._later("follow", self.model.reaction_s, self._follow)

    def set_powered(self, closed: bool) -> None:
        """The contactor closes or opens."""
        self._powered = closed

    def suspend(self) -> None:
        """It does not want energy any more, although it is connected."""
        self._wants = False
        self._follow()

    def resume(self) -> None:
        """It wants energy again."""
        self._wants = True
        self.asleep = False
        self._later("follow", self.model.reaction_s, self._follow)

    def limit(self, current_a: float) -> None:
        """Its own charger takes no more than this from now on."""
        self.max_current_a = current_a
        self._on_change()

    def break_diode(self, broken: bool) -> None:
        """The diode in its pilot circuit fails, or is whole again."""
        self.diode_fault = broken
        self._on_change()

    def unplug(self) -> None:
        """It is gone: nothing of it happens any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _follow(self) -> None:
        if self.asleep:
            return
        takes = self._wants and self._offered_a is not None and self.soc < 1.0
        self._following_a = self._offered_a or 0.0
        taking = PilotState.D if self.model.ventilation else PilotState.C
        self.pilot = taking if takes else PilotState.B
        self._on_change()

    def _charge_battery(self) -> None:
        drawn_w = sum(self.currents_a) * NOMINAL_VOLTAGE_V
        if drawn_w > 0.0:
            before = self.current_a
            self.soc = min(1.0, self.soc + drawn_w * _STEP_S / 3600.0 / self.model.battery_wh)
            if self.soc >= 1.0:
                self._follow()
            elif self.current_a != before:
                self._on_change()
        self._later("battery", _STEP_S, self._charge_battery)

    def _later(self, purpose: str, delay_s: float, action: Callable[[], None]) -> None:
        """Do something later; for one purpose only the newest intention counts."""
        if (earlier := self._timers.get(purpose)) is not None:
            earlier.cancel()
        self._timers[purpose] = self._clock.call_later(delay_s, action)
