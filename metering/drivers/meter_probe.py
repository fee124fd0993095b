"""Finds a meter on a Modbus wire whose model, unit or line is not known, by the register tables of all models.

Nothing is written. A device is there if it answers any read request, also with an exception response. Its model is the
one whose whole table it answers with values of a live grid.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from foundation.byte_tap import ByteTap
from foundation.frozen import Frozen
from metering.drivers import sunspec
from metering.drivers.bus import Bus
from metering.drivers.endpoints import ModbusEndpoint, SerialWire, TcpWire
from metering.drivers.models import MODELS, ModelName
from metering.drivers.registers import (
    MeterModel,
    RegisterAddress,
    RegisterBlock,
    SerialLine,
    decode,
    mismatch,
    plan_blocks,
)
from metering.meter import MeterError
from metering.reading import Reading

if TYPE_CHECKING:
    from foundation.clock import Clock

MODBUS_PORT: Final = 502
"""TCP port of Modbus"""
_PRESENCE: Final = (RegisterBlock(3, 0, 2), RegisterBlock(4, 0, 2))
"""requests to which every device answers, if only with an exception"""
_SEARCH_LIMIT_S: Final = 10.0
"""longest time of the search for the registers of a SunSpec meter"""
_MOST_LIKELY: Final = SerialLine(9600, "N", 1)


def serial_lines() -> tuple[SerialLine, ...]:
    """The settings of the line that the known models have from the factory, the most common first, then by parity."""
    lines = dict.fromkeys(model.line for model in MODELS.values())
    return tuple(sorted(lines, key=lambda line: (line != _MOST_LIKELY, line.parity != "N")))


def factory_units() -> tuple[int, ...]:
    """The Modbus units that the known models have from the factory, in ascending order."""
    return tuple(sorted({model.unit for model in MODELS.values()}))


class FoundMeter(Frozen):
    """A device that answers on a wire, and the models whose table fits its answers."""

    unit: int
    models: tuple[ModelName, ...]
    """the models that fit best: more than one if they have the same registers; empty: no table fits"""
    others: tuple[ModelName, ...]
    """models that fit too, with fewer registers"""
    reading: Reading | None
    """by the table of the first model; None: no table fits"""
    serial_number: str | None
    """None: the model does not report it"""


class _Fit(Frozen):
    """A model whose table a device answers with plausible values."""

    name: ModelName
    model: MeterModel
    reading: Reading
    serial_number: str | None

    @property
    def rank(self) -> tuple[bool, bool, int, bool]:
        """The strength of the evidence: values of a live grid, on every phase, number of registers, a serial number.

        A meter may answer 0 for phases that it does not have.
        """
        voltages = [voltage for voltage in self.reading.voltages_v if voltage is not None]
        count = len(self.model.registers)
        return shows_grid(self.reading), all(voltages), count, self.serial_number is not None


class MeterProbe:
    """Searches one wire with one setting of its line for meters; each request waits `timeout_s` for an answer."""

    def __init__(self, endpoint: ModbusEndpoint, clock: Clock, timeout_s: float, tap: ByteTap | None = None) -> None:
        self._bus = Bus(endpoint, tap if tap is not None else ByteTap())
        self._clock = clock
        self._timeout_s = timeout_s
        self._bus.join(self, timeout_s)

    async def close(self) -> None:
        """Release the wire."""
        await self._bus.leave(self)

    async def connect(self) -> None:
        """Open the wire before the first request, so that a wire that cannot be opened is no silent device.

        Raises:
            MeterError: it cannot be opened.
        """
        await self._bus.connect(self._bus.endpoint.address)

    async def answers(self, unit: int) -> bool:
        """Return whether a device answers at this unit.

        Raises:
            MeterError: the wire cannot be opened any more.
        """
        await self.connect()
        for block in _PRESENCE:
            with contextlib.suppress(MeterError):
                if await self._bus.is_answered(f"unit {unit}", unit, block, 2 * self._timeout_s):
                    return True
        return False

    async def identify(self, unit: int) -> FoundMeter:
        """Find the models whose table fits the device at a unit, which answers."""
        fits = [fit for name, model in MODELS.items() if (fit := await self._fit(unit, name, model)) is not None]
        if not fits:
            return FoundMeter(unit, (), (), None, None)
        fits.sort(key=lambda fit: fit.rank, reverse=True)
        wire = self._bus.endpoint.wire
        if isinstance(wire, SerialWire):  # of equal ones, that with the factory setting of this line
            fits.sort(key=lambda fit: (fit.rank, fit.model.line == wire.line), reverse=True)
        best = fits[0]
        equal: tuple[ModelName, ...] = tuple(fit.name for fit in fits if fit.rank == best.rank)
        others: tuple[ModelName, ...] = tuple(fit.name for fit in fits if fit.rank != best.rank)
        return FoundMeter(unit, equal, others, best.reading, best.serial_number)

    async def _fit(self, unit: int, name: ModelName, model: MeterModel) -> _Fit | None:
        """Read the whole table of a model; None if the device refuses a part of it, or its values are impossible."""
        try:
            table = model if model.registers else await self._search(unit, model)
            if table is None:
                return None
            words: dict[RegisterAddress, int] = {}
            for block in plan_blocks(table):
                answer = await self._bus.read_optional(f"unit {unit}", unit, block, 2 * self._timeout_s)
                if answer is None:
                    return None
                words |= {(block.function, block.address + at): word for at, word in enumerate(answer)}
            reading = decode(table, words, self._clock.now())
            serial_number = await self._read_serial_number(unit, table)
        except MeterError:
            return None
        if mismatch(table, reading) is not None or not (shows_grid(reading) or serial_number is not None):
            return None
        return _Fit(name, table, reading, serial_number)

    async def _search(self, unit: int, model: MeterModel) -> MeterModel | None:
        return await self._bus.search(f"unit {unit}", unit, sunspec.search_models(model), _SEARCH_LIMIT_S)

    async def _read_serial_number(self, unit: int, table: MeterModel) -> str | None:
        place = table.serial_number
        if place is None:
            return None
        block = RegisterBlock(place.function, place.address, place.words)
        words = await self._bus.read_optional(f"unit {unit}", unit, block, 2 * self._timeout_s)
        return (place.decode(words) or None) if words is not None else None


def shows_grid(reading: Reading) -> bool:
    """Return whether a reading has the voltage or the frequency of a live grid."""
    return reading.frequency_hz is not None or any(voltage is not None for voltage in reading.voltages_v)


Progress = Callable[[str], object]
"""called with what is tried next"""


class ProbedWire(Frozen):
    """The settings of a wire with which devices have answered, and the devices."""

    endpoint: ModbusEndpoint
    meters: tuple[FoundMeter, ...]


async def probe_wires(
    endpoints: Sequence[ModbusEndpoint], units: Sequence[int], clock: Clock, timeout_s: float, progress: Progress
) -> ProbedWire | None:
    """Try the settings of one wire in turn; returns those with which a device has answered first, None if none has.

    Raises:
        MeterError: the wire cannot be opened with any of the settings.
    """
    failures: list[MeterError] = []
    for endpoint in endpoints:
        probe = MeterProbe(endpoint, clock, timeout_s)
        try:
            progress(f"{endpoint.address}, {endpoint.settings}")
            await probe.connect()
            found = [await probe.identify(unit) for unit in units if await probe.answers(unit)]
        except MeterError as error:
            failures.append(error)
            continue
        finally:
            await probe.close()
        if found:
            return ProbedWire(endpoint, tuple(found))
    if len(failures) == len(endpoints):
        raise failures[0]
    return None


def meter_table(endpoint: ModbusEndpoint, meter: FoundMeter) -> dict[str, object]:
    """The keys of an [evse.meter] table for a device that was found; settings as from the factory are left out."""
    wire = endpoint.wire
    model = MODELS[meter.models[0]]
    table: dict[str, object] = {"model": meter.models[0]}
    if isinstance(wire, TcpWire):
        table = {"type": "modbus-rtu-over-tcp" if wire.rtu else "modbus-tcp", **table, "host": wire.host}
        if wire.rtu or wire.port != MODBUS_PORT:
            table["port"] = wire.port
    else:
        table = {"type": "modbus-rtu", **table, "device": wire.device}
        used = {"baud": wire.line.baud, "parity": wire.line.parity, "stop_bits": wire.line.stop_bits}
        factory = {"baud": model.line.baud, "parity": model.line.parity, "stop_bits": model.line.stop_bits}
        table |= {name: value for name, value in used.items() if value != factory[name]}
    return {**table, "unit": meter.unit}
