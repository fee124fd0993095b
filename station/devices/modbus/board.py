"""The board of one EVSE with a controller on Modbus, which operates pilot, contactor and lock itself."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from metering.drivers.registers import RegisterBlock
from metering.meter import MeterError
from station.core.hardware.board import NO_OBSERVATION, SAFE_OUTPUTS, BoardError, Observation, Outputs, SelfTest, Sensor
from station.core.model import PilotState

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from metering.drivers.registers import RegisterWords
    from station.devices.modbus.controller_table import RegisterSetting
    from station.devices.modbus.wiring import ModbusEvse

T = TypeVar("T")

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.5
KEEP_ALIVE_S: Final = 2.0
"""seconds after which the outputs are written again: a fifth of the communication time-out"""
_OBSERVATION_DEADLINE_S: Final = 60.0
"""watchdog deadline of one observation, which may wait for other devices on the bus"""
_READY: Final = frozenset({PilotState.C, PilotState.D})
_WITH_VEHICLE: Final = frozenset({PilotState.B, PilotState.C, PilotState.D})


class _Order(Frozen):
    """A value to write to a holding register, or to a coil."""

    address: int
    value: int
    is_coil: bool = False


class ModbusBoard:
    """The `Board` of an EVSE with a controller on Modbus, which itself closes and opens the contactor as permitted.

    Before it permits a current it sets the controller's communication time-out, and reads it back; likewise after each
    failure. Every 2 s it writes the outputs again, and checks the time-out: a controller that was without power may
    have lost both. With `accepts_no_timeout` a controller that has other values there is used nevertheless.
    """

    def __init__(
        self,
        config: ModbusEvse,
        clock: Clock,
        buses: BusRegistry,
        *,
        attached_cable: bool,
        accepts_no_timeout: bool = False,
    ) -> None:
        self._controller = config.controller
        self._unit = config.unit_in_use
        self._timeout_s = 2 * config.timeout_s
        self._bus = buses.bus_for(config.endpoint)
        self._bus.join(self, config.timeout_s)
        self._clock = clock
        self._attached_cable = attached_cable
        self._accepts_no_timeout = accepts_no_timeout
        self._no_timeout_logged = False
        self._outputs = SAFE_OUTPUTS
        self._is_commanded = False
        """outputs were applied"""
        self._configured = False
        """whether the controller's settings were confirmed since the start and the last failure"""
        self._kept_values: dict[int, int] = {}
        """by address: what a register had after the last write to it; not written yet: absent"""
        self._kept_alive_s: float | None = None
        """when outputs and settings were last written and checked (Clock.monotonic); None: not yet"""
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
            BoardError: the controller does not respond, or does not keep its communication time-out.
        """
        reported: Observation | None = None
        while True:
            with self.observation_task:
                await self._keep_alive()
                self._last_observation = await self.observe_once()
            if self._last_observation != reported:
                reported = self._last_observation
                yield reported
            await self._clock.sleep(_POLL_S)

    async def apply(self, outputs: Outputs) -> None:
        """Write the offered current, rounded down to the unit of its register, and enable or disable charging.

        Contactor and lock are not commanded: the controller operates them. Its emergency-off bit, if it has one, is set
        to open the contactor at once.

        Raises:
            BoardError: the write was not confirmed, or a current is offered and the controller does not keep its
                communication time-out.
        """
        self._outputs = outputs
        self._is_commanded = True
        await self._exchange_with_retry(lambda: self._write_outputs(outputs), 2 * self._timeout_s)

    async def _keep_alive(self) -> None:
        """Every 2 s, check the controller's settings and write the outputs again, which restarts its time-out.

        A controller without one gets its outputs again after a failed exchange only, since it may have been without
        power: whether its registers endure to be written again and again is not known.

        Raises:
            BoardError: the controller does not respond, or a setting was not confirmed.
        """
        now_s = self._clock.monotonic()
        recent = self._kept_alive_s is not None and now_s < self._kept_alive_s + KEEP_ALIVE_S
        has_timeout = self._controller.timeout is not None
        if self._configured and (recent or not has_timeout):
            return
        if not has_timeout and not self._is_commanded:
            return

        async def check_and_write() -> None:
            await self._confirm_settings()
            await self._write_outputs(self._outputs)

        await self._exchange_with_retry(check_and_write, 2 * self._timeout_s)
        self._kept_alive_s = now_s

    async def _write_outputs(self, outputs: Outputs) -> None:
        """Write these outputs, unless newer ones are applied meanwhile: requests leave in the order of their calls."""
        table = self._controller
        pilot_a = outputs.pilot_a if outputs.pilot_a is not None and not outputs.pilot_fault else 0.0
        offered = table.permitted_counts(pilot_a)
        if offered and not self._configured:
            await self._confirm_settings()
        for order in self._orders(outputs, offered):
            if outputs is not self._outputs:
                return
            if order.is_coil:
                await self._bus.write_coil(str(self), self._unit, order.address, bool(order.value), self._timeout_s)
            else:
                await self._write(order.address, order.value)

    def _orders(self, outputs: Outputs, offered: int) -> Iterator[_Order]:
        """The writes that make the controller offer a current, in the unit of its register; 0: none."""
        table = self._controller
        if not offered and table.enable is not None:
            yield _Order(table.enable.address, 0, table.enable.is_coil)
        if table.emergency_off_bit is not None:
            address, bit = table.emergency_off_bit
            at_once = not outputs.contactor and (outputs.pilot_fault or self._last_observation.contactor_closed)
            yield _Order(address, int(at_once and not offered) << bit)
        if offered or table.enable is None:
            yield _Order(table.current_at, offered)
        if offered and table.enable is not None:
            yield _Order(table.enable.address, 1, table.enable.is_coil)

    async def _confirm_settings(self) -> None:
        """Write the communication time-out and other settings, unless they are known, and read them back.

        Raises:
            MeterError: the controller does not respond, or a register does not have its value; not transient then.
        """
        for setting in self._controller.settings:
            await self._confirm(setting)
        if self._controller.timeout is not None:
            for setting in self._controller.timeout.settings:
                try:
                    await self._confirm(setting)
                except MeterError as error:
                    if error.transient or not self._accepts_no_timeout:
                        raise
                    level = logging.DEBUG if self._no_timeout_logged else logging.WARNING
                    _log.log(level, "%s (board.i_accept_no_timeout is true)", error)
                    self._no_timeout_logged = True
        self._configured = True

    async def _confirm(self, setting: RegisterSetting) -> None:
        found = await self._read_word(setting.address)
        kept = self._kept_values.get(setting.address)
        # Once in a run, and again if it has changed: a register that is written each time may wear out.
        if not setting.read_only and (kept is None or found not in (setting.value, kept)):
            with contextlib.suppress(MeterError):  # rejected or lost: the next reading shows it
                await self._write(setting.address, setting.value)
            found = await self._read_word(setting.address)
            self._kept_values[setting.address] = found
        if found != setting.value:
            raise MeterError(
                f"{self}: register {setting.address} ({setting.meaning}) is {found} and must be {setting.value}",
                transient=False,
            )

    async def _read_word(self, address: int) -> int:
        block = RegisterBlock(3, address, 1)
        words = await self._bus.read(str(self), self._unit, (block,), self._timeout_s)
        return words[3, address]

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

    async def observe_once(self) -> Observation:
        """Read the controller, and write nothing, which may be in use by another program.

        Raises:
            BoardError: the controller does not respond, or reports an unknown state.
        """
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
                    self._configured = False  # it may have been without power
                    return await exchange()
        except MeterError as error:
            self._configured = False
            raise BoardError(f"{error}") from error

    def _to_observation(self, registers: RegisterWords) -> Observation:
        table = self._controller
        number = table.state_number(registers)
        state = table.states.get(number)
        if state is None:
            raise BoardError(f"{self}: reports the unknown state {number}")
        plugged = state in _WITH_VEHICLE
        cable_a = registers[table.cable_at] if table.cable_at is not None and not self._attached_cable else 0
        offers = table.is_offering(registers, enabled=self._outputs.pilot_a is not None)
        # A controller that reports the offer closes its contactor some time after the order. Until then the vehicle
        # counts as not ready, and the contactor not as stuck.
        waits = state in _READY and not offers and table.offer_at is not None
        return Observation(
            pilot=PilotState.B if waits else state,
            cable_plugged=plugged,
            cable_max_a=float(cable_a) if plugged and cable_a else None,
            contactor_closed=state in _READY and offers,
            locked=self._outputs.lock,
            faults=table.faults(registers),
        )
