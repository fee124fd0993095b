"""The part of the Dask engine that runs on a worker: the parent process of a host."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from distributed import get_worker
from msgspec.structs import replace

from borne.fleet.leased_host import HostOrder, LeasedHostProcess
from borne.fleet.unit import Host, HostTask
from foundation.frozen import Frozen
from station.core.version import package_version


class WorkerOrder(Frozen):
    """The task of a worker: the host with its stations, and its lease."""

    host: Host
    task: HostTask
    lease_s: float
    continues: bool
    """whether an earlier host of the same task was lost"""
    shared_storage: bool
    """whether all workers see the folder of the fleet; otherwise the stations are stored below the worker's folder"""
    version: str
    """version of the package at the engine"""


class WorkerVersionError(Exception):
    """A worker has another version of the package than the engine."""


class HostActor:
    """A host on a Dask worker, as an actor: the engine calls `exchange` each second.

    The host is a process of its own. In the worker's process, thousands of stations would keep it from answering the
    scheduler, which would take it for lost. A Dask task that runs for hours could be started again by the scheduler
    behind the engine's back; an actor that is lost stays lost.
    """

    def __init__(self, order: WorkerOrder) -> None:
        """Start the host.

        Raises:
            WorkerVersionError: this worker has another version of the package.
            OSError: the process cannot be started.
        """
        if order.version != (version := package_version()):
            raise WorkerVersionError(f"worker {get_worker().address} has borne {version} instead of {order.version}")
        task = order.task
        self._own_folder: str | None = None
        lock_file = None
        if order.shared_storage:
            lock_file = str(Path(task.folder) / "locks" / f"{task.numbers.start:06}")
        else:
            self._own_folder = tempfile.mkdtemp(prefix="fleet-", dir=get_worker().local_directory)
            task = replace(task, folder=self._own_folder)
        self._process = LeasedHostProcess(HostOrder(order.host, task, order.lease_s, order.continues, lock_file))

    def address(self) -> str:
        """The address of the worker."""
        return str(get_worker().address)

    def exchange(self, stop: bool) -> tuple[bytes | None, int | None]:
        """Renew the lease of the host; returns its latest report and its exit code (`LeasedHostProcess`)."""
        return self._process.exchange(stop=stop)

    def close(self) -> None:
        """End the host, and delete its folder if it is the worker's own."""
        self._process.close()
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)
