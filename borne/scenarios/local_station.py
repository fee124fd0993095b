"""Complete stations of this process, one for each scenario that plays, driven through their API without a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Final

import httpx

from borne.composition.simulated import world_of
from borne.composition.station_assembly import station_runtime
from borne.station_paths import bound_application
from borne.station_runtime import ProcessContext, StartError
from foundation.clock import SystemClock
from simulator.scenarios.under_test import HttpStation
from station.core.model import BootReason
from station.interfaces.application import add_shared_parts, build_application
from station.storage.database_thread import OF_MANY_STATIONS, DatabaseThread
from station.storage.read_connections import ReadConnections

if TYPE_CHECKING:
    from fastapi import FastAPI

    from borne.station_runtime import StationRuntime
    from ocpp_handlers.wire.transport_tap import TransportTap
    from station.configuration.installation_file import Configuration

_ADDRESS: Final = "127.0.0.1"
_RESTART_TIMEOUT_S: Final = 60.0
_STREAMS: Final = frozenset({"frame", "evse", "light", "display", "device-event"})


class LocalStation(HttpStation):
    """A station of this process (`StationUnderTest`)."""

    def __init__(self, client: httpx.AsyncClient, runtime: StationRuntime) -> None:
        """`client` reaches its API."""
        super().__init__(client)
        self.runtime = runtime
        """the station itself"""

    async def advance(self, seconds: float) -> None:
        """Advance its virtual clock at once; a restart that is under way is completed before, as it takes real time."""
        if self.runtime.powered and not self.runtime.running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESTART_TIMEOUT_S):
                    await self.runtime.wait_until_started()
        await world_of(self.runtime.hardware).clock.advance(seconds)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait, in real time, until something happens at the station; at most for so long."""
        with self.runtime.feed.subscribe(_STREAMS.__contains__) as queue, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await queue.get()


class LocalStations:
    """Starts stations in this process, and stops each at its end. The database thread is that of all of them."""

    def __init__(self) -> None:
        self._thread = DatabaseThread(OF_MANY_STATIONS)
        self._parts = ProcessContext(self._thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
        self._api: FastAPI | None = None

    @contextlib.contextmanager
    def open(self) -> Generator[LocalStations]:
        """Run the thread of the databases while the block runs."""
        with self._thread:
            yield self

    @contextlib.asynccontextmanager
    async def running(
        self, configuration: Configuration, tap: TransportTap | None = None
    ) -> AsyncGenerator[LocalStation]:
        """Run a station while the block runs; at its end it loses its power.

        `tap` observes its websockets.

        Raises:
            StartError: its storage cannot be used.
        """
        runtime = station_runtime(configuration, self._parts, tap=tap)
        add_shared_parts(runtime.installation_parts, runtime.clock)
        if self._api is None:  # of all stations: building it takes longer than a start
            self._api = build_application(runtime.further_routes)
        application = bound_application(self._api, runtime)
        transport = httpx.ASGITransport(application, raise_app_exceptions=False, client=(_ADDRESS, 1))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(runtime.run(), name=runtime.identity)
            try:
                await _started(runtime, running)
                async with httpx.AsyncClient(transport=transport, base_url=f"http://{_ADDRESS}") as client:
                    yield LocalStation(client, runtime)
            finally:
                runtime.stop()
                if runtime.running:
                    await runtime.cut_power()


async def _started(runtime: StationRuntime, running: asyncio.Task[None]) -> None:
    """Wait until a station runs.

    Raises:
        StartError: it has ended instead.
    """
    started = asyncio.ensure_future(runtime.wait_until_started())
    try:
        await asyncio.wait([started, running], return_when=asyncio.FIRST_COMPLETED)
    finally:
        started.cancel()
    if running.done():
        raise StartError(f"station {runtime.identity} has not started: {running.exception()}")
