"""Routes to start and stop charges: presented tokens, the start button, the master pass."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Literal, NotRequired

from fastapi import HTTPException, Request
from pydantic import Field
from typing_extensions import TypedDict

from station.charging.charging_station import ChargingStation
from station.charging.tokens.admission import TokenOutcome
from station.charging.tokens.rate_limit import RateLimiter
from station.core.model import MAX_ADDITIONAL_INFO, IdToken
from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import visitor_of
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, PathEvse, Settle, evse_of, example, part
from station.interfaces.api.problem import TOO_MANY
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import TOKEN_RATE
from station.security.access.accounts import Role

router = api_router("charging")

IdTokenType = Literal["ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress"]
"""types that may be presented: from a reader, keypad or ticket printer; other types are rejected"""
IdTokenText = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[A-Za-z0-9*\-_=:+|@.]*$")]
"""identifierString (OCPP 2.0.1 part 2, primitive datatypes)"""


class AdditionalInfo(Command):
    """Additional information on a token, which the station sends to the CSMS (AdditionalInfoType)."""

    token: IdTokenText
    """the additional id (additionalIdToken)"""
    type: Annotated[str, Field(min_length=1, max_length=50)]
    """kind of the additional id, as agreed with the CSMS"""


class Token(Command):
    """Body of POST /api/token and /api/evses/{evse_id}/token: a token that is presented, as at a reader."""

    model_config = example(id_token="04A3B2C1D5E680", type="ISO14443")

    id_token: IdTokenText
    """the id token, such as the UID of a card"""
    type: IdTokenType = "ISO14443"
    """what kind of token it is (IdTokenEnumType)"""
    additional_info: Annotated[tuple[AdditionalInfo, ...], Field(max_length=MAX_ADDITIONAL_INFO)] = ()
    """further ids that the CSMS receives with the token"""
    evse: int | None = None
    """the EVSE at whose reader it is presented; null: at a reader for all EVSEs"""


class Selection(Command):
    """Body of POST /api/master-pass: the EVSEs whose charges the holder of the presented master pass stops."""

    model_config = example(evses=[1])

    evses: Annotated[tuple[int, ...], Field(max_length=100)]
    """numbers of the EVSEs; empty: none is stopped"""


class TokenPresented(TypedDict):
    """Response to a presented token or the start button, with the outcome of the authorization if it was awaited."""

    accepted: Literal[True]
    """always true: the request was accepted"""
    outcome: NotRequired[TokenOutcome | None]
    """with `?wait=settled`: the result of the authorization; null: not decided yet"""


async def _limit_rate(request: Request, rate: Annotated[RateLimiter, part(TOKEN_RATE)]) -> None:
    """Limit how fast a driver, whose password may be shared, can try token numbers; 429 above the limit."""
    if visitor_of(request).role <= Role.DRIVER and not rate.allows():
        wait_s = math.ceil(rate.wait_s)
        detail = f"too many tokens presented in a short time; try again in {wait_s} s"
        raise HTTPException(429, detail, {"Retry-After": str(wait_s)})


@router.post(
    "/api/token",
    status_code=202,
    dependencies=[require_role(Role.DRIVER)],
    summary="Present a token to the station",
    responses=TOO_MANY,
)
async def present_token(
    request: Request,
    token: Token,
    station: Annotated[ChargingStation, part(ChargingStation)],
    rate: Annotated[RateLimiter, part(TOKEN_RATE)],
    settle: Settle,
) -> TokenPresented:
    """Present a token as at a reader; it starts or stops a charge at the given EVSE, else where the station decides.

    The response does not wait for the authorization, unless `?wait=settled` is given.
    """
    if token.evse is not None:
        evse_of(station, token.evse)
    await _limit_rate(request, rate)
    return await _token_response(_present_token(station, token, token.evse), settle)


@router.post(
    "/api/evses/{evse_id}/token",
    status_code=202,
    dependencies=[require_role(Role.DRIVER)],
    summary="Present a token at an EVSE",
    responses=TOO_MANY,
)
async def present_token_at_evse(
    request: Request,
    evse: PathEvse,
    token: Token,
    station: Annotated[ChargingStation, part(ChargingStation)],
    rate: Annotated[RateLimiter, part(TOKEN_RATE)],
    settle: Settle,
) -> TokenPresented:
    """Present a token as at the reader of that EVSE; `evse` in the body is ignored."""
    await _limit_rate(request, rate)
    return await _token_response(_present_token(station, token, evse.id), settle)


@router.post(
    "/api/evses/{evse_id}/start-button",
    status_code=202,
    dependencies=[require_role(Role.DRIVER)],
    summary="Press the start button of an EVSE",
)
async def press_start_button(
    evse: PathEvse,
    station: Annotated[ChargingStation, part(ChargingStation)],
    settle: Settle,
) -> TokenPresented:
    """Press the start button: it starts a charge without a token, or unlocks a cable kept locked after such a charge.

    409 if charging needs a token, or the station lets no charge start now; `detail` says which.
    """
    if (reason := station.admission.press_refusal(evse.id)) is not None:
        raise HTTPException(409, reason)
    return await _token_response(station.admission.press_start(evse.id), settle)


@router.post(
    "/api/master-pass",
    status_code=202,
    dependencies=[require_role(Role.DRIVER)],
    summary="Stop charges with the master pass",
)
async def stop_with_master_pass(
    body: Selection, station: Annotated[ChargingStation, part(ChargingStation)], settle: Settle
) -> Accepted:
    """Stop the charges of these EVSEs, after a master pass was presented; 409 if none was. Ends the selection."""
    chosen = [evse_of(station, evse_id).id for evse_id in body.evses]
    if not station.admission.stop_selected(chosen):
        raise HTTPException(409, "no master pass has been presented")
    await settle()
    return ACCEPTED


def _present_token(station: ChargingStation, token: Token, evse_id: int | None) -> asyncio.Future[TokenOutcome]:
    infos = tuple((info.token, info.type) for info in token.additional_info)
    return station.present_token(IdToken(token.id_token, token.type, infos), evse_id)


async def _token_response(outcome: asyncio.Future[TokenOutcome], settle: Settle) -> TokenPresented:
    if not settle.requested:
        return {"accepted": True}
    await settle()
    return {"accepted": True, "outcome": outcome.result() if outcome.done() else None}
