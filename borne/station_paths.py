"""The ASGI application of a process with several stations: each is served below a path of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import JSONResponse, RedirectResponse

from station.interfaces.access.access_control import HEADERS
from station.interfaces.application import build
from station.interfaces.parts import WithParts
from station.maintenance.logs.station_context import station_context

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from borne.station_runtime import StationRuntime

_ROOT: Final = "/stations/"


class StationPaths:
    """Passes each request below `/stations/{identity}` on to that station, in the log context of the station."""

    def __init__(self, stations: Sequence[StationRuntime]) -> None:
        self._stations = {station.identity: station for station in stations}
        self._applications: dict[str, ASGIApp] = {}
        """those that were asked for, by identity"""
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        before, _, below = path.partition(_ROOT)
        identity, slash, _ = below.partition("/")
        if before or identity not in self._stations:
            await JSONResponse({"detail": "Not Found"}, 404, HEADERS)(scope, receive, send)
            return
        if not slash:
            await RedirectResponse(f"{quote(path)}/", 307, HEADERS)(scope, receive, send)
            return
        with station_context(identity):
            application = await self._application(identity)
            await application({**scope, "root_path": f"{_ROOT}{identity}"}, receive, send)

    async def _application(self, identity: str) -> ASGIApp:
        async with self._building:
            if identity not in self._applications:
                station = self._stations[identity]
                built = await asyncio.to_thread(build, station, station.further_routes)  # it takes a while
                self._applications[identity] = WithParts(built, lambda: station.parts)
            return self._applications[identity]
