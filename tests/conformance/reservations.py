"""What the cases of block H share: requests for reservations, and what a driver with or without one can do."""

from __future__ import annotations

from tests.conformance.bench import OTHER_TOKEN, VALID_TOKEN, Bench
from tests.conformance.frames import Payload

MESSAGE_TIMEOUT_S = 30.0
"""<Configured message timeout>"""
EXPIRES_AFTER_S = 60.0
"""the expiry time of TC_H_07_CS"""
ANY_EVSE = {"ReservationCtrlr.NonEvseSpecific": "true"}
"""R-2: the station supports reservations of an unspecified EVSE"""


async def enable_reservations(bench: Bench) -> None:
    """Prerequisite and configuration state: reservations are available and enabled."""
    assert await bench.get_variable("ReservationCtrlr", "Available") == "true"
    await bench.configure("ReservationCtrlr", "Enabled", "true")


async def reserve(bench: Bench, id_token: Payload = VALID_TOKEN, *, reservation_id: int = 1, **more: object) -> str:
    """ReserveNowRequest with these further fields; the status of its response."""
    request: Payload = {
        "id": reservation_id,
        "expiryDateTime": bench.iso(3_600.0),
        "idToken": id_token,
        **more,
    }
    answer = await bench.call("ReserveNow", request)
    return answer["status"]


def token(number: int) -> Payload:
    """A valid id token of its own for each number."""
    return (
        (VALID_TOKEN, OTHER_TOKEN)[number] if number < 2 else {"idToken": f"04AABBCC{number:06X}", "type": "ISO14443"}
    )


def named_reservations(bench: Bench) -> list[int]:
    """The reservationIds in the TransactionEvents so far, in order."""
    return [
        frame.payload["reservationId"]
        for frame in bench.journal.sent("TransactionEvent")
        if "reservationId" in frame.payload
    ]


async def status_of(bench: Bench, evse_id: int) -> str:
    """The connector status of an EVSE by the local API."""
    evses = (await bench.station.get("/api/status"))["evses"]
    return next(evse["connector_status"] for evse in evses if evse["id"] == evse_id)
