"""The composition root: assembles the parts of a station and of the process that hosts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from borne.composition.assembled_parts import AssembledParts
from borne.composition.billing import create_billing, create_prices
from borne.composition.charging import create_charging
from borne.composition.core import CoreParts, create_core
from borne.composition.display_messages import create_display
from borne.composition.display_screens import mqtt_displays
from borne.composition.load import create_load
from borne.composition.maintenance import (
    create_firmware_updates,
    create_maintenance,
    prune,
    publish_state,
    space_watchers,
)
from borne.composition.ocpp import OcppComposition
from borne.composition.vehicle import create_vehicles
from borne.host_process import HostProcess
from borne.station_run import StationRun, StationShutdown, StationTasks, TransactionRecovery
from borne.station_runtime import ProcessContext, StartError, StationRuntime
from borne.systemd_notifier import SystemdNotifier, boot_reason, record_start
from foundation.clock import SystemClock
from foundation.event_loop import StationLoop
from foundation.supervision import AuxiliaryTask
from station.billing.retention import Retention
from station.core.local_time import watch_zone
from station.core.model import BootReason
from station.devices.simulated_config import SimulatedBoardConfig
from station.interfaces.monitoring_report import event_to_json
from station.maintenance.commissioning.activation import StationActivation
from station.maintenance.commissioning.site_settings import SiteSettings
from station.maintenance.logs.station_context import station_context
from station.maintenance.logs.store import LogStore
from station.maintenance.monitoring.variable_monitoring import VariableMonitoring
from station.maintenance.storage_check import UnreadableRowsMonitor
from station.storage.compaction import reclaim_when_idle
from station.storage.database import open_database
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import ReadConnections
from station.storage.storage_lock import StorageLockError
from station.storage.storage_swap import lock_storage

if TYPE_CHECKING:
    from foundation.events import Event
    from ocpp_handlers.wire.transport_tap import TransportTap
    from station.charging.evse import Evse
    from station.configuration.installation_file import Configuration
    from station.devices.station_hardware import StationHardware
    from station.interfaces.additional_routes import AdditionalRoutes
    from station.interfaces.parts import StationParts
    from station.maintenance.monitoring.monitor import MonitoringEvent
    from station.storage.storage_lock import StorageLock

try:
    from foundation.uv_loop import UvLoop as RealTimeLoop
except ModuleNotFoundError:  # there is no uvloop for this platform
    from foundation.event_loop import StationLoop as RealTimeLoop

__all__ = ["StartError", "acquire_lock", "assembled_station", "host_process", "run", "station_runtime"]


def run(configuration: Configuration, *, http_port: int | None, ready_file: Path | None, lock: StorageLock) -> None:
    """Run one station in this process until SIGINT or SIGTERM; blocks. `lock` is the lock on its storage.

    Raises:
        StartError: its port cannot be bound, or its storage cannot be opened.
    """

    async def live() -> None:
        process = host_process(configuration, http_port=http_port, environ=os.environ, lock=lock)
        await process.run_until_signal(ready_file)

    with asyncio.Runner(loop_factory=event_loop_at(configuration.simulation.rate)) as runner:
        runner.run(live())


def event_loop_at(rate: float) -> Callable[[], asyncio.AbstractEventLoop]:
    """Choose the event loop of stations: in real time the fastest; with virtual time one that reports when it is idle.

    `rate`: virtual seconds per real second; 1 in real time. A station in real time whose clock is advanced by command
    has to guess when it is idle (`VirtualClock.settle`).
    """
    return RealTimeLoop if rate == 1.0 else StationLoop


def host_process(
    configuration: Configuration,
    *,
    http_port: int | None = None,
    environ: MutableMapping[str, str] | None = None,
    lock: StorageLock | None = None,
) -> HostProcess:
    """Create a process that hosts one station, not yet running.

    `environ`: BORNE_ variables that override its configuration, and systemd's, which are removed from it; None: none.
    The station holds the lock on its storage until it has run; without `lock`, one is acquired here.

    Raises:
        StartError: its storage cannot be opened, or another station uses it.
    """
    given: MutableMapping[str, str] = environ if environ is not None else {}
    thread = DatabaseThread()
    parts = ProcessContext(
        thread, ReadConnections(SystemClock()), boot_reason(given), alone=True, killed_before=record_start(given)
    )
    station = station_runtime(configuration, parts, environ=given, lock=lock)
    return HostProcess([station], thread, SystemdNotifier.from_environment(given), http_port=http_port)


def station_runtime(
    configuration: Configuration,
    process: ProcessContext,
    *,
    environ: Mapping[str, str] | None = None,
    lock: StorageLock | None = None,
    tap: TransportTap | None = None,
) -> StationRuntime:
    """Create the runtime of one station, not yet running, with its hardware and site settings.

    `configuration`: the installation file, which the site settings of the installer override. `environ`: variables that
    override both. The station holds the lock on its storage until it has run; without `lock`, one is acquired here.
    `tap` observes its websockets to the CSMS.

    Raises:
        StartError: its storage cannot be opened, or another station uses it.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(station_context(configuration.station.identity))
        with contextlib.ExitStack() as locked:
            held = locked.enter_context(lock or acquire_lock(configuration))
            settings = SiteSettings(configuration, environ or {})
            in_force = settings.load_effective()
            site, routes, own_taps = _create_hardware(in_force)
            locked.pop_all()  # the station releases it
    identity = configuration.station.identity
    return StationRuntime(
        identity,
        in_force,
        site,
        assembled_station,
        process,
        site_settings=settings,
        further_routes=routes,
        lock=held,
        transport_taps=own_taps if tap is None else (*own_taps, tap),
    )


