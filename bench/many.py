"""Measures many complete stations in one process beside two floors: bare websockets, and minimal `ocpp` clients.

The measured process is a child; this process is its CSMS, so that the CPU time of the child is that of the stations.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from bench.processes import compile_sources

STATION: Final = "station"
BARE: Final = "bare"
OCPP: Final = "ocpp"
AIMS: Final = {
    "memory of one more station, KiB": 500.0,
    "CPU until all are accepted, s": 15.0,
    "threads of one more station": 0.0,
    "descriptors of one more station": 5.0,
    "idle CPU of all, % of a core": 15.0,
}
"""the figures of 1,000 complete stations, and the largest value of each"""
_FEW: Final = 100
_BOOT_WAIT_S: Final = 240.0
_SETTLING_S: Final = {STATION: 90.0, BARE: 5.0, OCPP: 5.0}
"""after the last acceptance: first StatusNotifications, journals and meters, and the closing of unused databases"""
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_HEARTBEAT_S: Final = 300
_BOOT: Final = '[2,"1","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"flex","vendorName":"borne"}}]'


@dataclass(frozen=True, slots=True)
class ManyFigures:
    """Cost of `count` stations in one process, measured once all are accepted by their CSMS."""

    count: int
    resident_kib: int
    """resident memory of the process, idle"""
    booted_cpu_s: float
    """CPU time of the whole process until the last station was accepted, imports included"""
    booted_s: float
    """wall time until the last station was accepted"""
    threads: int
    descriptors: int
    idle_cpu: float
    """part of one core that the idle process uses"""


@dataclass(frozen=True, slots=True)
class ManyComparison:
    """Figures of a few and of many stations, of which the difference is the cost of one more."""

    few: ManyFigures
    many: ManyFigures

    @property
    def kib_each(self) -> float:
        """Resident memory of one more station, in KiB."""
        return (self.many.resident_kib - self.few.resident_kib) / (self.many.count - self.few.count)

    @property
    def descriptors_each(self) -> float:
        """Open descriptors of one more station."""
        return (self.many.descriptors - self.few.descriptors) / (self.many.count - self.few.count)

    @property
    def threads_each(self) -> float:
        """Threads of one more station."""
        return (self.many.threads - self.few.threads) / (self.many.count - self.few.count)

    def rows(self) -> dict[str, float]:
        """The figures by their name, those of `AIMS`."""
        return dict(
            zip(
                AIMS,
                (
                    self.kib_each,
                    self.many.booted_cpu_s,
                    self.threads_each,
                    self.descriptors_each,
                    self.many.idle_cpu * 100.0,
                ),
                strict=True,
            )
        )


class ManyCsms:
    """A CSMS for any number of stations: accepts each boot, answers every other request with an empty payload."""

    def __init__(self, expected: int) -> None:
        """`expected`: the number of stations after whose acceptance `all_accepted` is set."""
        self.accepted: set[str] = set()
        """the paths of the stations whose boot was accepted"""
        self.all_accepted = asyncio.Event()
        self.messages = 0
        """number of requests received"""
        self._expected = expected

    async def serve(self, websocket: ServerConnection) -> None:
        """Serve one station until it disconnects."""
        path = websocket.request.path if websocket.request is not None else ""
        with contextlib.suppress(ConnectionClosed):
            async for text in websocket:
                frame: list[Any] = json.loads(text)
                if frame[0] == 2:
                    self.messages += 1
                    await websocket.send(f'[3,"{frame[1]}",{_reply(frame[2])}]')
                    if frame[2] == "BootNotification":
                        self._accept(path)

    def _accept(self, path: str) -> None:
        self.accepted.add(path)
        if len(self.accepted) >= self._expected:
            self.all_accepted.set()


def _reply(action: str) -> str:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    match action:
        case "BootNotification":
            return f'{{"currentTime":"{now}","interval":{_HEARTBEAT_S},"status":"Accepted"}}'
        case "Heartbeat":
            return f'{{"currentTime":"{now}"}}'
        case _:
            return "{}"


async def measure(kind: str, count: int, idle_s: float, folder: Path) -> ManyFigures:
    """Run `count` stations of a kind in a child process; measure its start, and then `idle_s` seconds of idling.

    `kind`: STATION for complete stations, BARE or OCPP for a floor. `folder`: an empty one for their storages, to be
    deleted when nothing more is measured: ext4 looks for a new inode among those deleted in the last minutes, which was
    a quarter of the CPU time of a start after thousands of them.

    Raises:
        RuntimeError: the process ended, or not all stations were accepted within four minutes.
    """
    csms = ManyCsms(count)
    await compile_sources()
    async with serving(csms) as url, _child(kind, count, url, str(folder)) as pid:
        began_s = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BOOT_WAIT_S):
                await csms.all_accepted.wait()
        if not csms.all_accepted.is_set():
            raise RuntimeError(f"{len(csms.accepted)} of {count} stations were accepted")
        booted_s, booted_cpu_s = time.monotonic() - began_s, _cpu_s(pid)
        await asyncio.sleep(_SETTLING_S[kind])
        before_s = _cpu_s(pid)
        await asyncio.sleep(idle_s)
        idle = (_cpu_s(pid) - before_s) / idle_s if idle_s else 0.0
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        return ManyFigures(
            count, _status(pid, "VmRSS"), booted_cpu_s, booted_s, _status(pid, "Threads"), descriptors, idle
        )


async def compare(kind: str, count: int, idle_s: float) -> ManyComparison:
    """Measure 100 stations and `count` stations of a kind; only the second measurement idles."""
    with tempfile.TemporaryDirectory() as folder:
        few = await measure(kind, _FEW, 0.0, Path(folder) / "few")
        return ManyComparison(few, await measure(kind, count, idle_s, Path(folder) / "many"))


async def main(count: int, idle_s: float) -> None:
    """Print the figures of complete stations and of both floors."""
    floors = {kind: await compare(kind, count, idle_s) for kind in (BARE, OCPP)}
    ours = await compare(STATION, count, idle_s)
    print(f"{count} stations in one process")
    beside = {name: floor.rows() for name, floor in floors.items()}
    for label, value in ours.rows().items():
        floor = "   ".join(f"{name} {rows[label]:8.2f}" for name, rows in beside.items())
        verdict = "met" if value <= AIMS[label] else "NOT MET"
        print(f"{label:40} {value:9.2f}   {floor}   aim ≤ {AIMS[label]:g}: {verdict}", flush=True)


@contextlib.asynccontextmanager
async def serving(csms: ManyCsms) -> AsyncGenerator[str]:
    """Serve the CSMS on a free local port; yields its URL."""
    async with serve(
        csms.serve,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("ocpp2.0.1")],
        ping_interval=None,
        compression=None,
        open_timeout=120.0,
        backlog=4096,
    ) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@contextlib.asynccontextmanager
async def _child(kind: str, count: int, url: str, folder: str) -> AsyncGenerator[int]:
    """Run the measured process; yields its process id."""
    arguments = ("-m", "bench.many", "--child", kind, "--count", str(count), "--url", url, "--folder", folder)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield process.pid
        if process.returncode is not None:
            raise RuntimeError("the measured process has ended")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _cpu_s(pid: int) -> float:
    """The CPU time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError("the measured process has ended")
    return int(found[1])


