"""Routes for reservations: list them; without a CSMS the owner reserves an EVSE for one of the owner's cards."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import HTTPException
from pydantic import Field
from typing_extensions import TypedDict

from foundation.clock import Clock
from station.charging.authorization.authorizer import loggable_token
from station.charging.authorization.owner_cards import OwnerCards
from station.charging.reservations.reservation import Reservation
from station.charging.reservations.reservations import Reservations
from station.configuration.installation_file import Configuration
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, PathEvse, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.security.access.accounts import Role

router = api_router("reservations")

_LONGEST_S = 7 * 86_400.0
_Reservations = Annotated[Reservations, part(Reservations)]
_Configuration = Annotated[Configuration, part(Configuration)]
_Cards = Annotated[OwnerCards, part(OwnerCards)]


class CardReservation(Command):
    """Body of POST /api/evses/{evse_id}/reservation: for which card, and for how long from now."""

    model_config = example(card="1", for_s=3600)

    card: Annotated[str, Field(max_length=36)]
    """the name of the card, as GET /api/cards returns it"""
    for_s: Annotated[float, Field(ge=60, le=_LONGEST_S, allow_inf_nan=False)]
    """seconds from now until the reservation expires, at most a week"""


class ReservationRow(TypedDict):
    """One reservation that waits for its holder."""

    id: int
    """the number of the reservation, from the CSMS or the station"""
    evse: int | None
    """the reserved EVSE; null: any EVSE, or any with a connector of `connector_type`"""
    connector_type: str | None
    """ConnectorEnumType of OCPP; null: not restricted"""
    id_token: str
    """the id token of the holder, shortened"""
    card: str | None
    """the label of the owner's card; null: it is for another id token"""
    group: bool
    """whether other id tokens of a group may use it too"""
    expires_at: str
    """when the reservation ends unless its holder comes (ISO 8601, UTC)"""


class ReservationList(TypedDict):
    """Response of GET /api/reservations: those that wait for their holder, and whether the owner may reserve."""

    by_owner: bool
    """whether the owner reserves; with a CSMS, the CSMS does"""
    reservations: list[ReservationRow]
    """the reservations that wait for their holder"""


class Reserved(TypedDict):
    """Response of POST /api/evses/{evse_id}/reservation: the reservation that was made."""

    id: int
    """the number of the reservation"""
    expires_at: str
    """when the reservation ends unless its holder comes (ISO 8601, UTC)"""


@router.get("/api/reservations", dependencies=[require_role(Role.OWNER)], summary="List the reservations")
async def list_reservations(
    reservations: _Reservations, cards: _Cards, configuration: _Configuration
) -> ReservationList:
    """Returns the reservations that wait for their holder, in the order in which they were made."""
    labels = cards.labels()
    return {
        "by_owner": configuration.csms is None,
        "reservations": [
            {
                "id": reservation.reservation_id,
                "evse": reservation.evse_id,
                "connector_type": reservation.connector_type,
                "id_token": loggable_token(reservation.id_token),
                "card": labels.get(reservation.id_token.key),
                "group": reservation.group_id is not None,
                "expires_at": reservation.expires_at.isoformat(),
            }
            for reservation in reservations.pending
        ],
    }


@router.post(
    "/api/evses/{evse_id}/reservation",
    status_code=201,
    dependencies=[require_role(Role.OWNER)],
    summary="Reserve an EVSE for a card",
)
async def reserve_evse(
    evse: PathEvse,
    body: CardReservation,
    reservations: _Reservations,
    cards: _Cards,
    configuration: _Configuration,
    clock: Annotated[Clock, part(CLOCK)],
) -> Reserved:
    """Reserve an EVSE for one of the owner's cards; nobody else can charge there before the reservation ends.

    404 if there is no such card; 409 if the EVSE is not free or reserved already, or if the station has a CSMS.
    """
    _check_owner_reserves(configuration)
    card = cards.all().get(body.card)
    if card is None:
        raise HTTPException(404, "no card of the owner has this name")
    expires_at = clock.now() + timedelta(seconds=body.for_s)
    reservation = Reservation(reservations.unused_id(), card.id_token, expires_at, evse_id=evse.id)
    result = await reservations.reserve(reservation)
    if not result.accepted:
        raise HTTPException(409, result.reason)
    reservations.update_evses()
    return {"id": reservation.reservation_id, "expires_at": expires_at.isoformat()}


@router.delete(
    "/api/evses/{evse_id}/reservation",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Cancel the reservation of an EVSE",
)
async def cancel_reservation(evse: PathEvse, reservations: _Reservations, configuration: _Configuration) -> Accepted:
    """Cancel the reservation of an EVSE: everybody may charge there again.

    404 if it is not reserved; 409 if the station has a CSMS, which cancels its reservations itself.
    """
    _check_owner_reserves(configuration)
    reservation_ids = [
        reservation.reservation_id for reservation in reservations.pending if reservation.evse_id == evse.id
    ]
    if not reservation_ids or not await reservations.cancel(reservation_ids[0]):
        raise HTTPException(404, f"EVSE {evse.id} is not reserved")
    reservations.update_evses()
    return ACCEPTED


def _check_owner_reserves(configuration: Configuration) -> None:
    if configuration.csms is not None:
        raise HTTPException(409, "the operator of the station decides about reservations (CSMS)")
