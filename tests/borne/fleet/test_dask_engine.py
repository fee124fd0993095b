"""The engine `dask` on a cluster of two workers: lost workers, shared and separate storages, stops."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from borne.fleet.unit import EngineError, Host, HostTask
from simulator.fleet.fleet_record import FleetRecord
from simulator.fleet.reports import HostReport, StationState
from tests.borne.fleet.leased_hosts import Cluster, failing_host, patient_host, task
from tests.patience import PATIENCE_S
from tests.processes import is_running

pytest.importorskip("distributed", reason="the extra borne[fleet] is not installed")

from borne.fleet.dask_engine import DaskEngine, DaskOptions, count_threads


class Running:
    """An engine that runs ranges of two stations."""

    def __init__(self, engine: DaskEngine, folder: Path, workers: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.workers = workers
        self.reports: list[HostReport] = []
        self.record = FleetRecord()
        self.changed = asyncio.Event()

    def note(self, report: HostReport) -> None:
        self.reports.append(report)
        self.record.note(report)
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for reports until something is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def host_ids(self, first: int) -> list[str]:
        """The ids of the hosts that have reported on the range that begins with a station, each once, in order.

        A host that is started again has another id.
        """
        return list(dict.fromkeys(report.host for report in self.reports if report.first == first))

    def worker_of(self, first: int) -> int:
        """The process id of the worker that runs the latest host of a range."""
        return self._latest_host(first)[0]

    def host_of(self, first: int) -> int:
        """The process id of the latest host of a range."""
        return self._latest_host(first)[1]

    def _latest_host(self, first: int) -> tuple[int, int]:
        """Process ids of its worker and its own."""
        lines = [line.split() for file in self._parents() for line in file.read_text(encoding="utf-8").splitlines()]
        found = [(int(parent), int(host)) for number, parent, host in lines if int(number) == first]
        return max(host for host in found if is_running(host[1]))

    def finish(self) -> None:
        """Let all hosts finish."""
        for file in self._parents():
            file.with_name("finish").touch()

    def _parents(self) -> list[Path]:
        """The files that hosts write, in the folder of the fleet or in those of the workers."""
        return [*self.folder.rglob("parents"), *self.workers.rglob("parents")]


def two_ranges(folder: Path) -> list[HostTask]:
    return [task(folder, range(1, 3)), task(folder, range(3, 5))]


@asynccontextmanager
async def running(
    cluster: Cluster,
    folder: Path,
    *,
    shared: bool,
    host: Host = patient_host,
    lease_s: float = PATIENCE_S,
    silence_s: float = PATIENCE_S,
) -> AsyncGenerator[Running]:
    """Run two ranges on the workers, until both have reported; then the block, then their end."""
    options = DaskOptions(
        scheduler=cluster.scheduler, hosts=2, shared_storage=shared, lease_s=lease_s, silence_s=silence_s
    )
    engine = DaskEngine(host, options)
    found = Running(engine, folder, cluster.folder)
    async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        await stack.enter_async_context(engine.prepared(folder))
        group.create_task(engine.run(two_ranges(folder), found.note))
        await found.until(lambda: found.host_ids(1) and found.host_ids(3))
        yield found


def check_replacement_of_first_range(fleet: Running) -> None:
    """Check that all stations finished with their storage, and that no lost host of the first range was heard again."""
    assert fleet.record.replaced == set()
    assert all(host.finished and host.failure is None for host in fleet.record.hosts)
    changes = [report.host for report in fleet.reports if report.first == 1]
    assert changes == sorted(changes, key=fleet.host_ids(1).index), "a lost host was heard again"


async def test_a_lost_worker_s_range_goes_on_elsewhere_with_its_storage(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path, shared=True) as fleet:
        os.kill(fleet.worker_of(1), signal.SIGKILL)
        await fleet.until(lambda: len(fleet.host_ids(1)) == 2)
        fleet.finish()
    assert len(fleet.host_ids(3)) == 1, "the other range was disturbed"
    check_replacement_of_first_range(fleet)


async def test_a_worker_that_is_cut_off_loses_its_host_before_another_one_uses_the_storage(
    cluster: Cluster, tmp_path: Path
) -> None:
    """A worker that does not answer is not dead: its host holds the lock of the range until its lease ends."""
    async with running(cluster, tmp_path, shared=True, lease_s=3.0) as fleet:
        worker = fleet.worker_of(1)
        os.kill(worker, signal.SIGSTOP)
        try:
            await fleet.until(lambda: len(fleet.host_ids(1)) == 2)
            assert fleet.worker_of(1) != worker
        finally:
            os.kill(worker, signal.SIGCONT)
        fleet.finish()
    check_replacement_of_first_range(fleet)


async def test_the_range_of_a_host_that_hangs_goes_on_with_its_storage(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path, shared=True, silence_s=2.0) as fleet:
        os.kill(fleet.host_of(1), signal.SIGSTOP)
        await fleet.until(lambda: len(fleet.host_ids(1)) == 2)
        fleet.finish()
    assert len(fleet.host_ids(3)) == 1, "the other range was disturbed"
    check_replacement_of_first_range(fleet)


async def test_without_shared_storage_stations_of_a_lost_worker_are_replaced(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path, shared=False) as fleet:
        os.kill(fleet.worker_of(3), signal.SIGKILL)
        await fleet.until(lambda: len([host for host in fleet.host_ids(3) if host]) == 2)
        fleet.finish()
    assert fleet.record.replaced == {3, 4}
    assert all(host.finished and host.failure is None for host in fleet.record.hosts)
    lost = [report for report in fleet.reports if report.failure is not None]
    assert [report.first for report in lost] == [3]
    assert {station.state for station in lost[0].stations} == {StationState.FAILED}


async def test_a_stop_ends_all_hosts_in_order(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path, shared=True) as fleet:
        fleet.engine.stop()
    assert all(host.finished and host.failure is None for host in fleet.record.hosts)
    assert [len(fleet.host_ids(first)) for first in (1, 3)] == [1, 1]


async def test_a_host_that_fails_each_time_is_reported_at_last(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path, shared=True, host=failing_host) as fleet:
        pass
    assert [host.failure for host in fleet.record.hosts] == ["its host process has ended with exit code 3"] * 2
    assert all(host.finished for host in fleet.record.hosts)


async def test_a_cluster_with_fewer_workers_than_hosts_is_used_as_it_is(cluster: Cluster, tmp_path: Path) -> None:
    engine = DaskEngine(patient_host, DaskOptions(scheduler=cluster.scheduler, hosts=3, join_s=0.5))
    async with engine.prepared(tmp_path):
        engine.stop()
        reports: list[HostReport] = []
        await engine.run(two_ranges(tmp_path), reports.append)
    assert {report.first for report in reports if report.finished} == {1, 3}
    assert await asyncio.to_thread(count_threads, cluster.scheduler) in (1, 2)


async def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path) -> None:
    engine = DaskEngine(patient_host, DaskOptions(scheduler="tcp://127.0.0.1:9", join_s=0.5))
    with pytest.raises(EngineError, match=r"^Dask: tcp://127\.0\.0\.1:9: "):
        async with engine.prepared(tmp_path):
            pass
