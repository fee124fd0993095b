"""FastAPI dependencies of the routes on parts of the station.

A route names in its signature each part that it uses:

    @router.get("/api/history", dependencies=[require_role(Role.DRIVER)])
    async def history(load_history: Annotated[LoadHistory, part(LoadHistory)]) -> LoadHistoryRows: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar, cast

from fastapi import Depends, HTTPException, Path, Query, params
from pydantic import BaseModel, ConfigDict, JsonValue
from starlette.requests import HTTPConnection
from typing_extensions import TypedDict

from foundation.clock import Clock
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.configuration.installation_file import Configuration
from station.interfaces.access.visitor import visitor_of
from station.interfaces.access.visitor_view import sees_charges
from station.interfaces.part_keys import CLOCK
from station.interfaces.parts import PartKey, parts_of
from station.security.access.sign_in_service import SignInService

_Part = TypeVar("_Part")


def part(kind: type[_Part] | PartKey[_Part]) -> params.Depends:
    """Create the FastAPI dependency that passes a part of the station to a route; 409 while the station is off."""

    async def provide(request: HTTPConnection) -> _Part:
        return _part_or_409(request, kind)

    return Depends(provide)


def current_part(kind: type[_Part] | PartKey[_Part]) -> params.Depends:
    """Create the dependency that passes a function, which returns the part when it is called, or raises 409.

    For a route that waits: the station may restart meanwhile.
    """

    async def provide(request: HTTPConnection) -> Callable[[], _Part]:
        return lambda: _part_or_409(request, kind)

    return Depends(provide)


def _part_or_409(request: HTTPConnection, kind: type[_Part] | PartKey[_Part]) -> _Part:
    parts = parts_of(request)
    found = parts.find(kind)
    if found is None and not parts.running:
        raise HTTPException(409, "the station has no power")
    return found if found is not None else parts.get(kind)


def optional_part(kind: type[_Part] | PartKey[_Part]) -> params.Depends:
    """Create the dependency that passes a part that a station may lack, such as the link to a CSMS: then None.

    The request is refused with 409 while the station is off.
    """

    async def provide(request: HTTPConnection) -> _Part | None:
        parts = parts_of(request)
        if not parts.running:
            raise HTTPException(409, "the station has no power")
        return parts.find(kind)

    return Depends(provide)


def part_if_running(kind: type[_Part] | PartKey[_Part]) -> params.Depends:
    """Create the dependency that passes a part to a route; None while the station is off, or if it lacks that part."""

    async def provide(request: HTTPConnection) -> _Part | None:
        return parts_of(request).find(kind)

    return Depends(provide)


async def _ready_access(access: Annotated[SignInService, part(SignInService)]) -> SignInService:
    """The sign-in service with its accounts and tokens loaded; 503 if storage fails."""
    await access.ensure_loaded()
    return access


ReadyAccess = Annotated[SignInService, Depends(_ready_access)]


EvseId = Annotated[int, Path(description="number of the EVSE, from 1")]
"""the path parameter `evse_id`"""
TransactionId = Annotated[str, Path(description="id of the transaction, as GET /api/transactions returns it")]
"""the path parameter `transaction_id`"""
Wait = Annotated[
    Literal["settled"] | None,
    Query(description="`settled`: respond only when the station has acted on the request; left out: at once"),
]
"""the query parameter `wait`"""


async def _evse(evse_id: EvseId, station: Annotated[ChargingStation, part(ChargingStation)]) -> Evse:
    """The EVSE of the path parameter `evse_id`; 404 if there is none."""
    return evse_of(station, evse_id)


PathEvse = Annotated[Evse, Depends(_evse)]
"""the EVSE of a route whose path has `{evse_id}`"""


def evse_of(station: ChargingStation, evse_id: int) -> Evse:
    """Find the EVSE of the station with this id.

    Raises:
        HTTPException: 404, there is no such EVSE.
    """
    evse = station.evses.get(evse_id)
    if evse is None:
        raise HTTPException(404, f"EVSE {evse_id} does not exist")
    return evse


def require_idle(station: ChargingStation) -> None:
    """Check that nobody charges: a restart would end the charge.

    Raises:
        HTTPException: 409, somebody does.
    """
    if any(evse.state.authorization is not None for evse in station.evses.values()):
        raise HTTPException(409, "a charge is in progress: end it first")


async def _may_see_charges(
    request: HTTPConnection, configuration: Annotated[Configuration, part(Configuration)]
) -> bool:
    return sees_charges(visitor_of(request).role, configuration.page)


SeesCharges = Annotated[bool, Depends(_may_see_charges)]
"""whether the user may see power, energy, cost and limits of charges (`[page] visitors`)"""


class Command(BaseModel):
    """The base class of request bodies; unknown keys are rejected with 422."""

    # No body is that long, but pydantic only rejects texts that are not valid UTF-8 if it checks their length.
    model_config = ConfigDict(extra="forbid", str_max_length=256 * 1024)


def example(**values: object) -> ConfigDict:
    """Create the configuration of a request body with an example of its fields, for the OpenAPI document.

    A subclass of `Command` assigns it to `model_config`, which keeps what `Command` configures.
    """
    return ConfigDict(json_schema_extra={"examples": [cast("JsonValue", values)]})


class Accepted(TypedDict):
    """The response that only says that a request was accepted; the station may act on it after the response."""

    accepted: Literal[True]
    """always true: the request was accepted"""


ACCEPTED: Accepted = {"accepted": True}


class _Settle:
    """Waits until the station has acted on a request, if `?wait=settled` was given."""

    def __init__(self, clock: Annotated[Clock, part(CLOCK)], wait: Wait = None):
        self._clock = clock
        self.requested = wait is not None
        """whether `?wait=settled` was given"""

    async def __call__(self) -> None:
        """Wait until all effects of the request have settled, if `?wait=settled` was given."""
        if self.requested:
            await self._clock.settle()


Settle = Annotated[_Settle, Depends()]
"""`?wait=settled`: the route awaits this before it responds, so that the station has acted before the response"""
