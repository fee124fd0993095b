"""A station in a machine whose contactor is in a process of its own on the host: a CHARX controller over Modbus TCP.

The process records each change of the contactor. The meter of the circuit is on the host as well, and counts what the
contactor lets through.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from foundation.clock import SystemClock
from metering.drivers.models import MODELS
from simulator.meter_server import ServedMeter, TcpFraming, TcpMeterServer
from tests.machine.bench import Bench, SavedStation, patiently, resumed, save_station
from tests.machine.built_image import BuiltImage
from tests.machine.virtual_machine import HOST_ADDRESS, Hardware, free_port
from tests.modbus_controllers import charx_process
from tests.project import ROOT
from tests.walks.test_modbus_controllers import CircuitMeter, lines_of

_CURRENT_A: Final = 16.0
_INSTALLATION: Final = """\
[station]
identity = "DEV-0001"
storage = "/var/lib/borne"

[csms]
url = "wss://csms.invalid/ocpp"
password = "0123456789abcdef"

[http]
host = "0.0.0.0"

[firmware]
type = "rauc"

[board]
type = "modbus"
selector_a = 16

[[board.evse]]
model = "phoenix-charx"
host = "{host}"
port = {controller_port}
charging_point = 1
timeout_s = 5.0

[[evse]]
[evse.meter]
type = "modbus-tcp"
model = "eastron-sdm630"
host = "{host}"
port = {meter_port}

[[variable]]
component = "AuthCtrlr"
variable = "Enabled"
value = "false"

[[variable]]
component = "SampledDataCtrlr"
variable = "TxUpdatedInterval"
value = "2"
"""


@dataclass(frozen=True)
class SavedControlledStation:
    """A station that runs with its controller, as it was at a moment, and the ports of the host."""

    saved: SavedStation
    controller_port: int
    meter_port: int


@dataclass
class Circuit:
    """The contactor and the vehicle of a running station, on the host."""

    record: Path
    commands: asyncio.StreamWriter

    @property
    def last_change(self) -> dict[str, Any]:
        """The last change of the contactor: `at`, `contactor` (open or closed), and its `cause`."""
        return lines_of(self.record)[-1]

    def connect(self, state: str) -> None:
        """Let the vehicle be gone (A), connected (B) or want energy (C)."""
        self.commands.write(f"1 {state}\n".encode())

    async def until_contactor(self, state: str) -> datetime:
        """Wait until the contactor is open or closed, and return since when."""
        await patiently(lambda: self.last_change["contactor"] == state)
        return datetime.fromisoformat(self.last_change["at"])


@contextlib.asynccontextmanager
async def _circuit(folder: Path, controller_port: int, meter_port: int) -> AsyncGenerator[Circuit]:
    clock, record = SystemClock(), folder / "contactors.jsonl"

    def current_a() -> float:
        return _CURRENT_A if lines_of(record)[-1]["contactor"] == "closed" else 0.0

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", charx_process.__name__, "--record", record, "--port", str(controller_port)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).startswith(b"listening")
        meter = ServedMeter(MODELS["eastron-sdm630"], CircuitMeter(current_a, clock).read)
        async with TcpMeterServer({1: meter}, TcpFraming(), clock, port=meter_port):
            yield Circuit(record, process.stdin)
    finally:
        process.terminate()
        await process.wait()


async def save_controlled_station(image: BuiltImage, folder: Path) -> SavedControlledStation:
    """Start a machine with the image, give its station the controller on the host, and save it as it runs."""
    controller_port, meter_port = free_port(), free_port()
    text = _INSTALLATION.format(host=HOST_ADDRESS, controller_port=controller_port, meter_port=meter_port)

    async def use_controller(bench: Bench) -> None:
        await bench.restart_with(text)
        await asyncio.to_thread(bench.station.status)
        await bench.run("sync")

    async with _circuit(folder, controller_port, meter_port):
        saved = await save_station(image, folder, use_controller, Hardware())
    return SavedControlledStation(saved, controller_port, meter_port)


@contextlib.asynccontextmanager
async def charging_station(station: SavedControlledStation, folder: Path) -> AsyncGenerator[tuple[Bench, Circuit]]:
    """Go on from the saved state, with a vehicle that charges."""
    async with (
        _circuit(folder, station.controller_port, station.meter_port) as circuit,
        resumed(station.saved, folder) as bench,
    ):
        circuit.connect("C")
        await circuit.until_contactor("closed")
        await patiently(lambda: any(_charges(event) for event in bench.events()))
        yield bench, circuit


def _charges(event: dict[str, Any]) -> bool:
    return event["transactionInfo"].get("chargingState") == "Charging"


def now() -> datetime:
    """The present time of the host."""
    return datetime.now(UTC)
