"""Creates load management and protection: controller, external limits, back plate, residual current."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from borne.composition.core import CoreParts
from energy.controller import GridConnection, LoadController
from energy.grid_orders import GridOrderLog, RecordedGridOrders
from energy.grid_view import GridView
from energy.meter_limits import NO_STORED_STATE, StoredMeterState
from energy.profile_store import ProfileStore
from energy.sharing import Policy
from energy.sources.source_context import SourceContext
from foundation.frozen import Frozen
from station.charging.contactor_count import ContactorCountStore
from station.charging.evse import Evse
from station.charging.evse_assembly import EvseAssembly
from station.core.hardware.current_selector import selected_a
from station.core.model import BootReason
from station.load.applied_decisions import AppliedDecisions
from station.load.back_plate_monitor import BackPlateMonitor
from station.load.charge_plans import ChargePlans
from station.load.charging_profiles import PersistentProfiles
from station.load.charging_rate import ChargingRateReporter
from station.load.decision_loop import DecisionLoop
from station.load.demands import Demands
from station.load.expected_schedule import ExpectedSchedules
from station.load.external_limits import ExternalLimits
from station.load.grid_meter_reader import GridMeterReader
from station.load.grid_meter_state import GridMeterStateStore
from station.load.grid_order_limit import GridOrderLimit
from station.load.jumpers import expected_position
from station.load.limit_providers import (
    CableLimit,
    RatingLimit,
    RestartDelayLimit,
    TemperatureLimit,
    VentilationLimit,
)
from station.load.load_history import LoadHistory
from station.load.load_management import LoadManagement
from station.load.offline_profiles import OfflineProfiles
from station.load.pilot_sequence import PilotSequence
from station.load.priorities import Priorities
from station.load.residual_current import ResidualCurrentGuard
from station.load.shared_limits import SharedLimits
from station.load.station_power import StationPower
from station.load.tamper import TamperAlarm
from station.load.tariff_steering import TariffSteering
from station.load.transaction_profiles import TransactionProfiles
from station.load.unknown_limits import LIMIT_NAME, limit_for_lost_settings, limit_without_profiles
from station.load.vehicle_arrivals import VehicleArrivals

if TYPE_CHECKING:
    from energy.grid import GridSource
    from energy.grid_orders import PowerMeters
    from energy.station_limits import StationLimits
    from station.core.installation_file.charging_tables import GridConfig
    from station.interfaces.parts import StationParts


class LoadParts(Frozen):
    """The parts that `create_load` creates for one run: load management, limits, protection of station and EVSEs."""

    load: LoadManagement
    grid_orders: RecordedGridOrders | None
    """the grid operator's orders with their record; None: no contact is configured"""
    external_limits: ExternalLimits
    """keeps the external-constraint profiles in step with the limits that do not come from the CSMS"""
    shared_limits: SharedLimits
    """limits and pauses set by the owner or a home automation"""
    history: LoadHistory
    """recent currents and limits, for the page"""
    residual: ResidualCurrentGuard
    """residual-current faults, tests of the monitors, and the shunt trip"""
    tamper: TamperAlarm
    """the alarm of the SIM-card flap"""
    plate: BackPlateMonitor
    """follows current selector, jumpers and flap of the back plate"""
    offline: OfflineProfiles
    """suspends charging profiles while the CSMS is out of reach"""
    watchers: Sequence[Callable[[], Awaitable[None]]]
    """the tasks of these parts but load management itself, to run while the station runs"""

    def add_to(self, parts: StationParts) -> None:
        """Add load management, limits, history and protection to `parts`, where the routes of the API find them."""
        parts.add(LoadManagement, self.load)
        parts.add(GridView, self.load.grid)
        parts.add(PersistentProfiles, self.load.profiles)
        parts.add(LoadHistory, self.history)
        parts.add(SharedLimits, self.shared_limits)
        parts.add(BackPlateMonitor, self.plate)
        parts.add(TamperAlarm, self.tamper)
        parts.add(ResidualCurrentGuard, self.residual)
        if self.grid_orders is not None:
            parts.add(RecordedGridOrders, self.grid_orders)


