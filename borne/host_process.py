"""The operating-system process that hosts one or several stations, with the services that they share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne.garbage_collection import GarbageCollection
from borne.station_runtime import StartError
from borne.tasks import end_task, end_task_once
from foundation.supervision import keep_running
from station.interfaces.http.connection_limits import connection_limits
from station.interfaces.http.server import WebServer
from station.interfaces.mdns import MdnsAnnouncement, is_announced
from station.maintenance.firmware.firmware import FirmwareUpdates
from station.maintenance.logs.setup import set_time_zone
from station.security.certificates.certificate_store import CertificateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.types import ASGIApp

    from borne.station_runtime import StationRuntime
    from borne.systemd_notifier import SystemdNotifier
    from station.interfaces.http.tls import PageTls
    from station.storage.database_thread import DatabaseThread

_log = logging.getLogger(__name__)

_DESCRIPTORS_PER_STATION: Final = 8
"""link, storage and lock take five; the rest for uploads and meters"""
_DESCRIPTORS_OF_PROCESS: Final = 512
"""for visitors, modules and whatever stations share"""


class HostProcess:
    """The operating-system process of one or several stations: runs them with the services that they share.

    These are notifications to systemd, the HTTP server, mDNS and the database thread, and as process 1 the reaping of
    orphans. One station is served at `/`, several at `/stations/{identity}/`. Address, port and TLS of the HTTP server
    are those of the first station's configuration. If a station fails, the others are stopped in order, and the process
    ends.

    `run` leaves signals and garbage collection, which are the whole process's, as they are; `run_with_gc_control` sets
    the latter, `run_until_signal` both.
    """

    def __init__(
        self,
        stations: Sequence[StationRuntime],
        database_thread: DatabaseThread,
        manager: SystemdNotifier | None,
        *,
        http_port: int | None = None,
        start_at_s: Sequence[float] = (),
    ) -> None:
        """Take the stations of the process, which `run` runs.

        Args:
            stations: the stations; the first one decides about the HTTP server.
            database_thread: the thread of their databases.
            manager: notifies systemd; None if systemd did not start the process.
            http_port: overrides the configured port; 0: any.
            start_at_s: when each station starts, by the time of the event loop; empty: all start at once.
        """
        self.stations = stations
        """the stations of this process; the first one decides about the HTTP server"""
        self._database_thread = database_thread
        self._manager = manager
        self._start_at_s = dict(zip((station.identity for station in stations), start_at_s, strict=bool(start_at_s)))
        self._stop_requested = asyncio.Event()
        """set when the stations are to stop: those whose time to start has not come start no more"""
        self._stopping = False
        self._announcement_tasks: set[asyncio.Task[None]] = set()
        http = self.station.configuration.http
        port = http.port if http_port is None else http_port
        self.web = WebServer(http.host, port, connection_limits(tls=http.tls))
        """the HTTP server of page and API; listens from `run` on"""

    @property
    def station(self) -> StationRuntime:
        """The first station, or the only one; its configuration decides about the HTTP server."""
        return self.stations[0]

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called; the stations may still run."""
        return self._stopping

    def stop(self) -> None:
        """Request all stations to stop in order, and return at once; `run` returns when they have stopped."""
        if self._manager is not None and not self._stopping:
            self._manager.notify("STOPPING=1")
        self._stopping = True
        self._stop_requested.set()
        for station in self.stations:
            station.stop()

    async def wait_until_started(self) -> None:
        """Wait until every station has started; waits for ever if one does not."""
        for station in self.stations:
            await station.wait_until_started()

    async def run_until_signal(self, ready_file: Path | None) -> None:
        """Run the stations until SIGINT or SIGTERM, for which it sets handlers, with `run_with_gc_control`.

        `ready_file`: written once all stations run and the API is loaded; None: none.

        Raises:
            StartError: the port cannot be bound, or the storage of a station cannot be opened.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        await self.run_with_gc_control(ready_file)

    async def run_with_gc_control(self, ready_file: Path | None = None) -> None:
        """Run the stations until `stop`, with a garbage collector that spares what lives as long (`GarbageCollection`).

        For a process that has no other purpose: what it collects at a restart visits all objects of the process.

        Raises:
            StartError: as `run`.
        """
        with GarbageCollection(self.stations):
            await self.run(ready_file)

    async def run(self, ready_file: Path | None = None) -> None:
        """Run the stations until `stop`; sets no signal handlers.

        `ready_file`: written once all stations run and the API is loaded; None: none.

        Raises:
            StartError: the port cannot be bound, or the storage of a station cannot be opened.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._database_thread)
            if self._manager is not None:
                stack.callback(self._manager.close)
            await self._bind_server()
            for station in self.stations:
                stack.callback(station.auxiliary.subscribe(station.started, self._announce))
            stack.push_async_callback(self._end_announcements)
            if len(self.stations) == 1:
                station = self.station
                stack.callback(station.auxiliary.subscribe(station.time_zone_changed, set_time_zone))
            for name, work in self._services(ready_file).items():
                stack.push_async_callback(end_task, asyncio.create_task(work(), name=name))
            await self._run_stations()

    async def _run_stations(self) -> None:
        """Run all stations; if one fails, stop the others in order and raise its failure."""
        running = [asyncio.create_task(self._run_station(station), name=station.identity) for station in self.stations]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
            self._stop_requested.set()
            for station in self.stations:
                station.stop()
            await asyncio.wait(running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        for task in running:
            task.result()

    async def _run_station(self, station: StationRuntime) -> None:
        """Run a station once its time to start has come; if it is stopped before, `run` only releases its hardware."""
        if (start_at_s := self._start_at_s.get(station.identity)) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(start_at_s):
                    await self._stop_requested.wait()
        await station.run()

    def _services(self, ready_file: Path | None) -> dict[str, Callable[[], Coroutine[object, object, None]]]:
        """The tasks that run beside the stations, by name."""
        clock, tls = self.station.clock, self._page_tls() if self.station.configuration.http.tls else None
        make_tls = tls.context if tls is not None else None
        services: dict[str, Callable[[], Coroutine[object, object, None]]] = {
            "web": lambda: keep_running("local API", lambda: self.web.run(self.web_application, make_tls), clock)
        }
        if tls is not None:
            services["page certificate"] = lambda: keep_running("certificate of the page", tls.follow, clock)
        if self._manager is not None:
            manager = self._manager
            services["heartbeat"] = lambda: self._notify_systemd(manager)
        if os.getpid() == 1:
            services["orphans"] = lambda: keep_running("reaping of orphans", self._reap_orphans, clock)
        if ready_file is not None:
            services["ready file"] = lambda: self._write_ready_file(ready_file)
        return services

    async def _bind_server(self) -> None:
        try:
            self.web.bind()
        except OSError as error:
            for station in self.stations:
                await station.discard()
            host = self.station.configuration.http.host
            raise StartError(f"http: cannot listen at {host}:{self.web.port}: {error.strerror}") from error

    def path_of(self, station: StationRuntime) -> str:
        """The URL path of a station's page on this process: `/` if it is the only one, else `/stations/{identity}/`."""
        return "/" if len(self.stations) == 1 else f"/stations/{station.identity}/"

    def _announce(self, station: StationRuntime) -> None:
        """Announce the page of a started station in the local network while it runs, unless that is disabled."""
        if (announcement := self._create_announcement(station)) is not None:
            announcing = asyncio.create_task(self._run_announcement(station, announcement), name="mDNS")
            self._announcement_tasks.add(announcing)
            announcing.add_done_callback(self._announcement_tasks.discard)

    async def _run_announcement(self, station: StationRuntime, announcement: MdnsAnnouncement) -> None:
        announcing = asyncio.create_task(keep_running("mDNS", announcement.run, station.clock))
        try:
            await station.wait_until_ended()
        finally:
            await end_task_once(announcing)  # it withdraws the announcement, and closes its sockets

    async def _end_announcements(self) -> None:
        for announcing in tuple(self._announcement_tasks):
            await end_task(announcing)

    def _create_announcement(self, station: StationRuntime) -> MdnsAnnouncement | None:
        """The mDNS announcement of a running station; None if it is not to be announced."""
        configuration = station.configuration
        if not is_announced(configuration.mdns, configuration.http.host):
            return None
        version = station.parts.get(FirmwareUpdates).version or configuration.station.firmware_version
        return MdnsAnnouncement(configuration, self.web.port, self.path_of(station), version, station.clock)

    async def _write_ready_file(self, path: Path) -> None:
        """Write the ready file once the stations run and the API is loaded."""
        await self.wait_until_started()
        await self.web.load()
        identities = [station.configuration.station.identity for station in self.stations]
        identity_fields = {"identity": identities[0]} if len(identities) == 1 else {"identities": identities}
        ready = {"pid": os.getpid(), "http_port": self.web.port, **identity_fields}
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            unfinished.write_text(json.dumps(ready), encoding="utf-8")
            unfinished.replace(path)
        except OSError as error:
            _log.error("the file %s of --ready-file cannot be written: %s", path, error.strerror)

    async def _notify_systemd(self, manager: SystemdNotifier) -> None:
        from borne.service_watchdog import ServiceWatchdog  # late: only where systemd watches

        await self.wait_until_started()
        await ServiceWatchdog(manager, self.stations).run()

    async def _reap_orphans(self) -> None:
        from borne.orphans import OrphanReaper  # late: only as process 1 of a container

        await OrphanReaper().run()

    def web_application(self) -> ASGIApp:
        """Build the ASGI application of page and API for all stations; imports the web framework."""
        from borne.station_paths import web_application  # late: for the first visitor

        return web_application(self.stations)

    def _page_tls(self) -> PageTls:
        from station.interfaces.http.tls import PageTls  # late: only where the page uses HTTPS

        station = self.station
        return PageTls(
            lambda: station.configuration,
            lambda: station.parts.find(CertificateStore),
            station.clock,
        )


def raise_descriptor_limit(stations: int) -> None:
    """Raise the soft limit of open files of this process to what so many stations need.

    Raises:
        StartError: the hard limit is lower.
    """
    needed = stations * _DESCRIPTORS_PER_STATION + _DESCRIPTORS_OF_PROCESS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise StartError(
            f"{stations} stations need {needed} open files, and this process may open {hard}: raise its hard limit "
            "(ulimit -Hn, or LimitNOFILE of its service)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
