"""Small fleets of complete stations: the engines give the same results, and a lost worker costs no bill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from borne.fleet.fleet_run import FleetOptions, FleetRun
from borne.fleet.host import host
from borne.fleet.process_engine import ProcessEngine
from simulator.fleet.plan import load_plan
from tests.borne.fleet.leased_hosts import Cluster, host_process
from tests.patience import PATIENCE_S, until

if TYPE_CHECKING:
    from simulator.fleet.fleet_report import FleetReport
    from simulator.fleet.plan import LoadedPlan

pytest.importorskip("distributed", reason="the extra borne[fleet] is not installed")

from borne.fleet.dask_engine import DaskEngine, DaskOptions

ROOT = Path(__file__).parents[3]
PLAN = """
[fleet]
stations = 6
template = "station.toml"
duration_s = 160
rate = 40
seed = 29 # at both hosts, vehicles charge from the begin on
hosts = 2
drain_s = 60
[ramp]
stations_per_s = 20
[arrivals]
per_day = 1000
leave = "charged" # so the energy does not depend on when a busy machine plugs in
[[vehicle]]
phases = 3
battery_wh = 600
soc = [0.5, 0.7]
stay_s = [100, 140]
"""
TEMPLATE = """
[station]
identity = "{identity}"
[log]
level = "warning"
[[evse]]
phases = 3
max_current_a = 16
"""


def write_six_station_plan(folder: Path) -> LoadedPlan:
    """A plan of six stations on two hosts."""
    (folder / "station.toml").write_text(TEMPLATE, encoding="utf-8")
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    return load_plan(folder / "plan.toml")


def sorted_bill_energies(report: FleetReport) -> dict[str, list[float]]:
    """The energy of the bills of each station, in order of size."""
    return {station.identity: sorted(station.bills.values()) for station in report.station_reports}


async def kill_a_worker(run: FleetRun) -> None:
    """Kill the worker of the first host soon after a transaction has started at each host."""

    def all_have_started() -> bool:
        hosts = run.record.hosts
        return len(hosts) == 2 and all(any(station.started for station in host.stations) for host in hosts)

    await until(all_have_started)
    _, worker = host_process(run.options.folder, run.loaded.plan.fleet.first)
    os.kill(worker, signal.SIGKILL)


def dask_fleet(folder: Path, cluster: Cluster) -> FleetRun:
    """A fleet on the workers of a cluster, which share its folder."""
    engine = DaskEngine(host, DaskOptions(scheduler=cluster.scheduler, hosts=2))
    return FleetRun(write_six_station_plan(folder), engine, FleetOptions("dask", folder / "dask", 2))


async def test_the_dask_engine_gives_the_results_of_the_process_engine(cluster: Cluster, tmp_path: Path) -> None:
    process_fleet = FleetRun(
        write_six_station_plan(tmp_path), ProcessEngine(host), FleetOptions("process", tmp_path / "process", 2)
    )
    async with asyncio.timeout(PATIENCE_S):
        reports = await asyncio.gather(process_fleet.run(), dask_fleet(tmp_path, cluster).run())
    for report in reports:
        assert (report.booted, report.failed, report.replaced) == (6, {}, [])
        assert report.energy.largest_difference_wh <= 0.01
        assert report.ended == report.energy.transactions >= 6
    by_process, by_dask = map(sorted_bill_energies, reports)
    assert by_dask.keys() == by_process.keys()
    for identity, expected in by_process.items():
        assert by_dask[identity] == pytest.approx(expected, abs=1.0)


async def test_with_a_worker_killed_every_bill_equals_its_register(cluster: Cluster, tmp_path: Path) -> None:
    """The worker is killed while vehicles charge."""
    run = dask_fleet(tmp_path, cluster)
    async with asyncio.timeout(PATIENCE_S):
        report, _ = await asyncio.gather(run.run(), kill_a_worker(run))
    assert len([station for station in report.station_reports if station.resumed]) == 3, "no host was lost"
    assert (report.booted, report.failed, report.replaced) == (6, {}, [])
    assert report.energy.largest_difference_wh <= 0.01
    assert report.energy.transactions >= 4


async def test_a_signal_to_the_whole_group_stops_a_dask_fleet_in_order(tmp_path: Path) -> None:
    """As Ctrl-C on a terminal, which reaches every process of the command."""
    write_six_station_plan(tmp_path)
    command = (
        sys.executable,
        "-m",
        "borne",
        "fleet",
        str(tmp_path / "plan.toml"),
        "--engine",
        "dask",
        "--out",
        str(tmp_path / "out"),
    )
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, start_new_session=True)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while b"the plan begins" not in await process.stdout.readline():
            assert process.returncode is None
        os.killpg(process.pid, signal.SIGINT)
        output, _ = await process.communicate()
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["interrupted"], report["host_failures"]) == (True, []), output.decode()
    assert {station["state"] for station in report["station_reports"]} == {"stopped"}