def acquire_lock(configuration: Configuration) -> StorageLock:
    """Acquire the lock on the storage of a station.

    Raises:
        StartError: another station uses it, or it cannot be created.
    """
    try:
        return lock_storage(Path(configuration.station.storage))
    except StorageLockError as error:
        raise StartError(f"station.storage: {error}") from error


def _create_hardware(
    configuration: Configuration,
) -> tuple[StationHardware, Sequence[AdditionalRoutes], Sequence[TransportTap]]:
    """The configured hardware, its additional API routes, and what disturbs its websockets to the CSMS.

    Unused hardware modules are not loaded.

    Raises:
        StartError: its storage cannot be used.
    """
    if not isinstance(configuration.board, SimulatedBoardConfig):
        from station.devices.real_hardware import RealHardware  # late: a simulated station needs no drivers

        return RealHardware(configuration.board), (), ()
    # late: never loaded on real hardware
    from borne.composition.simulated import SimulationRoutes, simulated_world

    world = simulated_world(configuration)
    return world, (SimulationRoutes(world),), (world.misbehaviour,)


@contextlib.asynccontextmanager
async def assembled_station(program: StationRuntime) -> AsyncGenerator[StationRun]:
    """Assemble one run of a station on its storage and hardware, for `StationRuntime` to run its tasks.

    A context manager that closes the storage at its end.

    Raises:
        StorageError: the storage cannot be opened, or its records cannot be read.
    """
    configuration, clock, process = program.configuration, program.clock, program.process
    storage = Path(configuration.station.storage)
    log = LogStore(storage / "log", clock, station=None if process.alone else program.identity)
    async with (
        log.attached(),
        open_database(storage / "borne.sqlite", clock, process.database_thread, process.read_connections) as database,
    ):
        core = await create_core(program, database, log)
        watch_zone(core.settings.clock, core.auxiliary.contained(program.time_zone_changed.publish))
        run = await _assemble(core)
        core.facts_at_start.end()
        yield run


