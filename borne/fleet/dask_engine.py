"""The engine `dask`: runs hosts on the workers of a Dask cluster, and starts those of lost workers again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Generator, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast

import dask.config
from distributed import Client, LocalCluster

from borne.fleet.dask_worker import HostActor, WorkerOrder, WorkerVersionError
from borne.fleet.host_reports import SILENCE_S, START_S, HostLostError, host_reports, longest_silence_s
from borne.fleet.leased_host import longest_lock_wait_s
from borne.fleet.unit import EngineError, Host, HostTask, ReportListener, lost_host_report
from foundation.frozen import Frozen
from simulator.fleet.reports import HostReport
from station.core.version import package_version

T = TypeVar("T")

_log = logging.getLogger(__name__)

_RENEWAL_INTERVAL_S: Final = 1.0
_ANSWER_LEASE_SHARE: Final = 2 / 3
"""of the lease: a worker that does not answer for so long is lost; its host ends with the lease"""
_WORKER_TIMEOUT_S: Final = 60.0
"""how long to wait for another worker when all are lost"""
_MAX_STARTS: Final = 4
"""of one range; a host that is lost so often fails for a reason of its own"""
_DASK_CONFIGURATION: Final = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "5s",
}
"""of a cluster on this machine; the engine relies on none of it, since other clusters have their own"""


class DaskOptions(Frozen):
    """The cluster that runs the hosts."""

    scheduler: str | None = None
    """address of a running scheduler, such as tcp://10.0.0.1:8786; None: a cluster on this machine for this run"""
    workers: int = 2
    """workers of a cluster on this machine"""
    shared_storage: bool = True
    """whether all workers see the folder of the fleet under the same path, with working file locks"""
    hosts: int = 1
    """workers to wait for, so that hosts do not share one while others are still starting"""
    join_s: float = 60.0
    """longest real time to wait for the scheduler and its workers; then one worker is enough"""
    lease_s: float = 30.0
    """real seconds after which a host ends whose worker is cut off"""
    silence_s: float = SILENCE_S
    """longest real time without a report of a host, in addition to what its stations need"""


def count_threads(scheduler: str) -> int:
    """The number of threads of all workers of a cluster: how many hosts it is made for. Blocks.

    Raises:
        EngineError: the scheduler does not answer, or has no worker.
    """
    try:
        with Client(scheduler, timeout=f"{_WORKER_TIMEOUT_S} s", set_as_default=False) as client:
            threads = sum(cast("_ThreadCounter", client).nthreads().values())
    except (OSError, ValueError) as error:
        raise EngineError(f"Dask: {scheduler}: {error}") from error
    if not threads:
        raise EngineError(f"Dask: {scheduler}: has no workers")
    return threads


class _RemoteHost(Protocol):
    """`HostActor`, as the engine sees it from afar."""

    def address(self) -> Awaitable[str]: ...

    def exchange(self, stop: bool) -> Awaitable[tuple[bytes | None, int | None]]: ...

    def close(self) -> Awaitable[None]: ...


class _Submitted(Protocol):
    """The future of an actor."""

    def __await__(self) -> Generator[object, None, _RemoteHost]: ...

    def release(self) -> None: ...


class _ClusterClient(Protocol):
    """`distributed.Client` in its asynchronous form, which it does not declare."""

    def submit(  # noqa: PLR0913  # the signature of Dask
        self,
        func: type[HostActor],
        order: WorkerOrder,
        *,
        key: str,
        actor: bool,
        pure: bool,
        retries: int,
        workers: Sequence[str] | None,
        allow_other_workers: bool,
    ) -> _Submitted: ...

    async def nthreads(self) -> Mapping[str, int]: ...

    async def wait_for_workers(self, n_workers: int, timeout: float) -> None: ...


class _ThreadCounter(Protocol):
    """`distributed.Client` in its synchronous form."""

    def nthreads(self) -> dict[str, int]:
        """The number of threads of each worker, by its address."""
        ...


class WorkerLostError(HostLostError):
    """The worker of a host has ended, or does not answer."""


