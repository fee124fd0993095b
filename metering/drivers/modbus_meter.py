"""A meter that is read by its register table, over a Modbus wire."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foundation.frozen import frozen
from metering.drivers import sunspec
from metering.drivers.quantities import Quantity, reading_of
from metering.drivers.registers import (
    Block,
    MeterModel,
    Place,
    blocks,
    decode,
    further_blocks,
    inverted,
    mismatch,
    power_inverted,
)
from metering.meter import MeterError, MeterIdentity
from metering.reading import Reading

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus import Bus

_log = logging.getLogger(__name__)

Wanted = frozenset[Quantity] | None

_STEPS_OF_A_SEARCH: Final = 10
"""a search for registers takes so many times as long as a reading, at most"""


@frozen
class Reach:
    """How a meter is spoken to, and how it is mounted."""

    unit: int
    timeout_s: float
    """seconds to wait for an answer; a whole reading takes twice as long at most"""
    invert: bool = False
    invert_power: bool = False


class ModbusMeter:
    """A meter that is read by its register table."""

    def __init__(
        self,
        model: MeterModel,
        bus: Bus,
        reach: Reach,
        clock: Clock,
        wanted: Wanted = None,
    ) -> None:
        self._model = model
        self._wanted = wanted
        self._blocks = blocks(model, self._wanted)
        self._refused: set[Block] = set()
        """further registers that this variant of the model has not"""
        self._bus = bus
        self._unit = reach.unit
        self._invert = reach.invert
        self._invert_power = reach.invert_power
        self._within_s = 2 * reach.timeout_s
        self._clock = clock
        self._proven_on = 0
        bus.join(self, reach.timeout_s)

    def __str__(self) -> str:
        return f"{self._model.name} (unit {self._unit}) on {self._bus.wire.place}"

    async def read(self) -> Reading:
        """Read what a charge needs, or what is wanted.

        Raises:
            MeterError: silence, a broken frame, a refusal, or another kind of meter than the configured one.
        """
        return await self._read(further=False)

    async def read_all(self) -> Reading:
        """Read everything that the table names; what the meter refuses of its further registers stays unknown.

        Raises:
            MeterError: as `read`.
        """
        return await self._read(further=self._wanted is None)

    def specimen(self) -> Reading:
        """A reading in which everything that the table names is known."""
        quantities = self._model.quantities or sunspec.QUANTITIES
        return reading_of(lambda quantity: 1.0 if quantity in quantities else None, self._clock.now())

    async def _read(self, *, further: bool) -> Reading:
        with self._clock.wire(self._within_s + 1.0):
            if not self._blocks:
                await self._find_registers()
            registers = dict(await self._bus.read(str(self), self._unit, self._blocks, self._within_s))
        if further:
            registers |= await self._read_further()
        reading = decode(self._model, registers, self._clock.now())
        self._prove(reading)
        if self._invert_power:
            reading = power_inverted(reading)
        return inverted(reading) if self._invert else reading

    async def _read_further(self) -> dict[Place, int]:
        """Nothing depends on these: a meter that falls silent here has told already what counts."""
        registers: dict[Place, int] = {}
        with self._clock.wire(self._within_s + 1.0):
            for block in further_blocks(self._model):
                if block in self._refused:
                    continue
                try:
                    words = await self._bus.look(str(self), self._unit, block, self._within_s)
                except MeterError as error:
                    _log.debug("further registers: %s", error)
                    break
                if words is None:
                    _log.info("%s: has no registers from %d on", self, block.address)
                    self._refused.add(block)
                else:
                    registers |= {(block.function, block.address + at): word for at, word in enumerate(words)}
        return registers

    async def _find_registers(self) -> None:
        """Ask a SunSpec meter where its registers are, once."""
        within_s = _STEPS_OF_A_SEARCH * self._within_s
        found = await self._bus.search(str(self), self._unit, sunspec.search(self._model), within_s)
        if found is None:
            raise MeterError(f"{self}: tells of no SunSpec meter model", transient=False)
        self._model, self._blocks = found, blocks(found, self._wanted)

    async def close(self) -> None:
        """Let go of the wire; a meter that is read again takes it up again."""
        await self._bus.leave(self)

    def _prove(self, reading: Reading) -> None:
        """Refuse a wrong table at the first reading of a connection; later voltages may do what they like."""
        if self._proven_on != self._bus.connections:
            if (reason := mismatch(self._model, reading)) is not None:
                raise MeterError(f"{self}: {reason}", transient=False)
            self._proven_on = self._bus.connections


class IdentifiedModbusMeter(ModbusMeter):
    """A meter whose table says where it tells its serial number."""

    async def identity(self) -> MeterIdentity:
        """Ask it, now.

        Raises:
            MeterError: silence, a broken frame, or no serial number.
        """
        with self._clock.wire(self._within_s + 1.0):
            if not self._blocks:
                await self._find_registers()
            place = self._model.serial_number
            if place is None:
                raise MeterError(f"{self}: its serial number is nowhere", transient=False)
            block = Block(place.function, place.address, place.words)
            registers = await self._bus.read(str(self), self._unit, (block,), self._within_s)
        words = [registers[place.function, place.address + at] for at in range(place.words)]
        if not (found := place.text(words)):
            raise MeterError(f"{self}: tells no serial number", transient=False)
        return MeterIdentity(found)
