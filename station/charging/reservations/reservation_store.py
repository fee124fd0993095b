"""The reservations on disk, and the ends of reservations that are not reported to the CSMS yet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.charging.reservations.reservation import RESERVATIONS, Reservation, ReservationEnd
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from station.storage.database import Database

_log = logging.getLogger(__name__)

MAX_ENDS: Final = 1_000
"""limit of ends to be reported; a CSMS that answers none of so many loses the oldest ones"""
_DELETE: Final = "DELETE FROM reservations WHERE reservation_id = ? AND ended IS NULL"


class EndedReservation(Frozen):
    """The end of a reservation, to be reported to the CSMS."""

    number: int
    """row of the table"""
    reservation_id: int
    how: ReservationEnd


class ReservationStore:
    """Table `reservations`: what is accepted is in it before it is answered.

    A transaction event with a reservationId deletes its reservation in the same write (trigger of the table `events`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[Reservation]:
        """Read the reservations that wait for their holder, in the order of acceptance; unreadable ones are set aside.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT number, payload FROM reservations WHERE ended IS NULL ORDER BY number")
        found: list[Reservation] = []
        for number, payload in rows:
            address = RowAddress("reservations", str(number))
            if (reservation := self._database.unreadable.read(RESERVATIONS.from_text, payload, address)) is not None:
                found.append(reservation)
            else:
                _log.error("stored reservation %s cannot be read: its EVSE is not reserved any more", number)
        return found

    async def put(self, reservation: Reservation) -> None:
        """Store a reservation, in place of the one with its id, if there is one, waiting or ended.

        The CSMS would take the end of an earlier one for that of the new one.

        Raises:
            StorageError: nothing is changed.
        """
        identity = reservation.reservation_id
        insert = "INSERT INTO reservations (reservation_id, payload) VALUES (?, ?)"
        await self._database.write_together(
            ("DELETE FROM reservations WHERE reservation_id = ?", [(identity,)]),
            (insert, [(identity, RESERVATIONS.to_text(reservation))]),
        )

    async def remove(self, reservation_id: int) -> None:
        """Delete a waiting reservation.

        Raises:
            StorageError: it is still stored.
        """
        await self._database.write(_DELETE, (reservation_id,))

    async def end(self, reservation_id: int, how: ReservationEnd) -> None:
        """Mark a waiting reservation as ended, to be reported, and erase its holder; does nothing if there is none.

        Raises:
            StorageError: it still waits.
        """
        await self._database.write_together(
            (
                "UPDATE reservations SET ended = ?, payload = '{}' WHERE reservation_id = ? AND ended IS NULL",
                [(how.value, reservation_id)],
            ),
            (
                "DELETE FROM reservations WHERE ended IS NOT NULL AND number <= (SELECT number FROM reservations"
                " WHERE ended IS NOT NULL ORDER BY number DESC LIMIT 1 OFFSET ?)",
                [(MAX_ENDS,)],
            ),
        )

    async def oldest_ended(self) -> EndedReservation | None:
        """Read the oldest end that is not reported yet; None if there is none.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT number, reservation_id, ended FROM reservations"
            f" WHERE ended IN ({', '.join(repr(end.value) for end in ReservationEnd)}) ORDER BY number LIMIT 1"
        )
        for number, identity, ended in rows:
            return EndedReservation(int(str(number)), int(str(identity)), ReservationEnd(str(ended)))
        return None

    async def delete_reported(self, ended: EndedReservation) -> None:
        """Delete an end that has been reported to the CSMS.

        Raises:
            StorageError: it is reported again.
        """
        await self._database.write("DELETE FROM reservations WHERE number = ?", (ended.number,))
