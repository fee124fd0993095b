"""The composition root: the only place that knows every room. Puts the parts of a station together."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from energy.controller import Connection, Controller
from energy.grid_orders import GridOrders, OrderRecord, Powers
from energy.phases import PhaseMap
from energy.profile_store import ProfileStore
from energy.sharing import Policy
from energy.sources.house import House
from metering.journal import RegisterJournal
from metering.plausibility import Plausibility, PlausibleMeter
from metering.time_quality import TimeStatus
from station.availability import Availability
from station.billing.billing import Billing
from station.billing.prices import Prices
from station.billing.tariff_and_cost import PriceSources, TariffAndCost
from station.billing.transaction_log import TransactionLog
from station.charging_station import ChargingStation
from station.commissioning.activation import Activation
from station.commissioning.record import CommissioningRecord
from station.commissioning.site_settings import SiteSettings
from station.evse import Evse, EvseLayout
from station.feed import Feed
from station.firmware.firmware import Firmware, Surroundings
from station.firmware.record import FirmwareRecord
from station.hardware import SimulatedBoardConfig, SimulatedUpdaterConfig
from station.hardware.installer import Commands, Installer
from station.hardware.leds import lamps_of
from station.hardware.selector import selected_a
from station.integrations.mdns import Announcement, announces
from station.life import Life
from station.light.light import Lamp, PageLight, StatusLight
from station.limits.charging_rate import ChargingRates
from station.limits.external_limits import ExternalLimits
from station.limits.load_history import LoadHistory
from station.limits.load_management import Influences, LoadManagement
from station.limits.profiles import Profiles
from station.limits.shared_limits import SharedLimits
from station.limits.tariff_steering import TariffSteering
from station.logs.frames import Frame, FrameLog
from station.logs.log_files import Logs, LogSources
from station.logs.store import LogStore
from station.logs.upload import LogUploads
from station.metrology.billing_meters import BillingMeters
from station.metrology.bookkeeping import Bookkeeper, Sources
from station.metrology.meter_watch import MeterWatch
from station.metrology.metrology import Desk, Metrology, sign
from station.metrology.signed_records import SignedRecords
from station.metrology.time_keeper import TimeKeeper
from station.model import BootReason
from station.network import NetworkProfile, NetworkProfiles
from station.program import Program, StartError
from station.protection.back_plate_watch import BackPlateWatch
from station.protection.contactor_count import ContactorRecord
from station.protection.jumpers import expected_position
from station.protection.residual_current import ResidualCurrentGuard
from station.protection.tamper import Tamper
from station.records.customer_information import CustomerInformation
from station.records.database import Database, StorageError, open_database
from station.records.fact_store import FactStore
from station.records.outbox import Outbox
from station.records.recorder import Recorder
from station.records.storage_watch import StorageWatch
from station.restart import Restart
from station.sampler import Sampler
from station.security.certificates import Certificates, CertificateUse, Seed
from station.security.credentials import Credentials
from station.security.security_events import SecurityEvents, SecurityEventType
from station.settings import Settings
from station.simulation.updater import SimulatedUpdater
from station.tokens.own_cards import OwnCards
from station.tokens.reader_watch import ReaderWatch
from station.tokens.token_store import TokenStore
from station.transfer.file_transfer import trusting
from station.version import package_version

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.access.access import Access
    from station.configuration.installation_file import Configuration, EvseConfig, GridConfig, MqttConfig, StationConfig
    from station.integrations.mqtt import Mqtt
    from station.site import Site

__all__ = ["StartError", "alive", "application", "run"]

_OVERHEAD = 1.25
"""a meter may show this much more than the rating before it is not believed"""


def run(configuration: Configuration, *, http_port: int | None, ready_file: Path | None) -> None:
    """Run the station until SIGINT or SIGTERM.

    Raises:
        StartError: its port or its storage cannot be had.
    """

    async def live() -> None:
        program = application(configuration, http_port=http_port, environ=os.environ)
        await program.run_until_told(ready_file)

    asyncio.run(live())


def application(
    configuration: Configuration, *, http_port: int | None = None, environ: Mapping[str, str] | None = None
) -> Program:
    """The program of a station with this installation file, and what its installer has set on site over it."""
    settings = SiteSettings(configuration, environ or {})
    in_force = settings.in_force()
    return Program(in_force, _site(in_force), alive, site_settings=settings, http_port=http_port)


def _site(configuration: Configuration) -> Site:
    """The hardware that the configuration names. What is not used is not loaded."""
    if not isinstance(configuration.board, SimulatedBoardConfig):
        from station.hardware.machine import Machine

        return Machine(configuration.board)
    from station.simulation.world import World

    try:
        return World(configuration)  # its meters keep their registers beside the station's records
    except OSError as error:
        raise StartError(f"station.storage: {error.filename}: {error.strerror}") from error


@contextlib.asynccontextmanager
async def alive(program: Program) -> AsyncGenerator[Life]:
    """Put the parts of a station together, on the storage and the hardware that are there."""
    configuration, clock = program.configuration, program.clock
    storage = Path(configuration.station.storage)
    log = LogStore(storage / "log", clock)
    async with log.attached(), open_database(storage / "borne.sqlite", clock) as database:
        settings = Settings(database)
        await settings.load()
        outbox = Outbox(database, clock)
        await outbox.check()
        security_events = SecurityEvents(database, clock)
        await security_events.report(_beginning(program.boot_reason), program.boot_reason.value)
        certificates = Certificates(storage / "certificates", _seed(configuration), settings, clock, security_events)
        await certificates.load()
        credentials = Credentials(storage / "basic-auth.json", _password(configuration), clock)
        network = NetworkProfiles(database, settings, credentials, certificates, security_events)
        await network.load(_network_profile(configuration))
        metrology = Metrology(BillingMeters(FactStore(database, "meter"), clock), SignedRecords(database, clock))
        meters = metrology.meters
        meters.on_foreign = lambda evse_id, reason: security_events.report(
            SecurityEventType.TAMPER_DETECTION_ACTIVATED, f"EVSE {evse_id}: {reason}"
        )
        await meters.load()
        desk = Desk(configuration, database, metrology.records, outbox, settings, clock)
        evses = {evse.id: await _evse(evse, program, desk, metrology) for evse in configuration.evse}
        tokens = TokenStore(database, settings, clock)
        await tokens.load()
        with contextlib.suppress(StorageError):  # a full disk is no reason not to start; it is tried again
            await outbox.prune(settings.recorded_events_limit)
        availability = Availability(evses, database)
        await availability.load()
        restart = Restart(evses, outbox, settings, clock, program.reboot)
        station = ChargingStation(evses, tokens, outbox, availability, restart, settings, clock)
        station.admission.asks_which = configuration.station.master_pass_selection
        grid_orders = await _grid_orders(program)
        load = await _load_management(program, evses, database, settings, grid_orders)
        contactors = ContactorRecord(evses, FactStore(database, "contactor"))
        await contactors.load()
        residual = _residual_guard(program, evses, FactStore(database, "residual-current"))
        await residual.load()
        tamper = Tamper(evses.values(), database, security_events)
        tamper.flap_open = lambda: program.site.back_plate.seen.flap_open
        await tamper.load()
        firmware = _firmware(program, database, station, security_events, certificates)
        await firmware.load()
        time, prices = TimeKeeper(clock, settings), Prices(FactStore(database, "prices"))
        await prices.load(configuration.prices.as_list() if configuration.prices is not None else None)
        transactions = TransactionLog(database)
        billing = Billing(transactions, outbox, evses, clock)
        around = Sources(outbox, transactions, billing, evses, prices, time, meters)
        books = Bookkeeper(RegisterJournal(storage), around, clock)
        metrology.follow(time, books, evses)
        for evse in evses.values():
            evse.time_status = lambda: time.status
        firmware_version = firmware.version or configuration.station.firmware_version
        versions = {"program": package_version(), "firmware": firmware_version}
        await books.load(versions, program.boot_reason.value)
        activation = Activation(
            FactStore(database, "activation"), clock, required=configuration.station.commissioning == "required"
        )
        await activation.load()
        station.activated = lambda: activation.activated
        commissioning = CommissioningRecord(FactStore(database, "commissioning"))
        await commissioning.load()
        customers = CustomerInformation(tokens, outbox, database, clock)
        uploads = _log_uploads(program, LogSources(log, security_events, outbox, program), certificates)
        restart.delays.append(lambda: uploads.uploading is not None)
        cards = await _own_cards(database, station, configuration)
        history = LoadHistory(load.controller, evses, clock)
        load.on_decided.append(history.look)
        life = Life(
            clock,
            station,
            load,
            security_events,
            credentials,
            network,
            certificates,
            tamper,
            log,
            uploads,
            customers,
            firmware,
            ExternalLimits(
                load.controller,
                load.profiles.store,
                FactStore(database, "external-limit"),
                clock,
                phases=max(evse.layout.phases for evse in evses.values()),
            ),
            SharedLimits(load.controller, FactStore(database, "shared-limit"), clock, load.poke),
            time,
            prices,
            transactions,
            billing,
            TariffAndCost(
                evses,
                PriceSources(billing, prices, transactions, outbox),
                settings,
                clock,
                has_csms=configuration.csms is not None,
            ),
            books,
            activation,
            lambda: _access(program, database, security_events),
            metrology,
            history,
            residual,
            cards,
            FrameLog(clock),
            program.site.buses.tap,
            commissioning,
        )
        life.watchers += [residual.run, contactors.run, *(watch.run for watch in _readers(program, station))]
        billing.tariff_period = lambda: _tariff_period(load)
        life.watchers += [time.run, books.run, life.tariff_and_cost.run, lambda: metrology.run(clock)]
        load.on_decided.append(books.look)
        await life.shared_limits.load()
        await life.external_limits.load()
        life.watchers += [log.run, uploads.run, customers.run]
        if configuration.mqtt is not None:
            life.watchers.append(_mqtt(configuration.mqtt, configuration.station, life).run)
        if announces(configuration.mdns, configuration.http.host):
            life.watchers.append(_announcement(program, firmware_version).run)
        life.grid_orders = grid_orders
        if grid_orders is not None:
            grid_orders.powers = lambda: _powers(load, evses)
            life.watchers += [load.watch_orders, grid_orders.run]
        plate = _back_plate_watch(program, load, tamper)
        life.jumpers = lambda: plate.jumpers
        life.watchers.append(plate.run)
        life.watchers.append(firmware.run)
        life.light = StatusLight(life, _lamps(configuration, program.feed))
        life.watchers.append(life.light.run)
        rates = ChargingRates(evses, settings, clock)
        load.on_decided += [life.external_limits.look, rates.look]
        life.watchers.append(StorageWatch(storage, security_events, clock).run)
        await _describe(life, program, database)
        life.watchers.append(lambda: _prune(outbox, transactions, tokens, time, settings, clock))
        for evse in evses.values():
            life.watchers.append(lambda evse=evse: _publish(evse, program.feed))
        if configuration.csms is not None:
            life.connect = lambda life: _connect(life, program)
        yield life


def _lamps(configuration: Configuration, feed: Feed) -> list[Lamp]:
    """Where the status light is shown: on the page, and by the lamps that the installation has."""
    leds = lamps_of(configuration.light)
    each = len(leds) > 1
    return [Lamp(PageLight(feed)), *(Lamp(led, number if each else None) for number, led in enumerate(leds, 1))]


def _beginning(reason: BootReason) -> SecurityEventType:
    """The security event that a boot is."""
    powered_up = reason is BootReason.POWER_UP
    return SecurityEventType.STARTUP_OF_THE_DEVICE if powered_up else SecurityEventType.RESET_OR_REBOOT


def _password(configuration: Configuration) -> str | None:
    csms = configuration.csms
    return csms.password.get_secret_value() if csms is not None and csms.password is not None else None


def _network_profile(configuration: Configuration) -> NetworkProfile | None:
    """Where the installation file says that the CSMS is."""
    csms = configuration.csms
    return NetworkProfile(csms.url, csms.security_profile, csms.message_timeout_s) if csms is not None else None


def _seed(configuration: Configuration) -> Seed:
    """The certificates that the installation file brings along."""
    csms = configuration.csms
    return Seed(csms.ca_file, csms.certificate_file, csms.key_file) if csms is not None else Seed()


def _access(program: Program, database: Database, security_events: SecurityEvents) -> Access:
    """Who gets in at the local API and page; made for the first visitor."""
    from station.access.access import Access
    from station.access.accounts import Accounts, Role
    from station.access.sessions import AccessTokens, Sessions

    http, clock = program.configuration.http, program.clock
    codes = {Role.INSTALLER: http.installer_code, Role.SERVICE: http.service_code}
    label = {role: code.get_secret_value() for role, code in codes.items() if code is not None}
    accounts = Accounts(FactStore(database, "account"), label, clock)
    tokens = AccessTokens(FactStore(database, "access-token"), clock)
    return Access(accounts, Sessions(clock), tokens, security_events, clock)


async def _own_cards(database: Database, station: ChargingStation, configuration: Configuration) -> OwnCards:
    """The owner's cards; where there is a CSMS it decides, not they."""
    cards = OwnCards(FactStore(database, "card"), station.clock)
    await cards.load()
    station.admission.takes = cards.take
    if configuration.csms is None:
        station.trust(cards.find)
    return cards


