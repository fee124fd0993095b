"""The configuration of Modbus meters: over TCP, a serial line, or RTU frames over TCP."""

from __future__ import annotations

from abc import abstractmethod
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from msgspec import Meta
from msgspec.structs import replace

from foundation.device_table import DeviceTable, Resource
from foundation.table import Table
from foundation.table_definition import FINITE, Check
from metering.drivers.bus_registry import BusRegistry
from metering.drivers.endpoints import (
    ModbusEndpoint,
    ModbusMeterOptions,
    modbus_resources,
    serial_endpoint,
    tcp_endpoint,
)
from metering.drivers.models import MODELS, ModelName
from metering.drivers.quantities import Quantity
from metering.drivers.registers import MeterModel, NumberType, Register, SerialLine, WordOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foundation.clock import Clock
    from metering.drivers.modbus_meter import Quantities
    from metering.meter import Meter

__all__ = ["BusRegistry", "ModbusRtuMeterConfig", "ModbusRtuOverTcpMeterConfig", "ModbusTcpMeterConfig"]

_COMMON_LINE: Final = SerialLine(9600, "N", 1)
"""serial settings of a custom meter: the most common ones"""


class RegisterRow(Table):
    """One register of a custom meter, which has no built-in table."""

    quantity: Annotated[Quantity, Meta(examples=["currents_a.l1"])]
    """the quantity in the register: `power_w`, `currents_a.l1`, `powers_w.l3`, …"""
    address: Annotated[int, Meta(ge=0, le=0xFFFF, examples=[12])]
    """address on the wire; many manuals print one more"""
    type: Annotated[Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"], Meta(examples=["f32"])]
    """number type: unsigned (u), signed (s) or floating point (f), with its bits"""
    function: Literal[3, 4] = 3
    """the Modbus function that reads it: 3 for holding registers, 4 for input registers"""
    word_order: WordOrder = WordOrder.BIG
    """which of its 16-bit registers comes first"""
    factor: Annotated[float, Meta(ge=-1e9, le=1e9, extra=FINITE)] = 1.0
    """factor to convert the number to V, A, W, Hz or Wh"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """The factor must not be 0."""
        return {"factor": _check_factor}

    def register(self) -> Register:
        """Convert the row to a register of a table."""
        type_ = NumberType[self.type.upper()]
        return Register(self.quantity, self.function, self.address, type_, self.word_order, Decimal(repr(self.factor)))


def _check_factor(factor: float) -> None:
    if factor == 0.0:
        raise ValueError("must not be 0")


class _ModbusMeterConfig(DeviceTable):
    """Settings common to all Modbus meters."""

    model: Annotated[ModelName | Literal["custom"], Meta(examples=["eastron-sdm630"])]
    """custom: a meter whose table is given in `registers`"""
    registers: tuple[RegisterRow, ...] = ()
    """the registers of a custom meter"""
    max_registers: Annotated[int, Meta(ge=4, le=125, examples=[125])] | None = None
    """highest number of registers per request; when absent, that of the model, or 125"""
    invert: bool = False
    """the meter is mounted in reverse: swap import and export"""
    invert_power: bool = False
    """the meter reports powers with inverted sign, but counts energy correctly (SolarEdge)"""
    timeout_s: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0
    """seconds to wait for a connection and for an answer; a whole reading takes twice as long at most"""

    def check_rules(self) -> None:
        """Check that the meter has exactly one register table.

        Raises:
            ValueError: it has none, or two.
        """
        if self.model == "custom" and not self.registers:
            raise ValueError('model = "custom" requires at least one entry in registers')
        if self.model != "custom" and self.registers:
            raise ValueError(f'registers are only allowed with model = "custom"; {self.model} has its own table')

    @property
    def table(self) -> MeterModel:
        """The register table of the meter: that of its model, or made of `registers`."""
        if self.model == "custom":
            rows = tuple(row.register() for row in self.registers)
            return MeterModel("custom meter", rows, _COMMON_LINE, max_registers=self.max_registers or 125)
        known = MODELS[self.model]
        return known if self.max_registers is None else replace(known, max_registers=self.max_registers)

    @property
    def model_name(self) -> str:
        """The name of the model, for signed records."""
        return self.table.name

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The Modbus address of the meter, and its serial device."""
        return modbus_resources(self.endpoint, self.unit_in_use)

    @property
    @abstractmethod
    def endpoint(self) -> ModbusEndpoint:
        """The wire of the meter."""

    @property
    @abstractmethod
    def unit_in_use(self) -> int:
        """The Modbus unit of the meter on that wire."""

    def open(self, clock: Clock, buses: BusRegistry, quantities: Quantities = None) -> Meter:
        """Make the driver, not connected yet; `quantities` selects what is read; None: what charging needs.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        from metering.drivers.modbus_factory import create_modbus_meter  # late: only stations with such a meter

        options = ModbusMeterOptions(self.unit_in_use, self.timeout_s, self.invert, self.invert_power)
        bus = buses.bus_for(self.endpoint)
        return create_modbus_meter(self.model, self.table, bus, options, clock, quantities)


class ModbusTcpMeterConfig(_ModbusMeterConfig, kw_only=True, tag_field="type", tag="modbus-tcp"):
    """A meter on Modbus TCP, or behind a gateway."""

    type: ClassVar[Literal["modbus-tcp"]] = "modbus-tcp"
    host: Annotated[str, Meta(min_length=1, examples=["192.168.1.20"])]
    """the address of the meter or its gateway"""
    port: Annotated[int, Meta(ge=1, le=65535)] = 502
    """its TCP port"""
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    """the Modbus unit (server address)"""

    @property
    def endpoint(self) -> ModbusEndpoint:
        """The wire of the meter."""
        return tcp_endpoint(self.host, self.port, rtu=False)

    @property
    def unit_in_use(self) -> int:
        """The Modbus unit of the meter on that wire."""
        return self.unit


class ModbusRtuOverTcpMeterConfig(_ModbusMeterConfig, kw_only=True, tag_field="type", tag="modbus-rtu-over-tcp"):
    """A meter on a serial line behind a transparent serial server: RTU frames in a TCP stream."""

    type: ClassVar[Literal["modbus-rtu-over-tcp"]] = "modbus-rtu-over-tcp"
    host: Annotated[str, Meta(min_length=1, examples=["192.168.1.20"])]
    """the address of the serial server"""
    port: Annotated[int, Meta(ge=1, le=65535, examples=[23])]
    """its TCP port"""
    unit: Annotated[int, Meta(ge=1, le=247, examples=[1])] | None = None
    """the Modbus unit (server address); the factory setting of the model when absent"""

    @property
    def endpoint(self) -> ModbusEndpoint:
        """The wire of the meter."""
        return tcp_endpoint(self.host, self.port, rtu=True)

    @property
    def unit_in_use(self) -> int:
        """The Modbus unit of the meter on that wire."""
        return self.table.unit if self.unit is None else self.unit


class ModbusRtuMeterConfig(_ModbusMeterConfig, kw_only=True, tag_field="type", tag="modbus-rtu"):
    """A meter on a serial line of this machine; absent settings are the model's factory settings."""

    type: ClassVar[Literal["modbus-rtu"]] = "modbus-rtu"
    device: Annotated[str, Meta(min_length=1, examples=["/dev/ttyS1"])]
    """path of the serial device"""
    baud: Annotated[int, Meta(ge=300, le=1_000_000, examples=[9600])] | None = None
    """bits per second; the factory setting of the model when absent"""
    parity: Literal["N", "E", "O"] | None = None
    """none, even or odd; the factory setting of the model when absent"""
    stop_bits: Literal[1, 2] | None = None
    """the factory setting of the model when absent"""
    unit: Annotated[int, Meta(ge=1, le=247, examples=[1])] | None = None
    """the Modbus unit (server address); the factory setting of the model when absent"""

    @property
    def endpoint(self) -> ModbusEndpoint:
        """The wire of the meter."""
        factory = self.table
        line = SerialLine(
            baud=factory.line.baud if self.baud is None else self.baud,
            parity=factory.line.parity if self.parity is None else self.parity,
            stop_bits=factory.line.stop_bits if self.stop_bits is None else self.stop_bits,
        )
        return serial_endpoint(self.device, line)

    @property
    def unit_in_use(self) -> int:
        """The Modbus unit of the meter on that wire."""
        return self.table.unit if self.unit is None else self.unit
