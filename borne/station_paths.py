"""The ASGI application of a process with several stations: each is served below a path of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from station.interfaces.application import build
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        identity = path.removeprefix(_ROOT).partition("/")[0] if path.startswith(_ROOT) else ""
        if identity not in self._stations:
            await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)
            return
        with station_context(identity):
            below = {**scope, "root_path": f"{_ROOT}{identity}"}
            await self._application(identity)(below, receive, send)

    def _application(self, identity: str) -> ASGIApp:
        if identity not in self._applications:
            station = self._stations[identity]
            self._applications[identity] = build(station, station.further_routes)
        return self._applications[identity]
