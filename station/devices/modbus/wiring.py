"""The address of an EVSE controller on Modbus, and its type."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from foundation.device_table import Resource, ResourceKind, TableKey
from foundation.table import Table
from metering.drivers.endpoints import ModbusEndpoint, modbus_resources, serial_endpoint, tcp_endpoint
from metering.drivers.registers import SerialLine
from station.devices.modbus.controller_table import EvseController
from station.devices.modbus.controllers import CONTROLLERS, ControllerName


class ModbusEvse(Table):
    """[[board.evse]]: type and Modbus address of one EVSE's controller, in the order of [[evse]]."""

    model: Annotated[ControllerName, Meta(examples=["heidelberg-energy-control"])]
    """the controller, which decides the register map"""
    host: Annotated[str, Meta(min_length=1, examples=["192.168.1.22"])] | None = None
    """the address of a controller or gateway on the network"""
    port: Annotated[int, Meta(ge=1, le=65535)] = 502
    """its TCP port"""
    rtu_over_tcp: bool = False
    """whether RTU frames are sent in a TCP stream, for a transparent serial server"""
    device: Annotated[str, Meta(min_length=1)] | None = None
    """path of the serial device, in place of host"""
    baud: Annotated[int, Meta(ge=300, le=1_000_000, examples=[9600])] | None = None
    """bits per second of the serial line; the usual rate of the controller when left out"""
    parity: Literal["N", "E", "O"] | None = None
    """parity of the serial line; that of the controller when left out"""
    stop_bits: Literal[1, 2] | None = None
    """stop bits of the serial line; those of the controller when left out"""
    unit: Annotated[int, Meta(ge=0, le=255, examples=[1])] | None = None
    """the Modbus unit (server address); the controller's factory setting when left out"""
    charging_point: Annotated[int, Meta(ge=1, le=48, examples=[1])] | None = None
    """the number of the controller in a group of phoenix-charx, which share one address; 1 when left out"""
    timeout_s: Annotated[float, Meta(gt=0.0, le=5.0)] = 1.0
    """seconds that the station waits for each response"""

    def check_rules(self) -> None:
        """Check that the controller is reached in one way, which it has.

        Raises:
            ValueError: it has neither host nor device, or both; or a key that its model does not have.
        """
        if (self.host is None) is (self.device is None):
            raise ValueError("needs either host or device")
        if self.device is not None and CONTROLLERS[self.model].line is None:
            raise ValueError(f'needs host: model = "{self.model}" has Modbus TCP only')
        if self.charging_point is not None and not CONTROLLERS[self.model].has_points:
            raise ValueError(f'must not have charging_point: model = "{self.model}" has one charging point')

    @property
    def controller(self) -> EvseController:
        """The register table and factory settings of the configured model, at its charging point."""
        table = CONTROLLERS[self.model]
        return table.at_point(self.charging_point or 1) if table.has_points else table

    @property
    def unit_in_use(self) -> int:
        """The Modbus unit: the configured one, or the controller's factory setting."""
        return self.unit if self.unit is not None else self.controller.unit

    @property
    def endpoint(self) -> ModbusEndpoint:
        """The bus of the controller: a TCP address, or a serial device with its line settings."""
        if self.host is not None:
            return tcp_endpoint(self.host, self.port, rtu=self.rtu_over_tcp)
        factory = self.controller.line
        assert factory is not None  # check_rules
        line = SerialLine(self.baud or factory.baud, self.parity or factory.parity, self.stop_bits or factory.stop_bits)
        return serial_endpoint(self.device or "", line)

    def resources(self, table: TableKey) -> tuple[Resource, ...]:
        """The Modbus address of the controller, with its charging point, and its serial device; at keys of `table`."""
        address, *line = modbus_resources(self.endpoint, self.unit_in_use, table)
        if not self.controller.has_points:
            return (address, *line)
        point = Resource(
            ResourceKind.MODBUS_UNIT, (*address.name, self.charging_point or 1), (*table, "charging_point")
        )
        return (point, *line)
