"""The engine `process` with hosts that hang or fail; they run no stations."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from borne.fleet.process_engine import ProcessEngine
from borne.fleet.unit import Host
from simulator.fleet.reports import HostReport, StationState
from tests.borne.fleet.leased_hosts import failing_host, patient_host, task
from tests.patience import PATIENCE_S
from tests.processes import is_running


class Hosts:
    """Two hosts of two stations each, by an engine."""

    def __init__(self, folder: Path, host: Host, silence_s: float) -> None:
        self.engine = ProcessEngine(host, silence_s=silence_s)
        self.last: dict[int, HostReport] = {}
        """the last report of each host, by its first station"""
        self._folder = folder
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Run them to their ends."""
        async with asyncio.timeout(PATIENCE_S):
            await self.engine.run([task(self._folder, range(1, 3)), task(self._folder, range(3, 5))], self._note)

    async def both_report(self) -> None:
        """Wait until both have reported."""
        while len(self.last) < 2:
            self._changed.clear()
            await self._changed.wait()

    def process(self, first: int) -> int:
        """The process id of a host."""
        lines = (self._folder / "parents").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[2]) for line in lines if int(line.split()[0]) == first)

    def _note(self, report: HostReport) -> None:
        self.last[report.first] = report
        self._changed.set()


async def test_a_host_that_hangs_does_not_keep_a_fleet_from_ending_that_is_stopped(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path, patient_host, silence_s=2.0)
    async with asyncio.TaskGroup() as group:
        group.create_task(hosts.run())
        await hosts.both_report()
        hung = hosts.process(1)
        os.kill(hung, signal.SIGSTOP)
        hosts.engine.stop()
    assert not is_running(hung)
    assert hosts.last[1].failure == "its host process hangs: no report within 2.1 s"
    assert {station.state for station in hosts.last[1].stations} == {StationState.FAILED}
    assert (hosts.last[3].finished, hosts.last[3].failure) == (True, None)


async def test_a_host_that_ends_early_is_reported_with_its_exit_code(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path, failing_host, silence_s=PATIENCE_S)
    await hosts.run()
    assert {report.failure for report in hosts.last.values()} == {"its host process has ended with exit code 3"}
    assert all(report.finished for report in hosts.last.values())
