"""The board of one EVSE on the lines, channels and files of a Linux machine.

It only carries orders out and tells what it sees. The hardware behind it must open the contactor by itself when the
pilot leaves state C, when the residual-current monitor trips, and when this program falls silent (IEC 61851-1).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from foundation.frozen import frozen
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

_LOOK_EVERY_S: Final = 0.05
_CONVERTER_TIMEOUT_S: Final = 1.0
"""real time; converters that take longer show nothing of now"""
_LOOK_S: Final = 15.0
"""a look that takes longer than this does not come back"""
_STEPS_PER_DEGREE: Final = 2
"""a temperature is told in half degrees, so that noise is no news"""
_WITH_VEHICLE: Final = frozenset({PilotState.B, PilotState.C, PilotState.D})


@frozen
class _ConverterReadings:
    """What the converters show."""

    high_v: float
    low_v: float | None
    proximity_ohm: float | None
    celsius: float | None


class LinuxBoard:
    """Lines for contactor, lock and inputs; a PWM for the pilot; converters for what it becomes."""

    def __init__(
        self,
        wiring: LinuxEvseWiring,
        clock: Clock,
        *,
        unrated_cable: pilot.UnratedCable,
        request_lines: RequestLines | None = None,
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
        self._unrated: pilot.UnratedCable = unrated_cable
        self._pwm = sysfs.Pwm(wiring.pilot.pwm)
        self._outputs = SAFE_OUTPUTS
        self._pwm_active = False
        self._no_diode = False
        self._seen = NO_OBSERVATION
        self._tested_until_s = 0.0
        self._measuring: asyncio.Future[_ConverterReadings] | None = None
        self.observation_task = MonitoredTask(
            f"a look at the board with its pilot on {wiring.pilot.pwm.path}", clock, _LOOK_S
        )

    @property
    def sensors(self) -> frozenset[Sensor]:
        """Those that are wired."""
        wiring = self._wiring
        found = {
            Sensor.BAY: wiring.bay is not None,
            Sensor.EMERGENCY_STOP: wiring.emergency_stop is not None,
            Sensor.TEMPERATURE: wiring.too_hot is not None or wiring.temperature is not None,
        }
        return frozenset(sensor for sensor, wired in found.items() if wired)

    async def observations(self) -> AsyncGenerator[Observation]:
        """What is seen, first at once and then after each change.

        Raises:
            BoardError: a line or a converter is gone.
        """
        told: Observation | None = None
        while True:
            with self.observation_task:
                seen = await self._observe()
            if seen != told:
                told = seen
                yield seen
            await self._clock.sleep(_LOOK_EVERY_S)

    async def apply(self, outputs: Outputs) -> None:
        """Bring the outputs to this state: the contactor goes first when it opens, last when it closes.

        Each part is tried whatever becomes of the others; the contactor closes only when all else has been done.

        Raises:
            BoardError: a line or the PWM is gone, or the contactor may not close now.
        """
        if outputs.contactor and self._testing:
            raise BoardError("the residual-current monitor is being tested")
        attempts = CollectedErrors()
        if not outputs.contactor:
            with attempts:
                self._lines.write("close", False)
        with attempts:
            self._signal(outputs)
        with attempts:
            self._lock.order(outputs.lock, self._lines)
        if not outputs.contactor and not self._seen.contactor_closed:
            with attempts:
                self._phases.order(outputs.phases, self._lines)
        if outputs.contactor and not attempts.failed:
            with attempts:
                self._lines.write("close", True)
        attempts.raise_first()
        self._outputs = outputs

    def _signal(self, outputs: Outputs) -> None:
        """Bring the pilot to what is ordered.

        Raises:
            OSError: the PWM is gone.
            ValueError: a pilot cannot signal this current.
        """
        self._pwm_active = False
        self._pwm.set_duty_cycle(0.0 if outputs.pilot_fault else pilot.duty_cycle(outputs.pilot_a))
        self._pwm_active = outputs.pilot_a is not None and not outputs.pilot_fault

    async def test_residual_monitor(self) -> SelfTest:
        """Press the monitor's test input: it has to trip in time, and to come back after.

        Raises:
            BoardError: a line is gone, or the contactor is closed.
        """
        residual = self._wiring.residual
        if residual is None or residual.test is None:
            return SelfTest.ABSENT
        if self._outputs.contactor or self._seen.contactor_closed:
            raise BoardError("the monitor is not tested while the contactor is closed")
        self._tested_until_s = math.inf
        try:
            try:
                self._lines.write("test", True)
                tripped = await self._becomes(True, residual.trips_within_s)
            finally:  # one that is broken off leaves the monitor its time as well
                self._tested_until_s = self._clock.monotonic() + residual.recovers_within_s
                self._lines.write("test", False)
            recovered = await self._becomes(False, residual.recovers_within_s)
        except OSError as error:
            raise BoardError(f"{error}") from error
        self._tested_until_s = self._clock.monotonic()
        return SelfTest.PASSED if tripped and recovered else SelfTest.FAILED

    @property
    def _testing(self) -> bool:
        """Whether a trip of the monitor belongs to its test."""
        return self._clock.monotonic() < self._tested_until_s

    async def close(self) -> None:
        """Contactor open, pilot steady, lines let go; the lock ends its movement before.

        Raises:
            BoardError: a line or the PWM is gone.
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

    async def _becomes(self, tripped: bool, within_s: float) -> bool:
        """Whether the monitor's contact comes to this state in time."""
        ends_s = self._clock.monotonic() + within_s
        while ("residual" in self._lines.read()) is not tripped:
            if self._clock.monotonic() >= ends_s:
                return False
            await self._clock.sleep(_LOOK_EVERY_S)
        return True

    async def _observe(self) -> Observation:
        try:
            self._lock.update(self._lines)
            active, waves, testing = self._lines.read(), self._pwm_active, self._testing
            measured = await self._measured()
        except OSError as error:
            raise BoardError(f"{error}") from error
        self._seen = self._to_observation(active, measured, waves=waves, testing=testing)
        return self._seen

    async def _measured(self) -> _ConverterReadings:
        """What the converters show now; one that hangs keeps one thread, and no second one is sent after it.

        Raises:
            BoardError: they take too long.
            OSError: one is gone.
        """
        while True:
            late = self._measuring is not None
            measuring = self._measuring = self._measuring or asyncio.ensure_future(asyncio.to_thread(self._measure))
            with self._clock.outside_wait():
                done, _ = await asyncio.wait({measuring}, timeout=_CONVERTER_TIMEOUT_S)
            if not done:
                raise BoardError("the converters do not answer")
            self._measuring = None
            measured = measuring.result()
            if not late:
                return measured

    def _measure(self) -> _ConverterReadings:
        wiring = self._wiring
        return _ConverterReadings(
            sysfs.read_voltage_v(wiring.pilot.high),
            sysfs.read_voltage_v(wiring.pilot.low) if wiring.pilot.low is not None else None,
            _proximity_ohm(wiring.proximity) if wiring.proximity is not None else None,
            sysfs.read_temperature_c(wiring.temperature) if wiring.temperature is not None else None,
        )

    def _to_observation(
        self, active: frozenset[str], measured: _ConverterReadings, *, waves: bool, testing: bool
    ) -> Observation:
        """What this look says; `waves`, `testing`: whether the pilot did and the monitor was when it began."""
        state = pilot.pilot_state(measured.high_v, self._seen.pilot)
        # Two looks in a row: in one, the offer may end before the negative half is measured.
        doubted, self._no_diode = self._no_diode, waves and pilot.diode_fault(measured.low_v, state)
        faults = {
            Fault.DC_RESIDUAL_CURRENT: "residual" in active and not testing,
            Fault.EMERGENCY_STOP: "emergency-stop" in active,
            Fault.OVER_TEMPERATURE: "too-hot" in active,
            Fault.POWER_SWITCH: self._phases.is_faulted(active),
            Fault.DIODE: doubted and self._no_diode,
        }
        if measured.proximity_ohm is not None:
            plugged = pilot.cable_plugged(measured.proximity_ohm)
            cable_max_a = pilot.cable_limit_a(measured.proximity_ohm, self._unrated)
        else:  # an attached cable; our own −12 V hides the vehicle, which is as it was
            plugged = self._seen.cable_plugged if state is PilotState.F else state in _WITH_VEHICLE
            cable_max_a = None
        return Observation(
            pilot=state,
            cable_plugged=plugged,
            cable_max_a=cable_max_a,
            contactor_closed="contactor" in active,
            phases=self._phases.connected(active),
            locked=self._lock.locked(active),
            bay_occupied="bay" in active,
            temperature_c=_rounded(measured.celsius),
            faults=frozenset(fault for fault, present in faults.items() if present),
        )


def _proximity_ohm(wiring: ProximityWiring) -> float:
    """The resistor between the proximity contact and earth, from the voltage that it leaves of the pull-up."""
    contact_v = sysfs.read_voltage_v(wiring)
    if contact_v >= wiring.reference_v:
        return float("inf")
    return wiring.pull_up_ohm * max(0.0, contact_v) / (wiring.reference_v - contact_v)


def _rounded(celsius: float | None) -> float | None:
    return round(celsius * _STEPS_PER_DEGREE) / _STEPS_PER_DEGREE if celsius is not None else None
