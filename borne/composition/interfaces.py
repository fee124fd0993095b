"""Registers the parts of the running station that the routes of its API use."""

from __future__ import annotations

import asyncio

from borne.life import Life
from energy.grid_orders import RecordedGridOrders
from foundation.byte_tap import ByteTap
from station.billing.prices import Prices
from station.billing.register_journal.journal_writer import JournalWriter
from station.billing.tariff_and_cost import TariffAndCost
from station.billing.transaction_log import TransactionLog
from station.charging.billing_meters import BillingMeters
from station.charging.charging_station import ChargingStation
from station.charging.signing.signed_records import SignedRecords
from station.charging.tokens.owner_cards import OwnerCards
from station.configuration.installation_file import Configuration
from station.interfaces.api.status import EvsesStatus, GridConnectionStatus, LinkStatus, StationStatus
from station.interfaces.part_keys import CSMS_LINK, STATION_STATUS
from station.interfaces.status_light import StatusLight
from station.load.back_plate_monitor import BackPlateMonitor
from station.load.load_history import LoadHistory
from station.load.load_management import LoadManagement
from station.load.residual_current import ResidualCurrentGuard
from station.load.shared_limits import SharedLimits
from station.load.tamper import TamperAlarm
from station.maintenance.commissioning.activation import StationActivation
from station.maintenance.commissioning.grid_tests import GridTests
from station.maintenance.commissioning.input_tests import CommissioningTests
from station.maintenance.commissioning.installation_facts import InstallationFacts
from station.maintenance.commissioning.record import CommissioningRecord
from station.maintenance.commissioning.report import ReportWriter, remove_report
from station.maintenance.commissioning.site_settings import SiteSettings
from station.maintenance.factory_reset import FactoryReset
from station.maintenance.firmware.firmware import FirmwareUpdates
from station.maintenance.logs.frame_log import FrameLog
from station.maintenance.logs.store import LogStore
from station.security.access.sign_in_service import SignInService
from station.security.certificates.certificate_store import CertificateStore
from station.security.credentials import Credentials
from station.security.network_profiles import NetworkProfiles
from station.security.security_events import SecurityEvents


def add_parts(life: Life, back_plate: BackPlateMonitor) -> None:
    """Register the parts of an assembled station; the API finds them once the station runs."""
    _add_charging_parts(life)
    _add_load_parts(life, back_plate)
    _add_security_parts(life)
    _add_maintenance_parts(life)
    _add_commissioning_parts(life, back_plate)
    life.parts.add_lazy(STATION_STATUS, lambda: _status(life, back_plate))


def _add_charging_parts(life: Life) -> None:
    parts = life.parts
    parts.add(ChargingStation, life.station)
    parts.add(TransactionLog, life.transactions)
    parts.add(OwnerCards, life.cards)
    parts.add(BillingMeters, life.metrology.meters)
    parts.add(SignedRecords, life.metrology.records)
    parts.add(Prices, life.prices)
    parts.add(JournalWriter, life.books)
    parts.add(TariffAndCost, life.tariff_and_cost)
    parts.add(StatusLight, life.light)


def _add_load_parts(life: Life, back_plate: BackPlateMonitor) -> None:
    parts = life.parts
    parts.add(LoadManagement, life.load)
    parts.add(LoadHistory, life.history)
    parts.add(SharedLimits, life.shared_limits)
    parts.add(BackPlateMonitor, back_plate)
    parts.add(TamperAlarm, life.tamper)
    parts.add(ResidualCurrentGuard, life.residual)
    if life.grid_orders is not None:
        parts.add(RecordedGridOrders, life.grid_orders)


def _add_security_parts(life: Life) -> None:
    parts = life.parts
    parts.add_lazy(SignInService, lambda: life.access)
    parts.add(SecurityEvents, life.security_events)
    parts.add(CertificateStore, life.certificates)
    parts.add(Credentials, life.credentials)
    parts.add(NetworkProfiles, life.network)


def _add_maintenance_parts(life: Life) -> None:
    parts = life.parts
    parts.add(FirmwareUpdates, life.firmware)
    parts.add(FrameLog, life.frames)
    parts.add(ByteTap, life.wires)
    parts.add(LogStore, life.log)
    parts.add_lazy(FactoryReset, lambda: _factory_reset(life))


def _add_commissioning_parts(life: Life, back_plate: BackPlateMonitor) -> None:
    parts, station, clock = life.parts, life.station, life.clock
    configuration, record, meters = parts.get(Configuration), life.commissioning, life.metrology.meters
    facts = InstallationFacts(configuration, station, life.load, life.network)
    tests = CommissioningTests(facts, station, life.network, life.residual, meters, record, clock)
    grid = GridTests(configuration, facts, life.load, back_plate, life.wires, life.grid_orders, record, clock)
    report = ReportWriter(configuration, facts, record, station, meters, life.firmware, life.time, clock)
    parts.add(StationActivation, life.activation)
    parts.add(CommissioningRecord, record)
    parts.add(InstallationFacts, facts)
    parts.add(CommissioningTests, tests)
    parts.add(GridTests, grid)
    parts.add(ReportWriter, report)


def _factory_reset(life: Life) -> FactoryReset:
    """Create the factory reset with its deletions: data in the database first, then files of the storage."""
    configuration, site_settings = life.parts.get(Configuration), life.parts.get(SiteSettings)

    async def remove_stored_report() -> None:
        await asyncio.to_thread(remove_report, configuration)

    async def forget_site_settings() -> None:
        await asyncio.to_thread(site_settings.reset)

    clears = (
        life.cards.clear,
        life.station.tokens.clear,
        life.prices.forget,
        life.load.priorities.forget,
        life.commissioning.clear,
        life.residual.forget_shunt_trip_test,
        life.access.reset,
        remove_stored_report,
        forget_site_settings,
    )
    return FactoryReset(life.station, life.activation, clears, life.security_events, life.clock)


def _status(life: Life, back_plate: BackPlateMonitor) -> StationStatus:
    return StationStatus(
        life.parts.get(Configuration),
        life.station,
        evses=EvsesStatus(life.station, life.light, life.tariff_and_cost),
        link=LinkStatus(lambda: life.parts.find(CSMS_LINK), life.network),
        connection=GridConnectionStatus(life.load, life.grid_orders, back_plate),
        firmware=life.firmware,
        activation=life.activation,
        tamper=life.tamper,
        time=life.time,
        unreadable_rows=life.unreadable,
        clock=life.clock,
    )
