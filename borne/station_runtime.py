"""One assembled station: it runs, loses its power, boots again, and stops in order, beside others in its process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from borne.tasks import end_task, first_of
from foundation.events import Event
from foundation.frozen import frozen
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

    from borne.life import Life
    from foundation.clock import Clock
    from station.devices.station_hardware import StationHardware
    from station.interfaces.additional_routes import AdditionalRoutes
    from station.security.access.sessions import SignInSessions
    from station.storage.storage_lock import StorageLock

_RENEWED_S: Final = 60.0
"""a life that has not ended for the next one after this time does not"""


class StartError(Exception):
    """The station cannot be started here and now; the sentence is for whoever starts it."""


Alive = Callable[["StationRuntime"], "AbstractAsyncContextManager[Life]"]
"""puts the parts of a station together for one life (borne.composition.station)"""


@frozen
class ProcessParts:
    """What a process gives to each of the stations that it hosts."""

    database_thread: DatabaseThread
    boot_reason: BootReason
    """why the process was started"""
    alone: bool
    """whether the station is the only one, so that every log line of the process is about it"""


class StationRuntime:
    """A station on its site, which goes on while the station's power is cut.

    It touches nothing that belongs to the process: signals, the garbage collector, the service manager, listening
    sockets, environment variables, the time zone of the log. Each one runs once; a new one may have its storage then.
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
        """by which the process knows the station: that of its installation file, whatever is set on site over it"""
        self.configuration = configuration
        self.site = site
        self.process = process
        self.site_settings = site_settings
        self.further_routes = further_routes
        """of the API, beside the station's own"""
        self._assemble = alive
        self._lock = lock
        self.feed = EventFeed()
        self.life: Life | None = None
        self.started: Event[StationRuntime] = Event()
        """the parts of the station are put together, and run"""
        self.restarting: Event[StationRuntime] = Event()
        """parts that ran have ended, and new ones are about to be put together"""
        self.time_zone_changed: Event[tzinfo] = Event()
        """also at each start"""
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
        """the parts that routes use while the station does not run too"""
        self.renewal = MonitoredTask("the end of a life, or the begin of the next one", site.clock, _RENEWED_S)

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        return self.site.clock

    @property
    def boot_reason(self) -> BootReason:
        """Why the present life began (B01.FR.09)."""
        return self._boot_reason

    @property
    def sessions(self) -> SignInSessions:
        """Who is signed in: a new life with other settings does not end that, a power cut does."""
        if self._sessions is None:
            from station.security.access.sessions import SignInSessions

            self._sessions = SignInSessions(self.clock)
        return self._sessions

    @property
    def parts(self) -> StationParts:
        """The parts that routes use: those of the running station, else those of the installation alone."""
        return self.life.parts if self.life is not None else self.installation_parts

    def running_parts(self) -> StationParts:
        """The parts of the installation, for the composition to add those of the running station."""
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

    def stints(self) -> list[MonitoredTask]:
        """What the station is doing that has to come to an end."""
        return self.life.stints() if self.life is not None else [self.renewal]

    def stop(self) -> None:
        """Stop in order."""
        self._stopped.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    async def wait_until_started(self) -> None:
        """Wait until the station runs."""
        await self._alive.wait()

    async def begun(self) -> None:
        """Wait until the station runs."""
        await self._alive.wait()

    async def ended(self) -> None:
        """Wait until the parts that run have ended; new ones may follow."""
        await self._dead.wait()

    # Power, as a test bench cuts it

    async def cut_power(self) -> None:
        """As `lose_power`."""
        await self.lose_power()

    def restart(self) -> None:
        """Restart with the configuration that is in force now."""
        self.live_anew(self.site_settings.configuration)

    async def lose_power(self) -> None:
        """No goodbye: what is not on disk is lost."""
        self._power_on.clear()
        self._power_lost.set()
        await self._dead.wait()

    async def restore_power(self) -> None:
        """The station boots again."""
        self._power_on.set()
        await self._alive.wait()

    def reboot(self, reason: BootReason) -> None:
        """Begin a new life, as after a reboot of the machine."""
        self._boot_reason = reason
        self._rebooting.set()

    def live_anew(self, configuration: Configuration) -> None:
        """Begin a new life with another configuration of the same hardware."""
        self.configuration = configuration
        self.installation_parts.add(Configuration, configuration)
        self._alive.clear()
        self.reboot(BootReason.LOCAL_RESET)

    async def run(self) -> None:
        """Run, lose power and boot again, until stopped; then release the storage.

        Raises:
            StartError: its storage cannot be had.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(station_context(self.identity))
            stack.callback(self._lock.release)  # last, when nothing uses the storage any more
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
        """One life: until the station stops, or the power is lost."""
        self._power_lost.clear()
        self._rebooting.clear()
        async with contextlib.AsyncExitStack() as stack:
            life = await self._begin(stack)
            self.life = life
            self.renewal.finish()
            living = asyncio.create_task(life.run(), name="life")
            self._alive.set()
            self._dead.clear()
            self.started.publish(self)
            try:
                await first_of(self._stopped, self._power_lost, self._rebooting, living)
                if self._stopped.is_set() and not living.done():
                    self.site.run_clock()
                    await life.halt()
            finally:
                self.life = None
                if not self._power_lost.is_set():  # else nobody knows when it comes back
                    self.renewal.start()
                self._alive.clear()
                if self._power_lost.is_set():
                    self._boot_reason = BootReason.POWER_UP
                    self._sessions = None
                if life.link is not None and self._power_lost.is_set():
                    life.link.cut_network()
                await end_task(living)
                if not self._power_lost.is_set():
                    await life.close()
                self._dead.set()

    async def _begin(self, stack: contextlib.AsyncExitStack) -> Life:
        """A life that ends with `stack`."""
        try:
            return await stack.enter_async_context(self._assemble(self))
        except StorageError as error:
            raise StartError(f"station.storage: {error}") from error
