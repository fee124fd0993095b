"""One run of the station's software, from boot to shutdown: its parts, and the tasks that run them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from foundation.supervision import keep_running
from metering.journal import JournalError
from station.charging.recovery import end_open_transactions, record_ends
from station.storage.database import StorageError

if TYPE_CHECKING:
    from borne.signed_metering import Metrology
    from energy.grid_orders import RecordedGridOrders
    from foundation.byte_tap import ByteTap
    from foundation.clock import Clock
    from foundation.monitored_task import MonitoredTask
    from station.billing.billing import Billing
    from station.billing.prices import Prices
    from station.billing.register_journal.journal_writer import JournalWriter
    from station.billing.register_journal.time_quality import TimeQualityMonitor
    from station.billing.tariff_and_cost import TariffAndCost
    from station.billing.transaction_log import TransactionLog
    from station.charging.charging_station import ChargingStation
    from station.charging.tokens.owner_cards import OwnerCards
    from station.core.csms import CsmsLink, Variables
    from station.interfaces.parts import StationParts
    from station.interfaces.status_light import StatusLight
    from station.load.external_limits import ExternalLimits
    from station.load.jumpers import Jumpers
    from station.load.load_history import LoadHistory
    from station.load.load_management import LoadManagement
    from station.load.residual_current import ResidualCurrentGuard
    from station.load.shared_limits import SharedLimits
    from station.load.tamper import TamperAlarm
    from station.maintenance.commissioning.activation import StationActivation
    from station.maintenance.commissioning.record import CommissioningRecord
    from station.maintenance.customer_information import CustomerInformation
    from station.maintenance.firmware.firmware import FirmwareUpdates
    from station.maintenance.logs.frame_log import FrameLog
    from station.maintenance.logs.store import LogStore
    from station.maintenance.logs.upload import LogUploads
    from station.security.access.sign_in_service import SignInService
    from station.security.certificates.certificate_store import CertificateStore
    from station.security.credentials import Credentials
    from station.security.network_profiles import NetworkProfiles
    from station.security.security_events import SecurityEvents
    from station.storage.unreadable_rows import UnreadableRows

_log = logging.getLogger(__name__)

_CLOSED_WITHIN_S = 1.0
"""a stop may take 5 s in total, most of which the vehicles need"""


@dataclass(slots=True)
class Life:
    """The parts of a station during one run, from boot to shutdown."""

    clock: Clock
    station: ChargingStation
    load: LoadManagement
    security_events: SecurityEvents
    credentials: Credentials
    network: NetworkProfiles
    certificates: CertificateStore
    tamper: TamperAlarm
    log: LogStore
    uploads: LogUploads
    customers: CustomerInformation
    firmware: FirmwareUpdates
    external_limits: ExternalLimits
    shared_limits: SharedLimits
    time: TimeQualityMonitor
    prices: Prices
    transactions: TransactionLog
    billing: Billing
    tariff_and_cost: TariffAndCost
    books: JournalWriter
    activation: StationActivation
    open_access: Callable[[], SignInService]
    """creates the sign-in service; called for the first visitor, since it takes time to load"""
    metrology: Metrology
    history: LoadHistory
    residual: ResidualCurrentGuard
    cards: OwnerCards
    frames: FrameLog
    wires: ByteTap
    commissioning: CommissioningRecord
    light: StatusLight
    parts: StationParts
    """the parts that routes of the API use"""
    unreadable: UnreadableRows
    """the rows of the storage that cannot be read"""
    connect: Callable[[Life], Awaitable[None]] | None = None
    """builds the link to the CSMS and keeps it; None without a CSMS"""
    grid_orders: RecordedGridOrders | None = None
    """the orders of the grid operator's contact; None if there is no such contact"""
    jumpers: Callable[[], Jumpers] | None = None
    """reads the jumpers of the smart-meter port"""
    link: CsmsLink | None = None
    variables: Variables | None = None
    watchers: list[Callable[[], Awaitable[None]]] = field(default_factory=list[Callable[[], Awaitable[None]]])
    """auxiliary tasks, restarted after a failure"""
    _access: SignInService | None = None

    @property
    def access(self) -> SignInService:
        """The sign-in service of the local API and page; `ensure_loaded` reads its data from the disk."""
        if self._access is None:
            self._access = self.open_access()
        return self._access

    async def run(self) -> None:
        """Run all tasks until cancelled. A crash of an essential task ends it, with contactors open."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._charge(), name="station")
            group.create_task(self.load.run(), name="load-management")
            if self.load.has_grid_meter:
                group.create_task(
                    keep_running("grid meter", self.load.follow_grid_meter, self.clock), name="grid-meter"
                )
            for watcher in self.watchers:
                group.create_task(keep_running("watcher", watcher, self.clock))
            if self.connect is not None:
                connect = self.connect
                group.create_task(keep_running("CSMS link", lambda: connect(self), self.clock), name="csms")

    def stints(self) -> list[MonitoredTask]:
        """The monitored tasks of the station, each with a deadline."""
        evses = self.station.evses.values()
        return [
            self.load.waiting,
            self.station.admission.deciding,
            *(one for evse in evses for one in evse.monitored_tasks),
        ]

    async def halt(self) -> None:
        """Stop charging in order, within a few seconds, without waiting for the CSMS."""
        await self.station.halt()

    async def close(self) -> None:
        """Write pending data to the disk, as far as possible; called after `run` has ended in order."""
        with contextlib.suppress(StorageError):  # the only consequence: a few events are sent again
            await self.station.outbox.flush()
        try:
            async with asyncio.timeout(_CLOSED_WITHIN_S):
                await self.books.close()
        except (JournalError, StorageError, TimeoutError) as error:
            _log.error("the register journal will be completed at the next start: %s", error or "writing took too long")
        await self.log.flush_to_disk()

    async def _charge(self) -> None:
        outbox = self.station.outbox
        for evse in self.station.evses.values():
            await evse.make_safe()
        left = await end_open_transactions(outbox, self.station.evses, self.station.settings, self.clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(record_ends(left, outbox, self.clock), name="recovery")
            group.create_task(self.station.run(), name="evses")
