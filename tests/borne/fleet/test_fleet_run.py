"""Whole fleets of the process engine: complete stations in processes of their own, at the bundled CSMS."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from borne.fleet.command import FleetOutput, FolderError, run_fleet
from borne.fleet.fleet_run import FleetOptions, FleetRun
from borne.fleet.host import host
from borne.fleet.live_view import PlainView, conclusion
from borne.fleet.process_engine import ProcessEngine
from foundation.clock import SystemClock
from simulator.csms.csms import DemoCsms
from simulator.fleet.fleet_record import FleetSample
from simulator.fleet.fleet_report import FleetReport
from simulator.fleet.plan import LoadedPlan, load_plan
from simulator.fleet.reports import StationState
from simulator.fleet.schedule import arrivals
from tests.borne.fleet.leased_hosts import host_process
from tests.command_line import invoke
from tests.patience import PATIENCE_S
from tests.simulator.fleet.plans import write_plan

STATIONS = 6
SEVERAL_CUTS = """
[[disturbance]]
type = "reconnect-storm"
at_s = 20

[[disturbance]]
type = "link-cut"
at_s = 60
lasts_s = 40
spread_s = 10
share = 0.5

[[disturbance]]
type = "power-cut"
at_s = 110
lasts_s = 20
share = 0.5

[[disturbance]]
type = "csms-restart"
at_s = 150
lasts_s = 30

