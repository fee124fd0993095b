"""The composition root: the only place that knows every room. Puts a station together and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from energy.controller import Connection, Controller
from energy.profile_store import ProfileStore
from metering.drivers import Buses, SimulatedMeterConfig
from metering.plausibility import Plausibility, PlausibleMeter
from station.availability import Availability
from station.charging_station import ChargingStation
from station.database import Database, StorageError, open_database
from station.evse import Evse, EvseLayout
from station.feed import Feed
from station.life import Life
from station.load_management import LoadManagement
from station.meter_watch import MeterWatch
from station.model import BootReason
from station.outbox import Outbox
from station.profiles import Profiles
from station.recorder import Recorder
from station.recovery import least_register
from station.restart import Restart
from station.sampler import Sampler
from station.settings import Settings
from station.simulation.clock import VirtualClock
from station.simulation.world import World
from station.supervision import keep_running
from station.token_store import TokenStore
from station.web.server import WebServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from metering.clock import Clock
    from station.config import Configuration, CsmsConfig, EvseConfig

_log = logging.getLogger(__name__)

_OVERHEAD = 1.25
"""a meter may show this much more than the rating before it is not believed"""
_KEEP_EVENTS = 100_000
"""settled events that stay on record"""


class StartError(Exception):
    """The station cannot be started here and now; the sentence is for whoever starts it."""


def run(configuration: Configuration, *, http_port: int | None, ready_file: Path | None) -> None:
    """Run the station until SIGINT or SIGTERM.

    Raises:
        StartError: its port or its storage cannot be had.
    """
    asyncio.run(_run(configuration, http_port=http_port, ready_file=ready_file))


async def _run(configuration: Configuration, *, http_port: int | None, ready_file: Path | None) -> None:
    application = Application(configuration, http_port=http_port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, application.stop)
    await application.run(ready_file)


class Application:
    """A station with its surroundings: the world goes on while the station's power is cut."""

    def __init__(self, configuration: Configuration, *, http_port: int | None = None) -> None:
        self.configuration = configuration
        self.clock = VirtualClock(rate=configuration.simulation.rate)
        self.world = _world(configuration, self.clock)
        self.feed = Feed()
        self.life: Life | None = None
        port = configuration.http.port if http_port is None else http_port
        self.web = WebServer(configuration.http.host, port)
        self._stopped = asyncio.Event()
        self._power_on = asyncio.Event()
        self._power_on.set()
        self._power_lost = asyncio.Event()
        self._alive = asyncio.Event()
        self._dead = asyncio.Event()
        self._rebooting = asyncio.Event()
        self._boot_reason = BootReason.POWER_UP

    @property
    def boot_reason(self) -> BootReason:
        """Why the present life began (B01.FR.09)."""
        return self._boot_reason

    def stop(self) -> None:
        """Stop in order."""
        self._stopped.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    async def begun(self) -> None:
        """Wait until the station lives."""
        await self._alive.wait()

    # Power, as a test bench cuts it

    async def lose_power(self) -> None:
        """No goodbye: what is not on disk is lost."""
        self._power_on.clear()
        self._power_lost.set()
        await self._dead.wait()

    async def restore_power(self) -> None:
        """The station boots again."""
        self._power_on.set()
        await self._alive.wait()

    def reboot(self, reason: BootReason) -> None:
        """Begin a new life, as after a reboot of the machine."""
        self._boot_reason = reason
        self._rebooting.set()

    async def run(self, ready_file: Path | None = None) -> None:
        """Live, die and live again, until stopped.

        Raises:
            StartError: its port or its storage cannot be had.
        """
        async with contextlib.AsyncExitStack() as stack:
            await self.world.start()
            stack.push_async_callback(self.world.stop)
            self._listen()
            web = asyncio.create_task(
                keep_running("local API", lambda: self.web.run(self._build_web), self.clock), name="web"
            )
            stack.push_async_callback(_end_task, web)
            while not self._stopped.is_set():
                await self._live(ready_file)
                ready_file = None
                await _first(self._stopped, self._power_on)

    async def _live(self, ready_file: Path | None) -> None:
        """One life: until the program stops, or the power is lost."""
        self._power_lost.clear()
        self._rebooting.clear()
        async with contextlib.AsyncExitStack() as stack:
            life = await _begin(stack, self)
            self.life = life
            living = asyncio.create_task(life.run(), name="life")
            self._alive.set()
            self._dead.clear()
            gc.freeze()  # what a start makes lives as long as the program
            gc.enable()
            try:
                if ready_file is not None:
                    self._write_ready_file(ready_file)
                await _first(self._stopped, self._power_lost, self._rebooting, living)
                if self._stopped.is_set() and not living.done():
                    self.clock.run(max(1.0, self.clock.rate))  # a stop takes real time, also where time stood still
                    await life.halt()
            finally:
                self.life = None
                self._alive.clear()
                if self._power_lost.is_set():
                    self._boot_reason = BootReason.POWER_UP
                if life.link is not None and self._power_lost.is_set():
                    life.link.cut()
                await _end_task(living)
                if not self._power_lost.is_set():
                    with contextlib.suppress(StorageError):  # then a few events are sent again
                        await life.station.outbox.flush()
                self._dead.set()

    def _listen(self) -> None:
        try:
            self.web.bind()
        except OSError as error:
            host = self.configuration.http.host
            raise StartError(f"http: cannot listen at {host}:{self.web.port}: {error.strerror}") from error

    def _write_ready_file(self, path: Path) -> None:
        told = {"pid": os.getpid(), "http_port": self.web.port, "identity": self.configuration.station.identity}
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_text(json.dumps(told), encoding="utf-8")
        unfinished.replace(path)

    def _build_web(self) -> ASGIApp:
        from station.web.api import build

        return build(self)


