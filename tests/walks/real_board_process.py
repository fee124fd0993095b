"""Runs a station on a fake Linux board in a process that cannot import the simulator; writes its results as JSON.

`python -m tests.walks.real_board_process DIRECTORY METER_PORT INSTALLATION_FILE`
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from station.charging.charging_station import ChargingStation
from tests.linux_double import CONTACTOR, Bench
from tests.patience import PATIENCE_S, until

if TYPE_CHECKING:
    from borne.host_process import HostProcess
    from borne.station_runtime import StationRuntime

SIMULATION = ("simulator", "borne.composition.simulated")
PAGES = (
    "/",
    "/owner",
    "/installer",
    "/commissioning",
    "/api/docs",
    "/api/openapi.json",
    "/api/status",
    "/api/io",
    "/api/commissioning",
    "/api/commissioning/steps",
    "/api/variables",
    "/api/logs",
    "/metrics",
)


class SimulatorImportBlocker(MetaPathFinder):
    """An import finder that rejects modules of the simulator, and records the attempts."""

    def __init__(self) -> None:
        self.requested_modules: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ImportError for a module of the simulator; leave others to the usual finders."""
        del path, target
        if is_simulation(fullname):
            self.requested_modules.append(fullname)
            raise ImportError(f"{fullname} has no place on real hardware")
        return None


def is_simulation(module: str) -> bool:
    """Whether a module belongs to the simulator."""
    return any(module == package or module.startswith(f"{package}.") for package in SIMULATION)


def tables(bench: Bench, storage: Path, meter_port: int) -> dict[str, Any]:
    """The installation file of a station on this bench, with a Modbus TCP meter at a port."""
    meter = {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "127.0.0.1", "port": meter_port}
    return {
        "station": {"identity": "BORNE-TEST", "storage": str(storage)},
        "http": {"port": 0},
        "firmware": {"type": "command", "install_command": ["/bin/true"]},
        "board": bench.table(),
        "evse": [{"meter": meter}],
        "variable": [{"component": "AuthCtrlr", "variable": "Enabled", "value": "false"}],
    }


@contextlib.asynccontextmanager
async def running(process: HostProcess) -> AsyncGenerator[None]:
    """Run a station during the block, which begins once it runs."""
    task = asyncio.create_task(process.run())
    try:
        await until(lambda: process.station.running, meanwhile=lambda: task.done() and task.result())
        yield
    finally:
        process.stop()
        await task


async def charge(program: StationRuntime, bench: Bench) -> None:
    """Run one charge, from plugging in to unplugging."""
    evse = program.parts.get(ChargingStation).evses[1]
    await until(lambda: evse.state.metered)
    bench.set_cable_resistance(680.0)
    bench.set_pilot_voltages(9.0)
    await until(lambda: evse.transaction_id is not None)
    bench.set_pilot_voltages(6.0)
    await until(lambda: bench.chips.active[CONTACTOR])
    bench.set_pilot_voltages(12.0)
    bench.set_cable_resistance(float("inf"))
    await until(lambda: not bench.chips.active[CONTACTOR] and evse.transaction_id is None)


async def work(directory: Path, meter_port: int) -> dict[str, int]:
    """Charge, and request the pages; returns the status of each response."""
    import gpiod
    import httpx

    from borne.composition.station_assembly import host_process
    from station.configuration.installation_file import Configuration

    bench = Bench(directory / "bench")
    gpiod.request_lines = bench.chips.request_lines
    process = host_process(Configuration.from_tree(tables(bench, directory / "storage", meter_port)))
    async with running(process):
        await charge(process.station, bench)
        address = f"http://127.0.0.1:{process.web.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False) as client:
            return {page: (await client.get(page)).status_code for page in PAGES}


def main() -> None:
    """Check the installation file, run the station, and write which modules were imported."""
    finder = SimulatorImportBlocker()
    sys.meta_path.insert(0, finder)
    from borne import cli

    cli.main(["check", sys.argv[3]])
    answers = asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))
    loaded = [name for name in sys.modules if is_simulation(name)]
    sys.stdout.write(json.dumps({"answers": answers, "asked": finder.requested_modules, "loaded": loaded}) + "\n")


if __name__ == "__main__":
    main()
