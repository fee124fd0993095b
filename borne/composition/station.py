"""The composition root: the only place that knows every room. Puts the parts of a station together."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from borne.composition.billing import books, rates
from borne.composition.charging import charging
from borne.composition.foundations import Basis, lay
from borne.composition.interfaces import add_parts
from borne.composition.load import power
from borne.composition.maintenance import access, firmware, lamps, log_uploads, mqtt, prune, publish, space_watchers
from borne.life import Life
from borne.program import Program, StartError
from foundation.event_loop import StationLoop
from station.billing.retention import Retention
from station.core.event_feed import Feed
from station.core.local_time import watch_zone
from station.core.model import BootReason
from station.devices.simulated_config import SimulatedBoardConfig
from station.interfaces.mdns import Announcement, announces
from station.interfaces.status_light import StatusLight
from station.maintenance.commissioning.activation import Activation
from station.maintenance.commissioning.record import CommissioningRecord
from station.maintenance.commissioning.site_settings import SiteSettings
from station.maintenance.customer_information import CustomerInformation
from station.maintenance.logs.frames import Frame, FrameLog
from station.maintenance.logs.setup import set_time_zone
from station.maintenance.logs.store import LogStore
from station.maintenance.storage_check import UnreadableRowsWatch
from station.storage.compaction import reclaim_when_idle
from station.storage.database import Database, open_database
from station.storage.fact_store import FactStore
from station.storage.storage_lock import StorageLock, StorageLockError
from station.storage.storage_monitor import StorageWatch

if TYPE_CHECKING:
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.configuration.installation_file import Configuration
    from station.devices.site import Site
    from station.interfaces.further_routes import FurtherRoutes
    from station.load.load_management import LoadManagement

__all__ = ["StartError", "alive", "application", "run"]


def run(configuration: Configuration, *, http_port: int | None, ready_file: Path | None, lock: StorageLock) -> None:
    """Run the station until SIGINT or SIGTERM; `lock` is the lock on its storage.

    Raises:
        StartError: its port or its storage cannot be had.
    """

    async def live() -> None:
        program = application(configuration, http_port=http_port, environ=os.environ, lock=lock)
        await program.run_until_told(ready_file)

    with asyncio.Runner(loop_factory=StationLoop) as runner:
        runner.run(live())


def application(
    configuration: Configuration,
    *,
    http_port: int | None = None,
    environ: Mapping[str, str] | None = None,
    lock: StorageLock | None = None,
) -> Program:
    """The program of a station with this installation file, and what its installer has set on site over it.

    The program holds the lock on its storage until it has run; without `lock`, one is acquired here.

    Raises:
        StartError: its storage cannot be opened, or another station uses it.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(lock or StorageLock(Path(configuration.station.storage)))
        except StorageLockError as error:
            raise StartError(f"station.storage: {error}") from error
        settings = SiteSettings(configuration, environ or {})
        in_force = settings.in_force()
        site, routes = _site(in_force)
        program = Program(
            in_force, site, alive, site_settings=settings, further_routes=routes, lock=held, http_port=http_port
        )
        stack.pop_all()  # the program releases it
    return program


def _site(configuration: Configuration) -> tuple[Site, Sequence[FurtherRoutes]]:
    """The hardware that the configuration names, and the API routes that come with it. What is not used is not loaded.

    Raises:
        StartError: its storage cannot be used.
    """
    if not isinstance(configuration.board, SimulatedBoardConfig):
        from station.devices.hardware_site import Machine

        return Machine(configuration.board), ()
    from borne.composition.simulated import SimulationRoutes, simulated_world

    world = simulated_world(configuration)
    return world, (SimulationRoutes(world),)


@contextlib.asynccontextmanager
async def alive(program: Program) -> AsyncGenerator[Life]:
    """Put the parts of a station together, on the storage and the hardware that are there."""
    configuration, clock = program.configuration, program.clock
    storage = Path(configuration.station.storage)
    log = LogStore(storage / "log", clock)
    async with log.attached(), open_database(storage / "borne.sqlite", clock) as database:
        basis = await lay(program, database, log)
        watch_zone(basis.settings, set_time_zone)
        life = await _assembled(basis)
        await _describe(life, program, database)
        yield life


