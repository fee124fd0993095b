"""The ends of reservations that the CSMS has not been told: stored, in order, bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.charging.reservations import reservation_store
from station.charging.reservations.reservation import Reservation, ReservationEnd
from station.charging.reservations.reservation_store import ReservationStore
from station.core.model import IdToken
from tests import fakes
from tests.databases import open_database

CARD = IdToken("04A3B2C1D5E680", "ISO14443")


async def test_a_csms_that_answers_no_end_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ends are dropped; reservations that wait are not."""
    monkeypatch.setattr(reservation_store, "_MAX_ENDS", 3)
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        store = ReservationStore(database)
        await store.put(Reservation(99, CARD, fakes.NOON))
        for number in range(10):
            await store.put(Reservation(number, CARD, fakes.NOON))
            await store.end(number, ReservationEnd.EXPIRED)
        assert [one.reservation_id for one in await store.load()] == [99]
        told: list[int] = []
        while (ended := await store.oldest_ended()) is not None:
            told.append(ended.reservation_id)
            await store.delete_reported(ended)
        assert told == [7, 8, 9]
