"""The simulated controllers by the model that the installation file names, and the wire of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from foundation.clock import Clock
from simulator.meter_server import MeterServer, SerialMeterServer, TcpFraming, TcpMeterServer
from tests.modbus_controllers.bender import SimulatedBender
from tests.modbus_controllers.charx import SimulatedCharx, SimulatedCharxGroup
from tests.modbus_controllers.controller import SimulatedController
from tests.modbus_controllers.heidelberg import SimulatedHeidelberg

DEVICES: Final[Mapping[str, Callable[[Clock], SimulatedController]]] = {
    "phoenix-charx": SimulatedCharx,
    "heidelberg-energy-control": SimulatedHeidelberg,
    "bender-cc612": SimulatedBender,
}


def wire_of(device: SimulatedController, clock: Clock) -> MeterServer:
    """Make the wire of a controller, not started: a pseudo-terminal as RS-485 for Heidelberg, else Modbus TCP."""
    match device:
        case SimulatedCharx():
            return TcpMeterServer({1: SimulatedCharxGroup(device)}, TcpFraming(), clock)
        case SimulatedHeidelberg():
            return SerialMeterServer({1: device}, clock)
        case _:
            return TcpMeterServer({255: device}, TcpFraming(), clock)
