"""The simulated board of one EVSE: contactor, lock, pilot, meter, and the vehicle at the connector."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from metering.reading import UNKNOWN_PHASES, Phases, Reading
from simulator.vehicle import Vehicle, VehicleModel
from station.core.hardware.board import BoardError, Observation, Outputs, SelfTest, Sensor
from station.core.model import Fault, PilotState

if TYPE_CHECKING:
    from foundation.clock import Clock
    from simulator.register import EnergyRegister
    from simulator.secc import SimulatedSecc

_REACTIVE_SHARE = 0.05
"""reactive power of a charger, as a part of its active power"""
_APPARENT_FACTOR = math.hypot(1.0, _REACTIVE_SHARE)
NO_CURRENT = Phases(0.0, 0.0, 0.0)
"""0 A on each phase"""


class MeterOverride(Frozen):
    """Values that the billing meter of a simulated EVSE reports instead of the real ones; None: the real value."""

    energy_wh: float | None = None
    """register of all phases in Wh; the registers of single phases are then unknown"""
    power_w: float | None = None
    """total active power in W; the powers of single phases still follow from current and voltage"""
    current_a: float | None = None
    """current in A on each phase"""
    voltage_v: float | None = None
    """voltage in V on each phase"""
    noise: float = 0.0
    """highest relative random deviation of currents and voltages from reading to reading, 0 to 1"""
    register_offset_wh: float = 0.0
    """what the register shows too much, in Wh; negative: too little"""


class SimulatedBoard:
    """The simulated board of one EVSE (`Board`), with its billing meter, a driver's actions and faults.

    The station uses the members of `Board`; test benches use the rest.
    """

    def __init__(
        self,
        clock: Clock,
        register: EnergyRegister,
        *,
        phases: int,
        attached_cable: bool,
        switches_phases: bool = False,
        chooses_phase: bool = False,
    ) -> None:
        self._clock = clock
        self._register = register
        self._phases = phases
        self._attached_cable = attached_cable
        self._outputs = Outputs()
        self._observation = Observation(phases=phases if switches_phases else None, phase=1 if chooses_phase else None)
        self._changed = ChangeSignal()
        self._counted_s = clock.monotonic()
        self._flows_w = NO_CURRENT
        self._noise = Random(0)
        self._last_inputs: tuple[object, ...] = ()
        self._last_reading: Reading | None = None
        """the last reading of the meter, repeated while nothing that it depends on (`_last_basis`) changes"""
        self.secc: SimulatedSecc | None = None
        """what speaks ISO 15118 with its vehicles; None: nothing does"""
        self.vehicle: Vehicle | None = None
        """the vehicle that is plugged in; None: none"""
        self.meter_override = MeterOverride()
        """values that the billing meter reports instead of the simulated ones; replace it as a whole"""
        self.welded = False
        """whether the contactor stays closed whatever the station commands; noticed at the next change of the board"""
        self.stuck_open = False
        """whether the contactor stays open whatever the station commands; noticed at the next change of the board"""
        self.pilot_shorted = False
        """whether the control pilot is shorted to earth (state E); set by `short_pilot`"""
        self.fails = False
        """whether the board does not answer: its methods for the station raise BoardError"""
        self.monitor_broken = False
        """whether the residual-current monitor does not trip in its test"""
        self.monitor_test_s = 0.0
        """duration of a test of the residual-current monitor, in seconds of the station's clock"""
        self.switching_s = 3.0
        """time that the phase relays need to move, in seconds of the station's clock"""
        self.contactor_operations = 0
        """number of times that the station commanded the contactor to open or close"""
        self.observation_task = None

    # Board

    @property
    def sensors(self) -> frozenset[Sensor]:
        """The sensors of the board: every kind that a board may have."""
        return frozenset(Sensor)

    @property
    def digital_pilot(self) -> bool:
        """True."""
        return True

    async def observations(self) -> AsyncIterator[Observation]:
        """Yield the board's observation, first at once and then after each change; never ends.

        Raises:
            BoardError: `fails` is set; noticed at the next change.
        """
        yielded: Observation | None = None
        while True:
            count_before = self._changed.count
            if self.fails:
                raise BoardError("the simulated board does not answer")
            if self._observation != yielded:
                yielded = self._observation
                yield yielded
                continue
            await self._changed.wait(count_before)

    async def apply(self, outputs: Outputs) -> None:
        """Set the outputs that the station commands: pilot, contactor, lock, and phases (after `switching_s`).

        Raises:
            BoardError: `fails` is set, or phases are to be switched while the contactor is closed.
        """
        if self.fails:
            raise BoardError("the simulated board does not answer")
        self._count_energy()
        if outputs.contactor is not self._outputs.contactor:
            self.contactor_operations += 1
        self._outputs = outputs
        self._switch_phases()
        if self.vehicle is not None:
            self.vehicle.set_pilot(outputs)
        self._update_observation()

    def _switch_phases(self) -> None:
        """Switch the phase relays, after a delay; the contactor must be open."""
        requested = (self._outputs.phases or self._observation.phases, self._outputs.phase or self._observation.phase)
        if requested == (self._observation.phases, self._observation.phase) or self._observation.phases is None:
            return
        if self._observation.contactor_closed or self._outputs.contactor:
            raise BoardError("phases can be switched only while the contactor is open")

        def arrive() -> None:
            outputs = self._outputs
            if (outputs.phases or requested[0], outputs.phase or requested[1]) == requested and not outputs.contactor:
                self._observation = replace(self._observation, phases=requested[0], phase=requested[1])
                self._update_observation()

        self._clock.call_later(self.switching_s, arrive)

    async def test_residual_monitor(self) -> SelfTest:
        """Return the result of a test of the residual-current monitor: passed unless `monitor_broken` is set.

        Raises:
            BoardError: `fails` is set, or the contactor is closed.
        """
        if self.fails:
            raise BoardError("the simulated board does not answer")
        if self._observation.contactor_closed:
            raise BoardError("the residual-current monitor cannot be tested while the contactor is closed")
        if self.monitor_test_s > 0.0:
            await self._clock.sleep(self.monitor_test_s)
        return SelfTest.FAILED if self.monitor_broken else SelfTest.PASSED

    async def close(self) -> None:
        """Release the board, which needs nothing here; changes no output."""

    # Actions at the connector

    @property
    def outputs(self) -> Outputs:
        """The outputs that the station commanded last."""
        return self._outputs

    @property
    def locked(self) -> bool:
        """Whether the cable is really locked: a lock with Fault.LOCK stays as it was, whatever is commanded."""
        return self._observation.locked

    def plug(self, model: VehicleModel, *, cable_max_a: float | None = None) -> None:
        """Plug in a new vehicle of this model.

        `cable_max_a`: rating of its cable, amperes per phase; ignored if the EVSE has an attached cable. None: not
        readable, or that of the cable that is still in the socket.

        Raises:
            ValueError: a vehicle is plugged in already.
        """
        if self.vehicle is not None:
            raise ValueError("a vehicle is already plugged in")
        self._count_energy()
        self.vehicle = vehicle = Vehicle(model, self._clock, self._vehicle_changed)
        if model.communication is not None and self.secc is not None:
            vehicle.evcc = self.secc.connect(vehicle, model.communication)
        vehicle.set_pilot(self._outputs)
        if self._attached_cable:
            cable_max_a = None
        self._update_observation(cable_max_a=cable_max_a)

    def unplug(self, *, keep_cable: bool = False) -> None:
        """Unplug the vehicle, and its cable unless `keep_cable`.

        Raises:
            ValueError: neither vehicle nor cable is plugged in, or the cable is locked and was not to be kept.
        """
        if self.vehicle is None and not self._observation.cable_plugged:
            raise ValueError("no vehicle is plugged in")
        if self._observation.locked and not keep_cable:
            raise ValueError("the cable is locked")
        self._count_energy()
        if self.vehicle is not None:
            self.vehicle.cancel_timers()
            self.vehicle = None
            if self.secc is not None:
                self.secc.evcc = None
        self._update_observation(cable_plugged=keep_cable and not self._attached_cable)

    def raise_fault(self, fault: Fault) -> None:
        """Add a fault to those that the board reports, until `clear_fault`.

        Fault.DIODE is dropped at the next change of the board: `Vehicle.break_diode` sets it lastingly.
        """
        self._observation = replace(self._observation, faults=self._observation.faults | {fault})
        self._changed.notify()

    def clear_fault(self, fault: Fault) -> None:
        """Remove a fault from those that the board reports; a lock that was stuck moves to the commanded state."""
        self._observation = replace(self._observation, faults=self._observation.faults - {fault})
        if fault is Fault.LOCK:
            self._update_observation()  # the lock moves to where it was set meanwhile
        self._changed.notify()

    def set_temperature(self, temperature_c: float | None) -> None:
        """Set the temperature in °C that the sensor inside reports; None: no temperature is reported."""
        self._observation = replace(self._observation, temperature_c=temperature_c)
        self._changed.notify()

    def occupy_bay(self, occupied: bool) -> None:
        """Set whether the parking-bay sensor reports an occupied bay."""
        self._observation = replace(self._observation, bay_occupied=occupied)
        self._changed.notify()

    # Meter

    @property
    def currents_a(self) -> Phases[float]:
        """The real currents to the vehicle on L1, L2 and L3 in A, whatever the meter reports; 0 if not connected."""
        if self.vehicle is None or not self._observation.contactor_closed:
            return NO_CURRENT
        currents = self.vehicle.currents_a
        if (self._observation.phases or self._phases) == 3:
            return currents
        return Phases(*(currents.l1 if phase == (self._observation.phase or 1) else 0.0 for phase in (1, 2, 3)))

    @property
    def register_wh(self) -> float:
        """The true register of the billing meter now, in Wh, whatever it reports."""
        self._count_energy()
        return self._register.energy_wh

    @property
    def counted_wh(self) -> float:
        """The energy that the billing meter has really counted since it was installed, in Wh."""
        self._count_energy()
        return self._register.counted_wh

    def read_meter(self) -> Reading:
        """Count the energy up to now, and return the billing meter's reading with the overridden values."""
        self._count_energy()
        over = self.meter_override
        inputs = (over, self._register.energies_wh, self.currents_a, self._phases)
        if self._last_reading is None or self._last_inputs != inputs or over.noise:
            self._last_inputs, self._last_reading = inputs, self._make_reading()
        return replace(self._last_reading, taken_at=self._clock.now())

    def _make_reading(self) -> Reading:
        over = self.meter_override
        voltage_v = over.voltage_v if over.voltage_v is not None else NOMINAL_VOLTAGE_V
        voltages = self._with_noise(Phases(voltage_v, voltage_v, voltage_v))
        truth = self.currents_a
        currents = self._with_noise(truth if over.current_a is None else truth.map(lambda _: over.current_a or 0.0))
        powers = Phases(*(a * v for a, v in zip(currents, voltages, strict=True)))
        phase_count = self._phases
        power_w = over.power_w if over.power_w is not None else sum(powers)
        register_wh = self._register.energy_wh + over.register_offset_wh
        return Reading(
            taken_at=self._clock.now(),
            energy_import_wh=over.energy_wh if over.energy_wh is not None else register_wh,
            energy_export_wh=0.0,
            energies_import_wh=_existing_phases(self._register.energies_wh, phase_count)
            if over.energy_wh is None and over.register_offset_wh == 0.0
            else UNKNOWN_PHASES,
            power_w=power_w,
            currents_a=_existing_phases(currents, phase_count),
            voltages_v=_existing_phases(voltages, phase_count),
            powers_w=_existing_phases(powers, phase_count),
            frequency_hz=50.0,
            reactive_power_var=power_w * _REACTIVE_SHARE,
            reactive_powers_var=_existing_phases(powers.map(lambda power_w: power_w * _REACTIVE_SHARE), phase_count),
            power_factor=1.0 / _APPARENT_FACTOR,
            power_factors=_existing_phases(powers.map(lambda _: 1.0 / _APPARENT_FACTOR), phase_count),
            reactive_import_varh=register_wh * _REACTIVE_SHARE,
            reactive_export_varh=0.0,
            apparent_vah=register_wh * _APPARENT_FACTOR,
        )

    def _with_noise(self, values: Phases[float]) -> Phases[float]:
        if not self.meter_override.noise:
            return values
        return values.map(
            lambda value: value * (1.0 + self._noise.uniform(-self.meter_override.noise, self.meter_override.noise))
        )

    def _count_energy(self) -> None:
        """Add the energy since the last call to the register."""
        now_s = self._clock.monotonic()
        elapsed_h = (now_s - self._counted_s) / 3600.0
        if self._flows_w is not NO_CURRENT and (offered_wh := sum(self._flows_w) * elapsed_h) > 0.0:
            accepted_part = self.vehicle.take_energy(offered_wh) / offered_wh if self.vehicle is not None else 1.0
            self._register.add(self._flows_w.map(lambda flow_w: flow_w * elapsed_h * accepted_part))
        self._counted_s = now_s
        self._update_flow()

    def _update_flow(self) -> None:
        currents = self.currents_a
        self._flows_w = (
            currents if currents is NO_CURRENT else currents.map(lambda current_a: current_a * NOMINAL_VOLTAGE_V)
        )

    def short_pilot(self, shorted: bool) -> None:
        """Short the control pilot to earth (state E), or end the short circuit."""
        self._count_energy()
        self.pilot_shorted = shorted
        self._update_observation()

    def _pilot_state(self) -> PilotState:
        """The state of the control pilot: F by the station, E by a short circuit, or that of the vehicle."""
        if self._outputs.pilot_fault:
            return PilotState.F
        if self.pilot_shorted:
            return PilotState.E
        return self.vehicle.pilot if self.vehicle is not None else PilotState.A

    def _vehicle_changed(self) -> None:
        self._count_energy()
        self._update_observation()

    def _update_observation(self, *, cable_plugged: bool | None = None, cable_max_a: float | None = None) -> None:
        vehicle = self.vehicle
        plugged = vehicle is not None or (self._observation.cable_plugged if cable_plugged is None else cable_plugged)
        faults = self._observation.faults - {Fault.DIODE}
        closed = (self._outputs.contactor and not self.stuck_open) or self.welded
        if vehicle is not None:
            vehicle.set_powered(closed)
            faults = faults | {Fault.DIODE} if vehicle.diode_fault else faults
        self._observation = replace(
            self._observation,
            pilot=self._pilot_state(),
            cable_plugged=plugged,
            cable_max_a=(self._observation.cable_max_a if cable_max_a is None else cable_max_a) if plugged else None,
            contactor_closed=closed,
            locked=self._observation.locked if Fault.LOCK in faults else self._outputs.lock,  # one that is stuck
            faults=faults,
        )
        self._update_flow()
        self._changed.notify()


def _existing_phases(values: Phases[float], phases: int) -> Phases[float | None]:
    """The values as a meter reports them: None for phases that it does not have."""
    existing: list[float | None] = [value if index < phases else None for index, value in enumerate(values)]
    return Phases(*existing)
