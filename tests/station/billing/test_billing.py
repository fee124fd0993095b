"""The bill so far of a running transaction, which displays read every few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.core.model import PilotState
from station.storage.database import StorageError
from tests.station.billing_fixture import LINKY, BillingFixture, running_journal
from tests.station.evse_fixture import evse_fixture


async def test_a_transaction_without_prices_is_read_once(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture, running_journal(BillingFixture(fixture, tmp_path)) as billing:
        await fixture.charge()
        assert await billing.billing.bill_so_far(fixture.evse) is None
        await fixture.database.write("ALTER TABLE transactions RENAME COLUMN transaction_id TO unreadable")
        assert await billing.billing.bill_so_far(fixture.evse) is None
        await fixture.database.write("ALTER TABLE transactions RENAME COLUMN unreadable TO transaction_id")


async def test_a_transaction_with_prices_is_read_each_time(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture, running_journal(BillingFixture(fixture, tmp_path)) as billing:
        await billing.prices.load(LINKY)
        await fixture.charge()
        assert await billing.billing.bill_so_far(fixture.evse) is not None
        await fixture.database.write("ALTER TABLE transactions RENAME COLUMN transaction_id TO unreadable")
        with pytest.raises(StorageError):
            await billing.billing.bill_so_far(fixture.evse)
        await fixture.database.write("ALTER TABLE transactions RENAME COLUMN unreadable TO transaction_id")


async def test_the_next_transaction_may_have_prices(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture, running_journal(BillingFixture(fixture, tmp_path)) as billing:
        await fixture.charge()
        assert await billing.billing.bill_so_far(fixture.evse) is None
        await billing.stop_charge(1500.0)
        await fixture.observe(pilot=PilotState.A, cable_plugged=False)
        await billing.prices.load(LINKY)
        await fixture.charge()
        bill = await billing.billing.bill_so_far(fixture.evse)
        assert bill is not None
        assert bill.currency == "EUR"
