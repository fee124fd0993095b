"""`make bench`: cold start, memory, round trip, transaction events (each with its baseline), and pilot latency."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bench import composite, records
from bench.csms import neutral_csms
from bench.first_response import measure_first_response
from bench.pilot import samples_to_pilots
from bench.processes import EQUIPPED, STATION, MeasuredProgram, run_program
from borne.composition.station import host_process
from borne.station_runtime import StationRuntime
from station.charging.charging_station import ChargingStation
from station.configuration.installation_file import Configuration
from station.core.model import EventType, TransactionEvent, TriggerReason

_IDLE_S = 3.0
_PILOT_AIM_MS = 5.0
"""from a grid sample to the order at the board, without waiting for anything outside the program"""
_LIGHT_AIM_MS = 500.0
_API_AIM_MS = 3000.0
Start = Callable[[], AbstractAsyncContextManager[MeasuredProgram]]


@contextlib.asynccontextmanager
async def _station(extra: str = "") -> AsyncGenerator[MeasuredProgram]:
    with tempfile.TemporaryDirectory() as folder:
        async with run_program("-m", "borne", "run", configuration=STATION + extra, folder=Path(folder)) as measured:
            yield measured


def _minimal() -> AbstractAsyncContextManager[MeasuredProgram]:
    return run_program("-m", "bench.floor_ocpp")


def _echo() -> AbstractAsyncContextManager[MeasuredProgram]:
    return run_program("-m", "bench.floor_echo")


async def _cold_starts(runs: int) -> None:
    """Measure station and baseline in turns, so that a slow phase of the machine affects both."""
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(runs):
        async with _minimal() as measured:
            floor.append(measured.cold_start_ms)
        async with _station() as measured:
            ours.append(measured.cold_start_ms)
    _row(
        "cold start, exec to BootNotification, ms",
        statistics.median(ours),
        statistics.median(floor),
        "ocpp client",
        1.3,
    )


async def _first_signs(runs: int) -> None:
    signs = [await measure_first_response() for _ in range(runs)]
    for what, took, aim_ms in (
        ("light, exec to the LED told, ms", statistics.median(one.light_ms for one in signs), _LIGHT_AIM_MS),
        ("commissioning, exec to the API's answer, ms", statistics.median(one.answer_ms for one in signs), _API_AIM_MS),
    ):
        verdict = "met" if took <= aim_ms else "NOT MET"
        print(f"{what:68} {took:9.1f}   {'':39} aim ≤ {aim_ms:g}: {verdict}", flush=True)


async def _memory() -> None:
    async with _minimal() as measured:
        await asyncio.sleep(_IDLE_S)
        floor = measured.resident_mib
    async with _station() as measured:
        await asyncio.sleep(_IDLE_S)
        _row("resident memory, idle, MiB", measured.resident_mib, floor, "ocpp client", 1.6)
    async with _station(EQUIPPED) as measured:
        await asyncio.sleep(_IDLE_S)
        _row("  the same with a Modbus meter and a Linky", measured.resident_mib, floor, "ocpp client", None)


async def _round_trips(count: int) -> None:
    ours, ours_99 = await _trip(_station, count)
    client, client_99 = await _trip(_minimal, count)
    echo, echo_99 = await _trip(_echo, count)
    _row("GetVariables round trip p50, µs", ours, echo, "checked echo", 2.5)
    _row("GetVariables round trip p99, µs", ours_99, echo_99, "checked echo", None)
    _row("GetVariables round trip p50, µs", ours, client, "ocpp client", None)
    _row("GetVariables round trip p99, µs", ours_99, client_99, "ocpp client", None)


async def _trip(start: Start, count: int) -> tuple[float, float]:
    async with start() as measured:
        await asyncio.sleep(1.0)
        for identity in range(100):
            await measured.csms.round_trip_us(identity)
        trips = sorted([await measured.csms.round_trip_us(1000 + identity) for identity in range(count)])
    return trips[count // 2], trips[count * 99 // 100]


async def _events(count: int) -> None:
    """Measure transaction events through recorder, outbox, commit, delivery over a real websocket, and settling."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        async with neutral_csms() as csms:
            configuration = Configuration.from_tree(
                {
                    "station": {"identity": "BENCH-1", "storage": str(storage)},
                    "csms": {"url": csms.url},
                    "http": {"port": 0},
                }
            )
            process = host_process(configuration)
            application = process.station
            running = asyncio.create_task(process.run())
            await csms.booted.wait()
            station = application.parts.get(ChargingStation)
            csms.expected_events = count
            began_s = time.perf_counter()
            for number in range(count):
                kind = EventType.STARTED if number == 0 else EventType.UPDATED
                station.evses[1].record(_event(kind, application))
            await csms.all_events.wait()
            rate = count / (time.perf_counter() - began_s)
            process.stop()
            await running
        floor = _bare_commits(storage / "floor.sqlite", count)
    _row("TransactionEvents a second, each committed (FULL) before it is sent", rate, floor, "bare commits", None)
    print(f"{'':68} {'aim: at least 1000: ' + ('met' if rate >= 1000 else 'NOT MET')}")


def _event(kind: EventType, application: StationRuntime) -> TransactionEvent:
    trigger = TriggerReason.AUTHORIZED if kind is EventType.STARTED else TriggerReason.CHARGING_STATE_CHANGED
    return TransactionEvent("bench", 1, kind, trigger, application.clock.now())


def _bare_commits(path: Path, count: int) -> float:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, payload TEXT)")
    payload = "x" * 400
    began_s = time.perf_counter()
    for _ in range(count):
        database.execute("INSERT INTO events (payload) VALUES (?)", (payload,))
    rate = count / (time.perf_counter() - began_s)
    database.close()
    return rate


def _row(what: str, ours: float, floor: float, floor_name: str, aim: float | None) -> None:
    ratio = ours / floor
    verdict = "" if aim is None else f"aim ≤ {aim}: {'met' if ratio <= aim else 'NOT MET'}"
    print(f"{what:68} {ours:9.1f}   {floor_name:12} {floor:9.1f}   ratio {ratio:5.2f}   {verdict}", flush=True)


async def _pilots(count: int) -> None:
    for evses in (1, 4):
        took_ms = await samples_to_pilots(count, evses)
        half, most = took_ms[count // 2], took_ms[count * 99 // 100]
        verdict = "met" if most <= _PILOT_AIM_MS else "NOT MET"
        what = f"grid sample to changed pilot, {evses} EVSE{'s' if evses > 1 else ''}, p50 and p99, ms"
        print(f"{what:68} {half:9.2f}   {'':12} {most:9.2f}   aim ≤ {_PILOT_AIM_MS:g}: {verdict}", flush=True)


async def _main(quick: bool) -> None:
    print(f"{os.cpu_count()} CPUs; medians of interleaved runs; only ratios travel to another machine")
    await _cold_starts(3 if quick else 15)
    await _first_signs(3 if quick else 15)
    await _memory()
    await _round_trips(500 if quick else 5000)
    await _events(500 if quick else 3000)
    await _pilots(30 if quick else 200)
    composite.main()
    await records.measure(5_000 if quick else 50_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the station beside bare floors.")
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    asyncio.run(_main(parser.parse_args().quick))
