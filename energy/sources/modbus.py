"""Grid source for a Modbus meter at the house connection: polls a meter of metering/drivers."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from msgspec import Meta

from energy.grid import GridSample, GridSource, SourceError
from energy.sources.frozen_reading import STILL_AFTER_S, FrozenReadingCheck
from energy.sources.grid_source_table import SIMULATED_DEVICE, GridSourceTable, MeterPort
from energy.sources.source_context import THREE_PHASES, SourceContext
from energy.step_check import CHECKED_PERIOD_S
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.device_table import Resource, TableKey
from metering.drivers.endpoints import modbus_resources
from metering.drivers.modbus import BusRegistry, ModbusRtuMeterConfig, ModbusRtuOverTcpMeterConfig, ModbusTcpMeterConfig
from metering.drivers.quantities import CURRENTS, POWERS, VOLTAGES, Quantity
from metering.meter import MeterError
from metering.reading import Phases, Reading

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.meter import Meter

_log = logging.getLogger(__name__)

_QUANTITIES: Final = frozenset({*CURRENTS, *POWERS, *VOLTAGES, Quantity.POWER, Quantity.FREQUENCY})
"""quantities to read; frequency and voltages verify that the register table fits the meter"""


class GridModbusConfig(GridSourceTable, tag_field="type", tag="modbus"):
    """A meter at the house connection that is read over Modbus."""

    type: ClassVar[Literal["modbus"]] = "modbus"
    meter: ModbusTcpMeterConfig | ModbusRtuMeterConfig | ModbusRtuOverTcpMeterConfig
    """the meter and its wire"""
    port: Literal["rs-485", "rs-232"] = "rs-485"
    """how a serial meter is wired to the station; the software reads both the same way, the jumpers differ"""
    every_s: Annotated[float, Meta(ge=0.2, le=30.0)] = 1.0
    """seconds from one reading to the next; most meters have something new every second or faster"""

    @property
    def simulated_key(self) -> TableKey | None:
        """The device or host of the meter, if it is the simulated one."""
        serial = isinstance(self.meter, ModbusRtuMeterConfig)
        device = self.meter.device if isinstance(self.meter, ModbusRtuMeterConfig) else self.meter.host
        return ("meter", "device" if serial else "host") if device == SIMULATED_DEVICE else None

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The Modbus address of the meter, and its serial device."""
        return modbus_resources(self.meter.endpoint, self.meter.unit_in_use, ("meter",))

    @property
    def meter_port(self) -> MeterPort | None:
        """The port of a serial meter; None for one on the network."""
        if not isinstance(self.meter, ModbusRtuMeterConfig):
            return None
        return MeterPort.RS_485 if self.port == "rs-485" else MeterPort.RS_232

    def phase_error(self, phases: int, /) -> tuple[TableKey, str] | None:
        """The model of the meter, if it measures fewer phases."""
        table = self.meter.table
        if phases == 1 or not table.registers or table.phases >= phases:
            return None  # a model that reports its register addresses has no registers yet
        reason = f"{table.name} does not measure each of three phases, so the phases cannot be limited by it"
        return ("meter", "model"), reason

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source; the meter is connected when samples are requested.

        Raises:
            MeterError: a billing meter uses the same wire with other settings.
        """
        if self.every_s > CHECKED_PERIOD_S:
            _log.warning(
                "grid meter is read only every %g s: whether it shows the vehicles' current is not checked",
                self.every_s,
            )
        buses = context.buses if context.buses is not None else BusRegistry()
        return GridModbusSource(self.meter.open(clock, buses, _QUANTITIES), self.every_s, clock, context)


class GridModbusSource:
    """Grid source: a Modbus meter. A failed reading gives no sample: the caller tracks the age of its values.

    A reading that repeats those of half a minute gives none either.
    """

    def __init__(self, meter: Meter, every_s: float, clock: Clock, context: SourceContext) -> None:
        self._meter = meter
        self._interval_s = every_s
        self._clock = clock
        self._context = context

    async def samples(self) -> AsyncGenerator[GridSample]:
        """Read the meter every `every_s` seconds and yield a sample for each reading that succeeds.

        Raises:
            SourceError: the meter is not the configured model, or lacks the registers.
        """
        failing = False
        stillness = FrozenReadingCheck()
        try:
            while True:
                began_s = self._clock.monotonic()
                try:
                    reading = await self._meter.read()
                    stillness = stillness.after(reading, began_s)
                    if stillness.is_frozen(began_s):
                        raise MeterError(f"readings unchanged for {STILL_AFTER_S:g} s: the meter no longer measures")
                except MeterError as error:
                    if not error.transient:
                        raise SourceError(f"modbus: {error}") from error
                    _log.log(logging.DEBUG if failing else logging.WARNING, "grid meter: %s", error)
                    failing = True
                else:
                    if failing:
                        _log.info("grid meter: readings available again")
                    failing = False
                    yield grid_sample(reading, self._context, self._interval_s)
                # One reading at a time, with a pause after each, however slow the meter is.
                elapsed_s = self._clock.monotonic() - began_s
                await self._clock.sleep(max(self._interval_s - elapsed_s, self._interval_s / 10))
        finally:
            await self._meter.close()


def grid_sample(reading: Reading, context: SourceContext, period_s: float) -> GridSample:
    """Convert a reading of a meter at the house connection to a grid sample; currents get the sign of the power."""
    powers = reading.powers_w
    if context.phases == 1 and powers.l1 is None:
        powers = Phases(reading.power_w, None, None)
    rows = zip(reading.currents_a, powers, reading.voltages_v, strict=True)
    currents = [_signed_current_a(current_a, power_w, voltage_v) for current_a, power_w, voltage_v in rows]
    if context.phases == 1:
        currents[1:] = [None, None]
    return GridSample(
        taken_at=reading.taken_at,
        currents_a=Phases(*currents),
        voltages_v=reading.voltages_v,
        powers_w=powers,
        power_w=reading.power_w,
        signed=any(power_w is not None for power_w in powers),
        period_s=period_s,
    )


def _signed_current_a(current_a: float | None, power_w: float | None, voltage_v: float | None) -> float | None:
    """The current with the sign of the power: most meters show it unsigned.

    If the meter reports no current, it is computed from power and voltage (nominal if not reported).
    """
    if current_a is None:
        return None if power_w is None else power_w / (voltage_v or NOMINAL_VOLTAGE_V)
    return -abs(current_a) if power_w is not None and power_w < 0 else abs(current_a)