async def create_load(core: CoreParts, assemblies: Mapping[int, EvseAssembly]) -> LoadParts:
    """Create load management and protection for these EVSEs, and load their stored state.

    Raises:
        StorageError: the records cannot be read.
    """
    clock = core.clock
    evses = {number: assembly.evse for number, assembly in assemblies.items()}
    drivers = {number: assembly.driver for number, assembly in assemblies.items()}
    profiles = await _create_profiles(core, evses)
    grid = core.configuration.grid
    meter_store = GridMeterStateStore(core.facts("grid-meter"), grid.source.type, clock) if grid is not None else None
    controller = _create_controller(
        core, profiles.store, await meter_store.load() if meter_store is not None else NO_STORED_STATE
    )
    limits = controller.limits
    orders = await _create_grid_orders(core, StationPower(controller.grid, evses))
    order_limit = GridOrderLimit(orders, limits) if orders is not None else None  # the first of the shared limits
    load = await _create_load_management(core, evses, controller, profiles)
    contactors = ContactorCountStore(evses, core.facts("contactor"))
    await contactors.load()
    back_plate, protection = core.runtime.hardware.back_plate, core.configuration.protection
    residual = ResidualCurrentGuard(evses, drivers, back_plate, core.facts("residual-current"), protection, clock)
    await residual.load()
    tamper = TamperAlarm(evses.values(), back_plate, core.database, core.security_events, clock)
    await tamper.load()
    external = await _create_external_limits(core, limits, profiles, evses)
    if core.runtime.site_settings.lost:
        limits.set_shared(LIMIT_NAME, limit_for_lost_settings())
    if core.safe_start.charging_profiles_aside:
        limits.set_shared(LIMIT_NAME, await limit_without_profiles(core.database))
    shared = SharedLimits(limits, core.facts("shared-limit"), clock, load.decisions.request)
    await shared.load()
    history = LoadHistory(load.grid, evses, clock)
    rates = ChargingRateReporter(evses, core.settings.smart_charging, clock)
    observers = [history.note_change, external.update, rates.report_changes]
    plate = _create_back_plate_monitor(core, limits, tamper)
    offline = OfflineProfiles(profiles, clock)
    watchers = [residual.run, contactors.run, tamper.run, plate.run, shared.run, history.run, offline.run]
    if meter_store is not None and (monitor := controller.connection_monitor) is not None:
        observers.append(partial(meter_store.update, monitor))
        watchers.append(meter_store.run)
    _subscribe_to_decisions(core, load, shared, observers)
    if protection.shunt_trip != "none":
        watchers.append(residual.drive_shunt_trip)
    if orders is not None and order_limit is not None:
        watchers += [order_limit.run, orders.run]
    return LoadParts(load, orders, external, shared, history, residual, tamper, plate, offline, watchers)


def _subscribe_to_decisions(
    core: CoreParts, load: LoadManagement, shared: SharedLimits, observers: Iterable[Callable[[], None]]
) -> None:
    """Subscribe what requests a decision of load management, and what runs before and after each one.

    `observers` are called after each decision.
    """
    decisions = load.decisions
    decisions.before_decision.subscribe(lambda _: shared.process_timeouts())
    for observer in observers:
        core.auxiliary.subscribe(decisions.after_decision, lambda _, observer=observer: observer())
    load.profiles.store.changed.subscribe(lambda _: decisions.note_profiles_changed())
    load.limits.changed.subscribe(lambda _: decisions.request())


async def _create_grid_orders(core: CoreParts, meters: PowerMeters) -> RecordedGridOrders | None:
    """The grid operator's contact with the record of its orders; None if it is not configured."""
    config = core.configuration.grid_order
    if config is None:
        return None
    record = GridOrderLog(core.storage / "grid-orders.jsonl", core.clock)
    await record.load()
    source = config.open(core.clock, core.runtime.hardware.contacts_for(config))
    return RecordedGridOrders(source, record, meters, core.clock)


