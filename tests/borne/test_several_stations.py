"""Several stations in one process, on one event loop: each for itself, and nothing left when they have stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import httpx
import pytest

from borne.composition.several_stations import host_process_of_several
from borne.composition.simulated import world_of
from borne.composition.station_assembly import station_runtime
from borne.host_process import HostProcess
from borne.station_runtime import ProcessContext, StartError, StationRuntime
from foundation.clock import SystemClock
from simulator.board import SimulatedBoard
from simulator.vehicle import VehicleModel
from station.charging.charging_station import ChargingStation
from station.configuration.installation_file import Configuration
from station.core.hardware.board import SAFE_OUTPUTS
from station.core.local_time import named_zone
from station.core.model import BootReason, Fault, IdToken
from station.maintenance.logs.store import LogStore
from station.security.access.accounts import Role
from station.security.access.sign_in_service import SignInService
from station.storage.database_thread import DatabaseCaches, DatabaseThread
from station.storage.read_connections import ReadConnections
from station.storage.storage_lock import StorageLock, StorageLockError
from tests.csms import Csms, running_csms
from tests.descriptors import open_files
from tests.patience import until as until_real
from tests.walk import CARD, configuration

FIRST, SECOND = "BORNE-1", "BORNE-2"
PASSWORD = "correct horse battery"


def configuration_of(identity: str, folder: Path, csms: Csms | None = None) -> Configuration:
    url = csms.url if csms is not None else None
    return configuration(folder / identity, url, station={"identity": identity})


async def until(condition: Callable[[], object], stations: Sequence[StationRuntime]) -> None:
    """Let time pass at all stations until something is true."""

    async def pass_time() -> None:
        for station in stations:
            await world_of(station.hardware).clock.advance(0.5)

    await until_real(condition, meanwhile=pass_time)


@contextlib.asynccontextmanager
async def running(*stations: StationRuntime) -> AsyncGenerator[None]:
    """Run stations until the end of the block; begins when they run, and stops them in order."""
    tasks = [asyncio.create_task(station.run()) for station in stations]
    try:
        for station in stations:
            await station.wait_until_started()
        yield
    finally:
        for station in stations:
            station.stop()
        await until(lambda: all(task.done() for task in tasks), stations)
        await asyncio.gather(*tasks)


def board(station: StationRuntime) -> SimulatedBoard:
    return world_of(station.hardware).boards[1]


def current_a(station: StationRuntime) -> float:
    return sum(board(station).currents_a)


def register_wh(station: StationRuntime) -> float:
    assert station.running
    reading = station.parts.get(ChargingStation).evses[1].meter.latest
    return reading.energy_import_wh if reading is not None and reading.energy_import_wh is not None else 0.0


def threads() -> int:
    """The threads that are no part of the pool of `asyncio.to_thread`, which grows to its size and stays."""
    return sum(1 for thread in threading.enumerate() if not thread.name.startswith("asyncio_"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def present(station: StationRuntime, card: IdToken = CARD) -> None:
    assert station.running
    station.parts.get(ChargingStation).present_token(card, 1)


async def test_two_stations_start_and_stop_ten_times_beside_each_other_and_leave_nothing(tmp_path: Path) -> None:
    loop_tasks = asyncio.all_tasks()
    with DatabaseThread() as thread:
        parts = ProcessContext(thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
        resources: list[tuple[int, int, int, int]] = []
        async with running_csms() as first, running_csms() as second:
            served = asyncio.all_tasks() - loop_tasks
            for start in range(1, 11):
                await started_and_stopped(tmp_path, parts, first, second, start)
                await until(lambda: asyncio.all_tasks() <= loop_tasks | served | {asyncio.current_task()}, ())
                gc.collect()
                handlers = len(logging.getLogger().handlers)
                resources.append((len(asyncio.all_tasks()), threads(), descriptors(), handlers))
    assert resources[-1] == resources[1]  # what the first round loads for the process may stay


async def started_and_stopped(tmp_path: Path, parts: ProcessContext, first: Csms, second: Csms, start: int) -> None:
    """Start two stations, wait until each has booted at its CSMS for the `start`th time, and stop them."""
    stations = [
        station_runtime(configuration_of(name, tmp_path, csms), parts)
        for name, csms in ((FIRST, first), (SECOND, second))
    ]
    async with running(*stations):
        await until(lambda: len(first.received("BootNotification")) >= start, stations)
        await until(lambda: len(second.received("BootNotification")) >= start, stations)


async def test_one_loses_its_power_while_the_other_charges(tmp_path: Path) -> None:
    with DatabaseThread() as thread:
        parts = ProcessContext(thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
        async with running_csms() as first, running_csms() as second:
            cut_off = station_runtime(configuration_of(FIRST, tmp_path, first), parts)
            charging = station_runtime(configuration_of(SECOND, tmp_path, second), parts)
            async with running(cut_off, charging):
                both = (cut_off, charging)
                await until(
                    lambda: first.received("StatusNotification") and second.received("StatusNotification"), both
                )
                for station in both:
                    board(station).plug(VehicleModel())
                    present(station)
                await until(lambda: current_a(cut_off) > 0 and current_a(charging) > 0, both)
                await cut_off.cut_power()
                await until(lambda: current_a(cut_off) == 0, both)
                assert not cut_off.running
                before_wh = register_wh(charging)
                await until(lambda: register_wh(charging) > before_wh, both)
                assert current_a(charging) > 0
                await cut_off.restore_power()
                assert cut_off.boot_reason is BootReason.POWER_UP
                await until(lambda: has_ended_transaction(first), both)
                assert not has_ended_transaction(second)


def has_open(file: Path) -> bool:
    """Whether this process has a file open."""
    return open_files(file) > 0


async def test_a_station_whose_closed_database_cannot_be_opened_again_opens_its_contactor_until_it_can(
    tmp_path: Path,
) -> None:
    with DatabaseThread(DatabaseCaches(close_after_s=0.0)) as thread:
        parts = ProcessContext(thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
        async with running_csms() as first, running_csms() as second:
            broken = station_runtime(configuration_of(FIRST, tmp_path, first), parts)
            healthy = station_runtime(configuration_of(SECOND, tmp_path, second), parts)
            both = (broken, healthy)
            async with running(*both):
                await until(
                    lambda: first.received("StatusNotification") and second.received("StatusNotification"), both
                )
                for station in both:
                    board(station).plug(VehicleModel())
                    present(station)
                await until(lambda: current_a(broken) > 0 and current_a(healthy) > 0, both)
                file, moved_file = tmp_path / FIRST / "borne.sqlite", tmp_path / "moved"
                await until(lambda: not has_open(file), ())
                with pytest.raises(StorageLockError):
                    StorageLock(tmp_path / FIRST)
                file.rename(moved_file)
                await until(lambda: not board(broken).outputs.contactor, both)
                assert Fault.STORAGE in broken.parts.get(ChargingStation).evses[1].state.faults
                assert board(healthy).outputs.contactor
                moved_file.rename(file)
                await until(lambda: current_a(broken) > 0, both)
                present(broken)
                await until(lambda: has_ended_transaction(first), both)
    numbers = [event["seqNo"] for event in first.received("TransactionEvent")]
    assert numbers == list(range(len(numbers)))


def has_ended_transaction(csms: Csms) -> bool:
    return any(event["eventType"] == "Ended" for event in csms.received("TransactionEvent"))


async def test_log_lines_are_in_the_store_of_their_station(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with DatabaseThread() as thread:
        parts = ProcessContext(thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
        stations = [station_runtime(configuration_of(name, tmp_path), parts) for name in (FIRST, SECOND)]
        async with running(*stations):
            board(stations[0]).plug(VehicleModel())
            await until(lambda: "EVConnected" in stored_log(stations[0]), stations)
            assert "database created with version" in stored_log(stations[0])
            assert "database created with version" in stored_log(stations[1])
            assert "EVConnected" not in stored_log(stations[1])


def stored_log(station: StationRuntime) -> str:
    assert station.running
    return "\n".join(station.parts.get(LogStore).between(None, None))


async def test_a_station_does_not_touch_the_time_zone_of_the_process(tmp_path: Path) -> None:
    """It says what its own is; with one station the process follows, with several it stays with UTC."""
    zones: list[str] = []
    with DatabaseThread() as thread:
        parts = ProcessContext(thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
        given = configuration(tmp_path, None, station={"identity": FIRST, "time_zone": "Europe/Paris"})
        station = station_runtime(given, parts)
        station.time_zone_changed.subscribe(lambda zone: zones.append(str(zone)))
        async with running(station):
            assert zones == [str(named_zone("Europe/Paris"))]


def test_environment_variables_change_no_station_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORNE_STATION__IDENTITY", "FROM-ENVIRONMENT")
    monkeypatch.setenv("BORNE_HTTP__PORT", "1")
    process = host_process_of_several([configuration_of(FIRST, tmp_path), configuration_of(SECOND, tmp_path)])
    assert [station.identity for station in process.stations] == [FIRST, SECOND]
    assert process.web.port == 0
    asyncio.run(discarded(process))


async def discarded(process: HostProcess) -> None:
    for station in process.stations:
        await station.discard()


def test_two_stations_of_one_identity_share_no_process(tmp_path: Path) -> None:
    """They would share a path and a log."""
    with pytest.raises(StartError, match=r"^station\.identity: BORNE-1 is used by several stations$"):
        host_process_of_several([configuration_of(FIRST, tmp_path / "a"), configuration_of(FIRST, tmp_path / "b")])


def test_a_storage_in_use_starts_no_station_and_keeps_nothing_of_the_others(tmp_path: Path) -> None:
    with StorageLock(tmp_path / SECOND), pytest.raises(StartError, match=r"BORNE-2 is in use by"):
        host_process_of_several([configuration_of(FIRST, tmp_path), configuration_of(SECOND, tmp_path)])
    asyncio.run(
        discarded(host_process_of_several([configuration_of(FIRST, tmp_path), configuration_of(SECOND, tmp_path)]))
    )


@contextlib.asynccontextmanager
async def served_process(tmp_path: Path) -> AsyncGenerator[tuple[HostProcess, str]]:
    """A process with two stations that serves their pages, and its address."""
    process = host_process_of_several([configuration_of(FIRST, tmp_path), configuration_of(SECOND, tmp_path)])
    task = asyncio.create_task(process.run(tmp_path / "ready.json"))
    try:
        await until_real((tmp_path / "ready.json").exists, meanwhile=lambda: task.done() and task.result())
        yield process, f"http://127.0.0.1:{process.web.port}"
    finally:
        process.stop()
        await until(task.done, process.stations)
        await task


async def test_each_station_is_served_below_its_own_path(tmp_path: Path) -> None:
    async with (
        served_process(tmp_path) as (process, address),
        httpx.AsyncClient(base_url=address, trust_env=False) as visitor,
    ):
        ready = json.loads((tmp_path / "ready.json").read_text(encoding="utf-8"))
        assert ready == {"pid": os.getpid(), "http_port": process.web.port, "identities": [FIRST, SECOND]}
        for name in (FIRST, SECOND):
            document = (await visitor.get(f"/stations/{name}/openapi.json")).json()
            assert document["servers"] == [{"url": f"/stations/{name}"}]
            status = await visitor.get(f"/stations/{name}/api/status")
            assert status.json()["identity"] == name
            page = await visitor.get(f"/stations/{name}/", headers={"Accept": "text/html"})
            assert page.status_code == 200
            assert f'data-root="/stations/{name}"' in page.text
            links = [part.split('"')[0] for part in page.text.replace('src="', 'href="').split('href="')[1:]]
            assert links
            for link in links:
                assert link.startswith(("#", f"/stations/{name}/")), link
                if link.startswith("/"):
                    assert (await visitor.get(link)).status_code in {200, 303}, link
        without_slash = await visitor.get(f"/stations/{FIRST}")
        assert (without_slash.status_code, without_slash.headers["location"]) == (307, f"/stations/{FIRST}/")
        unknown_paths = ["/", f"/{FIRST}", "/api/status", "/stations/", "/stations/BORNE-3/", f"/x/stations/{FIRST}/"]
        for path in [*unknown_paths, f"/stations/{FIRST}x/api/status"]:
            assert (await visitor.get(path)).status_code == 404


async def test_a_session_at_one_station_is_refused_at_the_other(tmp_path: Path) -> None:
    from_elsewhere = {"X-Forwarded-For": "192.0.2.1"}  # else this machine need not sign in
    async with (
        served_process(tmp_path) as (process, address),
        httpx.AsyncClient(base_url=address, trust_env=False) as visitor,
    ):
        for station in process.stations:
            assert station.running
            await station.parts.get(SignInService).ensure_loaded()
            await station.parts.get(SignInService).accounts.set_password(Role.OWNER, PASSWORD)
        answer = await visitor.post(
            f"/stations/{FIRST}/api/session", json={"role": "owner", "password": PASSWORD}, headers=from_elsewhere
        )
        assert answer.status_code == 201
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"borne_session.stations.{FIRST}=")
        assert f"Path=/stations/{FIRST};" in cookie
        secret = cookie.split("=", 1)[1].split(";")[0]
        for name, role in ((FIRST, "owner"), (SECOND, "visitor")):
            for cookies in (
                {"Cookie": f"borne_session.stations.{name}={secret}"},
                {"Cookie": f"borne_session={secret}; borne_session.stations.{FIRST}={secret}"},
                {"Authorization": f"Bearer {secret}"},
            ):
                async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
                    response = await client.get(f"/stations/{name}/api/session", headers=from_elsewhere | cookies)
                assert response.json()["role"] == role, (name, cookies)


async def test_a_station_that_fails_ends_the_process_after_the_others_have_stopped_in_order(tmp_path: Path) -> None:
    (tmp_path / SECOND).mkdir()
    (tmp_path / SECOND / "borne.sqlite").write_bytes(b"this was never a database" * 100)
    process = host_process_of_several([configuration_of(FIRST, tmp_path), configuration_of(SECOND, tmp_path)])
    task = asyncio.create_task(process.run())
    await until(task.done, process.stations)
    with pytest.raises(StartError, match=r"^station\.storage: .*BORNE-2/borne\.sqlite: file is not a database$"):
        await task
    assert board(process.stations[0]).outputs == SAFE_OUTPUTS
    for name in (FIRST, SECOND):
        StorageLock(tmp_path / name).release()


async def test_a_station_starts_at_its_moment_however_long_the_others_took_to_create(tmp_path: Path) -> None:
    real_s = asyncio.get_running_loop().time
    process = host_process_of_several([configuration_of(FIRST, tmp_path)], start_at_s=[real_s() + 2.0])
    time.sleep(2.0)  # as if there were many others  # noqa: ASYNC251
    began_s = real_s()
    task = asyncio.create_task(process.run())
    await process.wait_until_started()
    assert real_s() - began_s < 2.0
    process.stop()
    await task


async def test_a_cancelled_process_leaves_no_station_running(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    process = host_process_of_several([configuration_of(FIRST, tmp_path), configuration_of(SECOND, tmp_path)])
    task = asyncio.create_task(process.run())
    await process.wait_until_started()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    for name in (FIRST, SECOND):
        StorageLock(tmp_path / name).release()


async def test_a_port_that_is_taken_starts_no_station_and_keeps_no_storage_locked(tmp_path: Path) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port: int = occupied.getsockname()[1]
        process = host_process_of_several(
            [configuration_of(FIRST, tmp_path), configuration_of(SECOND, tmp_path)], http_port=port
        )
        with pytest.raises(StartError, match=f"^http: cannot listen at 127.0.0.1:{port}: "):
            await process.run()
    for name in (FIRST, SECOND):
        StorageLock(tmp_path / name).release()
