"""Adds the parts of a running station that only the routes of its page and API use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from station.interfaces.api.status import (
    CsmsStatusReader,
    EvseStatusReader,
    GridStatusReader,
    RunningStatusSource,
    StatusReaders,
)
from station.interfaces.api.status_readers import StorageStatusReader, TimeStatusReader
from station.interfaces.part_keys import CSMS_LINK, STATION_STATUS
from station.maintenance.commissioning.grid_tests import GridTests
from station.maintenance.commissioning.input_tests import CommissioningTests
from station.maintenance.commissioning.installation_facts import InstallationFacts
from station.maintenance.commissioning.report import ReportWriter, remove_report
from station.maintenance.factory_reset import FactoryReset
from station.security.access.accounts import Accounts, Role
from station.security.access.sessions import AccessTokens
from station.security.access.sign_in_service import SignInService
from station.storage.set_aside_rows import KINDS

if TYPE_CHECKING:
    from borne.composition.assembled_parts import AssembledParts
    from borne.composition.core import CoreParts
    from station.interfaces.parts import StationParts


def add_page_parts(parts: StationParts, assembled: AssembledParts) -> None:
    """Add the parts that only page and API use to the registry `parts`, when a route first needs one.

    These are the sign-in service, the commissioning tests, the factory reset and the status of the station.
    """
    _add_commissioning_parts(parts, assembled)
    parts.add_lazy(SignInService, lambda: _create_sign_in_service(assembled.core))
    parts.add_lazy(FactoryReset, lambda: _create_factory_reset(parts, assembled))
    parts.add_lazy(STATION_STATUS, lambda: _running_status_source(parts, assembled))


def _create_sign_in_service(core: CoreParts) -> SignInService:
    """Create the sign-in service of API and page, with the installation file's label codes."""
    http, clock = core.configuration.http, core.clock
    codes = {Role.INSTALLER: http.installer_code, Role.SERVICE: http.service_code}
    label = {role: code.get_secret_value() for role, code in codes.items() if code is not None}
    accounts = Accounts(core.facts("account"), label, clock)
    tokens = AccessTokens(core.facts("access-token"), clock)
    return SignInService(accounts, core.runtime.sessions, tokens, core.security_events, clock)


def _add_commissioning_parts(parts: StationParts, assembled: AssembledParts) -> None:
    core, charging, load_parts = assembled.core, assembled.charging, assembled.load
    configuration, station, network, clock = core.configuration, charging.station, core.network, core.clock
    load, record, meters = load_parts.load, assembled.maintenance.commissioning, charging.metrology.meters
    installation_facts = InstallationFacts(configuration, station, load.grid, network)
    tests = CommissioningTests(installation_facts, station, network, load_parts.residual, meters, record, clock)
    wires = core.runtime.hardware.buses.tap
    grid = GridTests(installation_facts, load, load_parts.plate, wires, load_parts.grid_orders, record, clock)
    report = ReportWriter(
        installation_facts, record, station, meters, assembled.maintenance.firmware, assembled.billing.time, clock
    )
    parts.add(InstallationFacts, installation_facts)
    parts.add(CommissioningTests, tests)
    parts.add(GridTests, grid)
    parts.add(ReportWriter, report)


def _create_factory_reset(parts: StationParts, assembled: AssembledParts) -> FactoryReset:
    """Create the factory reset with its deletions: data in the database first, then files of the storage."""
    core, charging, maintenance = assembled.core, assembled.charging, assembled.maintenance
    configuration, site_settings = core.configuration, core.runtime.site_settings

    async def remove_stored_report() -> None:
        await asyncio.to_thread(remove_report, configuration)

    async def forget_site_settings() -> None:
        await asyncio.to_thread(site_settings.reset)

    async def delete_rows_set_aside() -> None:
        await core.safe_start.rows.delete(KINDS)

    clears = (
        charging.cards.clear,
        charging.tokens.clear,
        charging.local_list.clear,
        assembled.billing.prices.forget,
        assembled.load.load.priorities.forget,
        assembled.load.load.plans.forget_own,
        charging.reservations.clear,
        maintenance.commissioning.clear,
        delete_rows_set_aside,
        assembled.load.residual.forget_shunt_trip_test,
        parts.get(SignInService).reset,
        remove_stored_report,
        forget_site_settings,
    )
    return FactoryReset(charging.station, maintenance.activation, clears, core.security_events, core.clock)


def _running_status_source(parts: StationParts, assembled: AssembledParts) -> RunningStatusSource:
    core, load, maintenance = assembled.core, assembled.load, assembled.maintenance
    station = assembled.charging.station
    return RunningStatusSource(
        core.configuration,
        station,
        StatusReaders(
            evses=EvseStatusReader(
                station,
                load.load.grid,
                maintenance.light,
                assembled.billing.tariff_and_cost,
                assembled.display.prices,
            ),
            link=CsmsStatusReader(lambda: parts.find(CSMS_LINK), core.network),
            connection=GridStatusReader(load.load.grid, load.grid_orders, load.plate),
            time=TimeStatusReader(core.settings.clock, assembled.billing.time, core.clock),
            storage=StorageStatusReader(core.outbox, core.database.unreadable, core.safe_start),
        ),
        firmware=maintenance.firmware,
        activation=maintenance.activation,
        tamper=load.tamper,
        clock=core.clock,
    )
