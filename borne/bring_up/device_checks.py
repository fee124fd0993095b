"""The checks of all devices that an installation file names: how each is opened and asked; no output is set."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from borne.bring_up.blocking_work import run_in_daemon_thread
from borne.bring_up.board_checks import board_checks
from borne.bring_up.device_answers import Answer, DeviceCheck
from borne.bring_up.device_holder import process_holding
from borne.bring_up.shown_values import shown_values
from energy.sources.dry_contact import DryContactConfig
from energy.sources.grid_source_table import GridSourceTable
from energy.sources.modbus import GridModbusConfig
from energy.sources.source_context import SourceContext
from foundation.device_table import DeviceTable, ResourceKind
from metering.drivers.modbus import ModbusRtuMeterConfig, ModbusRtuOverTcpMeterConfig, ModbusTcpMeterConfig
from metering.meter import IdentifiedMeter, MeterError
from station.configuration.missing_packages import missing_package_error
from station.core.hardware.board_table import BoardTable
from station.core.installation_file.document import dotted
from station.core.installation_file.secc_tables import ExternalSeccConfig
from station.devices.display_config import CharacterLcdConfig, FileDisplayConfig
from station.devices.leds import SysfsLightConfig
from station.devices.reader_table import ReaderTable
from station.devices.simulated_config import SimulatedReaderConfig
from station.devices.updater_config import CommandUpdaterConfig

if TYPE_CHECKING:
    from energy.sources.grid_source_config import GridSourceConfig
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from station.configuration.installation_file import Configuration
    from station.devices.device_config import ReaderConfig

ModbusMeterTable = ModbusTcpMeterConfig | ModbusRtuMeterConfig | ModbusRtuOverTcpMeterConfig
_TCP_TIMEOUT_S: Final = 10.0
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}


def device_checks(configuration: Configuration, clock: Clock, buses: BusRegistry) -> list[DeviceCheck]:
    """The check of each device, of the data folder, and of what the station needs of the network."""
    checks = [_storage_check(configuration), *_device_table_checks(configuration, clock, buses)]
    if isinstance(configuration.light, SysfsLightConfig):
        for number, path in enumerate(configuration.light.paths):
            checks.append(_blocking_check(f"light.paths[{number}]", f"LED {path}", lambda path=path: _led(path)))
    checks += _network_checks(configuration)
    if isinstance(configuration.firmware, CommandUpdaterConfig):
        checks.append(_updater_check(configuration.firmware.install_command[0]))
    return checks


def _device_table_checks(configuration: Configuration, clock: Clock, buses: BusRegistry) -> Iterator[DeviceCheck]:
    for table, device in configuration.devices:
        key = dotted(table)
        if device.simulated_key is not None:
            yield DeviceCheck(key, "simulated", _simulated, held_by_station=False)
        elif (missing := missing_package_error(device)) is not None:
            yield _refused_check(key, type(device).__name__, missing)
        elif isinstance(device, BoardTable):
            yield from board_checks(configuration, clock, buses)
        else:
            yield _device_check(key, device, configuration, clock, buses)


async def _simulated() -> Answer:
    return {"simulated": "nothing to open"}


def _refused_check(key: str, device: str, reason: str) -> DeviceCheck:
    async def refuse() -> Answer:
        raise ValueError(reason)

    return DeviceCheck(key, device, refuse, held_by_station=False)


def _device_check(
    key: str, device: DeviceTable, configuration: Configuration, clock: Clock, buses: BusRegistry
) -> DeviceCheck:
    match device:
        case ModbusTcpMeterConfig() | ModbusRtuMeterConfig() | ModbusRtuOverTcpMeterConfig():
            return meter_check(key, device, clock, buses)
        case GridModbusConfig():
            return meter_check(f"{key}.meter", device.meter, clock, buses)
        case GridSourceTable():
            return _grid_check(key, configuration, clock, buses)
        case ReaderTable():
            return _reader_check(key, configuration.reader[int(key.partition("[")[2].rstrip("]"))], clock)
        case DryContactConfig():
            contacts = f"contacts on {device.chip}"
            return _blocking_check(key, contacts, lambda: _dry_contacts(device))
        case CharacterLcdConfig():
            lcd = f"display {device.address:#04x} on {device.device}"
            return _blocking_check(key, lcd, lambda: _i2c_device(device))
        case FileDisplayConfig():
            return _blocking_check(key, f"display file {device.path}", lambda: _writable(device.path.parent))
        case ExternalSeccConfig():
            return _blocking_check(key, f"SECC at {device.socket}", lambda: _unix_socket(device.socket))
        case _:
            return _blocking_check(key, type(device).__name__, lambda: _resources(device))


def _blocking_check(key: str, device: str, ask: Callable[[], Answer], *, held_by_station: bool = True) -> DeviceCheck:
    return DeviceCheck(key, device, lambda: run_in_daemon_thread(ask), held_by_station)


def _resources(device: DeviceTable) -> Answer:
    """Look for the files of a kind of device that has no check of its own."""
    paths = [str(resource.name[0]) for resource in device.resources if resource.kind is not ResourceKind.MODBUS_UNIT]
    for path in paths:
        os.stat(path)
    return {"files": ", ".join(paths)}


# Meters


def meter_check(key: str, table: ModbusMeterTable, clock: Clock, buses: BusRegistry) -> DeviceCheck:
    """The check of a Modbus meter: reads its values and its serial number."""
    endpoint, unit = table.endpoint, table.unit_in_use

    async def ask() -> Answer:
        _require_free_line(table)
        meter = table.open(clock, buses)
        try:
            reading = await meter.read()
            answer = {"model": table.table.name, "values": shown_values(reading)}
            if isinstance(meter, IdentifiedMeter):
                answer["serial number"] = await _serial_number(meter)
        finally:
            await meter.close()
        return answer | {"line": endpoint.settings}

    return DeviceCheck(key, f"{table.model} unit {unit} on {endpoint.address}", ask)


async def _serial_number(meter: IdentifiedMeter) -> str:
    try:
        return (await meter.identity()).serial_number
    except MeterError as error:
        return f"not reported ({error})"


def _require_free_line(device: DeviceTable) -> None:
    """Refuse a serial line that another process has open.

    Raises:
        OSError: it is in use.
    """
    for resource in device.resources:
        if resource.kind is ResourceKind.SERIAL_DEVICE:
            path = str(resource.name[0])
            if (holder := process_holding(path)) is not None:
                raise OSError(f"{path} is in use by {holder}")


def _grid_check(key: str, configuration: Configuration, clock: Clock, buses: BusRegistry) -> DeviceCheck:
    grid = configuration.grid
    assert grid is not None
    source: GridSourceConfig = grid.source

    async def ask() -> Answer:
        _require_free_line(source)
        samples = source.open(clock, SourceContext(grid.phases, buses)).samples()
        try:
            return {"values": shown_values(await anext(samples))}
        finally:
            if isinstance(samples, AsyncGenerator):  # as those of all sources are: closes the device at once
                await samples.aclose()

    place = getattr(source, "device", None) or getattr(source, "path", "")
    return DeviceCheck(key, f"{source.type} on {place}", ask)


def _dry_contacts(config: DryContactConfig) -> Answer:
    from energy.sources.gpio_contacts import GpioContacts  # late: gpiod

    lines = (config.line,) if config.opposite_line is None else (config.line, config.opposite_line)
    port = GpioContacts(Path(config.chip), lines)
    try:
        states = port.read()
    finally:
        port.close()
    words = ("closed" if closed else "open" for closed in states)
    return {f"line {line}": word for line, word in zip(lines, words, strict=True)}


# Readers and displays


def _reader_check(key: str, config: ReaderConfig, clock: Clock) -> DeviceCheck:
    device = getattr(config, "device", "")

    async def ask() -> Answer:
        _require_free_line(config)
        assert not isinstance(config, SimulatedReaderConfig)  # its check is another
        reads = config.open(clock).reads()
        async with contextlib.aclosing(reads):
            await anext(reads)
        baud = getattr(config, "baud", None)
        return {"open": f"{baud} baud" if baud is not None else "as input device"}

    return DeviceCheck(key, f"{config.type} reader on {device}", ask)


def _i2c_device(config: CharacterLcdConfig) -> Answer:
    from smbus2 import SMBus  # late: for those who have such a display

    with SMBus(str(config.device)) as bus:
        bus.read_byte(config.address)
    return {"expander": f"{config.expander} acknowledges"}


def _led(path: Path) -> Answer:
    order = (path / "multi_index").read_text(encoding="ascii").split()
    maximum = (path / "max_brightness").read_text(encoding="ascii").strip()
    for name in ("trigger", "multi_intensity", "brightness"):
        if not os.access(path / name, os.W_OK):
            raise PermissionError(f"{path / name} cannot be written")
    return {"colours": " ".join(order), "maximum": maximum}


# Storage and network


def _storage_check(configuration: Configuration) -> DeviceCheck:
    folder = Path(configuration.station.storage)
    return _blocking_check("station.storage", f"data folder {folder}", lambda: _writable(folder), held_by_station=False)


def _writable(folder: Path) -> Answer:
    """Write a file of a few bytes; a folder that is missing is one that its parent lets us make."""
    present = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    with tempfile.TemporaryFile(dir=present) as file:
        file.write(b"borne")
        file.flush()
        os.fsync(file.fileno())
    free_mb = shutil.disk_usage(present).free // 1_000_000
    return {"writable": "yes" if present == folder else "will be created", "free": f"{free_mb} MB"}


def _network_checks(configuration: Configuration) -> Iterator[DeviceCheck]:
    http = configuration.http
    yield _blocking_check("http.port", f"page at {http.host}:{http.port}", lambda: _port_free(http.host, http.port))
    if configuration.csms is not None:
        csms = configuration.csms
        files = {"ca_file": csms.ca_file, "certificate_file": csms.certificate_file, "key_file": csms.key_file}
        for name, file in files.items():
            if file is not None:
                yield _blocking_check(
                    f"csms.{name}", f"file {file}", lambda file=file: _readable(Path(file)), held_by_station=False
                )
        parts = urlsplit(configuration.csms.url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme.lower(), 443)
        yield _tcp_check("csms.url", f"CSMS at {host}:{port}", host, port)
    if configuration.mqtt is not None:
        broker = configuration.mqtt
        yield _tcp_check("mqtt.host", f"broker at {broker.host}:{broker.port}", broker.host, broker.port)


def _readable(file: Path) -> Answer:
    with file.open("rb") as opened:
        opened.read(1)
        return {"size": f"{os.fstat(opened.fileno()).st_size} B"}


def _updater_check(command: str) -> DeviceCheck:
    return _blocking_check(
        "firmware.install_command", f"program {command}", lambda: _executable(command), held_by_station=False
    )


def _executable(command: str) -> Answer:
    found = shutil.which(command)
    if found is None:
        raise FileNotFoundError(f"{command}: there is no such program")
    return {"program": found}


def _tcp_check(key: str, device: str, host: str, port: int) -> DeviceCheck:
    return _blocking_check(key, device, lambda: _connect(host, port), held_by_station=False)


def _connect(host: str, port: int) -> Answer:
    with socket.create_connection((host, port), timeout=_TCP_TIMEOUT_S) as connection:
        return {"connected to": str(connection.getpeername()[0])}


def _port_free(host: str, port: int) -> Answer:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    return {"port": "free"}


def _unix_socket(path: str) -> Answer:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TCP_TIMEOUT_S)
        connection.connect(path)
    return {"socket": "accepts a connection"}
