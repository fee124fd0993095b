"""The board of one EVSE with a controller on Modbus, which operates pilot, contactor and lock itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from foundation.monitored_task import MonitoredTask
from metering.meter import MeterError
from station.core.hardware.board import NO_OBSERVATION, SAFE_OUTPUTS, BoardError, Observation, Outputs, SelfTest, Sensor
from station.core.model import Fault, PilotState

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from metering.drivers.registers import RegisterWords
    from station.devices.modbus.wiring import ModbusEvse

T = TypeVar("T")

_POLL_S: Final = 0.5
_OBSERVATION_DEADLINE_S: Final = 60.0
"""watchdog deadline of one observation, which may wait for other devices on the bus"""
_READY: Final = frozenset({PilotState.C, PilotState.D})
_WITH_VEHICLE: Final = frozenset({PilotState.B, PilotState.C, PilotState.D})


class ModbusBoard:
    """The `Board` of an EVSE with a controller on Modbus, which itself closes and opens the contactor as permitted."""

    def __init__(self, config: ModbusEvse, clock: Clock, buses: BusRegistry, *, attached_cable: bool) -> None:
        self._controller = config.controller
        self._unit = config.unit_in_use
        self._timeout_s = 2 * config.timeout_s
        self._bus = buses.bus_for(config.endpoint)
        self._bus.join(self, config.timeout_s)
        self._clock = clock
        self._attached_cable = attached_cable
        self._outputs = SAFE_OUTPUTS
        self._last_observation = NO_OBSERVATION
        self.observation_task = MonitoredTask(f"an observation of {self}", clock, _OBSERVATION_DEADLINE_S)

    def __str__(self) -> str:
        return f"{self._controller.name} (unit {self._unit}) on {self._bus.endpoint.address}"

    @property
    def sensors(self) -> frozenset[Sensor]:
        """Always empty: such a controller reports no parking bay, emergency stop or temperature."""
        return frozenset()

    @property
    def digital_pilot(self) -> bool:
        """False: the known controllers signal currents only."""
        return False

    async def observations(self) -> AsyncGenerator[Observation]:
        """Read the controller every 0.5 s; yield the first observation, then each that differs from the one before.

        Raises:
            BoardError: the controller does not respond.
        """
        reported: Observation | None = None
        while True:
            with self.observation_task:
                self._last_observation = await self._observe()
            if self._last_observation != reported:
                reported = self._last_observation
                yield reported
            await self._clock.sleep(_POLL_S)

    async def apply(self, outputs: Outputs) -> None:
        """Write the offered current, in whole amperes rounded down, and enable or disable charging.

        Contactor and lock are not commanded: the controller operates them. Its emergency-off bit, if it has one, is set
        to open the contactor at once.

        Raises:
            BoardError: the write was not confirmed.
        """
        self._outputs = outputs
        await self._exchange_with_retry(lambda: self._write_outputs(outputs), 2 * self._timeout_s)

    async def _write_outputs(self, outputs: Outputs) -> None:
        offered_a = int(outputs.pilot_a) if outputs.pilot_a is not None and not outputs.pilot_fault else 0
        table = self._controller
        if not offered_a and table.enable_coil is not None:
            await self._bus.write_coil(str(self), self._unit, table.enable_coil, False, self._timeout_s)
        if table.emergency_off_bit is not None:
            address, bit = table.emergency_off_bit
            at_once = not outputs.contactor and (outputs.pilot_fault or self._last_observation.contactor_closed)
            await self._write(address, int(at_once and not offered_a) << bit)
        if offered_a or table.enable_coil is None:
            await self._write(table.current_at, offered_a)
        if offered_a and table.enable_coil is not None:
            await self._bus.write_coil(str(self), self._unit, table.enable_coil, True, self._timeout_s)

    async def test_residual_monitor(self) -> SelfTest:
        """Do nothing and return ABSENT: the known controllers offer no test of a monitor."""
        return SelfTest.ABSENT

    async def close(self) -> None:
        """Disable charging, and leave the bus, also if the write fails.

        Raises:
            BoardError: the write was not confirmed.
        """
        try:
            await self.apply(SAFE_OUTPUTS)
        finally:
            await self._bus.leave(self)

    async def _write(self, address: int, value: int) -> None:
        single = self._controller.single_register_writes
        await self._bus.write(str(self), self._unit, address, (value,), self._timeout_s, single=single)

    async def _observe(self) -> Observation:
        registers = await self._exchange_with_retry(
            lambda: self._bus.read(str(self), self._unit, self._controller.blocks, self._timeout_s),
            self._timeout_s + 1.0,
        )
        return self._to_observation(registers)

    async def _exchange_with_retry(self, exchange: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Run an exchange, and repeat it once after a failure (Modbus over serial line 2.4.1).

        A disturbed frame must not end a charge.

        Raises:
            BoardError: the exchange has failed twice.
        """
        try:
            with self._clock.outside_wait(2 * timeout_s):
                try:
                    return await exchange()
                except MeterError:
                    return await exchange()
        except MeterError as error:
            raise BoardError(f"{error}") from error

    def _to_observation(self, registers: RegisterWords) -> Observation:
        table = self._controller
        number = table.state_number(registers)
        state = table.states.get(number)
        if state is None:
            raise BoardError(f"{self}: reports the unknown state {number}")
        # The controller does not report which part failed, residual-current device or diode: assume the former.
        faults = frozenset({Fault.GROUND_FAULT}) if number in table.fault_states else frozenset[Fault]()
        plugged = state in _WITH_VEHICLE
        cable_a = registers[table.cable_at] if table.cable_at is not None and not self._attached_cable else 0
        offers = table.is_offering(registers, enabled=self._outputs.pilot_a is not None)
        return Observation(
            pilot=state,
            cable_plugged=plugged,
            cable_max_a=float(cable_a) if plugged and cable_a else None,
            contactor_closed=state in _READY and offers,
            locked=self._outputs.lock,
            faults=faults,
        )