async def _first(*events: asyncio.Event | asyncio.Task[None]) -> None:
    """Wait for the first of some events and tasks; a task's failure is raised."""
    waits = [one if isinstance(one, asyncio.Task) else asyncio.create_task(_happened(one)) for one in events]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            if wait not in events:
                wait.cancel()
    for one in done:
        one.result()


async def _happened(event: asyncio.Event) -> None:
    await event.wait()


async def _end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; its failure is raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _world(configuration: Configuration, clock: VirtualClock) -> World:
    try:
        return World(configuration, clock)  # its meters keep their registers beside the station's records
    except OSError as error:
        raise StartError(f"station.storage: {error.filename}: {error.strerror}") from error


async def _begin(stack: contextlib.AsyncExitStack, application: Application) -> Life:
    """A life that ends with `stack`."""
    try:
        return await stack.enter_async_context(alive(application))
    except StorageError as error:
        raise StartError(f"station.storage: {error}") from error


@contextlib.asynccontextmanager
async def alive(application: Application) -> AsyncGenerator[Life]:
    """Put the parts of a station together, on the storage and the hardware that are there."""
    configuration, clock = application.configuration, application.clock
    storage = Path(configuration.station.storage)
    async with open_database(storage / "borne.sqlite", clock) as database:
        settings = Settings(database)
        await settings.load()
        outbox = Outbox(database, clock)
        buses = Buses()
        evses = {evse.id: await _evse(evse, application, outbox, settings, buses) for evse in configuration.evse}
        tokens = TokenStore(database, settings, clock)
        await tokens.load()
        await outbox.prune(_KEEP_EVENTS)
        availability = Availability(evses, database)
        await availability.load()
        restart = Restart(evses, outbox, clock, lambda: application.reboot(BootReason.REMOTE_RESET))
        station = ChargingStation(evses, tokens, outbox, availability, restart, settings, clock)
        load = await _load_management(application, evses, database)
        life = Life(clock, station, load)
        _describe(life, application)
        life.watchers.append(lambda: _prune(outbox, clock))
        for evse in evses.values():
            life.watchers.append(lambda evse=evse: _publish(evse, application.feed))
        if configuration.csms is not None:
            csms = configuration.csms
            life.connect = lambda life: _connect(life, csms, application)
        yield life


async def _evse(config: EvseConfig, application: Application, outbox: Outbox, settings: Settings, buses: Buses) -> Evse:
    clock, world = application.clock, application.world
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
    evse.stop_on_storage_failure = application.configuration.station.on_storage_failure == "stop"
    return evse


async def _load_management(application: Application, evses: dict[int, Evse], database: Database) -> LoadManagement:
    configuration, clock = application.configuration, application.clock
    profiles = Profiles(ProfileStore(evses), database)
    await profiles.load()
    grid = configuration.grid
    connection = Connection(grid.phases, grid.safe_current_a, grid.max_current_a) if grid is not None else None
    source = application.world.grid_source(grid.source).open(clock) if grid is not None else None
    return LoadManagement(
        Controller(clock, profiles.store, connection, station_limit_a=float(configuration.board.selector_a)),
        evses,
        clock,
        profiles=profiles,
        source=source,
    )


def _describe(life: Life, application: Application) -> None:
    """The device model, with the values that the installation file puts in place of defaults."""
    from ocpp_handlers import timestamps
    from ocpp_handlers.variables import Facts, device_model
    from station.ports import VariableRow

    configuration, station = application.configuration, life.station
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


async def _connect(life: Life, csms: CsmsConfig, application: Application) -> None:
    """Build the OCPP stack and keep the link; the station charges without waiting for this."""
    from ocpp_handlers.boot import Identification
    from ocpp_handlers.connection import NetworkProfile
    from ocpp_handlers.device_model import DeviceModel
    from ocpp_handlers.stack import OcppStack, StackSetup

    who = application.configuration.station
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
        StackSetup(network, identification, csms.message_timeout_s, application.boot_reason),
        life.station,
        life.load.profiles,
        life.variables,
        profiles_changed=life.load.poke,
        listen=lambda direction, text: application.feed.publish("frame", direction=direction, text=text),
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
