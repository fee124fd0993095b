"""A whole station with a simulated controller on Modbus: a charge from plug to unplug, and a program that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from borne.composition.station_assembly import host_process
from borne.host_process import HostProcess
from foundation.clock import Clock, SystemClock
from foundation.json_values import object_of
from metering.drivers.models import MODELS
from metering.reading import Phases, Reading
from simulator.meter_server import MeterServer, ServedMeter, TcpFraming, TcpMeterServer
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.configuration.example_values import toml_text
from station.configuration.installation_file import Configuration
from station.core.model import Fault
from station.devices.modbus.controllers import TIMEOUT_S
from tests.modbus_controllers import charx_process
from tests.modbus_controllers.controller import SimulatedController, SimulatedVehicle
from tests.modbus_controllers.models import DEVICES, wire_of
from tests.patience import PATIENCE_S, until
from tests.programs import launch_own
from tests.walks.real_board_process import running

ROOT = Path(__file__).parents[2]


class CircuitMeter:
    """The billing meter of a controller's circuit: three phases of 230 V, and a register."""

    def __init__(self, current_a: Callable[[], float], clock: Clock) -> None:
        self._current_a = current_a
        self._clock = clock
        self._energy_wh = 1000.0
        self._read_s = clock.monotonic()

    def read(self) -> Reading:
        """The present reading."""
        current_a, now_s = self._current_a(), self._clock.monotonic()
        power_w = 3 * 230.0 * current_a
        self._energy_wh += power_w * (now_s - self._read_s) / 3600
        self._read_s = now_s
        currents = Phases[float | None].all(current_a)
        return Reading(self._clock.now(), energy_import_wh=self._energy_wh, power_w=power_w, currents_a=currents)


def tables(storage: Path, wiring: dict[str, Any], meter: MeterServer) -> dict[str, Any]:
    """The installation file of a station with one controller, without cards."""
    return {
        "station": {"identity": "BORNE-TEST", "storage": str(storage)},
        "http": {"port": 0},
        "firmware": {"type": "command", "install_command": ["/bin/true"]},
        "board": {"type": "modbus", "selector_a": 16, "evse": [{"timeout_s": 5.0, **wiring}]},
        "evse": [{"meter": {"type": "modbus-tcp", "model": "eastron-sdm630", **meter.address}}],
        "variable": [{"component": "AuthCtrlr", "variable": "Enabled", "value": "false"}],
    }


@contextlib.asynccontextmanager
async def station_with(
    model: str, storage: Path, device: SimulatedController
) -> AsyncGenerator[tuple[Evse, HostProcess]]:
    """Run a station whose only EVSE has this controller."""
    clock = device.clock
    meter = ServedMeter(MODELS["eastron-sdm630"], CircuitMeter(lambda: device.draws_a, clock).read)
    async with (
        wire_of(device, clock) as wire,
        TcpMeterServer({1: meter}, TcpFraming(), clock) as meter_server,
    ):
        wiring = {"model": model, **wire.address}
        process = host_process(Configuration.from_tree(tables(storage, wiring, meter_server)))
        async with running(process):
            yield process.station.parts.get(ChargingStation).evses[1], process
    device.stop()


@pytest.mark.parametrize("model", DEVICES)
async def test_a_charge_from_plug_to_unplug(tmp_path: Path, model: str) -> None:
    device = DEVICES[model](SystemClock())
    async with station_with(model, tmp_path, device) as (evse, process):
        await until(lambda: evse.state.metered and device.timeout_s == TIMEOUT_S)
        device.connect(SimulatedVehicle.CONNECTED)
        await until(lambda: evse.transaction_id is not None)
        device.connect(SimulatedVehicle.WANTS_ENERGY)
        await until(lambda: device.draws_a == 16.0)  # as the selector permits
        await until(lambda: evse.state.observation.contactor_closed)
        await until(lambda: evse.state.draw_a == pytest.approx(16.0))
        device.connect(SimulatedVehicle.NONE)
        await until(lambda: evse.transaction_id is None and not evse.state.observation.cable_plugged)
        await until(lambda: device.offered_a == 0.0)
        assert evse.state.faults == frozenset()
        address = f"http://127.0.0.1:{process.web.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False) as client:

            async def billed_wh() -> float | None:
                (charge,) = (await client.get("/api/transactions")).json()["transactions"]
                return charge["energy_wh"]

            await until(billed_wh)  # None until its end is stored


@pytest.mark.parametrize("model", DEVICES)
async def test_a_station_whose_controller_keeps_no_timeout_is_faulted_and_does_not_charge(
    tmp_path: Path, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    device = DEVICES[model](SystemClock())
    register, shown = {"phoenix-charx": (307, 1307), "heidelberg-energy-control": (257, 257)}.get(model, (132, 132))
    device.fixed_words[register] = 300
    async with station_with(model, tmp_path, device) as (evse, _):
        device.connect(SimulatedVehicle.WANTS_ENERGY)
        await until(lambda: Fault.BOARD_SILENT in evse.state.faults)
        assert evse.connector_status == "Faulted"
        assert f"register {shown} (communication time-out, " in caplog.text
        assert ") is 300 and must be 10" in caplog.text
        device.fixed_words.clear()  # another firmware
        await until(lambda: device.contactor_closed)


def lines_of(record: Path) -> list[dict[str, Any]]:
    """The lines of the record of the contactors, without one that is being written."""
    complete, _, _ = record.read_text(encoding="utf-8").rpartition("\n")
    return [object_of(json.loads(line)) for line in complete.splitlines()]


@contextlib.asynccontextmanager
async def charx_in_its_own_process(record: Path) -> AsyncGenerator[tuple[int, asyncio.StreamWriter]]:
    """Run simulated controllers in a process of their own; its port, and its standard input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", charx_process.__name__, "--record", record, "--points", "2"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        greeting = await process.stdout.readline()
        yield int(greeting.removeprefix(b"listening on port ")), process.stdin
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_the_contactor_of_another_process_opens_by_itself_when_the_program_is_killed(tmp_path: Path) -> None:
    """In real time: nothing of the station is left that could open it."""
    clock, record = SystemClock(), tmp_path / "contactors.jsonl"

    def current_a() -> float:
        mine = [line for line in lines_of(record) if line["point"] == 2]
        return 16.0 if mine[-1]["contactor"] == "closed" else 0.0

    meter = ServedMeter(MODELS["eastron-sdm630"], CircuitMeter(current_a, clock).read)
    async with (
        charx_in_its_own_process(record) as (port, commands),
        TcpMeterServer({1: meter}, TcpFraming(), clock) as meter_server,
    ):
        wiring = {"model": "phoenix-charx", "host": "127.0.0.1", "port": port, "charging_point": 2}
        file = tmp_path / "station.toml"
        tree = tables(tmp_path / "storage", wiring, meter_server)
        file.write_text("".join(f"{key} = {toml_text(table)}\n" for key, table in tree.items()), encoding="utf-8")
        program = launch_own(["run", "--config", str(file)], tmp_path / "log")
        try:
            commands.write(b"2 C\n")
            await until(lambda: lines_of(record)[-1]["contactor"] == "closed")
        finally:
            program.kill()
            program.wait()
        killed_at = clock.now()
        assert lines_of(record)[-1]["contactor"] == "closed"
        await until(lambda: lines_of(record)[-1]["contactor"] == "open")
    last = lines_of(record)[-1]
    assert (last["point"], last["cause"]) == (2, "time-out")
    assert (datetime.fromisoformat(last["at"]) - killed_at).total_seconds() <= TIMEOUT_S + 5.0  # on a busy machine
