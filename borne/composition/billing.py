"""Creates the billing parts of a station: time quality, prices and costs, register journal, transaction log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from borne.composition.charging import ChargingParts
from borne.composition.core import CoreParts
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
    from foundation.supervision import AuxiliaryCalls
    from station.interfaces.parts import StationParts
    from station.storage.outbox import Outbox


class PriceParts(Frozen):
    """What `create_prices` creates before the EVSEs exist: time quality, prices and tariff texts."""

    time: TimeQualityMonitor
    """how reliable the station's clock is"""
    prices: Prices
    messages: TariffMessages
    """the tariff texts for drivers"""


class BillingParts(Frozen):
    """What `create_billing` creates for one run: prices, bills, costs shown to drivers, and the register journal."""

    time: TimeQualityMonitor
    """how reliable the station's clock is"""
    prices: Prices
    transactions: TransactionLog
    billing: Billing
    """bills of ended transactions"""
    tariff_and_cost: TariffAndCost
    """the tariff and the running cost that drivers are shown"""
    journal_writer: JournalWriter
    """writes the register journal"""
    watchers: Sequence[Callable[[], Awaitable[None]]]
    """the tasks of these parts, to run while the station runs"""

    def add_to(self, parts: StationParts) -> None:
        """Add transaction log, prices, register journal and costs to `parts`, where the routes of the API find them."""
        parts.add(TransactionLog, self.transactions)
        parts.add(Prices, self.prices)
        parts.add(JournalWriter, self.journal_writer)
        parts.add(TariffAndCost, self.tariff_and_cost)


def create_prices(core: CoreParts) -> PriceParts:
    """Create time quality, prices and tariff texts; the prices are empty until `create_billing` loads them."""
    prices = Prices(core.facts("prices"))
    settings = core.settings
    time = TimeQualityMonitor(core.clock, settings.clock, lambda: settings.csms_link.heartbeat_interval_s)
    return PriceParts(time, prices, TariffMessages(prices, settings.prices))


async def create_billing(
    core: CoreParts, price_parts: PriceParts, charging: ChargingParts, load: LoadManagement, firmware_version: str
) -> BillingParts:
    """Create the billing parts, subscribe them to events and meters, and write the boot to the register journal.

    Raises:
        StorageError: the records cannot be read.
    """
    configuration, clock, transactions = core.configuration, core.clock, core.transactions
    evses, metrology, time, prices = charging.evses, charging.metrology, price_parts.time, price_parts.prices
    await prices.load(configuration.prices.as_list() if configuration.prices is not None else None)
    billing = Billing(transactions, core.outbox, charging.assemblies, GridTariff(load.grid), clock)
    sources = JournalSources(transactions, billing, evses, prices, time, metrology.meters, metrology.records)
    journal_writer = JournalWriter(RegisterJournal(core.storage), core.outbox, sources, clock)
    auxiliary = core.auxiliary
    subscribe_journal(journal_writer, core.outbox, sources, auxiliary)
    for assembly in charging.assemblies.values():
        if assembly.signing is not None:
            auxiliary.subscribe(assembly.signing.unsigned, journal_writer.add_notice)
    for signatures in metrology.signers.values():
        auxiliary.subscribe(signatures.key_changed, journal_writer.add_notice)
    await journal_writer.load(
        {"program": package_version(), "firmware": firmware_version}, core.runtime.boot_reason.value
    )
    auxiliary.subscribe(load.decisions.after_decision, lambda _: journal_writer.request_tariff_entry())
    price_sources = PriceSources(billing, price_parts.messages, transactions)
    cost = TariffAndCost(evses, price_sources, core.settings.prices, clock, has_csms=configuration.csms is not None)
    auxiliary.subscribe(core.outbox.appended, cost.event_recorded)
    auxiliary.subscribe(billing.billed, cost.show_bill)
    auxiliary.subscribe(cost.display.changed, lambda evse_id: evses[evse_id].changed.notify())
    watchers = [time.run, journal_writer.run, cost.run, lambda: metrology.run(clock)]
    return BillingParts(time, prices, transactions, billing, cost, journal_writer, watchers)


def subscribe_journal(
    journal_writer: JournalWriter, outbox: Outbox, sources: JournalSources, auxiliary: AuxiliaryCalls
) -> None:
    """Subscribe billing and register journal to the events that they record.

    Billing first: it stores the tariff period that a journal entry needs.
    """
    auxiliary.subscribe(outbox.appended, sources.billing.event_recorded)
    auxiliary.subscribe(outbox.appended, journal_writer.event_recorded)
    auxiliary.subscribe(outbox.times_corrected, journal_writer.add_corrected_times)
    auxiliary.subscribe(sources.time.corrected, journal_writer.add_clock_correction)
    auxiliary.subscribe(sources.prices.changed, journal_writer.add_prices)
    auxiliary.subscribe(sources.meters.noted, journal_writer.add_notice)
    for evse in sources.evses.values():
        auxiliary.subscribe(evse.meter.reading_refused, partial(journal_writer.add_refused_reading, evse.id))