async def _assemble(core: CoreParts) -> StationRun:
    program, configuration, clock = core.runtime, core.configuration, core.clock
    activation, prices = await _create_activation(core), create_prices(core)
    charging = await create_charging(core, prices.time, prices.messages, activation)
    station = charging.station
    activation.changed.subscribe(lambda _: station.apply_activation())
    station.apply_activation()
    load_parts = await create_load(core, charging.assemblies)
    vehicle = await create_vehicles(core, charging, load_parts)
    firmware_updates = create_firmware_updates(core, charging)
    await firmware_updates.load()
    firmware_version = firmware_updates.version or configuration.station.firmware_version
    billing_parts = await create_billing(core, prices, charging, load_parts.load, firmware_version)
    maintenance = await create_maintenance(core, charging, load_parts.load, firmware_updates, activation)
    display = await create_display(core, charging, billing_parts, maintenance)
    assembled = AssembledParts(core, charging, load_parts, vehicle, billing_parts, maintenance, display)
    ocpp = OcppComposition(assembled)
    model, monitoring = await ocpp.create_device_model()
    parts = program.create_running_parts()
    assembled.add_to(parts)
    ocpp.add_to(parts, model)
    parts.add_on_demand(lambda: _add_page_parts(parts, assembled))
    recovery = TransactionRecovery(
        charging.assemblies, core.outbox, charging.transaction_logger, core.settings.sampling, clock
    )
    parts.add(VariableMonitoring, monitoring)
    device_events = monitoring.detection.triggered
    core.auxiliary.subscribe(device_events, lambda event: program.feed.publish("device-event", **event_to_json(event)))
    auxiliary = [*_auxiliary_tasks(assembled, device_events), AuxiliaryTask("monitoring", monitoring.detection.run)]
    if configuration.csms is not None:
        auxiliary.append(AuxiliaryTask("CSMS link", lambda: ocpp.keep_link(model, monitoring)))
    return StationRun(
        StationTasks(recovery, station, load_parts.load, auxiliary, clock),
        StationShutdown(station, core.outbox, billing_parts.journal_writer, core.log, maintenance.frame_store),
        parts,
        lambda: ocpp.link,
    )


def _add_page_parts(parts: StationParts, assembled: AssembledParts) -> None:
    from borne.composition.interfaces import add_page_parts  # loaded with the API, for its first visitor

    add_page_parts(parts, assembled)


async def _create_activation(core: CoreParts) -> StationActivation:
    required = core.configuration.station.commissioning == "required"
    activation = StationActivation(core.facts("activation"), core.clock, required=required)
    await activation.load()
    return activation


def _auxiliary_tasks(assembled: AssembledParts, device_events: Event[MonitoringEvent]) -> list[AuxiliaryTask]:
    core, charging, load = assembled.core, assembled.charging, assembled.load
    watchers = [
        *(reader.run for reader in charging.readers),
        charging.cables.run,
        charging.reservations.run,
        *assembled.load.watchers,
        *assembled.billing.watchers,
        core.log.run,
        *assembled.maintenance.watchers,
        *assembled.display.watchers,
        *_publishers(assembled, device_events),
        *_storage_watchers(assembled),
    ]
    tasks = [*assembled.vehicle.tasks, *(AuxiliaryTask("watcher", watcher) for watcher in watchers)]
    return [AuxiliaryTask("grid meter", load.load.meter.follow), *tasks] if load.load.grid.has_meter else tasks


def _publishers(
    assembled: AssembledParts, device_events: Event[MonitoringEvent]
) -> list[Callable[[], Awaitable[None]]]:
    """The tasks that publish the state of the EVSEs, to the event feed and to MQTT."""
    core, evses = assembled.core, assembled.charging.evses
    program, configuration = core.runtime, core.configuration
    feed: list[Callable[[], Awaitable[None]]] = [
        lambda evse=evse: publish_state(evse, program.feed) for evse in evses.values()
    ]
    if configuration.mqtt is None:
        return feed
    from borne.composition.mqtt_bridge import create_mqtt_bridge  # not loaded without a broker

    bridge = create_mqtt_bridge(
        configuration.mqtt, assembled, device_events, mqtt_displays(configuration, assembled.display.screens)
    )
    return [*feed, bridge.run]


def _storage_watchers(assembled: AssembledParts) -> list[Callable[[], Awaitable[None]]]:
    """The tasks that maintain the storage."""
    core, charging, billing = assembled.core, assembled.charging, assembled.billing
    clock = core.clock
    retention = Retention(billing.transactions, core.facts("retention"), billing.time, core.settings.records, clock)
    evses, restart = charging.evses.values(), charging.restart
    return [
        lambda: core.safe_start.run(lambda: restart.schedule_restart(BootReason.APPLICATION_RESET)),
        *space_watchers(core.space, core.security_events, core.auxiliary),
        UnreadableRowsMonitor(core.database, core.security_events, core.settings.groups, clock).run,
        lambda: reclaim_when_idle(core.database, lambda: _is_idle(evses), clock),
        lambda: prune(core.outbox, retention, charging.tokens, core.settings.records, clock),
    ]


def _is_idle(evses: Iterable[Evse]) -> bool:
    """Return whether no transaction runs and no transaction event waits to be stored."""
    return not any(evse.state.transaction is not None or evse.count_unrecorded(None) for evse in evses)