class DaskEngine:
    """Runs each host on a worker of a Dask cluster (`FleetEngine`).

    Each range of stations has one host at a time whose reports count. When its worker is lost, the range is started
    again: with shared storage its stations go on as after a power cut, once the lock of the range is free; without it
    they are new ones. A worker that is only cut off ends its host when the lease ends.
    """

    def __init__(self, host: Host, options: DaskOptions) -> None:
        """`host`: what to run; a function of a module that the workers can import."""
        self._host = host
        self._options = options
        self._stopped = False
        self._lost_workers: set[str] = set()
        """addresses of workers that have lost a host; some of them may only be cut off"""
        self._client: _ClusterClient | None = None
        self.cluster: LocalCluster | None = None
        """the cluster on this machine, within `prepared`; None: there is none"""

    @asynccontextmanager
    async def prepared(self, folder: Path) -> AsyncGenerator[None]:
        """Connect to the cluster, within the block, and wait for a worker; starts one on this machine if none is given.

        Raises:
            EngineError: there is no cluster, or no worker.
        """
        options = self._options
        async with AsyncExitStack() as stack:
            stack.enter_context(dask.config.set(_DASK_CONFIGURATION))
            try:
                if options.scheduler is None:
                    self.cluster = await stack.enter_async_context(_local_cluster(options.workers, folder / "dask"))
                address = self.cluster or options.scheduler
                timeout = f"{options.join_s} s"
                client = await stack.enter_async_context(Client(address, timeout=timeout, asynchronous=True))
            except (OSError, ValueError) as error:
                raise EngineError(f"Dask: {options.scheduler or 'cluster on this machine'}: {error}") from error
            self._client = cast("_ClusterClient", client)
            await self._wait_for_workers(self._client)
            try:
                yield
            finally:
                self._client = self.cluster = None

    async def run(self, tasks: Sequence[HostTask], listener: ReportListener) -> None:
        """Run each task on a worker, to its end, with new workers if some are lost.

        Raises:
            EngineError: there is no worker, or workers have another version of the package.
        """
        if self._client is None:
            raise EngineError("Dask: not connected")
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(self._run_range(self._client, task, listener))
        except* EngineError as errors:
            raise EngineError(str(errors.exceptions[0])) from None

    async def _wait_for_workers(self, client: _ClusterClient) -> None:
        """Wait for as many workers as there are hosts; one is enough if no others join in time.

        Raises:
            EngineError: there is none.
        """
        wanted_workers = self._options.workers if self._options.scheduler is None else self._options.hosts
        try:
            await client.wait_for_workers(wanted_workers, timeout=self._options.join_s)
        except TimeoutError:
            present = len(await client.nthreads())
            if not present:
                raise EngineError(f"Dask: no worker has joined within {self._options.join_s:g} s") from None
            _log.warning("Dask: %d workers for %d hosts", present, wanted_workers)

    def stop(self) -> None:
        """Request all hosts to stop in order; they get the request with the next renewal of their lease."""
        self._stopped = True

    async def _run_range(self, client: _ClusterClient, task: HostTask, listener: ReportListener) -> None:
        """Run one range of stations until a host has sent its last report."""
        latest: HostReport | None = None
        failure, continues = "", False
        shared = self._options.shared_storage
        for start in range(_MAX_STARTS):
            if start:
                _log.warning("stations from %d: %s; they are started again", task.numbers.start, failure)
            order = WorkerOrder(self._host, task, self._options.lease_s, continues, shared, package_version())
            attempt = _HostAttempt(order, longest_silence_s(task, self._options.silence_s), self._lost_workers)
            try:
                async for report in attempt.run(client, self):
                    latest = report
                    listener(report)
                return
            except HostLostError as error:
                failure = str(error)
                if isinstance(error, WorkerLostError):
                    self._lost_workers.add(attempt.worker)
            if self._stopped:
                break
            continues |= attempt.began
            if attempt.began and not shared:
                # What was not reported may have happened: none of these stations counts any more.
                listener(lost_host_report(task, latest, failure))
        listener(lost_host_report(task, latest, failure))

    @property
    def stop_requested(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped


def _local_cluster(workers: int, folder: Path) -> LocalCluster:
    """A cluster on this machine, not started."""
    return LocalCluster(
        host="127.0.0.1",
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=0,  # the hosts are processes of their own
        dashboard_address="127.0.0.1:0",
        local_directory=str(folder),
        silence_logs=logging.CRITICAL,
        preload=["borne.fleet.dask_session"],
        asynchronous=True,
    )


class _HostAttempt:
    """One host for a range of stations, from its start until its end or loss."""

    def __init__(self, order: WorkerOrder, silence_s: float, avoided: Set[str]) -> None:
        """Prepare an attempt.

        Args:
            order: what a worker is to run.
            silence_s: longest real time without a report of the host.
            avoided: addresses of workers that get a host only if there are no others.
        """
        self._order = order
        self._silence_s = silence_s
        self._avoided_workers = avoided
        self._answer_timeout_s = order.lease_s * _ANSWER_LEASE_SHARE
        self.began = False
        """whether its host may have run"""
        self.worker = ""
        """address of its worker; empty: not known"""

    async def run(self, client: _ClusterClient, engine: DaskEngine) -> AsyncGenerator[HostReport]:
        """Yield the reports of the host until its last one.

        Raises:
            HostLostError: host or worker are lost before; the host does not run any more if its worker answers.
            EngineError: there is no worker, or it cannot run hosts.
        """
        future = await self._submit(client)
        try:
            self.began = True
            actor = await self._await_answer(_await_started(future))
            self.worker = await self._await_answer(_address(actor))

            async def exchange() -> tuple[bytes | None, int | None]:
                return await self._await_answer(_exchange(actor, stop=engine.stop_requested))

            lock_s = longest_lock_wait_s(self._order.lease_s) if self._order.shared_storage else 0.0
            try:
                async for report in host_reports(
                    exchange, interval_s=_RENEWAL_INTERVAL_S, silence_s=self._silence_s, start_s=START_S + lock_s
                ):
                    yield report
            except WorkerLostError:
                raise
            except HostLostError:
                await self._end_host(actor)
                raise
            await self._end_host(actor)
        finally:
            future.release()

    async def _end_host(self, actor: _RemoteHost) -> None:
        """End the host, which has sent its last report, has ended or hangs."""
        with contextlib.suppress(HostLostError):
            await self._await_answer(_close(actor))

    async def _submit(self, client: _ClusterClient) -> _Submitted:
        await _wait_for_worker(client)
        workers = [address for address in await client.nthreads() if address not in self._avoided_workers]
        return client.submit(
            HostActor,
            self._order,
            key=f"host-{self._order.task.numbers.start}-{uuid.uuid4().hex}",
            actor=True,
            pure=False,
            retries=0,
            workers=workers or None,
            allow_other_workers=bool(workers),
        )

    async def _await_answer(self, answer: Awaitable[T]) -> T:
        """Await the answer of the worker.

        Raises:
            HostLostError: the worker is lost, or does not answer in time.
        """
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                return await answer
        except (OSError, RuntimeError, LookupError) as error:  # in Dask's versions, a lost actor is one or the other
            reason = f"no answer within {self._answer_timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
            raise WorkerLostError(f"its worker is lost: {reason}") from error


async def _await_started(future: _Submitted) -> _RemoteHost:
    """The host of a submitted actor.

    Raises:
        EngineError: the worker cannot run hosts.
    """
    try:
        return await future
    except (WorkerVersionError, ImportError) as error:
        raise EngineError(f"Dask: scheduler and workers need the same version of borne[fleet]: {error}") from error
    except asyncio.CancelledError as error:  # Dask reports an actor so that was lost before it began
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise WorkerLostError("its worker was lost while it started it") from error


async def _address(actor: _RemoteHost) -> str:
    return await actor.address()


async def _exchange(actor: _RemoteHost, *, stop: bool) -> tuple[bytes | None, int | None]:
    return await actor.exchange(stop)  # the look-up of the method fails already if the actor is lost


async def _close(actor: _RemoteHost) -> None:
    await actor.close()


async def _wait_for_worker(client: _ClusterClient) -> None:
    """Wait until there is a worker.

    Raises:
        EngineError: there is none.
    """
    try:
        await client.wait_for_workers(1, timeout=_WORKER_TIMEOUT_S)
    except TimeoutError:
        raise EngineError(f"Dask: no worker has joined within {_WORKER_TIMEOUT_S:g} s") from None
