"""Creates the EVSEs with their boards and billing meters, and the authorization of charging."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from borne.composition.core import CoreParts
from borne.signed_metering import Metrology, SigningContext, signing_setup
from energy.phase_map import PhaseMap
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from metering.plausibility import PlausibilityRules, PlausibleMeter
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorizer import Authorizer
from station.charging.authorization.local_list import LocalAuthorizationList
from station.charging.authorization.owner_cards import OwnerCards
from station.charging.availability import AvailabilityOrders
from station.charging.billing_meters import BillingMeters
from station.charging.charging_station import ChargingStation, TokenParts
from station.charging.evse import Evse, EvseBehaviour
from station.charging.evse_assembly import EvseAssembly, EvseHardware, assemble_evse
from station.charging.meter_polling import MeterPoller
from station.charging.recording import Recording, RunningTransactions
from station.charging.reservations.reservation_store import ReservationStore
from station.charging.reservations.reservations import Reservations
from station.charging.restart import RestartController
from station.charging.retained_cables import RetainedCables
from station.charging.signing.signed_records import SignedRecords
from station.charging.starts.charge_starter import ChargeStarter
from station.charging.starts.plug_in_start import PlugInStart
from station.charging.starts.served_vehicles import ServedVehicles
from station.charging.starts.start_permission import StartPermission
from station.charging.tokens.admission import TokenAdmission
from station.charging.tokens.reader_task import CardReaderTask
from station.charging.transaction_logger import TransactionLogger
from station.core.csms import CsmsProxy
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import Sensor
from station.core.sampling import Measurand
from station.storage.database import StorageError

if TYPE_CHECKING:
    from station.charging.signing.meter_value_signing import TariffSource
    from station.charging.starts.start_permission import ActivationState
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.station_time import TimeStatusSource
    from station.interfaces.parts import StationParts


_PLAUSIBLE_POWER_FACTOR = 1.25
"""factor above the rated power up to which a meter reading is plausible"""


class ChargingParts(Frozen):
    """What `create_charging` creates for one run: EVSEs, authorization, billing meters, token readers."""

    station: ChargingStation
    csms: CsmsProxy
    """the CSMS as source of authorizations, or none"""
    tokens: AuthorizationCache
    """the authorization cache"""
    local_list: LocalAuthorizationList
    """the local authorization list of the CSMS"""
    availability: AvailabilityOrders
    """the availability set for station, EVSEs and connectors"""
    reservations: Reservations
    """the reservations of EVSEs"""
    restart: RestartController
    """resets of station and EVSEs"""
    assemblies: Mapping[int, EvseAssembly]
    """the EVSEs with their parts, by number"""
    evses: Mapping[int, Evse]
    """the EVSEs, by number"""
    metrology: Metrology
    """billing meters and signed records"""
    cards: OwnerCards
    """the owner's cards, for a station without a CSMS"""
    cables: RetainedCables
    """stores whose cables stay locked in the sockets"""
    readers: Sequence[CardReaderTask]
    """the tasks that read the token readers"""
    running: RunningTransactions
    """at which EVSEs a transaction runs"""
    transaction_logger: TransactionLogger
    """logs begins and ends of transactions"""

    def add_to(self, parts: StationParts) -> None:
        """Add charging station, cache, local list, owner's cards, billing meters and signed records to `parts`."""
        parts.add(ChargingStation, self.station)
        parts.add(AuthorizationCache, self.tokens)
        parts.add(LocalAuthorizationList, self.local_list)
        parts.add(OwnerCards, self.cards)
        parts.add(Reservations, self.reservations)
        parts.add(BillingMeters, self.metrology.meters)
        parts.add(SignedRecords, self.metrology.records)


async def create_charging(
    core: CoreParts, time: TimeStatusSource, tariff: TariffSource, activation: ActivationState
) -> ChargingParts:
    """Create the EVSEs, token admission and charging station, and load their stored state.

    Raises:
        StorageError: the records cannot be read.
    """
    configuration, database, clock = core.configuration, core.database, core.clock
    settings, outbox = core.settings, core.outbox
    metrology = await _load_metrology(core)
    signing = SigningContext(configuration, database, metrology.records, tariff, time, clock)
    csms = CsmsProxy(core.auxiliary)
    running = RunningTransactions()
    recording = Recording(outbox, csms, time)
    assemblies = {
        config.id: await _create_evse(config, core, signing, (recording, running), metrology)
        for config in configuration.evse
    }
    evses = {number: assembly.evse for number, assembly in assemblies.items()}
    _restrict_settings(core, evses.values())
    tokens, local_list, cards = await _load_tokens(core)
    await _prune_events(core)
    transaction_logger = _log_transactions(core)
    availability = AvailabilityOrders(evses, database)
    await availability.load()
    cables = RetainedCables(evses, core.facts("cable"))
    await cables.load()
    restart = RestartController(evses, outbox, csms, settings.transactions, clock, core.runtime.reboot)
    permission = StartPermission(restart, activation, csms, settings.transactions)
    # With a CSMS, the CSMS also decides about the owner's cards.
    own_cards = cards if configuration.csms is None else None
    authorizer = Authorizer(csms, tokens, local_list, own_cards, settings.authorization)
    reservations = await _load_reservations(core, evses, restart)
    station = ChargingStation(
        assemblies,
        csms,
        _create_token_parts(core, evses, tokens, authorizer, cards, reservations, permission),
        outbox,
        availability,
        restart,
        settings.transactions,
    )
    return ChargingParts(
        station,
        csms,
        tokens,
        local_list,
        availability,
        reservations,
        restart,
        assemblies,
        evses,
        metrology,
        cards,
        cables,
        _create_readers(core, station),
        running,
        transaction_logger,
    )


