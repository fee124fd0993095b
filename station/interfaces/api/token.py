"""Who may charge, through the local API: tokens as a reader or an app gives them, the start button, the master pass."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Request
from pydantic import Field

from station.charging.tokens.admission import TokenOutcome
from station.charging.tokens.rate_limit import Pace
from station.core.model import MOST_ADDITIONAL_INFO, IdToken
from station.interfaces.access.visitor import visitor_of
from station.interfaces.api.route_services import Command, Living, Wait, accepted
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.security.access.accounts import Role

IdTokenType = Literal["ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress"]
"""what a reader, a keypad or a ticket printer gives; tokens of other types are nobody's to present"""
IdTokenText = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[A-Za-z0-9*\-_=:+|@.]*$")]
"""identifierString (OCPP 2.0.1 part 2, primitive datatypes)"""


class AdditionalInfo(Command):
    """Something more that the CSMS is to look at (AdditionalInfoType)."""

    token: IdTokenText
    type: Annotated[str, Field(min_length=1, max_length=50)]


class Token(Command):
    """A token as a reader or an app presents it."""

    id_token: IdTokenText
    type: IdTokenType = "ISO14443"
    additional_info: Annotated[tuple[AdditionalInfo, ...], Field(max_length=MOST_ADDITIONAL_INFO)] = ()
    evse: int | None = None


class Selection(Command):
    """The EVSEs whose charge the holder of a master pass wants to stop."""

    evses: Annotated[tuple[int, ...], Field(max_length=100)]


def token_routes(api: FastAPI, living: Living, host: Host) -> None:
    """Whoever wants to charge, or to stop others."""
    pace = Pace(host.clock)

    def slowly(request: Request) -> None:
        """A driver, whose password many may know, tries numbers no faster here than at the reader."""
        if visitor_of(request).role <= Role.DRIVER and not pace.allows():
            wait_s = math.ceil(pace.wait_s)
            detail = f"too many tokens at once; try again in {wait_s} s"
            raise HTTPException(429, detail, {"Retry-After": str(wait_s)})

    @api.post("/api/token", status_code=202)
    async def present(request: Request, token: Token, wait: Wait = None) -> Json:
        if token.evse is not None:
            living.evse(token.evse)
        slowly(request)
        return await _told(host, _present(living, token, token.evse), wait)

    @api.post("/api/evses/{evse_id}/token", status_code=202)
    async def present_at(request: Request, evse_id: int, token: Token, wait: Wait = None) -> Json:
        evse = living.evse(evse_id)
        slowly(request)
        return await _told(host, _present(living, token, evse.id), wait)

    @api.post("/api/evses/{evse_id}/start-button", status_code=202)
    async def start_button(evse_id: int, wait: Wait = None) -> Json:
        evse, station = living.evse(evse_id), living.life.station
        if station.settings.auth_enabled and evse.state.lock_held_for is None:
            raise HTTPException(409, "charging here needs an id token")
        return await _told(host, station.admission.press_start(evse.id), wait)

    @api.post("/api/master-pass", status_code=202)
    async def master_pass(body: Selection, wait: Wait = None) -> Json:
        chosen = [living.evse(evse_id).id for evse_id in body.evses]
        if not living.life.station.admission.select(chosen):
            raise HTTPException(409, "no master pass was presented")
        return await accepted(host, wait)


def _present(living: Living, token: Token, evse_id: int | None) -> asyncio.Future[TokenOutcome]:
    infos = tuple((info.token, info.type) for info in token.additional_info)
    return living.life.station.present(IdToken(token.id_token, token.type, infos), evse_id)


async def _told(host: Host, outcome: asyncio.Future[TokenOutcome], wait: str | None) -> Json:
    if wait is None:
        return {"accepted": True}
    await host.clock.settle()
    return {"accepted": True, "outcome": outcome.result().value if outcome.done() else None}
