"""The EVSEs with their boards and billing meters, and who may charge at them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from borne.composition.foundations import Basis
from borne.composition.metering import Desk, Metrology, sign
from energy.phases import PhaseMap
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import frozen
from metering.plausibility import Plausibility, PlausibleMeter
from station.charging.availability import Availability
from station.charging.billing_meters import BillingMeters
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.charging.meter_polling import MeterWatch
from station.charging.recorder import Recorder
from station.charging.restart import Restart
from station.charging.retained_cables import KeptCables
from station.charging.sampler import Sampler
from station.charging.signing.signed_records import SignedRecords
from station.charging.tokens.authorization_cache import TokenStore
from station.charging.tokens.owner_cards import OwnCards
from station.charging.tokens.reader_task import ReaderWatch
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import Sensor
from station.core.sampling import Measurand
from station.security.security_events import SecurityEventType
from station.storage.database import StorageError

if TYPE_CHECKING:
    from station.core.installation_file.charging_tables import EvseConfig


_OVERHEAD = 1.25
"""a meter may show this much more than the rating before it is not believed"""


@frozen
class Charging:
    """What charges, and for whom."""

    station: ChargingStation
    evses: Mapping[int, Evse]
    metrology: Metrology
    cards: OwnCards
    cables: KeptCables
    readers: Sequence[ReaderWatch]


async def charging(basis: Basis) -> Charging:
    """The EVSEs and the admission to them.

    Raises:
        StorageError: the records cannot be read.
    """
    configuration, database, clock = basis.configuration, basis.database, basis.clock
    settings, outbox = basis.settings, basis.outbox
    metrology = Metrology(BillingMeters(basis.facts("meter"), basis.outbox, clock), SignedRecords(database, clock))
    metrology.meters.on_foreign = lambda evse_id, reason: basis.security_events.report(
        SecurityEventType.TAMPER_DETECTION_ACTIVATED, f"EVSE {evse_id}: {reason}"
    )
    await metrology.meters.load()
    desk = Desk(configuration, database, metrology.records, outbox, settings, clock)
    evses = {config.id: await _evse(config, basis, desk, metrology) for config in configuration.evse}
    given = {measurand for evse in evses.values() for measurand in evse.meter.measurands()}
    settings.offer_measurands([measurand for measurand in Measurand if measurand in given])
    if not all(Sensor.BAY in evse.sensors for evse in evses.values()):
        settings.withdraw_parking_bay()
    tokens = TokenStore(database, settings, clock)
    await tokens.load()
    with contextlib.suppress(StorageError):  # a full disk is no reason not to start; it is tried again
        await outbox.prune(settings.recorded_events_limit)
    availability = Availability(evses, database)
    await availability.load()
    cables = KeptCables(evses, basis.facts("cable"))
    await cables.load()
    restart = Restart(evses, outbox, settings, clock, basis.program.reboot)
    station = ChargingStation(evses, tokens, outbox, availability, restart, settings, clock)
    station.admission.asks_which = configuration.station.master_pass_selection
    return Charging(station, evses, metrology, await _own_cards(basis, station), cables, _readers(basis, station))


async def _evse(config: EvseConfig, basis: Basis, desk: Desk, metrology: Metrology) -> Evse:
    clock, site, outbox, settings = basis.clock, basis.program.site, basis.outbox, basis.settings
    layout = EvseLayout(
        id=config.id,
        phases=config.phases,
        max_current_a=config.max_current_a,
        connector_type=config.connector_type,
        attached_cable=config.attached_cable,
        ventilation=config.ventilation,
        start_button=config.start_button,
        rotation=None if config.phase_rotation == "learn" else PhaseMap.named(config.phase_rotation),
        priority=config.priority,
    )
    driver = site.open_meter(config)
    rules = Plausibility(config.max_current_a * NOMINAL_VOLTAGE_V * config.phases * _OVERHEAD)
    meter = PlausibleMeter(driver, rules, clock.monotonic)
    await metrology.meters.trust(config.id, meter)
    watch = MeterWatch(f"meter of EVSE {config.id}", meter, clock)
    evse = Evse(layout, site.board(config), watch, Recorder(outbox, watch, settings, clock), settings, clock)
    evse.sampler = Sampler(evse, watch, outbox, settings, clock)
    evse.stop_on_storage_failure = basis.configuration.station.on_storage_failure == "stop"
    evse.stop_on_meter_failure = config.on_meter_failure == "stop"
    if (signatures := await sign(evse, config, driver, desk)) is not None:
        metrology.signatures[config.id] = signatures
    return evse


async def _own_cards(basis: Basis, station: ChargingStation) -> OwnCards:
    """The owner's cards; where there is a CSMS it decides, not they."""
    cards = OwnCards(basis.facts("card"), station.clock)
    await cards.load()
    station.admission.takes = cards.take
    if basis.configuration.csms is None:
        station.trust(cards.find)
    return cards


def _readers(basis: Basis, station: ChargingStation) -> list[ReaderWatch]:
    """The token readers, each with those whose cards it reads."""
    return [
        ReaderWatch(
            basis.program.site.reader(config),
            [evse for evse in station.evses.values() if config.evse in {None, evse.id}],
            lambda token, evse_id=config.evse: station.present(token, evse_id),
            basis.clock,
            reversed_bytes=config.reversed_bytes,
        )
        for config in basis.configuration.reader
    ]
