"""Builds the billing parts: time quality, prices and costs, register journal, transaction log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from borne.composition.charging import Charging
from borne.composition.foundations import Basis
from foundation.frozen import Frozen
from metering.journal import RegisterJournal
from station.billing.billing import Billing
from station.billing.prices import Prices
from station.billing.register_journal.journal_writer import JournalSources, JournalWriter
from station.billing.register_journal.time_quality import TimeQualityMonitor
from station.billing.tariff_and_cost import PriceSources, TariffAndCost
from station.billing.tariff_message import TariffMessages
from station.billing.transaction_log import TransactionLog
from station.core.version import package_version
from station.load.grid_tariff import GridTariff
from station.load.load_management import LoadManagement

if TYPE_CHECKING:
    from station.interfaces.parts import StationParts
    from station.storage.outbox import Outbox


class Rates(Frozen):
    """The parts of billing that the EVSEs need: time quality, prices and tariff messages."""

    time: TimeQualityMonitor
    prices: Prices
    messages: TariffMessages


class Books(Frozen):
    """The billing parts of a station."""

    time: TimeQualityMonitor
    prices: Prices
    transactions: TransactionLog
    billing: Billing
    tariff_and_cost: TariffAndCost
    keeper: JournalWriter
    watchers: Sequence[Callable[[], Awaitable[None]]]

    def add_to(self, parts: StationParts) -> None:
        """Add the parts that routes of the API use."""
        parts.add(TransactionLog, self.transactions)
        parts.add(Prices, self.prices)
        parts.add(JournalWriter, self.keeper)
        parts.add(TariffAndCost, self.tariff_and_cost)


def rates(basis: Basis) -> Rates:
    """Create time quality and prices; `books` loads the prices from the storage."""
    prices = Prices(basis.facts("prices"))
    settings = basis.settings
    time = TimeQualityMonitor(basis.clock, settings.clock, lambda: settings.csms_link.heartbeat_interval_s)
    return Rates(time, prices, TariffMessages(prices, settings.prices))


async def books(basis: Basis, rates: Rates, charging: Charging, load: LoadManagement, firmware_version: str) -> Books:
    """Create the billing parts, and write the boot to the register journal.

    Raises:
        StorageError: the records cannot be read.
    """
    configuration, clock, transactions = basis.configuration, basis.clock, basis.transactions
    evses, metrology, time, prices = charging.evses, charging.metrology, rates.time, rates.prices
    await prices.load(configuration.prices.as_list() if configuration.prices is not None else None)
    billing = Billing(transactions, basis.outbox, evses, GridTariff(load.controller), clock)
    sources = JournalSources(transactions, billing, evses, prices, time, metrology.meters, metrology.records)
    keeper = JournalWriter(RegisterJournal(basis.storage), basis.outbox, sources, clock)
    subscribe_books(keeper, basis.outbox, sources)
    for signatures in metrology.signatures.values():
        signatures.key_changed.subscribe(keeper.add_notice)
    await keeper.load({"program": package_version(), "firmware": firmware_version}, basis.program.boot_reason.value)
    load.after_decision.subscribe(lambda _: keeper.request_update())
    told = PriceSources(billing, rates.messages, transactions)
    cost = TariffAndCost(evses, told, basis.settings.prices, clock, has_csms=configuration.csms is not None)
    basis.outbox.appended.subscribe(cost.event_recorded)
    billing.billed.subscribe(cost.show_bill)
    cost.display.changed.subscribe(lambda evse_id: evses[evse_id].changed.notify())
    watchers = [time.run, keeper.run, cost.run, lambda: metrology.run(clock)]
    return Books(time, prices, transactions, billing, cost, keeper, watchers)


def subscribe_books(keeper: JournalWriter, outbox: Outbox, sources: JournalSources) -> None:
    """Subscribe billing and journal to their events; billing first: it stores the tariff period that an entry needs."""
    outbox.appended.subscribe(sources.billing.event_recorded)
    outbox.appended.subscribe(keeper.event_recorded)
    outbox.times_corrected.subscribe(keeper.times_corrected)
    sources.time.corrected.subscribe(keeper.clock_corrected)
    sources.prices.changed.subscribe(keeper.prices_changed)
    sources.meters.noted.subscribe(keeper.add_notice)
    for evse in sources.evses.values():
        evse.meter.reading_refused.subscribe(partial(keeper.reading_refused, evse.id))
        if evse.signing is not None:
            evse.signing.unsigned.subscribe(keeper.add_notice)
