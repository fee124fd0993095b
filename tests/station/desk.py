"""The books of one EVSE at work, with prices that the owner asks."""

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
from tests.station.post import Post, post

LINKY = PriceList("EUR", Decimal("0.30"), (PeriodPrice("HC", Decimal("0.20")),), Decimal("1.00"))
_ALL = TransactionQuery()
VERSIONS = {"program": "1", "firmware": "7"}


class Desk:
    """The books of one EVSE."""

    def __init__(self, it: Post, path: Path) -> None:
        self.post, self.path = it, path
        self.period: str | None = None
        self.log = TransactionLog(it.database)
        self.prices = Prices(FactStore(it.database, "prices"))
        self.time = TimeQualityMonitor(it.clock, ClockSettings(), lambda: 300, lambda: False)
        self.billing = Billing(self.log, it.outbox, {1: it.assembly}, self, it.clock)
        self.billed: list[tuple[str, Bill]] = []
        self.billing.billed.subscribe(lambda final: self.billed.append((final.transaction_id, final.bill)))
        events = SecurityEvents(it.database, it.clock)
        meters = BillingMeters(FactStore(it.database, "meter"), it.outbox, events, it.clock)
        sources = JournalSources(self.log, self.billing, {1: it.evse}, self.prices, self.time, meters, it.records)
        self.books = JournalWriter(RegisterJournal(path), it.outbox, sources, it.clock)
        subscribe_journal(self.books, it.outbox, sources, fakes.LoudCalls())

    @property
    def tariff_period(self) -> str | None:
        """What the grid meter tells."""
        return self.period

    def entries(self, *events: JournalEvent) -> list[JournalEntry]:
        """What is in the journal, the oldest first; of these kinds only, where some are named."""
        found = [entry for entry in self.books.journal.entries() if not events or entry.note.event in events]
        return found[::-1]

    async def only(self) -> LoggedTransaction:
        """The one transaction of the log."""
        (found,) = (await self.log.find(_ALL)).transactions
        return found

    async def end(self, register_wh: float) -> None:
        """The driver stops; the meter shows this."""
        it = self.post
        it.meter.shows = fakes.reading(register_wh)
        it.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        await it.see(pilot=PilotState.B)
        await it.obey()
        await it.clock.advance(1)

    async def tell(self, period: str | None, register_wh: float) -> None:
        """The grid meter tells another tariff period; the billing meter shows this."""
        self.post.meter.shows = fakes.reading(register_wh, 16.0)
        self.period = period
        self.books.request_tariff_entry()
        await self.post.clock.advance(1)


@contextlib.asynccontextmanager
async def keeping(desk: Desk) -> AsyncGenerator[Desk]:
    """The books are kept."""
    await desk.books.load(VERSIONS, "PowerUp")
    running = asyncio.create_task(desk.books.run())
    await desk.post.clock.advance(0)
    try:
        yield desk
    finally:
        running.cancel()
        await asyncio.wait({running})


@contextlib.asynccontextmanager
async def books(path: Path) -> AsyncGenerator[Desk]:
    """An EVSE at work, and its books."""
    async with post(path) as it, keeping(Desk(it, path)) as desk:
        yield desk
