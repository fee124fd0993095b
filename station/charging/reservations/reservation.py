"""A reservation: for whom, until when, and which EVSEs it covers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from foundation.frozen import Frozen
from station.core.model import IdToken
from station.storage.payloads import ID_TOKEN_NAMES
from station.storage.stored_format import StoredFormat, names


class ReservationEnd(StrEnum):
    """How a reservation ended without being used or cancelled (ReservationUpdateStatusEnumType)."""

    EXPIRED = "Expired"
    REMOVED = "Removed"
    """the station cannot keep it, for example because its EVSE is out of order"""


class Reservation(Frozen):
    """A promise to keep an EVSE available for an id token, until an expiry time.

    It covers one EVSE (`evse_id`), any EVSE with a connector of `connector_type`, or any EVSE if neither is given.
    """

    reservation_id: int
    id_token: IdToken
    expires_at: datetime
    """UTC"""
    group_id: IdToken | None = None
    """tokens of this group may use it too"""
    evse_id: int | None = None
    connector_type: str | None = None
    """ConnectorEnumType"""

    def covers(self, evse_id: int, connector_type: str) -> bool:
        """Return whether the holder may use this EVSE with the reservation."""
        if self.evse_id is not None:
            return self.evse_id == evse_id
        return self.connector_type in {None, connector_type}

    def matches(self, id_token: IdToken, group_id: IdToken | None) -> bool:
        """Return whether it is for this token, or for its group (H03.FR.01–H03.FR.06)."""
        return self.id_token.same_as(id_token) or (group_id is not None and group_id.same_as(self.group_id))


RESERVATIONS: Final = StoredFormat(
    Reservation,
    {
        Reservation: names("reservation_id", "id_token", "expires_at", "group_id", "evse_id", "connector_type"),
        **ID_TOKEN_NAMES,
    },
)