async def _assembled(basis: Basis) -> Life:
    """All parts but those that speak OCPP."""
    program, configuration, clock = basis.program, basis.configuration, basis.clock
    activation, money = await _activation(basis), rates(basis)
    charges = await charging(basis, money.time, money.messages, activation)
    station = charges.station
    activation.changed.subscribe(lambda _: station.heed_activation())
    station.heed_activation()
    flows = await power(basis, charges.evses)
    update = firmware(basis, station)
    await update.load()
    firmware_version = update.version or configuration.station.firmware_version
    kept = await books(basis, money, charges, flows.load, firmware_version)
    commissioning = CommissioningRecord(basis.facts("commissioning"))
    await commissioning.load()
    has_csms = configuration.csms is not None
    light = StatusLight(station, update, activation, lamps(configuration, program.feed), has_csms=has_csms)
    _follow_light(light, station, flows.load)
    life = Life(
        clock=clock,
        station=station,
        load=flows.load,
        security_events=basis.security_events,
        credentials=basis.credentials,
        network=basis.network,
        certificates=basis.certificates,
        tamper=flows.tamper,
        log=basis.log,
        uploads=log_uploads(basis, station),
        customers=CustomerInformation(station.tokens, charges.cards, basis.outbox, basis.database, clock),
        firmware=update,
        external_limits=flows.external_limits,
        shared_limits=flows.shared_limits,
        time=kept.time,
        prices=kept.prices,
        transactions=kept.transactions,
        billing=kept.billing,
        tariff_and_cost=kept.tariff_and_cost,
        books=kept.keeper,
        activation=activation,
        open_access=lambda: access(basis),
        metrology=charges.metrology,
        history=flows.history,
        residual=flows.residual,
        cards=charges.cards,
        frames=FrameLog(clock),
        wires=program.site.buses.tap,
        commissioning=commissioning,
        parts=program.running_parts(),
        unreadable=basis.database.unreadable,
        grid_orders=flows.grid_orders,
        jumpers=lambda: flows.plate.jumpers,
        connect=(lambda life: _connect(life, program)) if has_csms else None,
        light=light,
    )
    life.watchers += [*(reader.run for reader in charges.readers), charges.cables.run, *flows.watchers, *kept.watchers]
    life.watchers += [basis.log.run, life.uploads.run, life.customers.run, update.run, light.run]
    add_parts(life)
    life.watchers += _in_touch(basis, life, firmware_version)
    return life


async def _activation(basis: Basis) -> Activation:
    required = basis.configuration.station.commissioning == "required"
    activation = Activation(basis.facts("activation"), basis.clock, required=required)
    await activation.load()
    return activation


def _follow_light(light: StatusLight, station: ChargingStation, load: LoadManagement) -> None:
    """Have the light follow the cards, and look each second at what has no event of its own."""
    station.admission.sign.changed.subscribe(lambda _: light.refresh())
    station.admission.sign.account_refused.subscribe(light.refused)
    load.after_decision.subscribe(lambda _: light.refresh())


def _in_touch(basis: Basis, life: Life, firmware_version: str) -> list[Callable[[], Awaitable[None]]]:
    """The tasks that tell others, and those that keep what is stored within its bounds."""
    program, configuration, station = basis.program, basis.configuration, life.station
    retention = Retention(life.transactions, basis.facts("retention"), life.time, basis.settings, basis.clock)
    watchers: list[Callable[[], Awaitable[None]]] = [
        *space_watchers(StorageWatch(basis.storage, basis.clock), basis.security_events),
        UnreadableRowsWatch(basis.database, basis.security_events, basis.clock).run,
        lambda: reclaim_when_idle(basis.database, lambda: _idle(station.evses.values()), basis.clock),
        lambda: prune(basis.outbox, retention, station.tokens, basis.settings, basis.clock),
        *(lambda evse=evse: publish(evse, program.feed) for evse in station.evses.values()),
    ]
    if configuration.mqtt is not None:
        watchers.append(mqtt(configuration.mqtt, configuration.station, life).run)
    if announces(configuration.mdns, configuration.http.host):
        watchers.append(Announcement(configuration, program.web.port, firmware_version, basis.clock).run)
    return watchers