def _log_uploads(program: Program, sources: LogSources, certificates: Certificates) -> LogUploads:
    folder = Path(program.configuration.station.storage) / "uploads"
    logs = Logs(sources, folder, program.configuration.station.identity, program.clock)
    logs.tidy()
    return LogUploads(logs, program.clock, trusting(certificates))


def _firmware(
    program: Program,
    database: Database,
    station: ChargingStation,
    security_events: SecurityEvents,
    certificates: Certificates,
) -> Firmware:
    """The firmware and what updates it. To make the simulated updater is to boot (simulation/updater.py)."""
    config, clock = program.configuration.firmware, program.clock
    storage = Path(program.configuration.station.storage)
    if isinstance(config, SimulatedUpdaterConfig):
        updater = SimulatedUpdater(storage / "firmware", clock)
    else:
        commands = Commands(config.install_command, config.activate_command or (), config.confirm_command or ())
        updater = Installer(commands, storage / "firmware", clock)
    around = Surroundings(
        station.evses,
        updater,
        security_events,
        station.outbox,
        storage / "firmware",
        roots=lambda: certificates.trusted(CertificateUse.MANUFACTURER_ROOT),
        trust=trusting(certificates),
        reboot=program.reboot,
        allow_unsigned=config.allow_unsigned,
    )
    firmware = Firmware(FirmwareRecord(database), around, station.settings, clock)
    station.restart.delays.append(lambda: firmware.working)
    station.restart.vetoes.append(lambda: firmware.hindrance_to_reset)
    return firmware


