"""Builds firmware updates, log uploads, sign-in, status light, MQTT bridge, and storage maintenance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from borne.composition.charging import Charging
from borne.composition.foundations import Basis
from foundation.frozen import Frozen
from station.billing.retention import Retention
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.charging.tokens.authorization_cache import AuthorizationCache
from station.core.event_feed import EventFeed
from station.devices.command_updater import CommandUpdater, UpdaterCommands
from station.devices.leds import create_leds
from station.devices.simulated_config import SimulatedUpdaterConfig
from station.interfaces.part_keys import DEVICE_MODEL, STATION_STATUS
from station.interfaces.status_light import Lamp, PageLight, StatusLight
from station.maintenance.commissioning.activation import StationActivation
from station.maintenance.commissioning.record import CommissioningRecord
from station.maintenance.customer_information import CustomerInformation
from station.maintenance.firmware.firmware import FirmwareUpdateContext, FirmwareUpdates
from station.maintenance.firmware.record import FirmwareRecord
from station.maintenance.logs.frame_log import FrameLog
from station.maintenance.logs.log_files import LogFiles, LogSources, StationSnapshot
from station.maintenance.logs.upload import LogUploads
from station.security.certificates.certificate_store import CertificateUse
from station.security.file_transfer.file_transfer import tls_context_factory
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.outbox import Outbox
from station.storage.record_settings import RecordSettings
from station.storage.storage_monitor import SpaceLow, StorageMonitor

if TYPE_CHECKING:
    from borne.composition.load import Power
    from borne.station_runtime import StationRuntime
    from foundation.clock import Clock
    from station.charging.restart import RestartController
    from station.configuration.network_tables import MqttConfig
    from station.configuration.station_tables import StationConfig
    from station.interfaces.mqtt.mqtt import MqttBridge
    from station.interfaces.parts import StationParts
    from station.load.load_management import LoadManagement
    from station.security.access.sign_in_service import SignInService


class Maintenance(Frozen):
    """The parts that maintain a station: firmware updates, logs, commissioning, personal data, and its light."""

    firmware: FirmwareUpdates
    uploads: LogUploads
    customers: CustomerInformation
    frames: FrameLog
    activation: StationActivation
    commissioning: CommissioningRecord
    light: StatusLight

    @property
    def watchers(self) -> list[Callable[[], Awaitable[None]]]:
        """The tasks of these parts."""
        return [self.uploads.run, self.customers.run, self.firmware.run, self.light.run]

    def add_to(self, parts: StationParts) -> None:
        """Add the parts that routes of the API use."""
        parts.add(FirmwareUpdates, self.firmware)
        parts.add(FrameLog, self.frames)
        parts.add(StationActivation, self.activation)
        parts.add(CommissioningRecord, self.commissioning)
        parts.add(StatusLight, self.light)


async def maintenance(
    basis: Basis,
    charges: Charging,
    load: LoadManagement,
    firmware: FirmwareUpdates,
    activation: StationActivation,
) -> Maintenance:
    """Create the parts that maintain a station whose firmware updates and activation exist.

    Raises:
        StorageError: the records cannot be read.
    """
    commissioning = CommissioningRecord(basis.facts("commissioning"))
    await commissioning.load()
    light = status_light(basis, charges.station, load, firmware, activation)
    uploads = log_uploads(basis, charges.restart)
    customers = CustomerInformation(charges.tokens, charges.cards, basis.outbox, basis.database, basis.clock)
    return Maintenance(firmware, uploads, customers, FrameLog(basis.clock), activation, commissioning, light)


def firmware(basis: Basis, charges: Charging) -> FirmwareUpdates:
    """Create firmware updates, and subscribe restarts to them."""
    config, clock = basis.configuration.firmware, basis.clock
    storage, certificates = basis.storage, basis.certificates
    if isinstance(config, SimulatedUpdaterConfig):
        from borne.composition.simulated import simulated_updater  # never loaded on real hardware

        updater = simulated_updater(storage / "firmware", clock)
    else:
        commands = UpdaterCommands(config.install_command, config.activate_command or (), config.confirm_command or ())
        updater = CommandUpdater(commands, storage / "firmware", clock)
    around = FirmwareUpdateContext(
        updater,
        basis.outbox,
        storage / "firmware",
        manufacturer_roots=lambda: certificates.trusted_roots(CertificateUse.MANUFACTURER_ROOT),
        trust=tls_context_factory(certificates),
        reboot=basis.program.reboot,
        restarting=lambda: charges.restart.under_way,
        online=lambda: charges.csms.online,
        allow_unsigned=config.allow_unsigned,
    )
    made = FirmwareUpdates(
        FirmwareRecord(basis.database), charges.evses, basis.security_events, around, basis.settings.firmware, clock
    )
    charges.restart.delay_while(lambda: made.busy)
    charges.restart.refuse_while(lambda: made.reset_refusal_code)
    return made


def log_uploads(basis: Basis, restart: RestartController) -> LogUploads:
    """Create the uploads of log files for the CSMS; a reset waits until they are done."""
    sources = LogSources(basis.security_events, basis.outbox, lambda: _snapshot(basis.program))
    logs = LogFiles(basis.log, sources, basis.storage / "uploads", basis.configuration.station.identity, basis.clock)
    logs.remove_leftovers()
    uploads = LogUploads(logs, basis.facts("log-upload"), basis.clock, tls_context_factory(basis.certificates))
    restart.delay_while(lambda: uploads.busy)
    return uploads


async def _snapshot(program: StationRuntime) -> StationSnapshot:
    status, model = program.parts.find(STATION_STATUS), program.parts.find(DEVICE_MODEL)
    shown = await status.status() if status is not None else {"powered": False}
    return StationSnapshot(shown, model.rows() if model is not None else [])


def access(basis: Basis) -> SignInService:
    """Create the sign-in service of the local API and page; called for the first visitor."""
    # late: for the first visitor
    from station.security.access.accounts import Accounts, Role
    from station.security.access.sessions import AccessTokens
    from station.security.access.sign_in_service import SignInService

    http, clock = basis.configuration.http, basis.clock
    codes = {Role.INSTALLER: http.installer_code, Role.SERVICE: http.service_code}
    label = {role: code.get_secret_value() for role, code in codes.items() if code is not None}
    accounts = Accounts(basis.facts("account"), label, clock)
    tokens = AccessTokens(basis.facts("access-token"), clock)
    return SignInService(accounts, basis.program.sessions, tokens, basis.security_events, clock)


def status_light(
    basis: Basis,
    station: ChargingStation,
    load: LoadManagement,
    firmware: FirmwareUpdates,
    activation: StationActivation,
) -> StatusLight:
    """Create the status light, shown on the page and on the configured lamps."""
    configuration = basis.configuration
    leds = create_leds(configuration.light)
    each = len(leds) > 1
    lamps = [
        Lamp(PageLight(basis.program.feed)),
        *(Lamp(led, number if each else None) for number, led in enumerate(leds, 1)),
    ]
    light = StatusLight(station, firmware, activation, lamps, basis.clock, has_csms=configuration.csms is not None)
    station.admission.card_feedback.changed.subscribe(lambda _: light.refresh())
    station.admission.card_feedback.account_refused.subscribe(light.refused)
    load.after_decision.subscribe(lambda _: light.refresh())  # once a second, for states without an event
    return light


def mqtt(
    config: MqttConfig,
    who: StationConfig,
    evses: Mapping[int, Evse],
    power: Power,
    maintenance: Maintenance,
    clock: Clock,
) -> MqttBridge:
    """Create the MQTT bridge to a home automation."""
    from station.interfaces.mqtt.home_assistant import DiscoveryDevice  # not loaded without a broker
    from station.interfaces.mqtt.mqtt import MqttBridge

    layouts = [evse.layout for evse in evses.values()]
    shown = DiscoveryDevice(
        who.identity,
        who.vendor,
        who.model,
        who.serial_number,
        maintenance.firmware.version or who.firmware_version,
        [layout.id for layout in layouts],
        max(layout.max_current_a for layout in layouts),
    )
    return MqttBridge(config, shown, evses, power.load, power.shared_limits, maintenance.light, clock)


def space_watchers(watch: StorageMonitor, events: SecurityEvents) -> list[Callable[[], Awaitable[None]]]:
    """The tasks that monitor free space and report low space as the security event MemoryExhaustion."""
    low = asyncio.Queue[SpaceLow]()
    watch.space_low.subscribe(low.put_nowait)
    return [watch.run, lambda: _report_low_space(low, events)]


async def _report_low_space(low: asyncio.Queue[SpaceLow], events: SecurityEvents) -> None:
    while True:
        space = await low.get()
        await events.report(SecurityEventType.MEMORY_EXHAUSTION, f"{space.free_bytes // 1024} KiB are free")


async def prune(
    outbox: Outbox, retention: Retention, tokens: AuthorizationCache, settings: RecordSettings, clock: Clock
) -> None:
    """Prune outbox, transaction log and authorization cache to their limits, once a day."""
    while True:
        await clock.sleep(86_400.0)
        await tokens.purge()
        await outbox.prune(settings.recorded_events_limit)
        await retention.delete_old_transactions()


async def publish(evse: Evse, feed: EventFeed) -> None:
    """Publish each visible change of an EVSE to the event feed."""
    told: tuple[object, ...] | None = None
    while True:
        changes, state = evse.changed.count, evse.state
        seen = (evse.connector_status, state.charging_state, state.seen.pilot, evse.offered_a, evse.transaction_id)
        if seen != told:
            told = seen
            feed.publish(
                "evse",
                id=evse.id,
                connector_status=evse.connector_status.value,
                charging_state=state.charging_state.value,
                pilot=state.seen.pilot.value,
                offered_a=evse.offered_a,
                transaction_id=evse.transaction_id,
            )
        await evse.changed.wait(changes)