async def _create_profiles(core: CoreParts, evses: Mapping[int, Evse]) -> PersistentProfiles:
    configuration = core.configuration
    store = ProfileStore(
        {evse.id: evse.layout.phases for evse in evses.values()}, lambda number: evses[number].selectable_phases
    )
    tolerances = configuration.csms.accept if configuration.csms is not None else ()
    profiles = PersistentProfiles(
        store,
        core.database,
        core.settings.smart_charging,
        core.clock,
        accepts_relative_station_limits="relative-station-limits" in tolerances,
        evses_with_schedules=[evse.id for evse in configuration.evse if evse.secc is not None],
    )
    await profiles.load()
    return profiles


def _create_controller(core: CoreParts, store: ProfileStore, meter_state: StoredMeterState) -> LoadController:
    grid = core.configuration.grid
    return LoadController(
        core.clock,
        store,
        _grid_connection(grid) if grid is not None else None,
        station_limit_a=selected_a(core.runtime.hardware.back_plate.view.selector),
        policy=Policy(grid.sharing) if grid is not None else Policy.FAIR,
        meter_state=meter_state,
    )


async def _create_external_limits(
    core: CoreParts, limits: StationLimits, profiles: PersistentProfiles, evses: Mapping[int, Evse]
) -> ExternalLimits:
    phases = max(evse.layout.phases for evse in evses.values())
    external = ExternalLimits(limits, profiles.store, core.facts("external-limit"), core.clock, phases=phases)
    await external.load()
    return external


def _open_grid_source(core: CoreParts) -> GridSource | None:
    """The connection to the grid meter, not opened; None without one."""
    grid, hardware = core.configuration.grid, core.runtime.hardware
    if grid is None:
        return None
    return hardware.grid_source(grid.source).open(
        core.clock, SourceContext(grid.phases, hardware.buses, hardware.grid_feed)
    )


async def _create_load_management(
    core: CoreParts, evses: Mapping[int, Evse], controller: LoadController, profiles: PersistentProfiles
) -> LoadManagement:
    clock, settings, grid = core.clock, core.settings, core.configuration.grid
    priorities = Priorities({evse.id: evse.layout.priority for evse in evses.values()}, core.facts("priority"))
    await priorities.load()
    plans = ChargePlans(evses.keys(), settings.charge_plans, core.facts("charge-plan"))
    await plans.load()
    powered_up = core.runtime.boot_reason is BootReason.POWER_UP
    delay = RestartDelayLimit(clock, grid.restart_delay_max_s if grid is not None and powered_up else 0.0)
    tariff = TariffSteering(evses.values(), plans, settings.clock, clock, has_meter=grid is not None)
    demands = Demands(
        evses,
        clock,
        profiles=profiles,
        priorities=priorities,
        arrivals=VehicleArrivals(evses.values(), clock),
        limits=[
            RatingLimit(clock),
            CableLimit(),
            VentilationLimit(),
            TemperatureLimit(evses.values(), core.configuration.protection.temperatures, clock),
            tariff,
            delay,
        ],
    )
    TransactionProfiles(profiles).follow(evses.values())
    pilots = PilotSequence(evses, clock)
    decisions = DecisionLoop(controller, evses, demands, AppliedDecisions(evses, pilots), tariff, profiles.store)
    schedules = ExpectedSchedules(controller, demands, profiles, clock)
    meter = GridMeterReader(_open_grid_source(core), evses.values(), decisions.process_sample)
    return LoadManagement(
        decisions, controller.grid, controller.limits, demands, profiles, schedules, priorities, plans, tariff, meter
    )


def _grid_connection(grid: GridConfig) -> GridConnection:
    return GridConnection(
        grid.phases,
        grid.safe_current_a,
        grid.max_current_a,
        breaker=grid.breaker,
        unbalance_a=grid.unbalance_a,
        silent_least_after_s=grid.silent_least_after_s,
        silent_pause_after_s=None if isinstance(pause_s := grid.silent_pause_after_s, bool) else pause_s,
    )


def _create_back_plate_monitor(core: CoreParts, limits: StationLimits, tamper: TamperAlarm) -> BackPlateMonitor:
    configuration = core.configuration
    source = configuration.grid.source if configuration.grid is not None else None
    expected = expected_position(source, configuration.grid_order)
    return BackPlateMonitor(core.runtime.hardware.back_plate, expected, limits, tamper)