async def _evse(config: EvseConfig, program: Program, desk: Desk, metrology: Metrology) -> Evse:
    clock, site, outbox, settings = program.clock, program.site, desk.outbox, desk.settings
    layout = EvseLayout(
        id=config.id,
        phases=config.phases,
        max_current_a=config.max_current_a,
        connector_type=config.connector_type,
        attached_cable=config.attached_cable,
        start_button=config.start_button,
        rotation=None if config.phase_rotation == "learn" else PhaseMap.named(config.phase_rotation),
        priority=config.priority,
    )
    driver = site.open_meter(config)
    meter = PlausibleMeter(driver, Plausibility(config.max_current_a * 230.0 * config.phases * _OVERHEAD))
    metrology.meters.trust(config.id, meter, await outbox.latest_of(config.id))
    watch = MeterWatch(f"meter of EVSE {config.id}", meter, clock)
    evse = Evse(layout, site.board(config), watch, Recorder(outbox, watch, settings, clock), settings, clock)
    evse.sampler = Sampler(evse, watch, outbox, settings, clock)
    evse.stop_on_storage_failure = program.configuration.station.on_storage_failure == "stop"
    evse.stop_on_meter_failure = config.on_meter_failure == "stop"
    if (signatures := await sign(evse, config, driver, desk)) is not None:
        metrology.signatures[config.id] = signatures
    return evse