[[misbehaviour]]
way = "duplicate"
action = "TransactionEvent"
new_id = true
times = 0
share = 0.5
"""


def plan_file(
    folder: Path,
    *,
    hosts: int,
    more: str = SEVERAL_CUTS,
    rate: float = 60,
    duration_s: float = 240,
    csms: str = "bundled",
) -> Path:
    """Write the plan of six stations whose vehicles charge until they are full, a few simulated minutes each."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f"""
        [fleet]
        stations = {STATIONS}
        template = "station.toml"
        csms = "{csms}"
        seed = 399
        duration_s = {duration_s}
        rate = {rate}
        hosts = {hosts}
        [ramp]
        stations_per_s = 20
        [arrivals]
        per_day = 600
        leave = "charged"
        [[vehicle]]
        battery_wh = 600
        soc = [0.5, 0.8]
        stay_s = [20, 60]
        {more}
    """
    return write_plan(folder, text)


def plan(folder: Path, *, hosts: int, **more: Any) -> LoadedPlan:
    """Load the plan of `plan_file`."""
    return load_plan(plan_file(folder, hosts=hosts, **more))


def fleet(folder: Path, loaded: LoadedPlan) -> FleetRun:
    return FleetRun(loaded, ProcessEngine(host), FleetOptions("process", folder / "out", 2))


def act_once_when(run: FleetRun, reached: Callable[[FleetSample], bool], act: Callable[[], None]) -> None:
    """Act once, at the first sample that satisfies a condition."""
    acted: list[FleetSample] = []

    def check(sample: FleetSample) -> None:
        if not acted and reached(sample):
            acted.append(sample)
            act()

    run.sampled.subscribe(check)


def energies_wh(report: FleetReport) -> list[float]:
    return [station.register_wh for station in report.station_reports]


async def test_every_bill_equals_its_meter_and_the_same_seed_gives_the_same_energy(tmp_path: Path) -> None:
    """Through a storm, cuts, a restart of the CSMS, and events sent twice; however the stations are spread."""
    first, second = plan(tmp_path / "a", hosts=2), plan(tmp_path / "b", hosts=1)
    reports = await asyncio.gather(fleet(tmp_path / "a", first).run(), fleet(tmp_path / "b", second).run())
    for report in reports:
        assert report.passed, report.thresholds
        assert report.failed == {}
        assert report.booted == STATIONS
        assert {station.misbehaviour > 0 for station in report.station_reports} == {True, False}
        assert report.misbehaviour == sum(station.misbehaviour for station in report.station_reports)
        assert report.started == report.ended == report.energy.transactions
        assert report.energy.source == "bills of the bundled CSMS"
        assert report.energy.unknown_stations == ()
        assert report.reconnect.count >= STATIONS
        assert all(station.boots >= 1 for station in report.station_reports)
        assert any(station.boots > 1 for station in report.station_reports), "nobody has lost its power"
        by_events = {station.number: sum(station.bills.values()) for station in report.station_reports}
        for balance in report.energy.stations:
            assert balance.register_wh > 100.0
            assert balance.billed_wh == pytest.approx(balance.register_wh, abs=1.0)
            assert by_events[balance.number] == pytest.approx(balance.billed_wh, abs=0.01)  # OCPP sends 0.001 Wh
    assert reports[0].hosts == 2
    assert energies_wh(reports[0]) == pytest.approx(energies_wh(reports[1]), abs=1.0)
    planned = [len(list(arrivals(first.plan, number, 1))) for number in first.numbers]
    assert [station.arrivals for station in reports[0].station_reports] == planned
    assert [station.arrivals for station in reports[1].station_reports] == planned


async def test_vehicles_with_contracts_charge_without_a_card(tmp_path: Path) -> None:
    more = """
        iso15118_share = 1.0
        contract_share = 1.0
        [contracts]
        names = ["valid", "revoked"]
    """
    report = await fleet(tmp_path, plan(tmp_path, hosts=1, more=more, duration_s=120)).run()
    assert report.passed, (report.failed, report.thresholds)
    requests = {(each.direction, each.action): each.requests for each in report.actions}
    assert requests["to CSMS", "NotifyEVChargingNeeds"] == report.started > 0
    assert requests["to CSMS", "Authorize"] > report.started, "no vehicle had a revoked contract"
    assert requests["from CSMS", "InstallCertificate"] == 2 * STATIONS


async def test_a_fleet_that_is_stopped_ends_its_transactions_and_says_so(tmp_path: Path) -> None:
    run = fleet(tmp_path, plan(tmp_path, hosts=2, more="", rate=20))
    act_once_when(run, lambda sample: sample.energy_wh > 50.0, run.stop)
    report = await run.run()
    assert report.interrupted
    assert [threshold.name for threshold in report.thresholds if not threshold.met] == ["completed"]
    assert report.started == report.ended > 0
    assert report.energy.largest_difference_wh <= 1.0
    assert all(station.state is StationState.STOPPED for station in report.station_reports)


async def test_a_killed_host_is_a_failure_of_its_stations_only(tmp_path: Path) -> None:
    run = fleet(tmp_path, plan(tmp_path, hosts=2, more="", rate=60))

    act_once_when(
        run, lambda sample: sample.started >= 3, lambda: os.kill(host_process(tmp_path / "out", 1)[0], signal.SIGKILL)
    )
    remarks: list[str] = []
    run.remarks.subscribe(remarks.append)
    report = await run.run()
    assert remarks[-1] == "stations from 1: its host process has ended with exit code -9"
    assert report.host_failures == ["its host process has ended with exit code -9"]
    assert sorted(report.failed) == ["FLEET-00001", "FLEET-00003", "FLEET-00005"]
    assert "max_failed_stations" in [threshold.name for threshold in report.thresholds if not threshold.met]
    surviving = [station for station in report.energy.stations if station.number % 2 == 0]
    assert all(station.billed_wh == pytest.approx(station.register_wh, abs=1.0) for station in surviving)
    assert all(station.register_wh > 0.0 for station in surviving)


def test_the_command_writes_a_report_and_its_thresholds_give_the_exit_code(tmp_path: Path) -> None:
    tight = '[[disturbance]]\ntype = "reconnect-storm"\nat_s = 30\n[thresholds]\nmax_reconnect_p95_s = 0.001\n'
    loaded = plan(tmp_path, hosts=1, more=tight, duration_s=60)
    out = tmp_path / "out"
    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        output = FleetOutput(Console(file=terminal, width=200), http_port=0)
        assert run_fleet(loaded, ProcessEngine(host), FleetOptions("process", out, 2), output) == 1
    terminal_text = (tmp_path / "terminal").read_text(encoding="utf-8")
    assert "CSMS at ws://127.0.0.1:" in terminal_text
    assert "page of all stations at http://127.0.0.1:" in terminal_text
    assert "threshold not met: max_reconnect_p95_s = 0.001, was" in terminal_text
    found = json.loads((out / "report.json").read_bytes())
    assert found["passed"] is False
    rows = list(csv.DictReader((out / "requests.csv").read_text(encoding="utf-8").splitlines()))
    assert {"BootNotification", "StatusNotification", "TransactionEvent"} <= {row["Name"] for row in rows}
    counted = sum(action["requests"] for action in found["actions"][:-1])
    assert counted == found["actions"][-1]["requests"] == int(rows[-1]["Request Count"])
    assert "Thresholds not met" in (out / "report.html").read_text(encoding="utf-8")
    with sqlite3.connect(f"file:{out}/stations/000001/borne.sqlite?mode=ro", uri=True) as database:
        events = database.execute("SELECT count(*) FROM events").fetchone()[0]
    assert events > 0
    with pytest.raises(FolderError, match=r"is not empty; every run needs its own folder$"):
        run_fleet(loaded, ProcessEngine(host), FleetOptions("process", out, 2), FleetOutput(Console(), None))


async def test_the_bills_of_a_foreign_csms_close_the_balance_also_after_the_fleet_has_ended(tmp_path: Path) -> None:
    out, bills = tmp_path / "out", tmp_path / "bills.csv"
    async with DemoCsms(SystemClock().now).listening() as csms:
        file = plan_file(tmp_path, hosts=1, more="", duration_s=60, csms=csms.url)
        arguments = ["fleet", "run", str(file), "--out", str(out), "--bills", str(bills)]
        fleet_process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "borne", *arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            _, output = await fleet_process.communicate()
    assert (fleet_process.returncode, output.decode()) == (2, f"{bills}: cannot be read: No such file or directory\n")
    assert "transaction events that the CSMS has answered" in (out / "report.html").read_text(encoding="utf-8")
    transactions = list(csms.transactions.values())
    assert transactions
    rows = [f"{transaction.station},{transaction.id},{transaction.energy_wh}" for transaction in transactions]
    bills.write_text("\n".join(["station,transaction,energy", *rows]), encoding="utf-8")
    assert invoke(arguments).exit_code == 0
    text = (out / "report.html").read_text(encoding="utf-8")
    assert f"bills in bills.csv: {sum(transaction.energy_wh or 0.0 for transaction in transactions):,.1f} Wh" in text
    bills.write_text("\n".join(["station,transaction,energy", *rows[1:]]), encoding="utf-8")
    lacking = invoke(arguments)
    assert lacking.exit_code == 1
    assert f"failed: {transactions[0].station}: 1 transactions have no bill at the CSMS" in lacking.stdout


@pytest.mark.parametrize(
    ("accepts", "why"), [(False, "cannot connect to the CSMS at"), (True, "no answer yet from the CSMS at")]
)
def test_why_a_fleet_is_not_accepted_is_in_a_line_while_it_runs(tmp_path: Path, accepts: bool, why: str) -> None:
    """Nobody listens; or somebody accepts connections, and never says anything."""
    with socket.socket() as silent_server:
        silent_server.bind(("127.0.0.1", 0))
        csms = f"ws://127.0.0.1:{silent_server.getsockname()[1]}/ocpp"
        if accepts:
            silent_server.listen()
        run = fleet(tmp_path, plan(tmp_path, hosts=1, more="", rate=1, csms=csms))
        with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
            PlainView(run, Console(file=terminal, width=300))
            act_once_when(run, lambda sample: sample.problem is not None, run.stop)
            report = asyncio.run(run.run())
    lines = (tmp_path / "terminal").read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if " starting" in line and why in line)
    assert csms in first
    assert "boot p95 –;" in conclusion(report)[0]
