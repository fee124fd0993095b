"""The bill of a running transaction, which displays ask for every few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.core.model import PilotState
from station.storage.database import StorageError
from tests.station.desk import LINKY, Desk, keeping
from tests.station.post import post


async def test_a_transaction_without_prices_is_read_once(tmp_path: Path) -> None:
    async with post(tmp_path) as it, keeping(Desk(it, tmp_path)) as desk:
        await it.charge()
        assert await desk.billing.bill_so_far(it.evse) is None
        await it.database.write("ALTER TABLE transactions RENAME COLUMN transaction_id TO unreadable")
        assert await desk.billing.bill_so_far(it.evse) is None
        await it.database.write("ALTER TABLE transactions RENAME COLUMN unreadable TO transaction_id")


async def test_a_transaction_with_prices_is_read_each_time(tmp_path: Path) -> None:
    async with post(tmp_path) as it, keeping(Desk(it, tmp_path)) as desk:
        await desk.prices.load(LINKY)
        await it.charge()
        assert await desk.billing.bill_so_far(it.evse) is not None
        await it.database.write("ALTER TABLE transactions RENAME COLUMN transaction_id TO unreadable")
        with pytest.raises(StorageError):
            await desk.billing.bill_so_far(it.evse)
        await it.database.write("ALTER TABLE transactions RENAME COLUMN unreadable TO transaction_id")


async def test_the_next_transaction_may_have_prices(tmp_path: Path) -> None:
    async with post(tmp_path) as it, keeping(Desk(it, tmp_path)) as desk:
        await it.charge()
        assert await desk.billing.bill_so_far(it.evse) is None
        await desk.end(1500.0)
        await it.see(pilot=PilotState.A, cable_plugged=False)
        await desk.prices.load(LINKY)
        await it.charge()
        bill = await desk.billing.bill_so_far(it.evse)
        assert bill is not None
        assert bill.currency == "EUR"
