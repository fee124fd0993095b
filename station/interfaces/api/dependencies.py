"""FastAPI dependencies of the routes: the parts of the station that a request is for.

A route names in its signature each part that it uses, and knows no others:

    @router.get("/api/history", dependencies=[least(Role.DRIVER)])
    async def history(load_history: Annotated[LoadHistory, part(LoadHistory)]) -> LoadHistoryRows: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection
from typing_extensions import TypedDict

from foundation.clock import Clock
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.interfaces.part_keys import CLOCK
from station.interfaces.parts import PartKey, parts_of
from station.security.access.sign_in_service import SignInService

_Part = TypeVar("_Part")


def part(kind: type[_Part] | PartKey[_Part]) -> Any:
    """The dependency on the part of a kind; a request that needs it is refused with 409 while the station is off."""

    async def provide(request: HTTPConnection) -> _Part:
        return _found(request, kind)

    return Depends(provide)


def current_part(kind: type[_Part] | PartKey[_Part]) -> Any:
    """The dependency on a function that finds the part of a kind when it is called, as `part` does.

    For a route that waits: the station may have restarted by then.
    """

    async def provide(request: HTTPConnection) -> Callable[[], _Part]:
        return lambda: _found(request, kind)

    return Depends(provide)


def _found(request: HTTPConnection, kind: type[_Part] | PartKey[_Part]) -> _Part:
    parts = parts_of(request)
    found = parts.find(kind)
    if found is None and not parts.running:
        raise HTTPException(409, "the station has no power")
    return found if found is not None else parts.get(kind)


def optional_part(kind: type[_Part] | PartKey[_Part]) -> Any:
    """The dependency on a part that not every station has, such as the link to a CSMS; None if there is none.

    A request that needs it is refused with 409 while the station is off.
    """

    async def provide(request: HTTPConnection) -> _Part | None:
        parts = parts_of(request)
        if not parts.running:
            raise HTTPException(409, "the station has no power")
        return parts.find(kind)

    return Depends(provide)


def part_if_running(kind: type[_Part] | PartKey[_Part]) -> Any:
    """The dependency on a part of the running station; None while the station is off, or if there is no such part."""

    async def provide(request: HTTPConnection) -> _Part | None:
        return parts_of(request).find(kind)

    return Depends(provide)


async def _ready_access(access: Annotated[SignInService, part(SignInService)]) -> SignInService:
    """The accounts, sessions and access tokens, read from the disk; 503 if the disk refuses."""
    await access.ensure_loaded()
    return access


ReadyAccess = Annotated[SignInService, Depends(_ready_access)]


async def _evse(evse_id: int, station: Annotated[ChargingStation, part(ChargingStation)]) -> Evse:
    """The EVSE that the path names by `evse_id`; 404 if there is none."""
    return evse_of(station, evse_id)


PathEvse = Annotated[Evse, Depends(_evse)]
"""the EVSE of a route whose path has `{evse_id}`"""


def evse_of(station: ChargingStation, evse_id: int) -> Evse:
    """An EVSE by its number.

    Raises:
        HTTPException: 404, there is none.
    """
    evse = station.evses.get(evse_id)
    if evse is None:
        raise HTTPException(404, f"EVSE {evse_id} does not exist")
    return evse


class Command(BaseModel):
    """The body of a request that does something. Unknown keys are mistakes."""

    # No body is that long; but only where it counts their letters does pydantic refuse texts that UTF-8 has not.
    model_config = ConfigDict(extra="forbid", str_max_length=256 * 1024)


class Accepted(TypedDict):
    """The response to a request that the station acts on after, or before, it responds."""

    accepted: Literal[True]


ACCEPTED: Accepted = {"accepted": True}


class _Settle:
    """Waits until the station has acted on a request, if the request asks for that."""

    def __init__(
        self, clock: Annotated[Clock, part(CLOCK)], wait: Annotated[Literal["settled"] | None, Query()] = None
    ):
        self._clock = clock
        self.wanted = wait is not None
        """whether the request asks for that"""

    async def __call__(self) -> None:
        """Wait until the station has done all that follows from the request, if `?wait=settled` was given."""
        if self.wanted:
            await self._clock.settle()


Settle = Annotated[_Settle, Depends()]
"""`?wait=settled`: the route awaits this before it responds, so that the response comes after the station has acted"""
