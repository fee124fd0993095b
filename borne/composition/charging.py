"""Creates the EVSEs with their boards and billing meters, and the authorization of charging."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from borne.composition.core import CoreParts
from borne.signed_metering import Metrology, SigningContext, signing_setup
from energy.phase_map import PhaseMap
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from metering.plausibility import PlausibilityRules, PlausibleMeter
from station.charging.availability import AvailabilityOrders
from station.charging.billing_meters import BillingMeters
from station.charging.charging_station import ChargingStation, TokenParts
from station.charging.evse import Evse
from station.charging.meter_polling import MeterPoller
from station.charging.recording import Recording, RunningTransactions
from station.charging.restart import RestartController
from station.charging.retained_cables import RetainedCables
from station.charging.signing.signed_records import SignedRecords
from station.charging.start_permission import StartPermission
from station.charging.tokens.admission import TokenAdmission
from station.charging.tokens.authorization import Authorizer
from station.charging.tokens.authorization_cache import AuthorizationCache
from station.charging.tokens.owner_cards import OwnerCards
from station.charging.tokens.reader_task import CardReaderTask
from station.core.csms import CsmsProxy
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import Sensor
from station.core.sampling import Measurand
from station.storage.database import StorageError

if TYPE_CHECKING:
    from station.charging.signing.meter_value_signing import TariffSource
    from station.charging.start_permission import ActivationState
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.station_time import TimeStatusSource
    from station.interfaces.parts import StationParts


_OVERHEAD = 1.25
"""factor above the rated power up to which a meter reading is plausible"""


class ChargingParts(Frozen):
    """What `create_charging` creates for one run: EVSEs, authorization, billing meters, token readers."""

    station: ChargingStation
    csms: CsmsProxy
    """the CSMS as source of authorizations, or none"""
    tokens: AuthorizationCache
    """the authorization cache"""
    availability: AvailabilityOrders
    """the availability set for station, EVSEs and connectors"""
    restart: RestartController
    """resets of station and EVSEs"""
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

    def add_to(self, parts: StationParts) -> None:
        """Add charging station, authorization cache, owner's cards, billing meters and signed records to `parts`."""
        parts.add(ChargingStation, self.station)
        parts.add(AuthorizationCache, self.tokens)
        parts.add(OwnerCards, self.cards)
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
    meters = BillingMeters(core.facts("meter"), outbox, core.security_events, clock)
    metrology = Metrology(meters, SignedRecords(database, clock))
    await metrology.meters.load()
    desk = SigningContext(configuration, database, metrology.records, tariff, time, clock)
    csms = CsmsProxy()
    recording, running = Recording(outbox, csms, time), RunningTransactions()
    evses = {config.id: await _evse(config, core, desk, recording, running, metrology) for config in configuration.evse}
    given = {measurand for evse in evses.values() for measurand in evse.meter.measurands()}
    settings.sampling.restrict_measurands([measurand for measurand in Measurand if measurand in given])
    if not all(Sensor.BAY in evse.sensors for evse in evses.values()):
        settings.transactions.disallow_parking_bay()
    tokens = AuthorizationCache(database, settings.authorization, clock)
    await tokens.load()
    with contextlib.suppress(StorageError):  # start even with a full disk; pruning is repeated later
        await outbox.prune(settings.records.recorded_events_limit)
    availability = AvailabilityOrders(evses, database)
    await availability.load()
    cables = RetainedCables(evses, core.facts("cable"))
    await cables.load()
    restart = RestartController(evses, outbox, csms, settings.transactions, clock, core.runtime.reboot)
    permission = StartPermission(restart, activation, csms, settings.transactions)
    cards = OwnerCards(core.facts("card"), clock)
    await cards.load()
    # With a CSMS, the CSMS also decides about the owner's cards.
    authorizer = Authorizer(csms, tokens, cards if configuration.csms is None else None, settings.authorization)
    selects = configuration.station.master_pass_selection
    admission = TokenAdmission(
        evses, authorizer, permission, cards, settings.authorization, clock, selection_enabled=selects
    )
    decides = TokenParts(tokens, authorizer, admission)
    station = ChargingStation(
        evses,
        csms,
        decides,
        permission,
        outbox,
        availability,
        restart,
        settings.authorization,
        settings.transactions,
    )
    readers = _readers(core, station)
    return ChargingParts(
        station, csms, tokens, availability, restart, evses, metrology, cards, cables, readers, running
    )


async def _evse(
    config: EvseConfig,
    core: CoreParts,
    desk: SigningContext,
    recording: Recording,
    transactions: RunningTransactions,
    metrology: Metrology,
) -> Evse:
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
    rules = PlausibilityRules(config.max_current_a * NOMINAL_VOLTAGE_V * config.phases * _OVERHEAD)
    meter = PlausibleMeter(driver, rules, clock.monotonic)
    await metrology.meters.restore_meter(config.id, meter)
    watch = MeterPoller(f"meter of EVSE {config.id}", meter, clock)
    signing = await signing_setup(config, driver, watch, desk)
    if signing is not None:
        metrology.signers[config.id] = signing.signatures
    evse = Evse(layout, site.board(config), watch, recording, transactions, core.settings.evse, clock, signing)
    evse.stop_on_storage_failure = core.configuration.station.on_storage_failure == "stop"
    evse.stop_on_meter_failure = config.on_meter_failure == "stop"
    return evse


def _readers(core: CoreParts, station: ChargingStation) -> list[CardReaderTask]:
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