def _idle(evses: Iterable[Evse]) -> bool:
    """Whether no transaction runs, and no event of one waits to be stored."""
    return not any(evse.state.transaction is not None or evse.unrecorded(None) for evse in evses)


async def _describe(life: Life, program: Program, database: Database) -> None:
    """The device model, with the values that the installation file puts in place of defaults."""
    from ocpp_handlers.bounds import bound_variables
    from ocpp_handlers.station_variables import Facts, device_model
    from ocpp_handlers.variables.certificate_variables import certificate_variables
    from ocpp_handlers.variables.device_model import AttributeType, Mutability, Place
    from ocpp_handlers.variables.installed_variables import InstalledVariables, Row
    from ocpp_handlers.variables.link_variables import link_variables
    from ocpp_handlers.variables.physical_variables import Nameplate
    from ocpp_handlers.wire import timestamps

    configuration, station = program.configuration, life.station
    who, grid = configuration.station, configuration.grid
    facts = Facts(
        now=lambda: timestamps.encode(life.clock.now()),
        station=station,
        plate=Nameplate(
            model=who.model,
            vendor=who.vendor,
            serial_number=who.serial_number,
            firmware_version=life.firmware.version or who.firmware_version,
            iccid=who.iccid,
            imsi=who.imsi,
            has_reader=bool(configuration.reader),
            feed_phases=grid.phases if grid is not None else None,
            feed_fuse_a=grid.max_current_a if grid is not None else None,
        ),
        connected=lambda: life.link is not None and life.link.connected,
        profiles=lambda: len(life.load.profiles.store.all()),
    )
    model = device_model(station.settings, facts)
    for variable in (
        *certificate_variables(station.settings, life.certificates),
        *link_variables(life, who.identity),
        *bound_variables(),
    ):
        model.add(variable)
    await InstalledVariables(model, FactStore(database, "variable")).put(
        Row(
            Place(row.component, row.component_instance, row.evse, row.connector),
            row.variable,
            row.instance,
            AttributeType(row.attribute),
            row.value,
            Mutability(row.mutability) if row.mutability is not None else None,
        )
        for row in configuration.variable
    )
    life.variables = model


async def _connect(life: Life, program: Program) -> None:
    """Build the OCPP stack and keep the link; the station charges without waiting for this."""
    from ocpp_handlers.connection.boot import Identification
    from ocpp_handlers.connection.connection import Access
    from ocpp_handlers.stack import OcppStack, StackSetup
    from ocpp_handlers.variables.device_model import DeviceModel

    who = program.configuration.station
    access = Access(who.identity, life.network, life.credentials, life.certificates)
    identification = Identification(
        who.model, who.vendor, who.serial_number, life.firmware.version or who.firmware_version, who.iccid, who.imsi
    )
    if not isinstance(life.variables, DeviceModel):
        raise TypeError("the device model comes first")
    reason = BootReason.FIRMWARE_UPDATE if life.firmware.boots_anew else program.boot_reason
    stack = OcppStack(
        StackSetup(access, identification, reason),
        life,
        life.variables,
        listen=lambda direction, text: _pass_on(life.frames.note(direction, text), program.feed),
    )
    life.link = stack
    await stack.run()


def _pass_on(frame: Frame, feed: Feed) -> None:
    """Tell whoever listens that a frame passes."""
    feed.publish("frame", number=frame.number, at=frame.at.isoformat(), direction=frame.direction, text=frame.text)
