"""Creates firmware updates, log uploads, status light, MQTT bridge, and storage maintenance of a station."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from borne.composition.charging import ChargingParts
from borne.composition.core import CoreParts
from foundation.frozen import Frozen
from foundation.waiting import WaitingQueue
from station.billing.retention import Retention
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.core.event_feed import EventFeed
from station.devices.simulated_config import SimulatedUpdaterConfig
from station.interfaces.part_keys import DEVICE_MODEL, STATION_STATUS
from station.interfaces.status_light import Lamp, PageLight, StatusLight
from station.maintenance.commissioning.activation import StationActivation
from station.maintenance.commissioning.record import CommissioningRecord
from station.maintenance.customer_information import CustomerInformation, StoredTokens
from station.maintenance.firmware.context import FirmwareUpdateContext
from station.maintenance.firmware.firmware import FirmwareUpdates
from station.maintenance.firmware.record import FirmwareRecord
from station.maintenance.logs.frame_log import FrameLog
from station.maintenance.logs.frame_store import FrameStore
from station.maintenance.logs.log_files import LogFiles, LogSources, StationSnapshot
from station.maintenance.logs.upload import LogUploads
from station.security.certificates.certificate_store import CertificateUse
from station.security.file_transfer.file_transfer import tls_context_factory
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.outbox import Outbox
from station.storage.record_settings import RecordSettings
from station.storage.storage_monitor import SpaceLow, StorageMonitor

if TYPE_CHECKING:
    from borne.station_runtime import StationRuntime
    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from station.charging.restart import RestartController
    from station.interfaces.parts import StationParts
    from station.load.load_management import LoadManagement


class MaintenanceParts(Frozen):
    """The parts of one run that maintain the station: firmware updates, logs, commissioning, personal data, light."""

    firmware: FirmwareUpdates
    uploads: LogUploads
    """uploads of log files (GetLog)"""
    customers: CustomerInformation
    """reports and erases the data stored of a customer (CustomerInformation)"""
    frames: FrameLog
    """the last OCPP frames"""
    frame_store: FrameStore
    """keeps them over a restart"""
    activation: StationActivation
    """the stage of the station's activation by the installer"""
    commissioning: CommissioningRecord
    """the latest finding of each step of commissioning"""
    light: StatusLight

    @property
    def watchers(self) -> list[Callable[[], Awaitable[None]]]:
        """The tasks of these parts, to run while the station runs."""
        return [self.uploads.run, self.customers.run, self.firmware.run, self.light.run]

    def add_to(self, parts: StationParts) -> None:
        """Add firmware updates, frame log, activation, commissioning and light to `parts`, for routes of the API."""
        parts.add(FirmwareUpdates, self.firmware)
        parts.add(FrameLog, self.frames)
        parts.add(StationActivation, self.activation)
        parts.add(CommissioningRecord, self.commissioning)
        parts.add(StatusLight, self.light)


async def create_maintenance(
    core: CoreParts,
    charging: ChargingParts,
    load: LoadManagement,
    firmware: FirmwareUpdates,
    activation: StationActivation,
) -> MaintenanceParts:
    """Create the parts that maintain a station, besides `firmware` and `activation`, which are given.

    Raises:
        StorageError: the records cannot be read.
    """
    commissioning = CommissioningRecord(core.facts("commissioning"))
    await commissioning.load()
    light = create_status_light(core, charging.station, load, firmware, activation)
    uploads = create_log_uploads(core, charging.restart)
    customers = CustomerInformation(
        StoredTokens(charging.tokens, charging.local_list, charging.cards),
        charging.reservations,
        core.contract_records,
        core.outbox,
        core.database,
        core.safe_start.rows,
        core.clock,
    )
    frames = FrameLog(core.clock)
    store = FrameStore(core.storage / "log" / "ocpp-frames.jsonl", frames, core.clock)
    store.restore()
    return MaintenanceParts(firmware, uploads, customers, frames, store, activation, commissioning, light)


def create_firmware_updates(core: CoreParts, charging: ChargingParts) -> FirmwareUpdates:
    """Create the firmware updates with the configured updater; they are not loaded yet.

    A reset on idle waits while an update is busy, and any reset is rejected while an update must not be interrupted.
    """
    config, clock = core.configuration.firmware, core.clock
    storage, certificates = core.storage, core.certificates
    if isinstance(config, SimulatedUpdaterConfig):
        from borne.composition.simulated import simulated_updater  # never loaded on real hardware

        updater = simulated_updater(storage / "firmware", clock)
    else:
        updater = config.open(storage / "firmware", clock)
    update_context = FirmwareUpdateContext(
        updater,
        core.outbox,
        storage / "firmware",
        manufacturer_roots=lambda: certificates.trusted_roots(CertificateUse.MANUFACTURER_ROOT),
        trust=tls_context_factory(certificates),
        reboot=core.runtime.reboot,
        restarting=lambda: charging.restart.under_way,
        online=lambda: charging.csms.online,
        allow_unsigned=config.allow_unsigned,
    )
    updates = FirmwareUpdates(
        FirmwareRecord(core.database),
        charging.evses,
        core.security_events,
        update_context,
        core.settings.firmware,
        clock,
        core.auxiliary,
    )
    auxiliary, restart = core.auxiliary, charging.restart
    restart.delay_while(lambda: auxiliary.ask(lambda: updates.busy, default=False))
    restart.refuse_while(lambda: auxiliary.ask(lambda: updates.reset_refusal_code, default=None))
    return updates


