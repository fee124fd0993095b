"""A simulated vehicle: it follows the pilot with a delay, within its own limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from metering.reading import Phases
from station.core.model import PilotState

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle

_TAPER_FROM = 0.8
_STEP_S = 1.0


class VehicleModel(Frozen):
    """Properties of a vehicle."""

    max_current_a: float = 32.0
    phases: int = 3
    battery_wh: float = 50_000.0
    soc: float = 0.3
    """state of charge when it is plugged in, 0 to 1"""
    reaction_s: float = 1.0
    """delay with which it follows the pilot, in s; at most 5 s by IEC 61851-1"""
    ventilation: bool = False
    """it requires ventilation (state D)"""
    ready_after_s: float = 0.0
    """time after plugging until it wants energy, in s"""


class Vehicle:
    """A vehicle at a connector. `on_change` is called when its pilot state or its current changes."""

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
        """The current on each phase that it uses."""
        if not self._powered or self.pilot is PilotState.B or self.soc >= 1.0:
            return 0.0
        taper = 1.0 if self.soc < _TAPER_FROM else 0.1 + 0.9 * (1.0 - self.soc) / (1.0 - _TAPER_FROM)
        return min(self._following_a, self.max_current_a * taper)

    @property
    def currents_a(self) -> Phases[float]:
        """The currents on L1, L2, L3 of the EVSE."""
        current_a = self.current_a
        return Phases(current_a, *(current_a if self.model.phases >= phase else 0.0 for phase in (2, 3)))

    def set_offer(self, current_a: float | None) -> None:
        """Set the current offered by the pilot's duty cycle; None is a steady pilot."""
        if current_a != self._offered_a:
            self._offered_a = current_a
            self._later("follow", self.model.reaction_s, self._follow)

    def set_powered(self, closed: bool) -> None:
        """Set whether the contactor is closed."""
        self._powered = closed

    def suspend(self) -> None:
        """Stop charging while staying connected."""
        self._wants = False
        self._follow()

    def resume(self) -> None:
        """Resume charging."""
        self._wants = True
        self.asleep = False
        self._later("follow", self.model.reaction_s, self._follow)

    def limit(self, current_a: float) -> None:
        """Limit the current of its charger."""
        self.max_current_a = current_a
        self._on_change()

    def break_diode(self, broken: bool) -> None:
        """Let the diode in its pilot circuit fail, or repair it."""
        self.diode_fault = broken
        self._on_change()

    def unplug(self) -> None:
        """Cancel all timers: the vehicle is unplugged."""
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
        """Schedule an action; replaces the pending one for the same purpose."""
        if (earlier := self._timers.get(purpose)) is not None:
            earlier.cancel()
        self._timers[purpose] = self._clock.call_later(delay_s, action)
