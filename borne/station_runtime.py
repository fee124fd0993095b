"""The runtime of one station in its process: starts, reboots, loses and regains power, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import field

from borne.systemd_notifier import KilledProcess
from borne.tasks import end_task
from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from foundation.supervision import AuxiliaryCalls
from foundation.waiting import Flag
from station.configuration.installation_file import Configuration
from station.core.event_feed import EventFeed
from station.core.model import BootReason
from station.interfaces.part_keys import CLOCK, STATION_CONTROL
from station.interfaces.parts import StationParts
from station.maintenance.commissioning.site_settings import SiteSettings
from station.maintenance.logs.station_context import station_context
from station.storage.database import StorageError
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import ReadConnections
from station.storage.safe_start_record import SafeStartRecord, describe_failure, single_errors

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from borne.station_run import StationRun
    from foundation.clock import Clock
    from ocpp_handlers.wire.transport_tap import TransportTap
    from station.core.csms import CsmsLink
    from station.devices.station_hardware import StationHardware
    from station.interfaces.additional_routes import AdditionalRoutes
    from station.security.access.sessions import BrowserSessions
    from station.storage.storage_lock import StorageLock

_RENEWAL_DEADLINE_S: Final = 60.0
"""deadline for the end of a run or the start of the next one"""
_MAX_CONCURRENT_STARTS: Final = 8
"""stations of a process that are assembled at the same time: some wait for the disk while another one computes"""


class StartError(Exception):
    """A station cannot be started; the message says why, for the user."""


StationRunFactory = Callable[["StationRuntime"], "AbstractAsyncContextManager[StationRun]"]
"""assembles the parts of a station for one run, and closes them at the end (`assembled_station`)"""


class ProcessContext(Frozen):
    """Objects that all stations of a process share."""

    database_thread: DatabaseThread
    """the thread that writes to all databases of the process"""
    read_connections: ReadConnections
    """executes the long queries of all databases of the process"""
    boot_reason: BootReason
    """why the process was started"""
    alone: bool
    """whether the station is the only one, so that all log lines of the process belong to it"""
    killed_before: KilledProcess | None = None
    """the previous process of the service, if it was killed; None: it was not, or this is unknown"""
    starting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_CONCURRENT_STARTS))
    """held while a station is assembled: the others wait, so that those assembled connect meanwhile"""


class StationRuntime:
    """One station across its reboots and power cuts: assembles, runs and stops its software, one run after the other.

    Its hardware and clock keep running meanwhile. It does not use what belongs to the process: signals, garbage
    collector, service manager, listening sockets, environment variables, time zone of the log. Call `run` only once;
    after it, a new runtime may use the storage.
    """

    def __init__(  # noqa: PLR0913  # the parts of a whole station
        self,
        identity: str,
        configuration: Configuration,
        site: StationHardware,
        assemble: StationRunFactory,
        process: ProcessContext,
        *,
        site_settings: SiteSettings,
        further_routes: Sequence[AdditionalRoutes],
        lock: StorageLock,
        transport_taps: Sequence[TransportTap] = (),
    ) -> None:
        self.identity = identity
        """identity from the installation file, even if the site settings override it; the key within the process"""
        self.configuration = configuration
        """the effective configuration: the installation file overridden by the site settings; replaced by
        `restart_with`"""
        self.hardware = site
        """its real or simulated hardware, with its clock"""
        self.process = process
        """what the process shares with its stations"""
        self.site_settings = site_settings
        """the settings that the installer made on site"""
        self.further_routes = further_routes
        """routes of the API that only this hardware needs: those of simulated hardware"""
        self.transport_taps = transport_taps
        """get each websocket to the CSMS, the first one before the others"""
        self._assemble = assemble
        self._lock = lock
        self.auxiliary = AuxiliaryCalls()
        """calls the auxiliary parts of the station; its count of errors outlives a run"""
        self.feed = EventFeed()
        """the event feed of the station, which outlives a run"""
        self._run: StationRun | None = None
        self.started: Event[StationRuntime] = Event()
        """published when the parts of the station are assembled and its tasks start"""
        self.restarting: Event[StationRuntime] = Event()
        """published when a run has ended and the next one is about to start"""
        self.time_zone_changed: Event[tzinfo] = Event()
        """the time zone of the station; published at each start too"""
        self._stopped = False
        self._power_on = True
        self._power_lost = False
        self._rebooting = False
        self._requested = ChangeSignal()
        """fired when one of the four above changes, and when the tasks of a run end"""
        self._run_started = Flag()
        self._run_ended = Flag()
        self._boot_reason = process.boot_reason
        self.safe_start_record = SafeStartRecord(Path(configuration.station.storage))
        """stores failed starts, for the next start"""
        self._sessions: BrowserSessions | None = None
        self.installation_parts = self._installation()
        """the parts that routes can use even while the station is off"""
        self.renewal = MonitoredTask("shutting down or restarting the station", site.clock, _RENEWAL_DEADLINE_S)
        """overdue if it takes longer than a minute to shut down or restart; not timed while the power is cut"""

    @property
    def clock(self) -> Clock:
        """The station's clock, that of its hardware."""
        return self.hardware.clock

    @property
    def boot_reason(self) -> BootReason:
        """The reason of the last boot, or of a requested reboot (B01.FR.09)."""
        return self._boot_reason

    @property
    def sessions(self) -> BrowserSessions:
        """The sign-in sessions of page and API, in memory: they survive a restart but not a power cut."""
        if self._sessions is None:
            from station.security.access.sessions import BrowserSessions  # late: for the first visitor

            self._sessions = BrowserSessions(self.clock)
        return self._sessions

    @property
    def parts(self) -> StationParts:
        """The parts that routes use: those of the running station; while it is off, only `installation_parts`."""
        return self._run.parts if self._run is not None else self.installation_parts

    @property
    def running(self) -> bool:
        """Whether the software of the station runs: False while its power is cut and while it restarts."""
        return self._run is not None

    @property
    def powered(self) -> bool:
        """Whether the station has power: False during a simulated power cut, True also while it restarts."""
        return self._power_on

    @property
    def link(self) -> CsmsLink | None:
        """The present link to the CSMS, connected or not; None while the station is off or starts, or has no CSMS."""
        return self._run.link() if self._run is not None else None

    def create_running_parts(self) -> StationParts:
        """Create the registry of parts for a new run, which also finds the installation's; the composition fills it."""
        return StationParts(self.installation_parts)

    def _installation(self) -> StationParts:
        parts = StationParts()
        parts.add(Configuration, self.configuration)
        parts.add(SiteSettings, self.site_settings)
        parts.add(EventFeed, self.feed)
        parts.add(AuxiliaryCalls, self.auxiliary)
        parts.add(CLOCK, self.clock)
        parts.add(STATION_CONTROL, self)
        for routes in self.further_routes:
            routes.add_parts(parts)
        return parts

    def monitored_tasks(self) -> list[MonitoredTask]:
        """The tasks with a deadline, for the service watchdog: those of the run; while there is none, `renewal`."""
        return self._run.tasks.monitored_tasks() if self._run is not None else [self.renewal]

    def stop(self) -> None:
        """Request the station to stop in order, and return at once; `run` returns when it has stopped."""
        self._stopped = True
        self._requested.notify()

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called; the station may still run."""
        return self._stopped

    async def wait_until_started(self) -> None:
        """Wait until a run of the station has started; returns at once if it runs."""
        await self._run_started.wait()

    async def wait_until_ended(self) -> None:
        """Wait for the end of the current run, or before any run of the first one; another one may follow.

        Returns at once while the station is off after a run.
        """
        await self._run_ended.wait()

    def restart(self) -> None:
        """Restart with the configuration that the stored site settings now give; returns at once."""
        self.restart_with(self.site_settings.configuration)

    # Power cuts of a test bench

    async def cut_power(self) -> None:
        """Simulate a power cut: end the run without shutdown, and lose data not on disk; returns when it has ended.

        Ends the sign-in sessions too. The simulated hardware keeps running.
        """
        self._power_on = False
        self._power_lost = True
        self._requested.notify()
        await self._run_ended.wait()

    async def restore_power(self) -> None:
        """End the simulated power cut; returns when the station runs again."""
        self._power_on = True
        self._requested.notify()
        await self._run_started.wait()

    def reboot(self, reason: BootReason) -> None:
        """Request a restart of the station's software as after a reboot of the machine; returns at once.

        Does not end transactions in order: the caller does, if needed. `reason`: reported to the CSMS after the
        restart.
        """
        self._boot_reason = reason
        self._rebooting = True
        self._requested.notify()

    def restart_with(self, configuration: Configuration) -> None:
        """Replace the effective configuration and restart with it, as a local reset; returns at once.

        It must describe the same hardware. Stores nothing.
        """
        self.configuration = configuration
        self.installation_parts.add(Configuration, configuration)
        self._run_started.clear()
        self.reboot(BootReason.LOCAL_RESET)

    async def run(self) -> None:
        """Run the station, also across power cuts and reboots, until `stop`; then release hardware and storage.

        Raises:
            StartError: its storage cannot be opened.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(station_context(self.identity))
            stack.callback(self._lock.release)  # runs last, when nothing uses the storage any more
            await self.hardware.start()
            stack.push_async_callback(self.hardware.stop)
            if (killed := self.process.killed_before) is not None:
                self.safe_start_record.add_failure(self.clock.now(), killed.lasted, killed.cause)
            while not self._stopped:
                await self._run_once_recorded()
                await self._wait_until(lambda: self._stopped or self._power_on)
                if not self._stopped:
                    self.restarting.publish(self)

    async def discard(self) -> None:
        """Stop the hardware and release the lock on the storage of a station whose `run` is not called."""
        await self.hardware.stop()
        self._lock.release()

    async def _run_once_recorded(self) -> None:
        """Run until the station is stopped, reboots or loses its power; record a failure for the next start."""
        if self.safe_start_record.take_crash() and self._boot_reason is not BootReason.WATCHDOG:
            self._boot_reason = BootReason.APPLICATION_RESET
        began_s = self.clock.monotonic()
        try:
            await self._run_once()
        except StartError:
            raise  # the disk fails, or another process uses the storage: no stored row is the cause
        except Exception as error:
            lasted = timedelta(seconds=self.clock.monotonic() - began_s)
            caused_by_disk = all(isinstance(failure, StorageError | OSError) for failure in single_errors(error))
            cause = None if caused_by_disk else describe_failure(error)
            self.safe_start_record.add_failure(self.clock.now(), lasted, cause)
            raise

    async def _run_once(self) -> None:
        """Run until the station is stopped, reboots or loses its power."""
        self._power_lost = False
        self._rebooting = False
        async with contextlib.AsyncExitStack() as stack:
            run = self._run = await self._assemble_run(stack)
            self.renewal.finish()
            running = asyncio.create_task(run.tasks.run(), name="station tasks")
            self._run_started.set()
            self._run_ended.clear()
            self.started.publish(self)
            try:
                running.add_done_callback(lambda _: self._requested.notify())
                await self._wait_until(
                    lambda: self._stopped or self._power_lost or self._rebooting or running.done(),
                )
                if running.done():
                    running.result()  # raises its failure
                elif self._stopped:
                    self.hardware.run_clock()
                    await run.shutdown.stop_charging()
            finally:
                self._run = None
                if not self._power_lost:  # after a power cut, the time of the next start is open
                    self.renewal.start()
                self._run_started.clear()
                if self._power_lost:
                    self._boot_reason = BootReason.POWER_UP
                    self._sessions = None
                if (link := run.link()) is not None and self._power_lost:
                    link.cut_network()
                await end_task(running)
                if not self._power_lost:
                    await run.shutdown.write_pending_data()
                self._run_ended.set()

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the requests to this station is true."""
        while not condition():
            await self._requested.wait(self._requested.count)

    async def _assemble_run(self, stack: contextlib.AsyncExitStack) -> StationRun:
        """Assemble the parts for one run, which ends with `stack`."""
        try:
            async with self.process.starting:
                return await stack.enter_async_context(self._assemble(self))
        except StorageError as error:
            raise StartError(f"station.storage: {error}") from error