def create_log_uploads(core: CoreParts, restart: RestartController) -> LogUploads:
    """Create the uploads of log files that the CSMS requests; a reset on idle waits until they are done.

    Deletes files that an interrupted upload has left.
    """
    sources = LogSources(core.security_events, core.outbox, lambda: _snapshot(core.runtime))
    logs = LogFiles(core.log, sources, core.storage / "uploads", core.configuration.station.identity, core.clock)
    logs.remove_leftovers()
    uploads = LogUploads(logs, core.facts("log-upload"), core.clock, tls_context_factory(core.certificates))
    restart.delay_while(lambda: core.auxiliary.ask(lambda: uploads.busy, default=False))
    return uploads


async def _snapshot(program: StationRuntime) -> StationSnapshot:
    status, model = program.parts.find(STATION_STATUS), program.parts.find(DEVICE_MODEL)
    current_status = await status.status() if status is not None else {"powered": False}
    return StationSnapshot(current_status, model.rows() if model is not None else [])


def create_status_light(
    core: CoreParts,
    station: ChargingStation,
    load: LoadManagement,
    firmware: FirmwareUpdates,
    activation: StationActivation,
) -> StatusLight:
    """Create the status light, shown on the page and on the configured lamps; it follows cards and load management."""
    configuration = core.configuration
    leds = configuration.light.open()
    each = len(leds) > 1
    lamps = [
        Lamp(PageLight(core.runtime.feed)),
        *(Lamp(led, number if each else None) for number, led in enumerate(leds, 1)),
    ]
    light = StatusLight(station, firmware, activation, lamps, core.clock, has_csms=configuration.csms is not None)
    auxiliary, card_feedback = core.auxiliary, station.admission.card_feedback
    auxiliary.subscribe(card_feedback.changed, lambda _: light.refresh())
    auxiliary.subscribe(card_feedback.account_refused, light.mark_refused)
    auxiliary.subscribe(firmware.record.update_changed, lambda _: light.refresh())
    auxiliary.subscribe(activation.changed, lambda _: light.refresh())
    # Now and then, for states without an event.
    auxiliary.subscribe(load.decisions.after_decision, lambda _: light.refresh())
    return light


def space_watchers(
    watch: StorageMonitor, events: SecurityEvents, auxiliary: AuxiliaryCalls
) -> list[Callable[[], Awaitable[None]]]:
    """The tasks that watch the free space of the storage, and report low space as security event MemoryExhaustion."""
    low: WaitingQueue[SpaceLow] = WaitingQueue()
    auxiliary.subscribe(watch.space_low, low.put_nowait)
    return [watch.run, lambda: _report_low_space(low, events)]


async def _report_low_space(low: WaitingQueue[SpaceLow], events: SecurityEvents) -> None:
    while True:
        space = await low.get()
        await events.report(SecurityEventType.MEMORY_EXHAUSTION, f"{space.free_bytes // 1024} KiB are free")


async def prune(
    outbox: Outbox, retention: Retention, tokens: AuthorizationCache, settings: RecordSettings, clock: Clock
) -> None:
    """Delete what exceeds the limits of authorization cache, outbox and transaction log, once a day until cancelled.

    The first time is a day after the start.
    """
    while True:
        await clock.sleep(86_400.0)
        await tokens.purge()
        await outbox.prune(settings.recorded_events_limit)
        await retention.delete_old_transactions()


async def publish_state(evse: Evse, feed: EventFeed) -> None:
    """Publish the state of an EVSE to the event feed at once and after each visible change, until cancelled."""
    published: tuple[object, ...] | None = None
    while True:
        count_before, state = evse.changed.count, evse.state
        state_values = (
            evse.connector_status,
            state.reserved_until,
            state.charging_state,
            state.observation.pilot,
            evse.offered_a,
            evse.transaction_id,
        )
        if state_values != published:
            published = state_values
            feed.publish(
                "evse",
                id=evse.id,
                connector_status=evse.connector_status.value,
                reserved_until=state.reserved_until.isoformat() if state.reserved_until is not None else None,
                charging_state=state.charging_state.value,
                pilot=state.observation.pilot.value,
                offered_a=evse.offered_a,
                transaction_id=evse.transaction_id,
            )
        await evse.changed.wait(count_before)