async def _grid_orders(program: Program) -> GridOrders | None:
    """The contact of the grid operator, and the record of what it ordered."""
    config = program.configuration.grid_order
    if config is None:
        return None
    record = OrderRecord(Path(program.configuration.station.storage) / "grid-orders.jsonl", program.clock)
    await record.load()
    return GridOrders(config.open(program.clock, program.site.contacts_for(config)), record, program.clock)


def _powers(load: LoadManagement, evses: dict[int, Evse]) -> Powers:
    """What the connection and the EVSEs draw now."""
    sample = load.controller.last_sample
    shown = [evse.meter.latest.power_w for evse in evses.values() if evse.meter.latest is not None]
    known = [power_w for power_w in shown if power_w is not None]
    return Powers(sample.power_w if sample is not None else None, sum(known) if len(known) == len(evses) else None)


def _readers(program: Program, station: ChargingStation) -> list[ReaderWatch]:
    """The token readers, each with those whose cards it reads."""
    return [
        ReaderWatch(
            config.open(program.clock),
            [evse for evse in station.evses.values() if config.evse in {None, evse.id}],
            lambda token, evse_id=config.evse: station.present(token, evse_id),
            program.clock,
            reversed_bytes=config.reversed_bytes,
        )
        for config in program.configuration.reader
    ]


