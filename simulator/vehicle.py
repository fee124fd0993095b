"""A simulated vehicle: it follows the pilot with a delay, within its own limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from foundation.frozen import Frozen
from metering.reading import Phases
from station.core.model import PilotState

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from simulator.communication_model import CommunicationModel
    from station.core.hardware.board import Outputs


class Evcc(Protocol):
    """The communication controller of a vehicle, as the vehicle uses it."""

    @property
    def in_session(self) -> bool:
        """Whether the current comes by a session instead of the duty cycle."""
        ...

    def note_pilot(self, outputs: Outputs) -> None:
        """Called when the station commands the pilot."""
        ...

    def note_wish(self) -> None:
        """Called when the vehicle begins or ends to request energy."""
        ...

    def disconnect(self) -> None:
        """Called when the vehicle is unplugged."""
        ...


_TAPER_SOC = 0.8
_CHECK_INTERVAL_S = 1.0
"""interval at which it checks its battery"""


class VehicleModel(Frozen):
    """The fixed properties of a simulated vehicle, from which `SimulatedBoard.plug` makes a `Vehicle`."""

    max_current_a: float = 32.0
    """the most that its charger draws, in A per phase"""
    phases: int = 3
    """number of phases on which it charges, 1 to 3, from L1 on"""
    battery_wh: float = 50_000.0
    """capacity of the battery in Wh"""
    soc: float = 0.3
    """state of charge when it is plugged in, 0 to 1"""
    reaction_s: float = 1.0
    """delay with which it follows a change of the pilot, in s; at most 5 s by IEC 61851-1"""
    ventilation: bool = False
    """it requires ventilation (state D)"""
    ready_after_s: float = 0.0
    """time from plugging in until it requests energy, in s"""
    communication: CommunicationModel | None = None
    """how it communicates (ISO 15118); None: it does not, and charges by IEC 61851-1"""


class Vehicle:
    """A simulated vehicle plugged in at a connector: sets its pilot state, draws current and charges its battery.

    It acts on its own by timers of `clock`. `on_change` is called whenever its pilot state, its diode or its current
    may have changed, but not when the contactor switches (`set_powered`).
    """

    def __init__(self, model: VehicleModel, clock: Clock, on_change: Callable[[], None]) -> None:
        self.model = model
        self.max_current_a = model.max_current_a
        """present limit of its charger, in A per phase"""
        self.soc = model.soc
        """present state of charge, 0 to 1; `take_energy` adds to it"""
        self.pilot = PilotState.B
        """the pilot state that the vehicle sets: B, or C (D with ventilation) while it requests energy"""
        self.diode_fault = False
        """whether the diode in its pilot circuit is broken"""
        self.asleep = False
        """whether it ignores changes of the pilot, as some do after a long pause, until `resume`"""
        self._clock = clock
        self._on_change = on_change
        self._wants_energy = model.ready_after_s <= 0.0
        self._offered_a: float | None = None
        self._followed_current_a = 0.0
        self._powered = False
        self._timers: dict[str, TimerHandle] = {}
        self.evcc: Evcc | None = None
        """its communication controller, once `SimulatedBoard` has connected it; None: it has none"""
        if not self._wants_energy:
            self._schedule("ready", model.ready_after_s, self.resume)
        self._checked_soc, self._checked_a = self.soc, 0.0
        self._schedule("battery", _CHECK_INTERVAL_S, self._check_battery)

    @property
    def current_a(self) -> float:
        """The current that it draws now, in A on each phase that it uses; 0 if it is not powered or not charging.

        From 80 % state of charge on, its own limit falls, to a tenth at 100 %.
        """
        if not self._powered or self.pilot is PilotState.B or self.soc >= 1.0:
            return 0.0
        taper = 1.0 if self.soc < _TAPER_SOC else 0.1 + 0.9 * (1.0 - self.soc) / (1.0 - _TAPER_SOC)
        return min(self._followed_current_a, self.max_current_a * taper)

    @property
    def currents_a(self) -> Phases[float]:
        """The currents that it draws now on L1, L2 and L3 of the EVSE, in A."""
        current_a = self.current_a
        return Phases(current_a, *(current_a if self.model.phases >= phase else 0.0 for phase in (2, 3)))

    @property
    def wants_energy(self) -> bool:
        """Whether it requests energy as soon as it is offered: it is ready, and its battery is not full."""
        return self._wants_energy and self.soc < 1.0

    def set_pilot(self, outputs: Outputs) -> None:
        """Follow the pilot that the station commands: a duty cycle, steady, or state F.

        A vehicle that communicates learns the current by its session instead, if the duty cycle is 5 %.
        """
        if self.evcc is not None:
            self.evcc.note_pilot(outputs)
            if self.evcc.in_session:
                return
        self.set_offer(None if outputs.pilot_digital or outputs.pilot_fault else outputs.pilot_a)

    def set_offer(self, current_a: float | None, *, reaction_s: float | None = None) -> None:
        """Set the current that the station offers, in A per phase; None: none is offered.

        The vehicle follows after its reaction time, or `reaction_s`; a later offer before that replaces this one.
        """
        if current_a != self._offered_a:
            self._offered_a = current_a
            delay_s = self.model.reaction_s if reaction_s is None else reaction_s
            self._schedule("follow", delay_s, self._follow_offer)

    def set_powered(self, closed: bool) -> None:
        """Set whether the contactor connects the vehicle to the supply; does not call `on_change`."""
        self._powered = closed

    def take_energy(self, energy_wh: float) -> float:
        """Store energy that has flowed in the battery, and return how much of it the battery could take, in Wh.

        The rest did not flow: the vehicle stops at the moment when its battery is full, between two of its checks.
        """
        room_wh = (1.0 - self.soc) * self.model.battery_wh
        if energy_wh >= room_wh:
            self.soc = 1.0
            return room_wh
        self.soc += energy_wh / self.model.battery_wh
        return energy_wh

    def suspend(self) -> None:
        """Stop requesting energy, at once: the pilot goes to state B, the vehicle stays plugged in."""
        self._wants_energy = False
        self._follow_offer()
        if self.evcc is not None:
            self.evcc.note_wish()

    def resume(self) -> None:
        """Request energy again (also when asleep); the vehicle follows the offer after its reaction time."""
        self._wants_energy = True
        self.asleep = False
        self._schedule("follow", self.model.reaction_s, self._follow_offer)
        if self.evcc is not None:
            self.evcc.note_wish()

    def limit(self, current_a: float) -> None:
        """Set the limit of its charger, in A per phase; takes effect at once."""
        self.max_current_a = current_a
        self._on_change()

    def break_diode(self, broken: bool) -> None:
        """Break the diode in its pilot circuit, or repair it."""
        self.diode_fault = broken
        self._on_change()

    def cancel_timers(self) -> None:
        """Cancel the timers of a vehicle that was unplugged, so that it does nothing more; the board removes it."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self.evcc is not None:
            self.evcc.disconnect()

    def _follow_offer(self) -> None:
        if self.asleep:
            return
        takes = self._wants_energy and self._offered_a is not None and self.soc < 1.0
        self._followed_current_a = self._offered_a or 0.0
        taking = PilotState.D if self.model.ventilation else PilotState.C
        self.pilot = taking if takes else PilotState.B
        self._on_change()

    def _check_battery(self) -> None:
        """Follow what the battery has taken since the last check: stop when it is full, draw less when almost."""
        self._schedule("battery", _CHECK_INTERVAL_S, self._check_battery)
        nobody_has_read = self.current_a > 0.0 and self.soc == self._checked_soc
        if nobody_has_read or self.current_a != self._checked_a:
            self._on_change()  # this counts the energy, and may find the battery full
        if self.soc >= 1.0 and self._checked_soc < 1.0:
            self._follow_offer()
            if self.evcc is not None:
                self.evcc.note_wish()
        self._checked_soc, self._checked_a = self.soc, self.current_a

    def _schedule(self, purpose: str, delay_s: float, action: Callable[[], None]) -> None:
        """Schedule an action; replaces the pending one for the same purpose."""
        if (earlier := self._timers.get(purpose)) is not None:
            earlier.cancel()
        self._timers[purpose] = self._clock.call_later(delay_s, action)
