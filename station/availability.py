"""Ordered availability: what is taken out of service stays so, across power cuts, until told otherwise (G03, G04)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from station.database import Database
from station.evse import Evse

if TYPE_CHECKING:
    from station.model import EvseRef

_log = logging.getLogger(__name__)

_SAVE = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class OrderAnswer(StrEnum):
    """ChangeAvailabilityStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class Availability:
    """The orders in force: for the station, its EVSEs and their connectors. An EVSE works when none forbids it."""

    def __init__(self, evses: Mapping[int, Evse], database: Database | None) -> None:
        self._evses = evses
        self._database = database
        self._inoperative: set[str] = set()

    async def load(self) -> None:
        """Take the orders that are on disk (G03.FR.08, G04.FR.09).

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        rows = await self._database.rows("SELECT name, value FROM facts WHERE name LIKE 'availability/%'")
        self._inoperative = {str(name) for name, value in rows if value == "inoperative"}
        self.apply()

    def exists(self, place: EvseRef | None) -> bool:
        """Whether there is such an EVSE and connector; None is the whole station."""
        if place is None:
            return True
        evse = self._evses.get(place.evse_id)
        return evse is not None and place.connector_id in {None, evse.layout.connector_id}

    async def order(self, place: EvseRef | None, *, operative: bool) -> OrderAnswer:
        """Carry an order out, or schedule it until transactions in the way have ended (G03.FR.05, G04.FR.06).

        Raises:
            StorageError: the order is not saved and not in force.
        """
        name = _name(place)
        if self._database is not None:
            await self._database.write(_SAVE, (name, "operative" if operative else "inoperative"))
        if operative:
            self._inoperative.discard(name)
        else:
            self._inoperative.add(name)
        self.apply()
        meant = [evse for evse in self._evses.values() if place is None or evse.id == place.evse_id]
        late = any(evse.state.operative is not self._ordered(evse) for evse in meant)
        return OrderAnswer.SCHEDULED if late else OrderAnswer.ACCEPTED

    def apply(self) -> None:
        """Bring the EVSEs to what is ordered; one with a transaction follows when that has ended."""
        for evse in self._evses.values():
            wanted = self._ordered(evse)
            if wanted is not evse.state.operative and (wanted or evse.state.transaction is None):
                evse.set_operative(wanted)

    def _ordered(self, evse: Evse) -> bool:
        return not self._inoperative & _names_of(evse)

    async def follow(self, evse: Evse) -> None:
        """Carry scheduled orders out as soon as a transaction has ended, until cancelled."""
        while True:
            await evse.changed.wait()
            if evse.state.transaction is None:
                self.apply()


def _name(place: EvseRef | None) -> str:
    if place is None:
        return "availability/station"
    if place.connector_id is None:
        return f"availability/evse/{place.evse_id}"
    return f"availability/connector/{place.evse_id}/{place.connector_id}"


def _names_of(evse: Evse) -> set[str]:
    """All orders that concern an EVSE."""
    return {
        "availability/station",
        f"availability/evse/{evse.id}",
        f"availability/connector/{evse.id}/{evse.layout.connector_id}",
    }
