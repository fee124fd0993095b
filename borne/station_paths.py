"""The ASGI application of a process: serves the API of all its stations, each below its own path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import JSONResponse, RedirectResponse

from station.interfaces.application import add_shared_parts, build_application
from station.interfaces.parts import WithParts
from station.maintenance.logs.station_context import station_context

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from borne.station_runtime import StationRuntime

_STATIONS_PATH: Final = "/stations/"


def web_application(stations: Sequence[StationRuntime]) -> ASGIApp:
    """Build the ASGI application of a process: one station's page and API at `/`, several below `/stations/{identity}`.

    All stations are served with the routes of the first one: either all have simulated hardware, or none.
    """
    for station in stations:
        add_shared_parts(station.installation_parts, station.clock)
    api = build_application(stations[0].further_routes)
    if len(stations) == 1:
        return WithParts(api, lambda: stations[0].parts)
    return StationPaths(api, stations)


def bound_application(api: ASGIApp, station: StationRuntime) -> ASGIApp:
    """Bind an application without a station to one, for requests whose path is below `/` and whose log is its own."""
    with_parts = WithParts(api, lambda: station.parts)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        with station_context(station.identity):
            await with_parts(scope, receive, send)

    return application


class StationPaths:
    """ASGI application of several stations: passes each request below `/stations/{identity}` to that station.

    Other paths get 404. Log lines of a request are those of its station.
    """

    def __init__(self, api: ASGIApp, stations: Sequence[StationRuntime]) -> None:
        self._applications: dict[str, ASGIApp] = {
            station.identity: WithParts(api, lambda station=station: station.parts) for station in stations
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request; other scopes are ignored."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        before, _, below = path.partition(_STATIONS_PATH)
        identity, slash, _ = below.partition("/")
        if before or identity not in self._applications:
            await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)
            return
        if not slash:
            await RedirectResponse(f"{quote(path)}/", 307)(scope, receive, send)
            return
        with station_context(identity):
            await self._applications[identity]({**scope, "root_path": f"{_STATIONS_PATH}{identity}"}, receive, send)
