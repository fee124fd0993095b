"""The board of one EVSE on GPIO lines, PWM, and A/D converters of a Linux machine.

It only applies outputs and reports observations. The hardware must open the contactor by itself when the pilot leaves
state C, when the residual-current monitor trips, and when this program stops responding (IEC 61851-1).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from station.core.hardware import pilot
from station.core.hardware.board import NO_OBSERVATION, SAFE_OUTPUTS, BoardError, Observation, Outputs, SelfTest, Sensor
from station.core.model import Fault, PilotState
from station.devices.linux import sysfs
from station.devices.linux.collected_errors import CollectedErrors
from station.devices.linux.connector_lock import LinuxConnectorLock
from station.devices.linux.gpio import GpioLines
from station.devices.linux.phase_relay import LinuxPhaseRelay

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.devices.linux.gpio import RequestLines
    from station.devices.linux.wiring import LinuxEvseWiring, ProximityWiring

_POLL_S: Final = 0.05
CONVERTER_TIMEOUT_S: Final = 1.0
"""real time; a slower converter counts as failed"""
_OBSERVATION_DEADLINE_S: Final = 15.0
"""watchdog deadline of one observation"""
_STEPS_PER_DEGREE: Final = 2
"""temperatures are rounded to half degrees, so that noise causes no observation"""
_WITH_VEHICLE: Final = frozenset({PilotState.B, PilotState.C, PilotState.D})


class _ConverterReadings(Frozen):
    """The readings of the A/D converters."""

    high_v: float
    low_v: float | None
    proximity_ohm: float | None
    celsius: float | None


class LinuxBoard:
    """The `Board` of an EVSE wired to a Linux machine: drives contactor, lock, phase relay, pilot; reads inputs."""

    def __init__(
        self,
        wiring: LinuxEvseWiring,
        clock: Clock,
        *,
        unrated_cable: pilot.UnratedCable,
        request_lines: RequestLines | None = None,
        converter_timeout_s: float = CONVERTER_TIMEOUT_S,
    ) -> None:
        residual = wiring.residual
        self._lock = LinuxConnectorLock(wiring.lock, clock)
        self._phases = LinuxPhaseRelay(wiring.phases, clock)
        self._lines = GpioLines(
            {
                "contactor": wiring.contactor_feedback,
                "residual": residual.tripped if residual is not None else None,
                "emergency-stop": wiring.emergency_stop,
                "too-hot": wiring.too_hot,
                "bay": wiring.bay,
                **self._lock.inputs,
                **self._phases.inputs,
            },
            {
                "close": wiring.contactor,
                "test": residual.test if residual is not None else None,
                **self._lock.outputs,
                **self._phases.outputs,
            },
            request_lines,
        )
        self._wiring = wiring
        self._clock = clock
        self._unrated_cable: pilot.UnratedCable = unrated_cable
        self._converter_timeout_s = converter_timeout_s
        self._pwm = sysfs.Pwm(wiring.pilot.pwm)
        self._outputs = SAFE_OUTPUTS
        self._pwm_active = False
        self._no_diode = False
        self._last_observation = NO_OBSERVATION
        self._test_ends_s = 0.0
        self._measuring: asyncio.Future[_ConverterReadings] | None = None
        self.observation_task = MonitoredTask(
            f"an observation of the board with its pilot on {wiring.pilot.pwm.path}", clock, _OBSERVATION_DEADLINE_S
        )

    @property
    def sensors(self) -> frozenset[Sensor]:
        """The sensors among parking bay, emergency stop and temperature that are wired."""
        wiring = self._wiring
        wired_by_sensor = {
            Sensor.BAY: wiring.bay is not None,
            Sensor.EMERGENCY_STOP: wiring.emergency_stop is not None,
            Sensor.TEMPERATURE: wiring.too_hot is not None or wiring.temperature is not None,
        }
        return frozenset(sensor for sensor, wired in wired_by_sensor.items() if wired)

    @property
    def digital_pilot(self) -> bool:
        """True: the PWM signals any duty cycle."""
        return True

    async def observations(self) -> AsyncGenerator[Observation]:
        """Read all inputs every 50 ms; yield the first observation, then each that differs from the one before.

        Also ends the pulses of a motor lock.

        Raises:
            BoardError: a line or a converter fails.
        """
        reported: Observation | None = None
        while True:
            with self.observation_task:
                observation = await self._observe()
            if observation != reported:
                reported = observation
                yield observation
            await self._clock.sleep(_POLL_S)

    async def apply(self, outputs: Outputs) -> None:
        """Set pilot, lock, phase relay and contactor; the contactor opens first and closes last.

        The phase relay is not moved while the contactor is closed, or is to close.

        A failure of one part does not skip the others; the contactor closes only if all others succeeded.

        Raises:
            BoardError: a line or the PWM fails, or the contactor must not close now.
        """
        if outputs.contactor and self._testing:
            raise BoardError("the residual-current monitor is being tested")
        attempts = CollectedErrors()
        if not outputs.contactor:
            with attempts:
                self._lines.write("close", False)
        with attempts:
            self._set_pilot(outputs)
        with attempts:
            self._lock.set_locked(outputs.lock, self._lines)
        if not outputs.contactor and not self._last_observation.contactor_closed:
            with attempts:
                self._phases.set_phases(outputs.phases, self._lines)
        if outputs.contactor and not attempts.failed:
            with attempts:
                self._lines.write("close", True)
        attempts.raise_first()
        self._outputs = outputs

    def _set_pilot(self, outputs: Outputs) -> None:
        """Set the control pilot.

        Raises:
            OSError: the PWM fails.
            ValueError: the pilot cannot signal this current.
        """
        self._pwm_active = False
        duty = pilot.commanded_duty_cycle(outputs)
        self._pwm.set_duty_cycle(duty)
        self._pwm_active = 0.0 < duty < pilot.STEADY

    async def test_residual_monitor(self) -> SelfTest:
        """Pulse the test input of the residual-current monitor; PASSED if it trips, then recovers, each in time.

        ABSENT without a test input. Until the end of the test its trip is not reported as a fault.

        Raises:
            BoardError: a line fails, or the contactor is closed.
        """
        residual = self._wiring.residual
        if residual is None or residual.test is None:
            return SelfTest.ABSENT
        if self._outputs.contactor or self._last_observation.contactor_closed:
            raise BoardError("the residual-current monitor is not tested while the contactor is closed")
        self._test_ends_s = math.inf
        try:
            try:
                self._lines.write("test", True)
                tripped = await self._wait_for_trip_contact(True, residual.trips_within_s)
            finally:  # also after cancellation the monitor needs time to recover
                self._test_ends_s = self._clock.monotonic() + residual.recovers_within_s
                self._lines.write("test", False)
            recovered = await self._wait_for_trip_contact(False, residual.recovers_within_s)
        except OSError as error:
            raise BoardError(f"{error}") from error
        self._test_ends_s = self._clock.monotonic()
        return SelfTest.PASSED if tripped and recovered else SelfTest.FAILED

    @property
    def _testing(self) -> bool:
        """Whether a trip of the monitor is caused by its test."""
        return self._clock.monotonic() < self._test_ends_s

    async def close(self) -> None:
        """Open the contactor, set the pilot steady, finish the movement of the lock, and release the lines.

        Raises:
            BoardError: a line or the PWM fails.
        """
        attempts = CollectedErrors()
        with attempts:
            self._lines.write("close", False)
        with attempts:
            self._pwm.set_duty_cycle(pilot.STEADY)
        with attempts:
            await self._lock.wait_finished(self._lines)
        with attempts:
            self._lines.close()
        attempts.raise_first()

    async def _wait_for_trip_contact(self, tripped: bool, within_s: float) -> bool:
        """Wait until the contact of the monitor has this state; False on timeout."""
        deadline_s = self._clock.monotonic() + within_s
        while ("residual" in self._lines.read()) is not tripped:
            if self._clock.monotonic() >= deadline_s:
                return False
            await self._clock.sleep(_POLL_S)
        return True

    async def _observe(self) -> Observation:
        try:
            self._lock.end_due_pulse(self._lines)
            active, pwm_active, testing = self._lines.read(), self._pwm_active, self._testing
            readings = await self._read_converters()
        except OSError as error:
            raise BoardError(f"{error}") from error
        self._last_observation = self._to_observation(active, readings, pwm_active=pwm_active, testing=testing)
        return self._last_observation

    async def _read_converters(self) -> _ConverterReadings:
        """Read the converters in a thread; if one hangs, no second thread is started.

        Raises:
            BoardError: the timeout has expired.
            OSError: a converter fails.
        """
        while True:
            outdated = self._measuring is not None
            measuring = self._measuring = self._measuring or asyncio.ensure_future(
                asyncio.to_thread(self._read_converters_blocking)
            )
            with self._clock.outside_wait():
                done, _ = await asyncio.wait({measuring}, timeout=self._converter_timeout_s)
            if not done:
                raise BoardError("the A/D converters do not answer")
            self._measuring = None
            readings = measuring.result()
            if not outdated:
                return readings

    def _read_converters_blocking(self) -> _ConverterReadings:
        wiring = self._wiring
        return _ConverterReadings(
            sysfs.read_voltage_v(wiring.pilot.high),
            sysfs.read_voltage_v(wiring.pilot.low) if wiring.pilot.low is not None else None,
            _proximity_ohm(wiring.proximity) if wiring.proximity is not None else None,
            sysfs.read_temperature_c(wiring.temperature) if wiring.temperature is not None else None,
        )

    def _to_observation(
        self, active: frozenset[str], readings: _ConverterReadings, *, pwm_active: bool, testing: bool
    ) -> Observation:
        """Convert the readings; `waves`, `testing`: pilot active and monitor under test when they were read."""
        state = pilot.pilot_state(readings.high_v, self._last_observation.pilot)
        # Two readings in a row: the pilot may be switched off before the negative half is measured.
        no_diode_before, self._no_diode = self._no_diode, pwm_active and pilot.diode_fault(readings.low_v, state)
        faults = {
            Fault.DC_RESIDUAL_CURRENT: "residual" in active and not testing,
            Fault.EMERGENCY_STOP: "emergency-stop" in active,
            Fault.OVER_TEMPERATURE: "too-hot" in active,
            Fault.POWER_SWITCH: self._phases.is_faulted(active),
            Fault.DIODE: no_diode_before and self._no_diode,
        }
        if readings.proximity_ohm is not None:
            plugged = pilot.cable_plugged(readings.proximity_ohm)
            cable_max_a = pilot.cable_limit_a(readings.proximity_ohm, self._unrated_cable)
        else:  # attached cable; our own −12 V hides the vehicle: keep the last state
            plugged = self._last_observation.cable_plugged if state is PilotState.F else state in _WITH_VEHICLE
            cable_max_a = None
        return Observation(
            pilot=state,
            cable_plugged=plugged,
            cable_max_a=cable_max_a,
            contactor_closed="contactor" in active,
            phases=self._phases.connected_phases(active),
            locked=self._lock.is_locked(active),
            bay_occupied="bay" in active,
            temperature_c=_rounded(readings.celsius),
            faults=frozenset(fault for fault, present in faults.items() if present),
        )


def _proximity_ohm(wiring: ProximityWiring) -> float:
    return sysfs.read_resistance_ohm(wiring, wiring.pull_up_ohm, wiring.reference_v)


def _rounded(celsius: float | None) -> float | None:
    return round(celsius * _STEPS_PER_DEGREE) / _STEPS_PER_DEGREE if celsius is not None else None
