"""The books: how good the time is, what charges cost, the register journal, the log for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from borne.composition.charging import Charging
from borne.composition.foundations import Basis
from borne.composition.load import tariff_period
from foundation.frozen import frozen
from metering.journal import RegisterJournal
from station.billing.billing import Billing
from station.billing.prices import Prices
from station.billing.register_journal.journal_writer import Bookkeeper, Sources
from station.billing.register_journal.time_quality import TimeKeeper
from station.billing.tariff_and_cost import PriceSources, TariffAndCost
from station.billing.transaction_log import TransactionLog
from station.core.version import package_version
from station.load.load_management import LoadManagement


@frozen
class Books:
    """What is kept of charges for whoever pays and is paid."""

    time: TimeKeeper
    prices: Prices
    transactions: TransactionLog
    billing: Billing
    tariff_and_cost: TariffAndCost
    keeper: Bookkeeper
    watchers: Sequence[Callable[[], Awaitable[None]]]


async def books(basis: Basis, charging: Charging, load: LoadManagement, firmware_version: str) -> Books:
    """Open the books, and note the boot.

    Raises:
        StorageError: the records cannot be read.
    """
    configuration, clock, outbox = basis.configuration, basis.clock, basis.outbox
    evses, metrology = charging.evses, charging.metrology
    time, prices = TimeKeeper(clock, basis.settings), Prices(basis.facts("prices"))
    await prices.load(configuration.prices.as_list() if configuration.prices is not None else None)
    transactions = TransactionLog(basis.database)
    billing = Billing(transactions, outbox, evses, clock)
    billing.tariff_period = lambda: tariff_period(load)
    around = Sources(outbox, transactions, billing, evses, prices, time, metrology.meters)
    keeper = Bookkeeper(RegisterJournal(basis.storage), around, clock)
    metrology.follow(time, keeper, evses)
    for evse in evses.values():
        evse.time_status = lambda: time.status
    await keeper.load({"program": package_version(), "firmware": firmware_version}, basis.program.boot_reason.value)
    load.on_decided.append(keeper.look)
    told = PriceSources(billing, prices, transactions, outbox)
    cost = TariffAndCost(evses, told, basis.settings, clock, has_csms=configuration.csms is not None)
    for evse in evses.values():
        if evse.signing is not None:
            evse.signing.tariff_of = cost.tariff_of
    watchers = [time.run, keeper.run, cost.run, lambda: metrology.run(clock)]
    return Books(time, prices, transactions, billing, cost, keeper, watchers)
