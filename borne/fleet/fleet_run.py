"""Runs a fleet: CSMS, engine, disturbances of the CSMS, views, and the report at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from borne.fleet.bundled_csms import BundledCsms
from borne.fleet.unit import EngineError, FleetEngine, HostTask
from foundation.clock import machine_time
from foundation.events import Event
from foundation.frozen import Frozen
from simulator.fleet.energy_balance import Bills, balance_energy
from simulator.fleet.fleet_record import FleetRecord, FleetSample
from simulator.fleet.fleet_report import FleetReport, FleetRunFacts, fleet_report
from simulator.fleet.plan import LoadedPlan
from simulator.fleet.reports import HostReport
from simulator.pki.contracts import PkiError

_SAMPLE_INTERVAL_S: Final = 1.0
_LEAD_TIME_S: Final = 2.0
_LEAD_PER_STATION_S: Final = 0.005
"""real time that a host needs to create a station before the ramp begins"""


class FleetOptions(Frozen):
    """Options of a run."""

    engine: str
    """name of the engine, for the report"""
    folder: Path
    """the folder of the fleet"""
    hosts: int
    """number of hosts, if the plan does not say"""


class FleetRun:
    """One run of a plan, and its state for views; `run` runs it."""

    def __init__(self, loaded: LoadedPlan, engine: FleetEngine, options: FleetOptions) -> None:
        """Prepare a run; starts nothing."""
        self.loaded = loaded
        self.options = options
        self.record = FleetRecord()
        """the reports of the hosts so far"""
        self.sampled: Event[FleetSample] = Event()
        """published each second"""
        self.remarks: Event[str] = Event()
        """what happens to the fleet as a whole, in a sentence"""
        self.interrupted = False
        """whether `stop` was called"""
        self._engine = engine
        self._bundled_csms: BundledCsms | None = None
        self._created_at = machine_time()
        self._ramp_begins_at = 0.0
        self._host_count = 0
        self._plan_begun = asyncio.Event()
        """set once the plan has begun at all hosts"""
        self._stopping = asyncio.Event()
        """set by `stop`"""

    @property
    def tasks_s(self) -> tuple[float, float]:
        """Real seconds of the ramp, and of the plan after it, until vehicles leave."""
        fleet = self.loaded.plan.fleet
        return fleet.stations / self.loaded.plan.ramp.stations_per_s, fleet.duration_s / fleet.rate

    @property
    def elapsed_s(self) -> float:
        """Real seconds since the begin of the ramp; negative before it."""
        return machine_time().timestamp() - self._ramp_begins_at if self._ramp_begins_at else 0.0

    def stop(self) -> None:
        """Request the fleet to stop in order, and return at once; `run` then returns the report."""
        if not self.interrupted:
            self.interrupted = True
            self._stopping.set()
            self._publish_remark("stopping: vehicles leave, and stations stop in order")
            self._engine.stop()

    async def run(self) -> FleetReport:
        """Run the plan to its end; returns the report.

        Raises:
            EngineError: CSMS or hosts cannot be started, or the bills of the bundled CSMS cannot be read.
        """
        fleet = self.loaded.plan.fleet
        pki = await asyncio.to_thread(self._prepare_pki)
        async with AsyncExitStack() as stack:
            url = fleet.csms
            if fleet.csms == "bundled":
                self._bundled_csms = await stack.enter_async_context(self._running_csms(pki))
                url = self._bundled_csms.url
            self._publish_remark(f"CSMS at {url}")
            await stack.enter_async_context(self._engine.prepared(self.options.folder))
            tasks = self._host_tasks(url)
            async with _background_tasks(self._publish_samples, self._restart_csms):
                await self._engine.run(tasks, self._apply_report)
            self.record.sample(max(0.0, self.elapsed_s))
            lasted_s = max(0.0, self.elapsed_s)
            bills = await self._bundled_bills()
        energy = balance_energy(self.record.stations, frozenset(self.record.replaced), bills)
        facts = FleetRunFacts(
            self.options.engine,
            self._created_at.isoformat(timespec="seconds"),
            lasted_s,
            self.interrupted,
            self._plan_began_s(),
        )
        return fleet_report(self.loaded.plan, facts, self.record, energy)

    def _prepare_pki(self) -> Path | None:
        """Make the PKI of the contracts, if the plan has contracts and names none; returns its folder. Blocks.

        Raises:
            EngineError: it cannot be written.
        """
        if not self.loaded.plan.has_contracts:
            return None
        if self.loaded.pki_path is not None:
            return Path(self.loaded.pki_path)
        from simulator.pki.v2g_pki import TestPki  # late: cryptography

        folder = self.options.folder / "pki"
        try:
            self.loaded = self.loaded.with_contracts_of(TestPki.create(folder))
        except PkiError as error:
            raise EngineError(str(error)) from None
        return folder

    def _plan_began_s(self) -> float | None:
        """Real seconds from the begin of the ramp until the plan began at the first host; None: it has not."""
        begun_at = min((host.begun_at for host in self.record.hosts if host.begun_at > 0.0), default=None)
        return None if begun_at is None else max(0.0, begun_at - self._ramp_begins_at)

    def _apply_report(self, report: HostReport) -> None:
        self.record.note(report)
        if report.failure is not None:
            self._publish_remark(f"stations from {report.first}: {report.failure}")
        if not self._plan_begun.is_set() and sum(host.begun_at > 0.0 for host in self.record.hosts) == self._host_count:
            self._plan_begun.set()
            self._publish_remark("the plan begins")

    def _publish_remark(self, sentence: str) -> None:
        self.remarks.publish(sentence)

    def _host_tasks(self, url: str) -> list[HostTask]:
        """One task for each host; neighbouring stations are on different hosts, so that the ramp loads all alike."""
        numbers = self.loaded.numbers
        hosts = self._host_count = min(self.loaded.plan.fleet.hosts or self.options.hosts, len(numbers))
        lead_s = _LEAD_TIME_S + _LEAD_PER_STATION_S * len(numbers) / hosts
        self._ramp_begins_at = machine_time().timestamp() + lead_s
        folder = str(self.options.folder.absolute())
        return [
            HostTask(self.loaded, numbers[index::hosts], url, folder, self._ramp_begins_at) for index in range(hosts)
        ]

    @asynccontextmanager
    async def _running_csms(self, pki: Path | None) -> AsyncGenerator[BundledCsms]:
        fleet = self.loaded.plan.fleet
        folder = self.options.folder / "csms"
        csms = BundledCsms(folder, workers=fleet.csms_workers, heartbeat_s=fleet.csms_heartbeat_s, pki=pki)
        await csms.start()
        try:
            yield csms
        finally:
            await csms.stop()

    async def _publish_samples(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_INTERVAL_S)
            if self.record.hosts:
                self.sampled.publish(self.record.sample(max(0.0, self.elapsed_s)))

    async def _restart_csms(self) -> None:
        """Play the restarts of the bundled CSMS, in real time."""
        plan, csms = self.loaded.plan, self._bundled_csms
        restarts = sorted(
            (disturbance.at_s, disturbance.lasts_s)
            for disturbance in plan.disturbance
            if disturbance.type == "csms-restart"
        )
        if csms is None or not restarts:
            return
        await self._plan_begun.wait()
        begun_at = machine_time().timestamp()
        for at_s, lasts_s in restarts:
            await self._wait_unless_stopped(at_s / plan.fleet.rate - (machine_time().timestamp() - begun_at))
            if self._stopping.is_set():
                return
            self._publish_remark(f"the CSMS stops for {lasts_s:g} s")
            await csms.stop()
            await self._wait_unless_stopped(lasts_s / plan.fleet.rate)  # a stopped fleet needs it for its last events
            await csms.start()
            self._publish_remark("the CSMS runs again")

    async def _wait_unless_stopped(self, seconds: float) -> None:
        """Wait for some real time, or until the fleet is stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stopping.wait()

    async def _bundled_bills(self) -> Bills | None:
        """The bills of the bundled CSMS, also if a restart has not ended before the fleet; None: it is another CSMS.

        Raises:
            EngineError: it cannot be started, or does not answer.
        """
        if self._bundled_csms is None:
            return None
        await self._bundled_csms.ensure_started()
        return await self._bundled_csms.bills()


def default_hosts() -> int:
    """One host for each core that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # there is no such question on macOS


@asynccontextmanager
async def _background_tasks(*works: Callable[[], Coroutine[object, object, None]]) -> AsyncGenerator[None]:
    """Run tasks while the block runs; the failure of one ends the block with it."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for work in works]
            yield
            for task in tasks:
                task.cancel()
    except* EngineError as errors:
        raise EngineError("; ".join(str(error) for error in errors.exceptions)) from None
