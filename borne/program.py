"""The program around a station: it lives, loses its power, boots again, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne.service_manager import ServiceManager, boot_reason
from foundation.monitored_task import Stint
from foundation.supervision import keep_running
from station.configuration.installation_file import Configuration
from station.core.event_feed import Feed
from station.core.model import BootReason
from station.interfaces.http.connection_limits import connection_limits
from station.interfaces.http.server import WebServer
from station.interfaces.part_keys import CLOCK, STATION_CONTROL
from station.interfaces.parts import StationParts, WithParts
from station.maintenance.commissioning.site_settings import SiteSettings
from station.storage.database import StorageError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp

    from borne.life import Life
    from foundation.clock import Clock
    from station.devices.site import Site
    from station.interfaces.further_routes import FurtherRoutes
    from station.interfaces.http.tls import PageTls
    from station.security.access.sessions import Sessions
    from station.storage.storage_lock import StorageLock

_log = logging.getLogger(__name__)

_RENEWED_S: Final = 60.0
"""a life that has not ended for the next one after this time does not"""


class StartError(Exception):
    """The station cannot be started here and now; the sentence is for whoever starts it."""


Alive = Callable[["Program"], "AbstractAsyncContextManager[Life]"]
"""puts the parts of a station together for one life (station.app)"""


class Program:
    """A station on its site, which goes on while the station's power is cut."""

    def __init__(
        self,
        configuration: Configuration,
        site: Site,
        alive: Alive,
        *,
        site_settings: SiteSettings,
        further_routes: Sequence[FurtherRoutes],
        lock: StorageLock,
        http_port: int | None = None,
    ) -> None:
        self.configuration = configuration
        self.site = site
        self.site_settings = site_settings
        self.further_routes = further_routes
        """of the API, beside the station's own"""
        self._assemble = alive
        self._lock = lock
        self.feed = Feed()
        self.life: Life | None = None
        port = configuration.http.port if http_port is None else http_port
        self.web = WebServer(configuration.http.host, port, connection_limits(tls=configuration.http.tls))
        self._stopped = asyncio.Event()
        self._power_on = asyncio.Event()
        self._power_on.set()
        self._power_lost = asyncio.Event()
        self._alive = asyncio.Event()
        self._dead = asyncio.Event()
        self._rebooting = asyncio.Event()
        self._boot_reason = boot_reason(os.environ)
        self._manager = ServiceManager.of(os.environ)
        self._sessions: Sessions | None = None
        self._installation = self._installation_parts()
        self.renewal = Stint("the end of a life, or the begin of the next one", site.clock, _RENEWED_S)

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        return self.site.clock

    @property
    def boot_reason(self) -> BootReason:
        """Why the present life began (B01.FR.09)."""
        return self._boot_reason

    @property
    def sessions(self) -> Sessions:
        """Who is signed in: a new life with other settings does not end that, a power cut does."""
        if self._sessions is None:
            from station.security.access.sessions import Sessions

            self._sessions = Sessions(self.clock)
        return self._sessions

    @property
    def parts(self) -> StationParts:
        """The parts that routes use: those of the running station, else those of the installation alone."""
        return self.life.parts if self.life is not None else self._installation

    def running_parts(self) -> StationParts:
        """The parts of the installation, for the composition to add those of the running station."""
        return StationParts(self._installation)

    def _installation_parts(self) -> StationParts:
        parts = StationParts()
        parts.add(Configuration, self.configuration)
        parts.add(SiteSettings, self.site_settings)
        parts.add(Feed, self.feed)
        parts.add(CLOCK, self.clock)
        parts.add(STATION_CONTROL, self)
        for routes in self.further_routes:
            routes.add_parts(parts)
        return parts

    def stop(self) -> None:
        """Stop in order."""
        if self._manager is not None and not self._stopped.is_set():
            self._manager.tell("STOPPING=1")
        self._stopped.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    async def started(self) -> None:
        """Wait until the station runs."""
        await self._alive.wait()

    async def begun(self) -> None:
        """Wait until the station lives."""
        await self._alive.wait()

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
        self._installation.add(Configuration, configuration)
        self._alive.clear()
        self.reboot(BootReason.LOCAL_RESET)

    async def run_until_told(self, ready_file: Path | None) -> None:
        """Run until SIGINT or SIGTERM.

        Raises:
            StartError: its port or its storage cannot be had.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        await self.run(ready_file)

    async def run(self, ready_file: Path | None = None) -> None:
        """Live, die and live again, until stopped.

        Raises:
            StartError: its port or its storage cannot be had.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._lock.release)  # last, when nothing uses the storage any more
            if self._manager is not None:
                stack.callback(self._manager.close)
            await self.site.start()
            stack.push_async_callback(self.site.stop)
            self._listen()
            tls = self._page_tls() if self.configuration.http.tls else None
            make_tls = tls.context if tls is not None else None
            web = asyncio.create_task(
                keep_running("local API", lambda: self.web.run(self.web_application, make_tls), self.clock), name="web"
            )
            stack.push_async_callback(_end_task, web)
            if tls is not None:
                following = asyncio.create_task(
                    keep_running("certificate of the page", tls.follow, self.clock), name="page certificate"
                )
                stack.push_async_callback(_end_task, following)
            if self._manager is not None:
                heart = asyncio.create_task(self._beat(self._manager), name="heartbeat")
                stack.push_async_callback(_end_task, heart)
            if ready_file is not None:
                announcement = asyncio.create_task(self._announce(ready_file), name="ready file")
                stack.push_async_callback(_end_task, announcement)
            while not self._stopped.is_set():
                await self._live()
                await _first(self._stopped, self._power_on)
                if not self._stopped.is_set():
                    gc.unfreeze()  # else the life that has ended would never be collected
                    gc.collect()

    async def _live(self) -> None:
        """One life: until the program stops, or the power is lost."""
        self._power_lost.clear()
        self._rebooting.clear()
        async with contextlib.AsyncExitStack() as stack:
            life = await self._begin(stack)
            self.life = life
            self.renewal.end()
            living = asyncio.create_task(life.run(), name="life")
            self._alive.set()
            self._dead.clear()
            gc.freeze()  # what a start makes lives as long as the program
            gc.enable()
            try:
                await _first(self._stopped, self._power_lost, self._rebooting, living)
                if self._stopped.is_set() and not living.done():
                    self.site.hurry()
                    await life.halt()
            finally:
                self.life = None
                if not self._power_lost.is_set():  # else nobody knows when it comes back
                    self.renewal.begin()
                self._alive.clear()
                if self._power_lost.is_set():
                    self._boot_reason = BootReason.POWER_UP
                    self._sessions = None
                if life.link is not None and self._power_lost.is_set():
                    life.link.cut()
                await _end_task(living)
                if not self._power_lost.is_set():
                    await life.close()
                self._dead.set()

    async def _begin(self, stack: contextlib.AsyncExitStack) -> Life:
        """A life that ends with `stack`."""
        try:
            return await stack.enter_async_context(self._assemble(self))
        except StorageError as error:
            raise StartError(f"station.storage: {error}") from error

    def _listen(self) -> None:
        try:
            self.web.bind()
        except OSError as error:
            host = self.configuration.http.host
            raise StartError(f"http: cannot listen at {host}:{self.web.port}: {error.strerror}") from error

    async def _announce(self, path: Path) -> None:
        """Write the ready file once the station runs and the API is loaded."""
        await self.begun()
        await self.web.load()
        told = {"pid": os.getpid(), "http_port": self.web.port, "identity": self.configuration.station.identity}
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            unfinished.write_text(json.dumps(told), encoding="utf-8")
            unfinished.replace(path)
        except OSError as error:
            _log.error("the ready file %s cannot be written: %s", path, error.strerror)

    async def _beat(self, manager: ServiceManager) -> None:
        from borne.heartbeat import Heartbeat

        await self.begun()
        await Heartbeat(manager, lambda: self.life, self.renewal).run()

    def web_application(self) -> ASGIApp:
        """Make the web application of the page and API, which loads the web framework."""
        from station.interfaces.application import add_shared_parts, build

        add_shared_parts(self._installation, self.clock)
        return WithParts(build(self.further_routes), lambda: self.parts)

    def _page_tls(self) -> PageTls:
        from station.interfaces.http.tls import PageTls

        return PageTls(
            lambda: self.configuration,
            lambda: self.life.certificates if self.life is not None else None,
            self.clock,
        )


async def _first(*events: asyncio.Event | asyncio.Task[None]) -> None:
    """Wait for the first of some events and tasks; a task's failure is raised."""
    waits = [one if isinstance(one, asyncio.Task) else asyncio.create_task(_happened(one)) for one in events]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            if wait not in events:
                wait.cancel()
    for one in done:
        one.result()


async def _happened(event: asyncio.Event) -> None:
    await event.wait()


async def _end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; its failure is raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
