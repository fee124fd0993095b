"""The configuration of Modbus meters: over TCP, a serial line, or RTU frames over TCP."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from metering.drivers.bus_registry import BusRegistry
from metering.drivers.em580 import Em580
from metering.drivers.endpoints import ModbusEndpoint, serial_endpoint, tcp_endpoint
from metering.drivers.modbus_meter import IdentifiedModbusMeter, ModbusMeter, ModbusMeterOptions, Quantities
from metering.drivers.models import EM580, MODELS, ModelName
from metering.drivers.quantities import Quantity
from metering.drivers.registers import MeterModel, NumberType, Register, SerialLine, WordOrder
from metering.meter import Meter

if TYPE_CHECKING:
    from foundation.clock import Clock

__all__ = ["BusRegistry", "ModbusRtuMeterConfig", "ModbusRtuOverTcpMeterConfig", "ModbusTcpMeterConfig"]

_COMMON_LINE: Final = SerialLine(9600, "N", 1)
"""serial settings of a custom meter: the most common ones"""


class RegisterRow(BaseModel):
    """Configuration of one register of a custom meter, which has no built-in table."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    quantity: Quantity
    """the quantity in the register: `power_w`, `currents_a.l1`, `powers_w.l3`, …"""
    address: Annotated[int, Field(ge=0, le=0xFFFF)]
    """address on the wire; many manuals print one more"""
    type: Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]
    """number type: unsigned (u), signed (s) or floating point (f), with its bits"""
    function: Literal[3, 4] = 3
    """the Modbus function that reads it: 3 for holding registers, 4 for input registers"""
    word_order: WordOrder = WordOrder.BIG
    """which of its 16-bit registers comes first"""
    factor: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """factor to convert the number to V, A, W, Hz or Wh"""

    @field_validator("factor")
    @classmethod
    def _is_not_zero(cls, factor: float) -> float:
        if factor == 0.0:
            raise ValueError("must not be 0")
        return factor

    def register(self) -> Register:
        """Convert the row to a register of a table."""
        type_ = NumberType[self.type.upper()]
        return Register(self.quantity, self.function, self.address, type_, self.word_order, Decimal(repr(self.factor)))


class _ModbusMeterConfig(BaseModel):
    """Settings common to all Modbus meters."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    model: ModelName | Literal["custom"]
    """custom: a meter whose table is given in `registers`"""
    registers: tuple[RegisterRow, ...] = ()
    """the registers of a custom meter"""
    max_registers: Annotated[int, Field(ge=4, le=125)] | None = None
    """highest number of registers per request; when absent, that of the model, or 125"""
    invert: bool = False
    """the meter is mounted in reverse: swap import and export"""
    invert_power: bool = False
    """the meter reports powers with inverted sign, but counts energy correctly (SolarEdge)"""
    timeout_s: Annotated[float, Field(gt=0.0, le=10.0)] = 1.0
    """seconds to wait for a connection and for an answer; a whole reading takes twice as long at most"""

    @model_validator(mode="after")
    def _has_one_table(self) -> Self:
        if self.model == "custom" and not self.registers:
            raise ValueError('model = "custom" requires at least one entry in registers')
        if self.model != "custom" and self.registers:
            raise ValueError(f'registers are only allowed with model = "custom"; {self.model} has its own table')
        return self

    @property
    def table(self) -> MeterModel:
        """The register table of the meter: that of its model, or made of `registers`."""
        if self.model == "custom":
            rows = tuple(row.register() for row in self.registers)
            return MeterModel("custom meter", rows, _COMMON_LINE, max_registers=self.max_registers or 125)
        known = MODELS[self.model]
        return known if self.max_registers is None else replace(known, max_registers=self.max_registers)

    def _open(
        self, endpoint: ModbusEndpoint, unit: int, clock: Clock, buses: BusRegistry, quantities: Quantities
    ) -> Meter:
        reach = ModbusMeterOptions(unit, self.timeout_s, self.invert, self.invert_power)
        bus = buses.bus_for(endpoint)
        if self.model == EM580 and quantities is None:
            return Em580(self.table, bus, reach, clock)
        # With selected quantities the meter's identity is not needed.
        tells = quantities is None and (self.table.serial_number is not None or self.model == "sunspec")
        kind = IdentifiedModbusMeter if tells else ModbusMeter
        return kind(self.table, bus, reach, clock, quantities)


class ModbusTcpMeterConfig(_ModbusMeterConfig):
    """Configuration of a meter on Modbus TCP, or behind a gateway."""

    type: Literal["modbus-tcp"] = "modbus-tcp"
    host: Annotated[str, Field(min_length=1)]
    """the address of the meter or its gateway"""
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    """its TCP port"""
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    """the Modbus unit (server address)"""

    def open(self, clock: Clock, buses: BusRegistry, quantities: Quantities = None) -> Meter:
        """Make the driver, not connected yet; `quantities` selects what is read; None: what charging needs.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        return self._open(tcp_endpoint(self.host, self.port, rtu=False), self.unit, clock, buses, quantities)


class ModbusRtuOverTcpMeterConfig(_ModbusMeterConfig):
    """Configuration of a meter on a serial line behind a transparent serial server: RTU frames in a TCP stream."""

    type: Literal["modbus-rtu-over-tcp"] = "modbus-rtu-over-tcp"
    host: Annotated[str, Field(min_length=1)]
    """the address of the serial server"""
    port: Annotated[int, Field(ge=1, le=65535)]
    """its TCP port"""
    unit: Annotated[int, Field(ge=1, le=247)] | None = None
    """the Modbus unit (server address); the factory setting of the model when absent"""

    def open(self, clock: Clock, buses: BusRegistry, quantities: Quantities = None) -> Meter:
        """Make the driver, not connected yet; `quantities` selects what is read; None: what charging needs.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        unit = self.table.unit if self.unit is None else self.unit
        return self._open(tcp_endpoint(self.host, self.port, rtu=True), unit, clock, buses, quantities)


class ModbusRtuMeterConfig(_ModbusMeterConfig):
    """Configuration of a meter on a serial line of this machine; absent settings are the model's factory settings."""

    type: Literal["modbus-rtu"] = "modbus-rtu"
    device: Annotated[str, Field(min_length=1)]
    """path of the serial device"""
    baud: Annotated[int, Field(ge=300, le=1_000_000)] | None = None
    """bits per second; the factory setting of the model when absent"""
    parity: Literal["N", "E", "O"] | None = None
    """none, even or odd; the factory setting of the model when absent"""
    stop_bits: Literal[1, 2] | None = None
    """the factory setting of the model when absent"""
    unit: Annotated[int, Field(ge=1, le=247)] | None = None
    """the Modbus unit (server address); the factory setting of the model when absent"""

    def open(self, clock: Clock, buses: BusRegistry, quantities: Quantities = None) -> Meter:
        """Make the driver, not connected yet; `quantities` selects what is read; None: what charging needs.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        factory = self.table
        line = SerialLine(
            baud=factory.line.baud if self.baud is None else self.baud,
            parity=factory.line.parity if self.parity is None else self.parity,
            stop_bits=factory.line.stop_bits if self.stop_bits is None else self.stop_bits,
        )
        unit = factory.unit if self.unit is None else self.unit
        return self._open(serial_endpoint(self.device, line), unit, clock, buses, quantities)
