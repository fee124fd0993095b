"""A whole station on a real board's driver: no simulated world, the machine's clock, lines and files of a bench."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from borne.composition.simulated import world_of
from borne.composition.station_assembly import host_process
from borne.host_process import HostProcess
from borne.station_runtime import StationRuntime
from foundation.clock import SystemClock
from metering.drivers.models import MODELS
from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.variable import Component, Variable
from simulator.meter_server import ServedMeter, TcpFraming, TcpMeterServer
from station.charging.charging_station import ChargingStation
from station.configuration.installation_file import Configuration
from station.devices.real_hardware import RealHardware
from station.interfaces.part_keys import DEVICE_MODEL
from station.load.tamper import TamperAlarm
from tests import fakes
from tests.linux_double import CONTACTOR, FLAP, LOCKED, Bench, Chips
from tests.patience import PATIENCE_S, until
from tests.station.configuration.test_hardware_rules import REAL
from tests.walks import real_board_process
from tests.walks.real_board_process import running, tables


@pytest.fixture
def bench(tmp_path: Path, chips: Chips) -> Bench:
    """The bench on which the board of the station is."""
    return Bench(tmp_path / "bench", chips)


class Station:
    """A station with its bench."""

    def __init__(self, bench: Bench, process: HostProcess) -> None:
        self.bench = bench
        self.process = process

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait, in real time, until something is true."""
        await until(condition)

    @property
    def program(self) -> StationRuntime:
        """The station itself."""
        return self.process.station

    @property
    def evse(self) -> Any:
        """Its EVSE."""
        assert self.program.running
        return self.program.parts.get(ChargingStation).evses[1]


@contextlib.asynccontextmanager
async def powered(tmp_path: Path, bench: Bench) -> AsyncGenerator[Station]:
    clock = SystemClock()
    served = ServedMeter(MODELS["eastron-sdm630"], lambda: fakes.reading(1000.0, 0.0))
    async with TcpMeterServer({1: served}, TcpFraming(), clock) as meter:
        process = host_process(Configuration.from_tree(tables(bench, tmp_path / "storage", meter.port)))
        async with running(process):
            yield Station(bench, process)


async def test_a_charge_on_a_linux_board_from_plug_to_unplug(tmp_path: Path, bench: Bench) -> None:
    """The pilot offers what cable and selector allow, the cable is locked, the contactor follows state C."""
    bench.set_selector(2)  # 25 A
    async with powered(tmp_path, bench) as station:
        await station.until(lambda: station.evse.state.metered)
        bench.set_cable_resistance(680.0)  # 20 A
        bench.set_pilot_voltages(9.0)
        await station.until(lambda: bench.chips.active[LOCKED] and bench.duty == pytest.approx(20 / 60, abs=1e-4))
        assert not bench.chips.active[CONTACTOR]
        bench.set_pilot_voltages(6.0)
        await station.until(lambda: bench.chips.active[CONTACTOR])
        bench.set_selector(4)  # 16 A, while it charges
        await station.until(lambda: bench.duty == pytest.approx(16 / 60, abs=1e-4))
        bench.set_selector(12)  # no position at all
        await station.until(lambda: bench.duty == pytest.approx(8 / 60, abs=1e-4))
        bench.set_pilot_voltages(12.0)
        await station.until(lambda: not bench.chips.active[CONTACTOR])
    assert bench.duty == 1.0
    assert bench.chips.settings == {}  # every line was let go


async def test_there_is_no_simulated_world_around_a_real_board(tmp_path: Path, bench: Bench) -> None:
    async with powered(tmp_path, bench) as station:
        program = station.program
        assert isinstance(program.hardware, RealHardware)
        assert isinstance(program.clock, SystemClock)
        with pytest.raises(TypeError, match="the station has real hardware"):
            world_of(program.hardware)
        address = f"http://127.0.0.1:{station.process.web.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False) as client:
            status = (await client.get("/api/status")).json()
            assert status["clock"]["rate"] == 1.0
            assert (await client.post("/api/sim/evses/1/plug", json={})).status_code == 404
            paths = (await client.get("/api/openapi.json")).json()["paths"]
            assert not [path for path in paths if path.startswith("/api/sim")]
            answer = await client.post("/api/evses/1/stop", params={"wait": "settled"})
            assert answer.status_code == 409


async def test_a_station_on_a_real_board_imports_nothing_of_the_simulation(tmp_path: Path) -> None:
    """It checks its installation file, charges, and serves page and API in a process that cannot import it."""
    file = tmp_path / "station.toml"
    file.write_text(REAL, encoding="utf-8")
    served = ServedMeter(MODELS["eastron-sdm630"], lambda: fakes.reading(1000.0, 0.0))
    async with TcpMeterServer({1: served}, TcpFraming(), SystemClock()) as meter:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", real_board_process.__name__, tmp_path, str(meter.port), file),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    checked, result = output.decode().splitlines()
    assert ": ok: " in checked
    report = json.loads(result)
    assert report["answers"] == dict.fromkeys(real_board_process.PAGES, 200)
    assert (report["asked"], report["loaded"]) == ([], [])


@pytest.mark.parametrize("wired", [True, False])
async def test_the_device_model_has_the_sensors_that_are_wired_and_the_points_that_they_observe(
    tmp_path: Path, bench: Bench, wired: bool
) -> None:
    """Part 2, 2.6.6: with a point that nobody sees no transaction would start, or none would end."""
    bench.sensors = wired
    async with powered(tmp_path, bench) as station:
        assert station.program.running
        model = station.program.parts.get(DEVICE_MODEL)
        assert isinstance(model, DeviceModel)
        sensors = {variable.component.name for variable in model if variable.component.name.endswith("Sensor")}
        fitted = {"BayOccupancySensor", "CaseAccessSensor", "EmergencyStopSensor", "TemperatureSensor"}
        assert sensors == (fitted if wired else set())
        for name in ("TxStartPoint", "TxStopPoint"):
            point = model.find(Component("TxCtrlr"), name)
            assert isinstance(point, Variable)
            assert ("ParkingBayOccupancy" in point.description.values) is wired
            assert "Authorized" in point.description.values


async def test_an_opened_flap_blocks_the_station_until_somebody_answers_for_it(tmp_path: Path, bench: Bench) -> None:
    async with powered(tmp_path, bench) as station:
        assert station.program.running
        bench.set_input(FLAP, True)
        await station.until(lambda: station.evse.connector_status == "Faulted")
        bench.set_input(FLAP, False)
        hardware = station.program.hardware
        assert isinstance(hardware, RealHardware)
        await station.until(lambda: not hardware.back_plate.view.flap_open)
        bench.set_cable_resistance(220.0)
        bench.set_pilot_voltages(6.0)
        await station.until(lambda: station.evse.state.observation.cable_plugged)
        assert station.program.parts.get(TamperAlarm).alarm
        assert not bench.chips.active[CONTACTOR]


async def test_a_board_that_is_missing_is_a_fault_and_not_the_end(tmp_path: Path, bench: Bench) -> None:
    bench.chips.missing = True
    async with powered(tmp_path, bench) as station:
        await station.until(lambda: station.evse.connector_status == "Faulted")
        bench.chips.missing = False
        await station.until(lambda: station.evse.connector_status == "Available")
