"""Driver for meters that are read over Modbus by a register table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from metering.drivers import sunspec
from metering.drivers.quantities import Quantity, reading_of
from metering.drivers.registers import (
    MeterModel,
    RegisterAddress,
    RegisterBlock,
    decode,
    mismatch,
    negate_powers,
    plan_blocks,
    plan_optional_blocks,
    swap_direction,
)
from metering.meter import MeterError, MeterIdentity
from metering.reading import Reading

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus import Bus
    from metering.drivers.endpoints import ModbusMeterOptions

_log = logging.getLogger(__name__)

Quantities = frozenset[Quantity] | None

_MAX_SEARCH_TIMEOUTS: Final = 10
"""longest time of a search for registers, as a multiple of a reading's"""


class ModbusMeter:
    """Driver of one meter on a Modbus wire, which reads it by the register table of its model."""

    def __init__(
        self,
        model: MeterModel,
        bus: Bus,
        options: ModbusMeterOptions,
        clock: Clock,
        quantities: Quantities = None,
    ) -> None:
        self._model = model
        self._quantities = quantities
        self._blocks = plan_blocks(model, self._quantities)
        self._absent_blocks: set[RegisterBlock] = set()
        """optional registers that this variant of the model lacks"""
        self._bus = bus
        self._unit = options.unit
        self._invert = options.invert
        self._invert_power = options.invert_power
        self._write_timeout_s = 2 * options.timeout_s
        self._clock = clock
        self._checked_connection_number = 0
        bus.join(self, options.timeout_s)

    def __str__(self) -> str:
        return f"{self._model.name} (unit {self._unit}) on {self._bus.endpoint.address}"

    async def read(self) -> Reading:
        """Read the registers that charging needs, or those of the quantities selected at construction.

        Raises:
            MeterError: silence, a broken frame, a refusal, or another kind of meter than the configured one.
        """
        return await self._read(further=False)

    async def read_all(self) -> Reading:
        """Read the optional registers of the table too, unless quantities were selected; those refused stay unknown.

        Raises:
            MeterError: as `read`.
        """
        return await self._read(further=self._quantities is None)

    def example_reading(self) -> Reading:
        """Make a reading with an invented value for each quantity of the table; reads nothing."""
        quantities = self._model.quantities or sunspec.QUANTITIES
        return reading_of(lambda quantity: 1.0 if quantity in quantities else None, self._clock.now())

    async def _read(self, *, further: bool) -> Reading:
        with self._clock.outside_wait(self._write_timeout_s + 1.0):
            if not self._blocks:
                await self._find_registers()
            registers = dict(await self._bus.read(str(self), self._unit, self._blocks, self._write_timeout_s))
        if further:
            registers |= await self._read_optional()
        reading = decode(self._model, registers, self._clock.now())
        self._check_table(reading)
        if self._invert_power:
            reading = negate_powers(reading)
        return swap_direction(reading) if self._invert else reading

    async def _read_optional(self) -> dict[RegisterAddress, int]:
        """Read optional registers; a failure is ignored: the required ones have been read already."""
        registers: dict[RegisterAddress, int] = {}
        with self._clock.outside_wait(self._write_timeout_s + 1.0):
            for block in plan_optional_blocks(self._model):
                if block in self._absent_blocks:
                    continue
                try:
                    words = await self._bus.read_optional(str(self), self._unit, block, self._write_timeout_s)
                except MeterError as error:
                    _log.debug("%s: optional registers not read: %s", self, error)
                    break
                if words is None:
                    _log.info("%s: this variant has no registers from %d on", self, block.address)
                    self._absent_blocks.add(block)
                else:
                    registers |= {(block.function, block.address + at): word for at, word in enumerate(words)}
        return registers

    async def _find_registers(self) -> None:
        """Find the registers of a SunSpec meter, once."""
        within_s = _MAX_SEARCH_TIMEOUTS * self._write_timeout_s
        found = await self._bus.search(str(self), self._unit, sunspec.search_models(self._model), within_s)
        if found is None:
            raise MeterError(f"{self}: no SunSpec meter model found", transient=False)
        self._model, self._blocks = found, plan_blocks(found, self._quantities)

    async def close(self) -> None:
        """Leave the wire, which is disconnected if nobody else uses it; a meter that is read again connects again."""
        await self._bus.leave(self)

    def _check_table(self, reading: Reading) -> None:
        """Reject a wrong table by the first reading of a connection; later voltages are not checked."""
        if self._checked_connection_number != self._bus.connections:
            if (reason := mismatch(self._model, reading)) is not None:
                raise MeterError(f"{self}: {reason}", transient=False)
            self._checked_connection_number = self._bus.connections


class IdentifiedModbusMeter(ModbusMeter):
    """Driver of one meter on a Modbus wire whose model has a serial number in its registers."""

    async def identity(self) -> MeterIdentity:
        """Read the serial number from the meter.

        Raises:
            MeterError: silence, a broken frame, or no serial number.
        """
        with self._clock.outside_wait(self._write_timeout_s + 1.0):
            if not self._blocks:
                await self._find_registers()
            place = self._model.serial_number
            if place is None:
                raise MeterError(f"{self}: this model has no register for the serial number", transient=False)
            block = RegisterBlock(place.function, place.address, place.words)
            registers = await self._bus.read(str(self), self._unit, (block,), self._write_timeout_s)
        words = [registers[place.function, place.address + at] for at in range(place.words)]
        if not (found := place.decode(words)):
            raise MeterError(f"{self}: the serial number is empty", transient=False)
        return MeterIdentity(found)
