"""Hosts for tests of engines: functions that are run in processes of their own; and how to find these processes."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from borne.fleet.unit import HostControl, HostTask
from simulator.fleet.plan import LoadedPlan
from simulator.fleet.plan_tables import FleetPlan
from simulator.fleet.reports import HostReport, StationReport, StationState

LONGEST_S = 60.0
"""real seconds after which such a host gives up"""


@dataclass
class Cluster:
    """A running Dask cluster."""

    scheduler: str
    """address of its scheduler"""
    folder: Path
    """where its workers keep their files"""


def task(folder: Path, numbers: range = range(1, 3)) -> HostTask:
    """A task for stations that are never started."""
    plan = FleetPlan.from_tree({"fleet": {"stations": len(numbers), "template": "station.toml"}})
    loaded = LoadedPlan(plan, "[station]\n[csms]\n", "station.toml")
    return HostTask(loaded, numbers, "ws://127.0.0.1:9/ocpp", str(folder), 0.0)


def patient_host(task: HostTask, control: HostControl) -> HostReport:
    """Report until the file `finish` exists or a stop is requested; writes its parent's id to `parents`.

    A station is resumed if an earlier host has left the file `used`.
    """
    folder = Path(task.folder)
    resumed = (folder / f"used-{task.numbers.start}").exists()
    (folder / f"used-{task.numbers.start}").touch()
    with (folder / "parents").open("a", encoding="utf-8") as file:
        file.write(f"{task.numbers.start} {os.getppid()} {os.getpid()}\n")
    name, given_up_s = uuid.uuid4().hex, time.monotonic() + LONGEST_S
    while True:
        finished = (folder / "finish").exists() or control.stop_requested() or time.monotonic() > given_up_s
        stations = tuple(
            StationReport(number, f"S{number}", StationState.ONLINE, resumed=resumed) for number in task.numbers
        )
        control.publish(report := HostReport(name, stations, finished=finished))
        if finished:
            return report
        time.sleep(0.02)


def failing_host(task: HostTask, control: HostControl) -> HostReport:
    """End without a last report."""
    control.publish(HostReport("failing", (StationReport(task.numbers.start, "S"),)))
    raise SystemExit(3)


def host_process(folder: Path, first: int) -> tuple[int, int]:
    """The process id of the host of a fleet that runs station `first` and writes its log; and that of its parent."""
    log = str((folder / "logs" / f"host-{first:06}.log").resolve())
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) == log:
                stat = (descriptor.parents[1] / "stat").read_text(encoding="utf-8")
                return int(descriptor.parts[2]), int(stat.rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    raise LookupError(f"nobody writes {log}")