# What the measured process runs. Each kind imports what it needs, so that no floor loads the station.


async def _stations(count: int, url: str, folder: Path) -> None:
    from borne.composition.several_stations import host_process_of_several
    from station.configuration.installation_file import Configuration

    configurations = [
        Configuration.from_tree(
            {
                "station": {"identity": f"MANY-{number}", "storage": str(folder / str(number))},
                "csms": {"url": url},
                "http": {"port": 0},
            }
        )
        for number in range(count)
    ]
    await host_process_of_several(configurations).run_with_gc_control()


async def _bare_clients(count: int, url: str, _: Path) -> None:
    from websockets.asyncio.client import connect

    async def client(number: int) -> None:
        async with connect(
            f"{url}/MANY-{number}",
            subprotocols=[Subprotocol("ocpp2.0.1")],
            ping_interval=None,
            compression=None,
            open_timeout=120.0,
        ) as websocket:
            await websocket.send(_BOOT)
            async for _ in websocket:
                pass

    await asyncio.gather(*(client(number) for number in range(count)))


async def _ocpp_clients(count: int, url: str, _: Path) -> None:
    from bench.floor_ocpp import main as client

    await asyncio.gather(*(client(f"{url}/MANY-{number}") for number in range(count)))


def _station_loop() -> asyncio.AbstractEventLoop:
    """Create the event loop that `borne run` and `borne fleet` use for stations in real time."""
    from borne.composition.station_assembly import event_loop_at

    return event_loop_at(1.0)()


def _run_child(kind: str, count: int, url: str, folder: Path) -> None:
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, handlers=[console])  # each station stores its own lines, as `borne run`
    runs: dict[str, Callable[[int, str, Path], Coroutine[None, None, None]]] = {
        STATION: _stations,
        BARE: _bare_clients,
        OCPP: _ocpp_clients,
    }
    with asyncio.Runner(loop_factory=_station_loop if kind == STATION else None) as runner:
        runner.run(runs[kind](count, url, folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure many complete stations in one process.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds over which the idle CPU is measured")
    parser.add_argument("--only", choices=(STATION, BARE, OCPP), help="measure this kind only, once")
    for hidden in ("--child", "--url", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        _run_child(given.child, given.count, given.url, Path(given.folder))
    elif given.only is not None:
        with tempfile.TemporaryDirectory() as empty:
            print(asyncio.run(measure(given.only, given.count, given.idle, Path(empty))))
    else:
        asyncio.run(main(given.count, given.idle))
