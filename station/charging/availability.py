"""Availability as set by ChangeAvailability: stored, so that it persists across power cuts (G03, G04)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from station.charging.evse import Evse
from station.storage.database import Database
from station.storage.fact_store import save_fact
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from station.core.model import EvseRef

_log = logging.getLogger(__name__)

_OPERATIVE: Final = "operative"
_INOPERATIVE: Final = "inoperative"


class ChangeAvailabilityStatus(StrEnum):
    """Whether a new availability holds already or waits for a transaction (ChangeAvailabilityStatusEnumType)."""

    ACCEPTED = "Accepted"
    SCHEDULED = "Scheduled"


class AvailabilityOrders:
    """The availability that was set for station, EVSEs and connectors, on disk, and its effect on the EVSEs.

    An EVSE is in service if neither the station nor it nor its connector was set inoperative.
    """

    def __init__(self, evses: Mapping[int, Evse], database: Database | None) -> None:
        self._evses = evses
        self._database = database
        self._inoperative: set[str] = set()

    async def load(self) -> None:
        """Load the stored availability at startup, and set each EVSE in or out of service.

        An unreadable entry counts as inoperative until it is set again. G03.FR.08, G04.FR.09; B01.FR.07, B11.FR.02,
        G01.FR.02.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        rows = await self._database.rows("SELECT name, value FROM facts WHERE name LIKE 'availability/%'")
        for name, value in rows:
            if self._database.unreadable.read(_parse_order, str(value), RowAddress("facts", str(name))) is None:
                _log.error("stored %s cannot be read: it counts as inoperative until it is set again", name)
        self._inoperative = {str(name) for name, value in rows if value != _OPERATIVE}
        self._apply()

    def exists(self, place: EvseRef | None) -> bool:
        """Return whether the station has this EVSE and connector; None is the whole station, which exists."""
        if place is None:
            return True
        evse = self._evses.get(place.evse_id)
        return evse is not None and place.connector_id in {None, evse.layout.connector_id}

    async def apply_order(self, place: EvseRef | None, *, operative: bool) -> ChangeAvailabilityStatus:
        """Store an availability for an EVSE, a connector or (None) the station, and set the EVSEs in or out of service.

        A running transaction may finish first: then the result is SCHEDULED (G03.FR.05, G04.FR.06).

        Accepted if the state is already reached (G03.FR.03, G04.FR.04).

        Raises:
            StorageError: the availability is neither stored nor applied.
        """
        name = _fact_name(place)
        if self._database is not None:
            await save_fact(self._database, name, _OPERATIVE if operative else _INOPERATIVE)
        if operative:
            self._inoperative.discard(name)
        else:
            self._inoperative.add(name)
        self._apply()
        waits = not operative and any(evse.state.operative for evse in self.affected_evses(place))
        return ChangeAvailabilityStatus.SCHEDULED if waits else ChangeAvailabilityStatus.ACCEPTED

    def affected_evses(self, place: EvseRef | None) -> list[Evse]:
        """Return the EVSEs that an availability of this EVSE or connector concerns; None (whole station): all."""
        return [evse for evse in self._evses.values() if place is None or evse.id == place.evse_id]

    def _apply(self) -> None:
        """Set each EVSE in or out of service; inoperative for the EVSE stays when the station becomes operative.

        G03.FR.06, G04.FR.07, G04.FR.08.
        """
        for evse in self._evses.values():
            evse.set_in_service(not self._inoperative & _fact_names_of(evse))


def _fact_name(place: EvseRef | None) -> str:
    if place is None:
        return "availability/station"
    if place.connector_id is None:
        return f"availability/evse/{place.evse_id}"
    return f"availability/connector/{place.evse_id}/{place.connector_id}"


def _fact_names_of(evse: Evse) -> set[str]:
    """The names of all entries that affect an EVSE."""
    return {
        "availability/station",
        f"availability/evse/{evse.id}",
        f"availability/connector/{evse.id}/{evse.layout.connector_id}",
    }


def _parse_order(text: str) -> str:
    if text not in {_OPERATIVE, _INOPERATIVE}:
        raise ValueError(f"is neither {_OPERATIVE} nor {_INOPERATIVE}")
    return text