def _residual_guard(program: Program, evses: dict[int, Evse], facts: FactStore) -> ResidualCurrentGuard:
    plate, config = program.site.back_plate, program.configuration.protection
    return ResidualCurrentGuard(evses, plate, facts, config, program.clock)


def _back_plate_watch(program: Program, load: LoadManagement, tamper: Tamper) -> BackPlateWatch:
    configuration = program.configuration
    source = configuration.grid.source if configuration.grid is not None else None
    expected = expected_position(source, configuration.grid_order)
    return BackPlateWatch(program.site.back_plate, expected, load, tamper)


async def _load_management(
    program: Program,
    evses: dict[int, Evse],
    database: Database,
    settings: Settings,
    grid_orders: GridOrders | None,
) -> LoadManagement:
    configuration, clock = program.configuration, program.clock
    store = ProfileStore({evse.id: evse.layout.phases for evse in evses.values()})
    profiles = Profiles(store, database, settings, clock)
    await profiles.load()
    grid = configuration.grid
    site, source = program.site, None
    if grid is not None:
        source = site.grid_source(grid.source).open(clock, House(grid.phases, site.buses))
    powered_up = program.boot_reason is BootReason.POWER_UP
    return LoadManagement(
        Controller(
            clock,
            profiles.store,
            _connection(grid) if grid is not None else None,
            station_limit_a=selected_a(site.back_plate.seen.selector),
            policy=Policy(grid.sharing) if grid is not None else Policy.FAIR,
        ),
        evses,
        clock,
        profiles=profiles,
        around=Influences(
            source,
            orders=grid_orders,
            tariff=TariffSteering(settings, clock),
            temperatures=configuration.protection.temperatures,
            restart_delay_max_s=grid.restart_delay_max_s if grid is not None and powered_up else 0.0,
        ),
    )


def _tariff_period(load: LoadManagement) -> str | None:
    """The tariff period that the grid meter tells."""
    sample = load.controller.last_sample
    return sample.tariff_period if sample is not None else None


def _mqtt(config: MqttConfig, who: StationConfig, life: Life) -> Mqtt:
    from station.integrations.home_assistant import Shown  # a station without a broker does not pay for it
    from station.integrations.mqtt import Mqtt

    layouts = [evse.layout for evse in life.station.evses.values()]
    shown = Shown(
        who.identity,
        who.vendor,
        who.model,
        who.serial_number,
        life.firmware.version or who.firmware_version,
        [layout.id for layout in layouts],
        max(layout.max_current_a for layout in layouts),
    )
    return Mqtt(config, shown, life)


def _announcement(program: Program, version: str) -> Announcement:
    return Announcement(program.configuration, program.web.port, version, program.clock)


def _connection(grid: GridConfig) -> Connection:
    return Connection(
        grid.phases,
        grid.safe_current_a,
        grid.max_current_a,
        breaker=grid.breaker,
        unbalance_a=grid.unbalance_a,
        silent_least_after_s=grid.silent_least_after_s,
        silent_pause_after_s=grid.silent_pause_after_s or None,
    )


async def _describe(life: Life, program: Program, database: Database) -> None:
    """The device model, with the values that the installation file puts in place of defaults."""
    from ocpp_handlers import timestamps
    from ocpp_handlers.bounds import bound_variables
    from ocpp_handlers.certificate_variables import certificate_variables
    from ocpp_handlers.device_model import AttributeType, Mutability, Place
    from ocpp_handlers.installed_variables import InstalledVariables, Row
    from ocpp_handlers.link_variables import link_variables
    from ocpp_handlers.physical_variables import Nameplate
    from ocpp_handlers.variables import Facts, device_model

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
    from ocpp_handlers.boot import Identification
    from ocpp_handlers.connection import Access
    from ocpp_handlers.device_model import DeviceModel
    from ocpp_handlers.stack import OcppStack, StackSetup

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


async def _prune(
    outbox: Outbox, log: TransactionLog, tokens: TokenStore, time: TimeKeeper, settings: Settings, clock: Clock
) -> None:
    """Keep the record, the log of transactions and the authorization cache within their bounds, once a day."""
    while True:
        await clock.sleep(86_400.0)
        await tokens.purge()
        await outbox.prune(settings.recorded_events_limit)
        if time.status is not TimeStatus.UNKNOWN:  # a clock that is years ahead must not empty the log
            await log.prune(clock.now() - timedelta(days=settings.recorded_transactions_days))


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
