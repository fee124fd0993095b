"""Measures how many durable TransactionEvents a station delivers per second (`python -m bench.events`).

Each event passes recorder, outbox, commit with synchronous=FULL, delivery over a websocket to a CSMS in a process of
its own, and settling. The baseline are bare commits of one row each with the same SQLite settings.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from borne.composition.station_assembly import host_process
from borne.station_runtime import StationRuntime
from foundation.event_loop import StationLoop
from station.charging.charging_station import ChargingStation
from station.configuration.installation_file import Configuration
from station.core.model import EventType, TransactionEvent, TriggerReason
from station.storage.outbox import Outbox

_DEADLINE_S: Final = 60.0
_EVSES: Final = 5


@dataclass(frozen=True)
class EventRate:
    """One row: events per second of the station, beside its baseline of the same moment."""

    what: str
    per_s: float
    cpu_us: float
    """processor time of the station for each event, in microseconds"""
    floor_per_s: float
    """bare commits per second, measured just before"""
    aim_per_s: float | None


@dataclass(frozen=True)
class _Timing:
    per_s: float
    cpu_us: float


async def measure_events(count: int, rounds: int = 3) -> list[EventRate]:
    """Measure all rows with `count` events each, in turns with the baseline; the medians of `rounds` rounds."""
    kinds: list[tuple[str, Callable[[int], Awaitable[_Timing]], float | None]] = [
        ("one producer", lambda count: _while_recording(count, 1), None),
        ("five waiting", lambda count: _while_recording(count, _EVSES), 2000.0),
        ("draining a queue", _draining, 3000.0),
    ]
    found: dict[str, list[tuple[_Timing, float]]] = {title: [] for title, _, _ in kinds}
    for _ in range(rounds):
        for title, measured, _ in kinds:
            floor = _bare_commits_per_s(count)
            found[title].append((await measured(count), floor))
    return [
        EventRate(
            title,
            median(timing.per_s for timing, _ in found[title]),
            median(timing.cpu_us for timing, _ in found[title]),
            median(floor for _, floor in found[title]),
            aim,
        )
        for title, _, aim in kinds
    ]


async def _while_recording(count: int, evses: int) -> _Timing:
    """Record all events at once at these EVSEs, from there to the last one at the CSMS."""
    async with _csms(count) as csms, _station(csms, evses) as station:
        await csms.accept_boot()
        await asyncio.sleep(1.0)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        _record(station, count, evses)
        _, last_s = await csms.all_received()
        return _timing(count, last_s - began_s, time.process_time() - began_cpu_s)


async def _draining(count: int) -> _Timing:
    """Store all events while the CSMS has not accepted the station, and time the delivery from the first one on."""
    async with _csms(count) as csms, _station(csms, _EVSES) as station:
        _record(station, count, _EVSES)
        outbox = station.parts.get(Outbox)
        async with asyncio.timeout(_DEADLINE_S):
            while outbox.waiting < count:  # noqa: ASYNC110 - a measurement may look twice a second
                await asyncio.sleep(0.5)
        began_cpu_s = time.process_time()
        await csms.accept_boot()
        first_s, last_s = await csms.all_received()
        return _timing(count, last_s - first_s, time.process_time() - began_cpu_s)


def _timing(count: int, took_s: float, cpu_s: float) -> _Timing:
    return _Timing(count / took_s, cpu_s / count * 1e6)


def _record(station: StationRuntime, count: int, evses: int) -> None:
    """Hand the recorders the events of one transaction at each of these EVSEs, `count` in all."""
    charging = station.parts.get(ChargingStation)
    now = station.clock.now()
    for number in range(count):
        evse_id = 1 + number % evses
        first = number < evses
        kind = EventType.STARTED if first else EventType.UPDATED
        trigger = TriggerReason.AUTHORIZED if first else TriggerReason.CHARGING_STATE_CHANGED
        charging.evses[evse_id].record(TransactionEvent(f"bench-{evse_id}", evse_id, kind, trigger, now))


class _CsmsProcess:
    """The process of `bench.event_csms`."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.url: Final = f"ws://127.0.0.1:{port}"

    async def accept_boot(self) -> None:
        """Let it accept the station."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"accept\n")
        await self._process.stdin.drain()

    async def all_received(self) -> tuple[float, float]:
        """Arrival times of the first and the last event, by perf_counter; waits for the last one."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _DEADLINE_S)
        first_s, last_s = map(float, line.split())
        return first_s, last_s


@contextlib.asynccontextmanager
async def _csms(expected: int) -> AsyncGenerator[_CsmsProcess]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.event_csms", str(expected), stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        yield _CsmsProcess(process, int(await asyncio.wait_for(process.stdout.readline(), _DEADLINE_S)))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def _station(csms: _CsmsProcess, evses: int) -> AsyncGenerator[StationRuntime]:
    """A complete station in this process, on a storage directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Configuration.from_tree(
            {
                "station": {"identity": "BENCH-1", "storage": folder},
                "csms": {"url": csms.url},
                "http": {"port": 0},
                "evse": [{"id": number} for number in range(1, evses + 1)],
            }
        )
        process = host_process(configuration)
        running = asyncio.create_task(process.run_with_gc_control())
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while process.station.parts.find(ChargingStation) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            yield process.station
        finally:
            process.stop()
            await running


def _bare_commits_per_s(count: int) -> float:
    """The baseline: one row of the size of an event for each commit, by SQLite alone."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "floor.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, payload TEXT)")
        payload = "x" * 400
        began_s = time.perf_counter()
        for _ in range(count):
            database.execute("INSERT INTO events (payload) VALUES (?)", (payload,))
        took_s = time.perf_counter() - began_s
        database.close()
    return count / took_s


def print_rates(rates: list[EventRate]) -> None:
    """Print one line for each row."""
    for rate in rates:
        aim = "" if rate.aim_per_s is None else f"   aim ≥ {rate.aim_per_s:g}"
        verdict = "" if rate.aim_per_s is None else f": {'met' if rate.per_s >= rate.aim_per_s else 'NOT MET'}"
        print(
            f"durable TransactionEvents per second, {rate.what:18} {rate.per_s:8.0f}"
            f"   {rate.cpu_us:6.0f} µs of processor time each   bare commits {rate.floor_per_s:8.0f}"
            f"   ratio {rate.per_s / rate.floor_per_s:4.2f}{aim}{verdict}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure durable TransactionEvents per second beside bare commits.")
    parser.add_argument("--events", type=int, default=3000, help="number of events of each row")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=StationLoop) as runner:
        print_rates(runner.run(measure_events(options.events, options.rounds)))
