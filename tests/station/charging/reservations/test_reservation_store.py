"""The ends of reservations that the CSMS has no notification of: stored, in order, bounded."""

from __future__ import annotations

from pathlib import Path

from station.charging.reservations.reservation import Reservation, ReservationEnd
from station.charging.reservations.reservation_store import MAX_ENDS, ReservationStore
from station.core.model import IdToken
from tests import fakes
from tests.databases import open_database

CARD = IdToken("04A3B2C1D5E680", "ISO14443")


async def test_a_csms_that_answers_no_end_fills_no_disk(tmp_path: Path) -> None:
    """The oldest ends are dropped; reservations that wait are not."""
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        store = ReservationStore(database)
        await store.put(Reservation(99, CARD, fakes.NOON))
        ended = ((number, "{}", ReservationEnd.EXPIRED.value) for number in range(100, 100 + MAX_ENDS))
        await database.write_many("INSERT INTO reservations (reservation_id, payload, ended) VALUES (?, ?, ?)", ended)
        newest = range(100 + MAX_ENDS, 107 + MAX_ENDS)
        for number in newest:
            await store.put(Reservation(number, CARD, fakes.NOON))
            await store.end(number, ReservationEnd.EXPIRED)
        assert [reservation.reservation_id for reservation in await store.load()] == [99]
        stored = await database.rows("SELECT reservation_id FROM reservations WHERE ended IS NOT NULL ORDER BY number")
        assert stored == [(number,) for number in range(107, 107 + MAX_ENDS)]
        reported: list[int] = []
        while len(reported) < 3 and (end := await store.oldest_ended()) is not None:
            reported.append(end.reservation_id)
            await store.delete_reported(end)
        assert reported == [107, 108, 109]
