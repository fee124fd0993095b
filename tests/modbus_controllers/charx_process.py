"""Runs a simulated group of CHARX controllers in a process of its own, and records each change of their contactors.

`python -m tests.modbus_controllers.charx_process --record FILE [--port 502] [--points 2] [--vehicle C]`

It prints `listening on port N`. Each change of a contactor is a line of JSON in the file, written to disk at once:
`{"at": "2026-01-15T12:00:00.123456+00:00", "point": 1, "contactor": "open", "cause": "time-out"}`, with the cause
`order`, `vehicle` or `time-out`. The first lines have the state at the start, and the cause `start`. A line `1 C` on
its standard input lets the vehicle at point 1 want energy; B: connected, A: gone. It ends with SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TextIO

from foundation.clock import Clock, SystemClock
from simulator.meter_server import TcpFraming, TcpMeterServer
from tests.modbus_controllers.charx import SimulatedCharx, SimulatedCharxGroup
from tests.modbus_controllers.controller import ContactorChange, SimulatedVehicle


class ContactorRecord:
    """The file of the contactors' changes; a line is on disk once it is written."""

    def __init__(self, file: TextIO, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    def write(self, point: int, cause: str, *, closed: bool) -> None:
        """Append a line."""
        line = {
            "at": self._clock.now().isoformat(),
            "point": point,
            "contactor": "closed" if closed else "open",
            "cause": cause,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def write_change(self, point: int, change: ContactorChange) -> None:
        """Append the line of a change."""
        self.write(point, change.cause, closed=change.closed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", type=Path, required=True, help="file for the changes of the contactors")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0: any free one")
    parser.add_argument("--points", type=int, default=1, help="number of charging points")
    parser.add_argument("--vehicle", choices=list("ABC"), default="A", help="what the vehicles do at the start")
    return parser.parse_args()


def _obey(points: list[SimulatedCharx], line: str) -> None:
    """Change a vehicle as a line of the standard input says."""
    number, _, letter = line.strip().partition(" ")
    try:
        points[int(number) - 1].connect(SimulatedVehicle(letter))
    except (ValueError, IndexError):
        sys.stderr.write(f"not understood: {line}")


def _read_commands(loop: asyncio.AbstractEventLoop, points: list[SimulatedCharx]) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(_obey, points, line)


async def main() -> None:
    """Serve the controllers until SIGTERM or SIGINT."""
    given = _arguments()
    clock, loop = SystemClock(), asyncio.get_running_loop()
    points = [SimulatedCharx(clock) for _ in range(given.points)]
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    with given.record.open("a", encoding="utf-8") as file:
        record = ContactorRecord(file, clock)
        for number, point in enumerate(points, start=1):
            record.write(number, "start", closed=False)
            point.contactor_changed.subscribe(partial(record.write_change, number))
            point.connect(SimulatedVehicle(given.vehicle))
        # A thread, since a file or /dev/null as standard input cannot be waited for.
        threading.Thread(target=_read_commands, args=(loop, points), daemon=True).start()
        devices = {1: SimulatedCharxGroup(*points)}
        async with TcpMeterServer(devices, TcpFraming(), clock, port=given.port, host=given.host) as server:
            sys.stdout.write(f"listening on port {server.port}\n")
            sys.stdout.flush()
            await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
