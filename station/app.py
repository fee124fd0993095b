"""The composition root: the only place that knows every room. Puts the parts of a station together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from energy.controller import Connection, Controller
from energy.profile_store import ProfileStore
from metering.drivers import Buses, SimulatedMeterConfig
from metering.plausibility import Plausibility, PlausibleMeter
from station.availability import Availability
from station.charging_station import ChargingStation
from station.database import Database, open_database
from station.evse import Evse, EvseLayout
from station.feed import Feed
from station.life import Life
from station.load_management import LoadManagement
from station.meter_watch import MeterWatch
from station.model import BootReason
from station.outbox import Outbox
from station.profiles import Profiles
from station.program import Program, StartError
from station.recorder import Recorder
from station.recovery import least_register
from station.restart import Restart
from station.sampler import Sampler
from station.settings import Settings
from station.token_store import TokenStore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from metering.clock import Clock
    from station.config import Configuration, CsmsConfig, EvseConfig

__all__ = ["StartError", "alive", "application", "run"]

_log = logging.getLogger(__name__)

_OVERHEAD = 1.25
"""a meter may show this much more than the rating before it is not believed"""
_KEEP_EVENTS = 100_000
"""settled events that stay on record"""


def run(configuration: Configuration, *, http_port: int | None, ready_file: Path | None) -> None:
    """Run the station until SIGINT or SIGTERM.

    Raises:
        StartError: its port or its storage cannot be had.
    """

    async def live() -> None:
        await application(configuration, http_port=http_port).run_until_told(ready_file)

    asyncio.run(live())


def application(configuration: Configuration, *, http_port: int | None = None) -> Program:
    """The program of a station with this installation file."""
    return Program(configuration, alive, http_port=http_port)


@contextlib.asynccontextmanager
async def alive(program: Program) -> AsyncGenerator[Life]:
    """Put the parts of a station together, on the storage and the hardware that are there."""
    configuration, clock = program.configuration, program.clock
    storage = Path(configuration.station.storage)
    async with open_database(storage / "borne.sqlite", clock) as database:
        settings = Settings(database)
        await settings.load()
        outbox = Outbox(database, clock)
        buses = Buses()
        evses = {evse.id: await _evse(evse, program, outbox, settings, buses) for evse in configuration.evse}
        tokens = TokenStore(database, settings, clock)
        await tokens.load()
        await outbox.prune(_KEEP_EVENTS)
        availability = Availability(evses, database)
        await availability.load()
        restart = Restart(evses, outbox, clock, lambda: program.reboot(BootReason.REMOTE_RESET))
        station = ChargingStation(evses, tokens, outbox, availability, restart, settings, clock)
        load = await _load_management(program, evses, database)
        life = Life(clock, station, load)
        _describe(life, program)
        life.watchers.append(lambda: _prune(outbox, clock))
        for evse in evses.values():
            life.watchers.append(lambda evse=evse: _publish(evse, program.feed))
        if configuration.csms is not None:
            csms = configuration.csms
            life.connect = lambda life: _connect(life, csms, program)
        yield life


async def _evse(config: EvseConfig, program: Program, outbox: Outbox, settings: Settings, buses: Buses) -> Evse:
    clock, world = program.clock, program.world
    layout = EvseLayout(
        id=config.id,
        phases=config.phases,
        max_current_a=config.max_current_a,
        connector_type=config.connector_type,
        attached_cable=config.attached_cable,
    )
    if isinstance(config.meter, SimulatedMeterConfig):
        driver = world.open_meter(config, buses)
    else:
        driver = config.meter.open(clock, buses)
    meter = PlausibleMeter(driver, Plausibility(config.max_current_a * 230.0 * config.phases * _OVERHEAD))
    if (known := least_register(await outbox.latest_of(config.id))) is not None:
        meter.trust(known)
    watch = MeterWatch(f"meter of EVSE {config.id}", meter, clock)
    evse = Evse(layout, world.boards[config.id], watch, Recorder(outbox, watch, settings, clock), settings, clock)
    evse.sampler = Sampler(evse, watch, outbox, settings, clock)
    evse.stop_on_storage_failure = program.configuration.station.on_storage_failure == "stop"
    return evse


async def _load_management(program: Program, evses: dict[int, Evse], database: Database) -> LoadManagement:
    configuration, clock = program.configuration, program.clock
    profiles = Profiles(ProfileStore(evses), database)
    await profiles.load()
    grid = configuration.grid
    connection = Connection(grid.phases, grid.safe_current_a, grid.max_current_a) if grid is not None else None
    source = program.world.grid_source(grid.source).open(clock) if grid is not None else None
    return LoadManagement(
        Controller(clock, profiles.store, connection, station_limit_a=float(configuration.board.selector_a)),
        evses,
        clock,
        profiles=profiles,
        source=source,
    )


def _describe(life: Life, program: Program) -> None:
    """The device model, with the values that the installation file puts in place of defaults."""
    from ocpp_handlers import timestamps
    from ocpp_handlers.variables import Facts, device_model
    from station.ports import VariableRow

    configuration, station = program.configuration, life.station
    who, csms = configuration.station, configuration.csms
    facts = Facts(
        message_timeout_s=csms.message_timeout_s if csms is not None else 30.0,
        security_profile=csms.security_profile if csms is not None else 0,
        now=lambda: timestamps.encode(life.clock.now()),
        available=lambda: station.status.value,
        evses=tuple(station.evses.values()),
        model=who.model,
        vendor=who.vendor,
        serial_number=who.serial_number,
        firmware_version=who.firmware_version,
    )
    model = device_model(station.settings, facts)
    for row in configuration.variable:
        value = VariableRow(
            row.component, None, row.evse, row.connector, row.variable, row.instance, "Actual", row.value, ""
        )
        try:
            model.override(value)
        except KeyError as error:
            _log.error("variable %s.%s: %s", row.component, row.variable, error.args[0])
        except ValueError as error:
            _log.error("variable %s.%s %s", row.component, row.variable, error)
    life.variables = model


async def _connect(life: Life, csms: CsmsConfig, program: Program) -> None:
    """Build the OCPP stack and keep the link; the station charges without waiting for this."""
    from ocpp_handlers.boot import Identification
    from ocpp_handlers.connection import NetworkProfile
    from ocpp_handlers.device_model import DeviceModel
    from ocpp_handlers.stack import OcppStack, StackSetup

    who = program.configuration.station
    network = NetworkProfile(
        url=csms.url,
        identity=who.identity,
        password=csms.password.get_secret_value() if csms.password is not None else None,
        tls=_tls(csms),
        security_profile=csms.security_profile,
    )
    identification = Identification(who.model, who.vendor, who.serial_number, who.firmware_version)
    if not isinstance(life.variables, DeviceModel):
        raise TypeError("the device model comes first")
    stack = OcppStack(
        StackSetup(network, identification, csms.message_timeout_s, program.boot_reason),
        life,
        life.variables,
        listen=lambda direction, text: program.feed.publish("frame", direction=direction, text=text),
    )
    life.link = stack
    await stack.run()


def _tls(csms: CsmsConfig) -> Callable[[], ssl.SSLContext] | None:
    if not csms.url.lower().startswith("wss:"):
        return None
    from ocpp_handlers.tls import client_context

    return lambda: client_context(csms.ca_file, csms.certificate_file, csms.key_file)


async def _prune(outbox: Outbox, clock: Clock) -> None:
    """Keep the record within its bounds, once a day."""
    while True:
        await clock.sleep(86_400.0)
        await outbox.prune(_KEEP_EVENTS)


async def _publish(evse: Evse, feed: Feed) -> None:
    """Tell the feed each change of an EVSE that a person would notice."""
    told: tuple[object, ...] | None = None
    while True:
        state = evse.state
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
        await evse.changed.wait()
