"""The runtime of one station in its process: starts, reboots, loses and regains power, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from borne.tasks import end_task, first_of
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from station.configuration.installation_file import Configuration
from station.core.event_feed import EventFeed
from station.core.model import BootReason
from station.interfaces.part_keys import CLOCK, STATION_CONTROL
from station.interfaces.parts import StationParts
from station.maintenance.commissioning.site_settings import SiteSettings
from station.maintenance.logs.station_context import station_context
from station.storage.database import StorageError
from station.storage.database_thread import DatabaseThread

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from borne.station_run import StationRun
    from foundation.clock import Clock
    from station.core.csms import CsmsLink
    from station.devices.station_hardware import StationHardware
    from station.interfaces.additional_routes import AdditionalRoutes
    from station.security.access.sessions import SignInSessions
    from station.storage.storage_lock import StorageLock

_RENEWED_S: Final = 60.0
"""deadline for the end of a run or the start of the next one"""


class StartError(Exception):
    """The station cannot be started; carries the reason as a sentence."""


Alive = Callable[["StationRuntime"], "AbstractAsyncContextManager[StationRun]"]
"""assembles the parts of a station for one run (borne.composition.station)"""


class ProcessParts(Frozen):
    """The parts of a process that it shares with its stations."""

    database_thread: DatabaseThread
    boot_reason: BootReason
    """why the process was started"""
    alone: bool
    """whether the station is the only one, so that all log lines of the process belong to it"""


class StationRuntime:
    """A station across reboots and power cuts; its site (hardware and clock) goes on meanwhile.

    It does not use what belongs to the process: signals, garbage collector, service manager, listening sockets,
    environment variables, time zone of the log. Call `run` only once; after it, a new runtime may use the storage.
    """

    def __init__(
        self,
        identity: str,
        configuration: Configuration,
        site: StationHardware,
        alive: Alive,
        process: ProcessParts,
        *,
        site_settings: SiteSettings,
        further_routes: Sequence[AdditionalRoutes],
        lock: StorageLock,
    ) -> None:
        self.identity = identity
        """identity from the installation file, even if the site settings override it; the key within the process"""
        self.configuration = configuration
        self.site = site
        self.process = process
        self.site_settings = site_settings
        self.further_routes = further_routes
        """additional routes of the API"""
        self._assemble = alive
        self._lock = lock
        self.feed = EventFeed()
        self._run: StationRun | None = None
        self.started: Event[StationRuntime] = Event()
        """the parts of the station are assembled and running"""
        self.restarting: Event[StationRuntime] = Event()
        """the previous run has ended, and the next one is about to start"""
        self.time_zone_changed: Event[tzinfo] = Event()
        """the time zone of the station; published at each start too"""
        self._stopped = asyncio.Event()
        self._power_on = asyncio.Event()
        self._power_on.set()
        self._power_lost = asyncio.Event()
        self._alive = asyncio.Event()
        self._dead = asyncio.Event()
        self._rebooting = asyncio.Event()
        self._boot_reason = process.boot_reason
        self._sessions: SignInSessions | None = None
        self.installation_parts = self._installation()
        """the parts that routes can use even while the station is off"""
        self.renewal = MonitoredTask("shutting down or restarting the station", site.clock, _RENEWED_S)

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        return self.site.clock

    @property
    def boot_reason(self) -> BootReason:
        """Why the station booted last (B01.FR.09)."""
        return self._boot_reason

    @property
    def sessions(self) -> SignInSessions:
        """The sign-in sessions, which survive a restart but not a power cut."""
        if self._sessions is None:
            from station.security.access.sessions import SignInSessions  # late: for the first visitor

            self._sessions = SignInSessions(self.clock)
        return self._sessions

    @property
    def parts(self) -> StationParts:
        """The parts that routes use: those of the running station; while it is off, those of the installation."""
        return self._run.parts if self._run is not None else self.installation_parts

    @property
    def running(self) -> bool:
        """Whether the station runs: False while its power is cut and while it restarts."""
        return self._run is not None

    @property
    def link(self) -> CsmsLink | None:
        """The present link to the CSMS; None before it is set up, and without a CSMS."""
        return self._run.link() if self._run is not None else None

    def running_parts(self) -> StationParts:
        """New parts on top of those of the installation, to which the composition adds the running station's."""
        return StationParts(self.installation_parts)

    def _installation(self) -> StationParts:
        parts = StationParts()
        parts.add(Configuration, self.configuration)
        parts.add(SiteSettings, self.site_settings)
        parts.add(EventFeed, self.feed)
        parts.add(CLOCK, self.clock)
        parts.add(STATION_CONTROL, self)
        for routes in self.further_routes:
            routes.add_parts(parts)
        return parts

    def monitored_tasks(self) -> list[MonitoredTask]:
        """The tasks with a deadline; the service watchdog reports those that overrun."""
        return self._run.tasks.monitored_tasks() if self._run is not None else [self.renewal]

    def stop(self) -> None:
        """Stop the station in order."""
        self._stopped.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._stopped.is_set()

    async def wait_until_started(self) -> None:
        """Wait until the station runs."""
        await self._alive.wait()

    async def wait_until_ended(self) -> None:
        """Wait until the current run has ended; another one may follow."""
        await self._dead.wait()

    def restart(self) -> None:
        """Restart with the current configuration of the site settings."""
        self.restart_with(self.site_settings.configuration)

    # Power cuts of a test bench

    async def cut_power(self) -> None:
        """Cut the power and wait until the run has ended; data that is not on disk is lost."""
        self._power_on.clear()
        self._power_lost.set()
        await self._dead.wait()

    async def restore_power(self) -> None:
        """Restore the power and wait until the station runs again."""
        self._power_on.set()
        await self._alive.wait()

    def reboot(self, reason: BootReason) -> None:
        """Restart the station as after a reboot of the machine."""
        self._boot_reason = reason
        self._rebooting.set()

    def restart_with(self, configuration: Configuration) -> None:
        """Restart the station with another configuration of the same hardware."""
        self.configuration = configuration
        self.installation_parts.add(Configuration, configuration)
        self._alive.clear()
        self.reboot(BootReason.LOCAL_RESET)

    async def run(self) -> None:
        """Run the station, also across power cuts and reboots, until stopped; then release the storage.

        Raises:
            StartError: its storage cannot be opened.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(station_context(self.identity))
            stack.callback(self._lock.release)  # runs last, when nothing uses the storage any more
            await self.site.start()
            stack.push_async_callback(self.site.stop)
            while not self._stopped.is_set():
                await self._live()
                await first_of(self._stopped, self._power_on)
                if not self._stopped.is_set():
                    self.restarting.publish(self)

    async def discard(self) -> None:
        """Release the hardware and the storage of a station that will not run."""
        await self.site.stop()
        self._lock.release()

    async def _live(self) -> None:
        """Run until the station is stopped, reboots or loses its power."""
        self._power_lost.clear()
        self._rebooting.clear()
        async with contextlib.AsyncExitStack() as stack:
            run = self._run = await self._begin(stack)
            self.renewal.finish()
            running = asyncio.create_task(run.tasks.run(), name="station tasks")
            self._alive.set()
            self._dead.clear()
            self.started.publish(self)
            try:
                await first_of(self._stopped, self._power_lost, self._rebooting, running)
                if self._stopped.is_set() and not running.done():
                    self.site.run_clock()
                    await run.shutdown.halt()
            finally:
                self._run = None
                if not self._power_lost.is_set():  # after a power cut, the time of the next start is open
                    self.renewal.start()
                self._alive.clear()
                if self._power_lost.is_set():
                    self._boot_reason = BootReason.POWER_UP
                    self._sessions = None
                if (link := run.link()) is not None and self._power_lost.is_set():
                    link.cut_network()
                await end_task(running)
                if not self._power_lost.is_set():
                    await run.shutdown.close()
                self._dead.set()

    async def _begin(self, stack: contextlib.AsyncExitStack) -> StationRun:
        """Assemble the parts for one run, which ends with `stack`."""
        try:
            return await stack.enter_async_context(self._assemble(self))
        except StorageError as error:
            raise StartError(f"station.storage: {error}") from error