async def _load_metrology(core: CoreParts) -> Metrology:
    meters = BillingMeters(core.facts("meter"), core.outbox, core.security_events, core.clock)
    await meters.load()
    return Metrology(meters, SignedRecords(core.database, core.clock))


async def _load_tokens(core: CoreParts) -> tuple[AuthorizationCache, LocalAuthorizationList, OwnerCards]:
    """Load the authorization cache, the local authorization list and the owner's cards."""
    settings = core.settings.authorization
    tokens = AuthorizationCache(core.database, settings, core.clock)
    await tokens.load()
    local_list = LocalAuthorizationList(core.database, settings, core.clock)
    await local_list.load()
    cards = OwnerCards(core.facts("card"), core.clock)
    await cards.load()
    return tokens, local_list, cards


def _create_token_parts(
    core: CoreParts,
    evses: Mapping[int, Evse],
    cache: AuthorizationCache,
    authorizer: Authorizer,
    cards: OwnerCards,
    reservations: Reservations,
    permission: StartPermission,
) -> TokenParts:
    """Create the parts that decide on presented tokens and on starts."""
    settings, clock = core.settings.authorization, core.clock
    served = ServedVehicles(evses.values())
    starter = ChargeStarter(evses, authorizer, permission, reservations, served, settings)
    selects = core.configuration.station.master_pass_selection
    admission = TokenAdmission(evses, authorizer, starter, cards, settings, clock, selection_enabled=selects)
    plug_in_start = PlugInStart(starter, settings, clock)
    return TokenParts(cache, authorizer, admission, starter, plug_in_start, reservations, permission)


async def _prune_events(core: CoreParts) -> None:
    """Delete old transaction events; a full disk does not prevent the start, since this is repeated later."""
    with contextlib.suppress(StorageError):
        await core.outbox.prune(core.settings.records.recorded_events_limit)


def _log_transactions(core: CoreParts) -> TransactionLogger:
    """Log begins and ends of transactions, also of those that a power cut has interrupted."""
    logger = TransactionLogger()
    core.auxiliary.subscribe(core.outbox.appended, logger.event_recorded)
    return logger


def _restrict_settings(core: CoreParts, evses: Collection[Evse]) -> None:
    """Allow in the settings only what meters, sensors and vehicles of the EVSEs can give."""
    supported = {measurand for evse in evses for measurand in evse.meter.measurands()}
    if any(config.secc is not None for config in core.configuration.evse):
        supported.add(Measurand.SOC)
    core.settings.sampling.restrict_measurands([measurand for measurand in Measurand if measurand in supported])
    if not all(Sensor.BAY in evse.layout.sensors for evse in evses):
        core.settings.transactions.disallow_parking_bay()


async def _load_reservations(core: CoreParts, evses: Mapping[int, Evse], restart: RestartController) -> Reservations:
    """The reservations, loaded; a reset on idle waits until they are used or have ended (B11, errata 2025-09 2.14)."""
    has_csms = core.configuration.csms is not None
    store = ReservationStore(core.database)
    reservations = Reservations(evses, store, core.settings.reservations, core.clock, reports_ends=has_csms)
    await reservations.load()
    core.auxiliary.subscribe(core.outbox.appended, reservations.note_event)
    restart.delay_while(lambda: core.auxiliary.ask(lambda: bool(reservations.pending), default=False))
    return reservations


async def _create_evse(
    config: EvseConfig,
    core: CoreParts,
    context: SigningContext,
    recorded: tuple[Recording, RunningTransactions],
    metrology: Metrology,
) -> EvseAssembly:
    clock, site = core.clock, core.runtime.hardware
    layout = EvseLayout(
        id=config.id,
        phases=config.phases,
        max_current_a=config.max_current_a,
        connector_type=config.connector_type,
        attached_cable=config.attached_cable,
        ventilation=config.ventilation,
        start_button=config.start_button,
        rotation=None if config.phase_rotation == "learn" else PhaseMap.from_rotation(config.phase_rotation),
        priority=config.priority,
    )
    driver = site.open_meter(config)
    rules = PlausibilityRules(config.max_current_a * NOMINAL_VOLTAGE_V * config.phases * _PLAUSIBLE_POWER_FACTOR)
    meter = PlausibleMeter(driver, rules, clock.monotonic)
    await metrology.meters.restore_meter(config.id, meter)
    poller = MeterPoller(f"meter of EVSE {config.id}", meter, clock)
    signing = await signing_setup(config, driver, poller, context)
    if signing is not None:
        metrology.signers[config.id] = signing.signatures
    behaviour = EvseBehaviour(
        stop_on_storage_failure=core.configuration.station.on_storage_failure == "stop",
        stop_on_meter_failure=config.on_meter_failure == "stop",
    )
    hardware = EvseHardware(layout, site.board(config), poller)
    return assemble_evse(hardware, *recorded, core.settings.evse, clock, signing=signing, behaviour=behaviour)


def _create_readers(core: CoreParts, station: ChargingStation) -> list[CardReaderTask]:
    """The token readers, each with the EVSEs that it serves."""
    return [
        CardReaderTask(
            core.runtime.hardware.reader(config),
            [evse for evse in station.evses.values() if config.evse in {None, evse.id}],
            lambda token, evse_id=config.evse: station.present_token(token, evse_id),
            core.clock,
            reversed_bytes=config.reversed_bytes,
        )
        for config in core.configuration.reader
    ]
