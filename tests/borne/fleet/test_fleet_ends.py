"""Ends of a fleet: with a CSMS that does not run, without place for the report. Its hosts only report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from borne.fleet.bundled_csms import BundledCsms
from borne.fleet.command import FleetOutput, FolderError, run_fleet
from borne.fleet.fleet_run import FleetOptions, FleetRun
from borne.fleet.unit import EngineError, HostTask, ReportListener
from simulator.fleet.plan import LoadedPlan, load_plan
from simulator.fleet.reports import HostReport, StationReport, StationState
from tests.patience import PATIENCE_S
from tests.simulator.fleet.plans import write_plan


class ReportingEngine:
    """An engine (`FleetEngine`) whose hosts begin the plan, and end when they are stopped; they run no stations."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()

    def prepared(self, folder: Path) -> AbstractAsyncContextManager[None]:
        """Nothing is needed."""
        return nullcontext()

    async def run(self, tasks: Sequence[HostTask], listener: ReportListener) -> None:
        """Report that the plan has begun, and the end of it after a stop."""
        for finished in (False, True):
            for task in tasks:
                stations = tuple(
                    StationReport(number, f"S{number}", StationState.STOPPED, boots=1) for number in task.numbers
                )
                listener(HostReport(f"host {task.numbers.start}", stations, finished=finished, begun_at=1.0))
            if not finished:
                await self.stopped.wait()

    def stop(self) -> None:
        """Let the hosts end."""
        self.stopped.set()


def plan(folder: Path, more: str = "") -> LoadedPlan:
    return load_plan(write_plan(folder, f'[fleet]\nstations = 1\ntemplate = "station.toml"\n{more}'))


async def test_a_fleet_that_is_stopped_while_its_csms_restarts_is_reported(tmp_path: Path) -> None:
    restart = '[[disturbance]]\ntype = "csms-restart"\nat_s = 0\nlasts_s = 1000000\n'
    run = FleetRun(plan(tmp_path, restart), ReportingEngine(), FleetOptions("process", tmp_path / "out", 1))
    remarks: list[str] = []

    def note(remark: str) -> None:
        remarks.append(remark)
        if remark.startswith("the CSMS stops"):
            asyncio.get_running_loop().call_later(0.5, run.stop)  # while it stops, or is stopped

    run.remarks.subscribe(note)
    async with asyncio.timeout(PATIENCE_S):
        report = await run.run()
    assert any(remark.startswith("the CSMS stops") for remark in remarks)
    assert (report.interrupted, report.failed) == (True, {})
    assert report.energy.source == "bills of the bundled CSMS"


async def test_a_csms_that_cannot_be_started_is_an_error_of_the_engine(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"^the bundled CSMS cannot be started: .*: Not a directory$"):
        await BundledCsms(tmp_path / "file" / "csms", workers=1, heartbeat_s=300).start()


def test_the_result_is_shown_even_if_the_report_cannot_be_written(tmp_path: Path) -> None:
    loaded = plan(tmp_path, 'csms = "ws://127.0.0.1:9/ocpp"\n')
    out = tmp_path / "out"

    class FullDiskEngine(ReportingEngine):
        async def run(self, tasks: Sequence[HostTask], listener: ReportListener) -> None:
            (out / "report.json").mkdir()
            self.stop()
            await super().run(tasks, listener)

    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        output = FleetOutput(Console(file=terminal, width=200), http_port=None)
        with pytest.raises(FolderError, match=r"the report cannot be written: Is a directory$"):
            run_fleet(loaded, FullDiskEngine(), FleetOptions("process", out, 1), output)
    assert "1 of 1 stations accepted" in (tmp_path / "terminal").read_text(encoding="utf-8")
