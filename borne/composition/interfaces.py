"""Adds the parts of the running station that only the routes of its page and API use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from borne.composition.maintenance import access
from station.interfaces.api.status import EvsesStatus, GridConnectionStatus, LinkStatus, StationStatus
from station.interfaces.part_keys import CSMS_LINK, STATION_STATUS
from station.maintenance.commissioning.grid_tests import GridTests
from station.maintenance.commissioning.input_tests import CommissioningTests
from station.maintenance.commissioning.installation_facts import InstallationFacts
from station.maintenance.commissioning.report import ReportWriter, remove_report
from station.maintenance.factory_reset import FactoryReset
from station.security.access.sign_in_service import SignInService

if TYPE_CHECKING:
    from borne.composition.billing import Books
    from borne.composition.charging import Charging
    from borne.composition.foundations import Basis
    from borne.composition.load import Power
    from borne.composition.maintenance import Maintenance
    from station.interfaces.parts import StationParts


def add_page_parts(
    parts: StationParts, basis: Basis, charges: Charging, flows: Power, kept: Books, maintained: Maintenance
) -> None:
    """Add the sign-in service, the commissioning tests, the factory reset and the status of a running station."""
    _add_commissioning_parts(parts, basis, charges, flows, kept, maintained)
    parts.add_lazy(SignInService, lambda: access(basis))
    parts.add_lazy(FactoryReset, lambda: _factory_reset(parts, basis, charges, flows, kept, maintained))
    parts.add_lazy(STATION_STATUS, lambda: _status(parts, basis, charges, flows, kept, maintained))


def _add_commissioning_parts(
    parts: StationParts, basis: Basis, charges: Charging, flows: Power, kept: Books, maintained: Maintenance
) -> None:
    configuration, station, network, clock = basis.configuration, charges.station, basis.network, basis.clock
    load, record, meters = flows.load, maintained.commissioning, charges.metrology.meters
    facts = InstallationFacts(configuration, station, load, network)
    tests = CommissioningTests(facts, station, network, flows.residual, meters, record, clock)
    wires = basis.program.site.buses.tap
    grid = GridTests(configuration, facts, load, flows.plate, wires, flows.grid_orders, record, clock)
    report = ReportWriter(configuration, facts, record, station, meters, maintained.firmware, kept.time, clock)
    parts.add(InstallationFacts, facts)
    parts.add(CommissioningTests, tests)
    parts.add(GridTests, grid)
    parts.add(ReportWriter, report)


def _factory_reset(
    parts: StationParts, basis: Basis, charges: Charging, flows: Power, kept: Books, maintained: Maintenance
) -> FactoryReset:
    """Create the factory reset with its deletions: data in the database first, then files of the storage."""
    configuration, site_settings = basis.configuration, basis.program.site_settings

    async def remove_stored_report() -> None:
        await asyncio.to_thread(remove_report, configuration)

    async def forget_site_settings() -> None:
        await asyncio.to_thread(site_settings.reset)

    clears = (
        charges.cards.clear,
        charges.tokens.clear,
        kept.prices.forget,
        flows.load.priorities.forget,
        maintained.commissioning.clear,
        flows.residual.forget_shunt_trip_test,
        parts.get(SignInService).reset,
        remove_stored_report,
        forget_site_settings,
    )
    return FactoryReset(charges.station, maintained.activation, clears, basis.security_events, basis.clock)


def _status(
    parts: StationParts, basis: Basis, charges: Charging, flows: Power, kept: Books, maintained: Maintenance
) -> StationStatus:
    station = charges.station
    return StationStatus(
        basis.configuration,
        station,
        basis.settings.clock,
        evses=EvsesStatus(station, maintained.light, kept.tariff_and_cost),
        link=LinkStatus(lambda: parts.find(CSMS_LINK), basis.network),
        connection=GridConnectionStatus(flows.load, flows.grid_orders, flows.plate),
        firmware=maintained.firmware,
        activation=maintained.activation,
        tamper=flows.tamper,
        time=kept.time,
        outbox=basis.outbox,
        unreadable_rows=basis.database.unreadable,
        clock=basis.clock,
    )
