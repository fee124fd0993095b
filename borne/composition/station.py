"""The composition root: assembles the parts of a station and of the process that hosts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from borne.composition.billing import books, rates
from borne.composition.charging import charging
from borne.composition.foundations import Basis, lay
from borne.composition.load import power
from borne.composition.maintenance import firmware, maintenance, mqtt, prune, publish, space_watchers
from borne.composition.ocpp import OcppComposition
from borne.host_process import HostProcess
from borne.station_run import AuxiliaryTask, StationRun, StationShutdown, StationTasks, TransactionRecovery
from borne.station_runtime import ProcessParts, StartError, StationRuntime
from borne.systemd_notifier import SystemdNotifier, boot_reason
from foundation.event_loop import StationLoop
from station.billing.retention import Retention
from station.core.local_time import watch_zone
from station.core.model import BootReason
from station.devices.simulated_config import SimulatedBoardConfig
from station.maintenance.commissioning.activation import StationActivation
from station.maintenance.commissioning.site_settings import SiteSettings
from station.maintenance.logs.station_context import station_context
from station.maintenance.logs.store import LogStore
from station.maintenance.storage_check import UnreadableRowsMonitor
from station.storage.compaction import reclaim_when_idle
from station.storage.database import open_database
from station.storage.database_thread import DatabaseThread
from station.storage.storage_lock import StorageLock, StorageLockError
from station.storage.storage_monitor import StorageMonitor

if TYPE_CHECKING:
    from borne.composition.billing import Books
    from borne.composition.charging import Charging
    from borne.composition.load import Power
    from borne.composition.maintenance import Maintenance
    from station.charging.evse import Evse
    from station.configuration.installation_file import Configuration
    from station.devices.station_hardware import StationHardware
    from station.interfaces.additional_routes import AdditionalRoutes
    from station.interfaces.parts import StationParts

__all__ = ["StartError", "alive", "host_process", "host_process_of_several", "run", "station_runtime"]


def run(configuration: Configuration, *, http_port: int | None, ready_file: Path | None, lock: StorageLock) -> None:
    """Run the station until SIGINT or SIGTERM; `lock` is the lock on its storage.

    Raises:
        StartError: its port cannot be bound, or its storage cannot be opened.
    """

    async def live() -> None:
        process = host_process(configuration, http_port=http_port, environ=os.environ, lock=lock)
        await process.run_until_told(ready_file)

    with asyncio.Runner(loop_factory=StationLoop) as runner:
        runner.run(live())


def host_process(
    configuration: Configuration,
    *,
    http_port: int | None = None,
    environ: MutableMapping[str, str] | None = None,
    lock: StorageLock | None = None,
) -> HostProcess:
    """Create a process that hosts one station; `environ` is the environment of `borne run`.

    The station holds the lock on its storage until it has run; without `lock`, one is acquired here.

    Raises:
        StartError: its storage cannot be opened, or another station uses it.
    """
    given: MutableMapping[str, str] = environ if environ is not None else {}
    thread = DatabaseThread()
    parts = ProcessParts(thread, boot_reason(given), alone=True)
    station = station_runtime(configuration, parts, environ=given, lock=lock)
    return HostProcess([station], thread, SystemdNotifier.from_environment(given), http_port=http_port)


def host_process_of_several(configurations: Sequence[Configuration], *, http_port: int | None = None) -> HostProcess:
    """Create a process that hosts these stations; environment variables do not change their configurations.

    Raises:
        StartError: two have the same identity, the storage of one cannot be opened, or another station uses it.
    """
    for identity, count in Counter(one.station.identity for one in configurations).items():
        if count > 1:
            raise StartError(f"station.identity: {identity} is used by several stations")
    thread = DatabaseThread()
    parts = ProcessParts(thread, BootReason.POWER_UP, alone=False)
    with contextlib.ExitStack() as stack:
        locks = [stack.enter_context(_lock(one)) for one in configurations]  # acquired before any hardware is opened
        stations = [station_runtime(one, parts, lock=lock) for one, lock in zip(configurations, locks, strict=True)]
        stack.pop_all()  # each station releases its own lock
    return HostProcess(stations, thread, None, http_port=http_port)


def station_runtime(
    configuration: Configuration,
    process: ProcessParts,
    *,
    environ: Mapping[str, str] | None = None,
    lock: StorageLock | None = None,
) -> StationRuntime:
    """Create the station of this installation file, overridden by the site settings of the installer.

    `environ`: variables that override both. The station holds the lock on its storage until it has run; without `lock`,
    one is acquired here.

    Raises:
        StartError: its storage cannot be opened, or another station uses it.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(station_context(configuration.station.identity))
        with contextlib.ExitStack() as locked:
            held = locked.enter_context(lock or _lock(configuration))
            settings = SiteSettings(configuration, environ or {})
            in_force = settings.load_effective()
            site, routes = _site(in_force)
            locked.pop_all()  # the station releases it
    identity = configuration.station.identity
    return StationRuntime(
        identity, in_force, site, alive, process, site_settings=settings, further_routes=routes, lock=held
    )


def _lock(configuration: Configuration) -> StorageLock:
    try:
        return StorageLock(Path(configuration.station.storage))
    except StorageLockError as error:
        raise StartError(f"station.storage: {error}") from error


