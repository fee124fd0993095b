"""The endpoints of Modbus wires and the options of their meters, as values: nothing is connected yet."""

from __future__ import annotations

import os
from pathlib import Path

from foundation.device_table import Resource, ResourceKind, TableKey
from foundation.frozen import Frozen
from metering.drivers.registers import SerialLine


class TcpWire(Frozen):
    """The address of a device on Modbus TCP, or of a serial server."""

    host: str
    port: int
    rtu: bool
    """whether RTU frames are sent in the TCP stream"""


class SerialWire(Frozen):
    """A serial device of this machine, and the settings of its line."""

    device: str
    line: SerialLine


def obstacle(wire: TcpWire | SerialWire) -> str:
    """Why a serial device cannot be opened, to be put after a sentence that says so; empty: nothing is known.

    `pymodbus` does not pass the reason on.
    """
    if isinstance(wire, TcpWire):
        return ""
    if not Path(wire.device).exists():
        return f" (there is no {wire.device})"
    return "" if os.access(wire.device, os.R_OK | os.W_OK) else f" (this user may not open {wire.device})"


class ModbusEndpoint(Frozen):
    """Address and settings of a wire, not connected yet."""

    address: str
    """identifies the wire: path of the device, or host and port"""
    settings: str
    """as text: those of all meters on one wire must be equal"""
    silence_s: float
    """silence before each request, in seconds"""
    wire: TcpWire | SerialWire


class ModbusMeterOptions(Frozen):
    """How to access a meter, and how it is mounted."""

    unit: int
    """the meter's address on its wire"""
    timeout_s: float
    """seconds to wait for an answer; a whole reading takes twice as long at most"""
    invert: bool = False
    """the meter is mounted in reverse: swap import and export"""
    invert_power: bool = False
    """negate the powers: the meter reports them with inverted sign"""


def modbus_resources(endpoint: ModbusEndpoint, unit: int, table: TableKey = ()) -> tuple[Resource, ...]:
    """What a Modbus device uses: its address, and its serial device, which others on the wire share.

    `table`: where its keys `unit` and `device` are, in the table of the device.
    """
    address = Resource(ResourceKind.MODBUS_UNIT, (endpoint.address, unit), (*table, "unit"))
    if isinstance(endpoint.wire, TcpWire):
        return (address,)
    wire = Resource(ResourceKind.SERIAL_DEVICE, (endpoint.address,), (*table, "device"), shared=True)
    return address, wire


def tcp_endpoint(host: str, port: int, *, rtu: bool) -> ModbusEndpoint:
    """Make the endpoint of a device on Modbus TCP or, with `rtu`, of a serial server; connects nothing."""
    # A serial server itself waits for the silence that ends an answer.
    settings = "RTU over TCP" if rtu else "Modbus TCP"
    return ModbusEndpoint(f"{host}:{port}", settings, 0.0, TcpWire(host, port, rtu))


def serial_endpoint(device: str, line: SerialLine) -> ModbusEndpoint:
    """Make the endpoint of a serial line of this machine; opens nothing."""
    # /dev/serial/by-id/… and /dev/ttyUSB0 may be the same wire.
    return ModbusEndpoint(os.path.realpath(device), str(line), line.silence_s, SerialWire(device, line))
