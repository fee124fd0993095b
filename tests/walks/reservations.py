"""Steps of walks with reservations."""

from __future__ import annotations

from datetime import timedelta

from station.core.model import IdToken
from tests.csms import Payload
from tests.walk import CARD, Walk
from tests.walks.steps import token


def request(walk: Walk, *, number: int = 1, card: IdToken = CARD, for_s: float = 3_600.0, **more: object) -> Payload:
    """Return a ReserveNowRequest; without `evseId` in `more`, for any EVSE."""
    expires_at = walk.world.clock.now() + timedelta(seconds=for_s)
    return {"id": number, "expiryDateTime": expires_at.isoformat(), "idToken": token(card), **more}


async def reserve(walk: Walk, *, number: int = 1, card: IdToken = CARD, for_s: float = 3_600.0, **more: object) -> str:
    """Send ReserveNow; returns the status of the response."""
    answer = await walk.csms.call("ReserveNow", request(walk, number=number, card=card, for_s=for_s, **more))
    await walk.settle()
    return str(answer["status"])


async def cancel(walk: Walk, number: int = 1) -> str:
    """Send CancelReservation; returns the status of the response."""
    answer = await walk.csms.call("CancelReservation", {"reservationId": number})
    await walk.settle()
    return str(answer["status"])


def ends(walk: Walk) -> list[tuple[int, str]]:
    """Return id and status of each ReservationStatusUpdate that the CSMS has received, in order."""
    updates = walk.csms.received("ReservationStatusUpdate")
    return [(update["reservationId"], update["reservationUpdateStatus"]) for update in updates]


def used(walk: Walk) -> list[int]:
    """Return the reservation ids in the received transaction events, each event once, in order."""
    named = {
        (event["transactionInfo"]["transactionId"], event["seqNo"]): event["reservationId"]
        for event in walk.events()
        if "reservationId" in event
    }
    return list(named.values())


def statuses_now(walk: Walk) -> list[str]:
    """Return the present connector status of each EVSE."""
    return [evse.connector_status.value for evse in walk.parts.station.evses.values()]


def pending(walk: Walk) -> list[int]:
    """Return the ids of the reservations that are in force and not used yet."""
    return [reservation.reservation_id for reservation in walk.parts.reservations.pending]