def _site(configuration: Configuration) -> tuple[StationHardware, Sequence[AdditionalRoutes]]:
    """The configured hardware, and its additional API routes. Unused hardware modules are not loaded.

    Raises:
        StartError: its storage cannot be used.
    """
    if not isinstance(configuration.board, SimulatedBoardConfig):
        from station.devices.real_hardware import RealHardware  # late: a simulated station needs no drivers

        return RealHardware(configuration.board), ()
    # late: never loaded on real hardware
    from borne.composition.simulated import SimulationRoutes, simulated_world

    world = simulated_world(configuration)
    return world, (SimulationRoutes(world),)


@contextlib.asynccontextmanager
async def alive(program: StationRuntime) -> AsyncGenerator[StationRun]:
    """Assemble the parts of a station on its storage and hardware; close the storage at the end."""
    configuration, clock, thread = program.configuration, program.clock, program.process.database_thread
    storage = Path(configuration.station.storage)
    log = LogStore(storage / "log", clock, station=None if program.process.alone else program.identity)
    async with (
        log.attached(),
        open_database(storage / "borne.sqlite", clock, thread) as database,
    ):
        basis = await lay(program, database, log)
        watch_zone(basis.settings.clock, program.time_zone_changed.publish)
        yield await _assembled(basis)


async def _assembled(basis: Basis) -> StationRun:
    program, configuration, clock = basis.program, basis.configuration, basis.clock
    activation, money = await _activation(basis), rates(basis)
    charges = await charging(basis, money.time, money.messages, activation)
    station = charges.station
    activation.changed.subscribe(lambda _: station.apply_activation())
    station.apply_activation()
    flows = await power(basis, charges.evses)
    update = firmware(basis, charges)
    await update.load()
    firmware_version = update.version or configuration.station.firmware_version
    kept = await books(basis, money, charges, flows.load, firmware_version)
    maintained = await maintenance(basis, charges, flows.load, update, activation)
    ocpp = OcppComposition(basis, charges, flows, kept, maintained)
    model = await ocpp.describe()
    parts = program.running_parts()
    for room in (basis, charges, flows, kept, maintained):
        room.add_to(parts)
    ocpp.add_to(parts, model)
    parts.add_on_demand(lambda: _add_page_parts(parts, basis, charges, flows, kept, maintained))
    recovery = TransactionRecovery(charges.evses, basis.outbox, basis.settings.sampling, clock)
    auxiliary = _auxiliary_tasks(basis, charges, flows, kept, maintained)
    if configuration.csms is not None:
        auxiliary.append(AuxiliaryTask("CSMS link", lambda: ocpp.keep_link(model)))
    return StationRun(
        StationTasks(recovery, station, flows.load, auxiliary, clock),
        StationShutdown(station, basis.outbox, kept.keeper, basis.log),
        parts,
        lambda: ocpp.link,
    )


def _add_page_parts(
    parts: StationParts, basis: Basis, charges: Charging, flows: Power, kept: Books, maintained: Maintenance
) -> None:
    from borne.composition.interfaces import add_page_parts  # loaded with the API, for its first visitor

    add_page_parts(parts, basis, charges, flows, kept, maintained)


async def _activation(basis: Basis) -> StationActivation:
    required = basis.configuration.station.commissioning == "required"
    activation = StationActivation(basis.facts("activation"), basis.clock, required=required)
    await activation.load()
    return activation


def _auxiliary_tasks(
    basis: Basis, charges: Charging, flows: Power, kept: Books, maintained: Maintenance
) -> list[AuxiliaryTask]:
    watchers = [
        *(reader.run for reader in charges.readers),
        charges.cables.run,
        *flows.watchers,
        *kept.watchers,
        basis.log.run,
        *maintained.watchers,
        *_publishers(basis, charges, flows, maintained),
        *_storage_watchers(basis, charges, kept),
    ]
    tasks = [AuxiliaryTask("watcher", watcher) for watcher in watchers]
    return [AuxiliaryTask("grid meter", flows.load.follow_grid_meter), *tasks] if flows.load.has_grid_meter else tasks


def _publishers(
    basis: Basis, charges: Charging, flows: Power, maintained: Maintenance
) -> list[Callable[[], Awaitable[None]]]:
    """The tasks that publish the state of the EVSEs, to the event feed and to MQTT."""
    program, configuration, evses = basis.program, basis.configuration, charges.evses
    feed: list[Callable[[], Awaitable[None]]] = [
        lambda evse=evse: publish(evse, program.feed) for evse in evses.values()
    ]
    if configuration.mqtt is None:
        return feed
    bridge = mqtt(configuration.mqtt, configuration.station, evses, flows, maintained, basis.clock)
    return [*feed, bridge.run]


def _storage_watchers(basis: Basis, charges: Charging, kept: Books) -> list[Callable[[], Awaitable[None]]]:
    """The tasks that maintain the storage."""
    clock = basis.clock
    retention = Retention(kept.transactions, basis.facts("retention"), kept.time, basis.settings.records, clock)
    return [
        *space_watchers(StorageMonitor(basis.storage, clock), basis.security_events),
        UnreadableRowsMonitor(basis.database, basis.security_events, basis.settings.groups, clock).run,
        lambda: reclaim_when_idle(basis.database, lambda: _idle(charges.evses.values()), clock),
        lambda: prune(basis.outbox, retention, charges.tokens, basis.settings.records, clock),
    ]


def _idle(evses: Iterable[Evse]) -> bool:
    """Return whether no transaction runs and no transaction event waits to be stored."""
    return not any(evse.state.transaction is not None or evse.unrecorded(None) for evse in evses)
