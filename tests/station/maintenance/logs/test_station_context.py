"""With several stations in a process each log line is in the log of its own station, whoever writes it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from foundation.clock import SystemClock
from metering.drivers.bus_registry import BusRegistry
from metering.drivers.endpoints import tcp_endpoint
from metering.drivers.models import MODELS
from metering.drivers.registers import plan_blocks
from simulator.clock import VirtualClock
from simulator.meter_server import ServedMeter, TcpFraming, TcpMeterServer
from station.configuration.station_tables import LogConfig
from station.maintenance.logs.setup import setup
from station.maintenance.logs.station_context import current_station, station_context
from station.maintenance.logs.store import LogStore
from station.storage.database import open_database
from station.storage.database_schema import migrations
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import ReadConnections
from tests import fakes
from tests.patience import PATIENCE_S

log = logging.getLogger("station.example")
STATIONS = ("BORNE-1", "BORNE-2")


@pytest.fixture(autouse=True)
def log_every_level() -> None:
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("pymodbus").setLevel(logging.DEBUG)


@contextlib.asynccontextmanager
async def two_logs(folder: Path) -> AsyncGenerator[dict[str, LogStore]]:
    stores = {name: LogStore(folder / name, SystemClock(), station=name) for name in STATIONS}
    async with stores["BORNE-1"].attached(), stores["BORNE-2"].attached():
        yield stores


def lines(store: LogStore, logger: str = "station.example") -> list[str]:
    return [line.split(": ", 1)[1] for line in store.between(None, None) if logger in line]


async def in_both(work: Callable[[str], Awaitable[None]]) -> None:
    """Do something in a task of each station, at the same time."""

    async def run(name: str) -> None:
        with station_context(name):
            await asyncio.ensure_future(work(name))

    await asyncio.gather(*map(run, STATIONS))


async def in_a_task(name: str) -> None:
    await asyncio.sleep(0)
    log.info("%s", name)


async def in_a_thread(name: str) -> None:
    await asyncio.to_thread(log.info, "%s", name)


async def in_a_timer(name: str) -> None:
    loop = asyncio.get_running_loop()
    logged: asyncio.Future[None] = loop.create_future()
    loop.call_later(0.001, lambda: (log.info("%s", name), logged.set_result(None)))
    await logged


@pytest.mark.parametrize("write", [in_a_task, in_a_thread, in_a_timer])
async def test_a_line_is_in_the_log_of_its_station_only(
    tmp_path: Path, write: Callable[[str], Awaitable[None]]
) -> None:
    async with two_logs(tmp_path) as stores:
        await in_both(write)
        assert {name: lines(store) for name, store in stores.items()} == {name: [name] for name in STATIONS}


async def test_a_line_of_a_timer_of_a_virtual_clock_is_its_stations_whoever_moves_the_time(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with two_logs(tmp_path) as stores:
        with station_context("BORNE-1"):
            clock.call_later(1.0, lambda: log.info("due"))
        with station_context("BORNE-2"):
            await clock.advance(2.0)
        assert [lines(store) for store in stores.values()] == [["due"], []]


async def test_lines_of_the_one_database_thread_are_their_stations(tmp_path: Path) -> None:
    with DatabaseThread() as thread:
        async with two_logs(tmp_path) as stores:

            async def open_its_own(name: str) -> None:
                async with open_database(
                    tmp_path / name / "db", fakes.clock(), thread, ReadConnections(fakes.clock())
                ) as database:
                    await database.write("INSERT INTO facts (name, value) VALUES ('a', 'b')")

            await in_both(open_its_own)
            created = [lines(store, "station.storage.database_schema") for store in stores.values()]
    assert created[0] == created[1] == [f"database created with version {len(migrations())}"]  # each its own, once


async def test_lines_of_pymodbus_are_of_the_station_that_made_its_connection(tmp_path: Path) -> None:
    """Also those that a transport writes when bytes arrive, which no task of the station does."""
    model = MODELS["eastron-sdm630"]
    meters = {unit: ServedMeter(model, lambda: fakes.reading(1.0)) for unit in (1, 2)}
    async with TcpMeterServer(meters, TcpFraming(), SystemClock()) as server, two_logs(tmp_path) as stores:
        buses = {name: BusRegistry().bus_for(tcp_endpoint("127.0.0.1", server.port, rtu=False)) for name in STATIONS}

        async def read(name: str) -> None:
            buses[name].join(name, PATIENCE_S)
            assert await buses[name].read(name, 1 + STATIONS.index(name), plan_blocks(model)[:1], PATIENCE_S)

        await in_both(read)
        received = [[line for line in lines(store, "pymodbus") if "recv: " in line] for store in stores.values()]
        for name, bus in buses.items():
            await bus.leave(name)
    for unit, of_station in enumerate(received, start=1):
        assert of_station
        assert all(f" 0x{unit} 0x4 " in line for line in of_station)


async def test_a_line_of_the_process_is_in_no_log_of_several_stations(tmp_path: Path) -> None:
    async with two_logs(tmp_path) as stores:
        log.info("the port is bound")
        thread = threading.Thread(target=log.info, args=("a thread without a context",))
        with station_context("BORNE-1"):
            thread.start()
            thread.join()
        assert [lines(store) for store in stores.values()] == [[], []]


async def test_the_only_station_of_a_process_keeps_every_line(tmp_path: Path) -> None:
    async with LogStore(tmp_path, SystemClock()).attached() as store:
        log.info("the port is bound")
        with station_context("BORNE-1"):
            log.info("the station starts")
        assert lines(store) == ["the port is bound", "the station starts"]


def test_the_context_of_a_station_ends_with_its_block() -> None:
    with station_context("BORNE-1"):
        with station_context("BORNE-2"):
            assert current_station() == "BORNE-2"
        assert current_station() == "BORNE-1"
    assert current_station() is None


@pytest.mark.parametrize("style", ["human", "json"])
def test_with_several_stations_a_line_of_the_process_log_names_its_station(style: Literal["human", "json"]) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers.clear()
    try:
        setup(LogConfig(format=style), stream, shows_station=True)
        with station_context("BORNE\x1b-1"):
            log.warning("of the station")
        log.warning("of the process")
    finally:
        root.handlers, level = before
        root.setLevel(level)
    of_station, of_process = stream.getvalue().splitlines()
    if style == "human":
        assert of_station.endswith(r" WARNING BORNE\x1b-1 station.example: of the station")
        assert of_process.endswith(" WARNING station.example: of the process")
    else:
        assert json.loads(of_station)["station"] == "BORNE\x1b-1"
        assert "station" not in json.loads(of_process)
