"""An EVSE whose transactions are logged, billed and noted in the register journal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path

from borne.composition.billing import subscribe_journal
from metering.journal import RegisterJournal
from metering.journal_entry import JournalEntry, JournalEvent
from station.billing.billing import Billing
from station.billing.logged_transaction import LoggedTransaction
from station.billing.price import Bill, PeriodPrice, PriceList
from station.billing.prices import Prices
from station.billing.register_journal.journal_writer import JournalSources, JournalWriter
from station.billing.register_journal.time_quality import TimeQualityMonitor
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.charging.billing_meters import BillingMeters
from station.core.clock_settings import ClockSettings
from station.core.model import PilotState, StoppedReason, TriggerReason
from station.security.security_events import SecurityEvents
from station.storage.fact_store import FactStore
from tests import fakes
from tests.station.evse_fixture import EvseFixture, evse_fixture

LINKY = PriceList("EUR", Decimal("0.30"), (PeriodPrice("HC", Decimal("0.20")),), Decimal("1.00"))
_ALL = TransactionQuery()
VERSIONS = {"program": "1", "firmware": "7"}


class BillingFixture:
    """Transaction log, prices, billing and register journal of one EVSE."""

    def __init__(self, fixture: EvseFixture, path: Path) -> None:
        self.evse_fixture, self.path = fixture, path
        self.period: str | None = None
        self.log = TransactionLog(fixture.database)
        self.prices = Prices(FactStore(fixture.database, "prices"))
        self.time_quality = TimeQualityMonitor(fixture.clock, ClockSettings(), lambda: 300, lambda: False)
        self.billing = Billing(self.log, fixture.outbox, {1: fixture.assembly}, self, fixture.clock)
        self.billed: list[tuple[str, Bill]] = []
        self.billing.billed.subscribe(lambda final: self.billed.append((final.transaction_id, final.bill)))
        events = SecurityEvents(fixture.database, fixture.clock)
        meters = BillingMeters(FactStore(fixture.database, "meter"), fixture.outbox, events, fixture.clock)
        sources = JournalSources(
            self.log, self.billing, {1: fixture.evse}, self.prices, self.time_quality, meters, fixture.records
        )
        self.journal_writer = JournalWriter(RegisterJournal(path), fixture.outbox, sources, fixture.clock)
        subscribe_journal(self.journal_writer, fixture.outbox, sources, fakes.RaisingCalls())

    @property
    def tariff_period(self) -> str | None:
        """The tariff period that the grid meter reports."""
        return self.period

    def entries(self, *events: JournalEvent) -> list[JournalEntry]:
        """The entries of the journal, oldest first; only those of these kinds if any are given."""
        found = [entry for entry in self.journal_writer.journal.entries() if not events or entry.note.event in events]
        return found[::-1]

    async def only_transaction(self) -> LoggedTransaction:
        """The only transaction of the log."""
        (found,) = (await self.log.find(_ALL)).transactions
        return found

    async def stop_charge(self, register_wh: float) -> None:
        """The driver stops the charge when the billing meter reads `register_wh`."""
        fixture = self.evse_fixture
        fixture.meter.reading = fakes.reading(register_wh)
        fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        await fixture.observe(pilot=PilotState.B)
        await fixture.switch_contactor()
        await fixture.clock.advance(1)

    async def change_tariff_period(self, period: str | None, register_wh: float) -> None:
        """The grid meter reports another tariff period when the billing meter reads `register_wh`."""
        self.evse_fixture.meter.reading = fakes.reading(register_wh, 16.0)
        self.period = period
        self.journal_writer.request_tariff_entry()
        await self.evse_fixture.clock.advance(1)


@contextlib.asynccontextmanager
async def running_journal(billing: BillingFixture) -> AsyncGenerator[BillingFixture]:
    """Load and run the journal writer."""
    await billing.journal_writer.load(VERSIONS, "PowerUp")
    running = asyncio.create_task(billing.journal_writer.run())
    await billing.evse_fixture.clock.advance(0)
    try:
        yield billing
    finally:
        running.cancel()
        await asyncio.wait({running})


@contextlib.asynccontextmanager
async def billing_fixture(path: Path) -> AsyncGenerator[BillingFixture]:
    """An EVSE that runs, with its billing and its running journal writer."""
    async with evse_fixture(path) as fixture, running_journal(BillingFixture(fixture, path)) as billing:
        yield billing
