"""`borne meter probe`: finds the meters on a Modbus line or at a host."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from borne.arguments import Action, positive_seconds
from borne.bring_up.device_holder import process_holding
from borne.bring_up.shown_values import shown_values
from borne.output import refuse, say
from foundation.clock import SystemClock
from metering.drivers.endpoints import ModbusEndpoint, serial_endpoint, tcp_endpoint
from metering.drivers.meter_probe import (
    MODBUS_PORT,
    FoundMeter,
    ProbedWire,
    factory_units,
    meter_table,
    probe_wires,
    serial_lines,
)
from metering.drivers.models import MODELS
from metering.meter import MeterError
from station.configuration.example_values import toml_text

_SERIAL_PORTS: Final = ("serial/by-id/*", "ttyUSB*", "ttyACM*", "ttyAMA*", "ttymxc*")
"""names below /dev of serial lines to which a meter may be wired"""
_UNITS: Final = (*factory_units(), *range(2, 11), 255)
_DEFAULT_UNITS: Final = tuple(dict.fromkeys(_UNITS))


def probe(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne meter probe`: print each meter that answers, with the lines for the installation file.

    Returns 0 if a known meter was found, else 1; exits with 2 if a line cannot be opened or is in use.
    """
    parser.add_argument(
        "place",
        metavar="PLACE",
        nargs="?",
        help="A serial line such as /dev/ttyUSB0, or HOST or HOST:PORT. [default: each serial line of this machine]",
    )
    parser.add_argument(
        "--units",
        metavar="LIST",
        type=_parse_units,
        default=_DEFAULT_UNITS,
        help="Modbus units to try, such as 1-247 or 1,5. [default: 1 to 10, 126 and 255]",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive_seconds,
        default=0.3,
        help="Longest wait for each answer. [default: %(default)s]",
    )
    parser.add_argument(
        "--within",
        metavar="SECONDS",
        type=positive_seconds,
        default=180.0,
        help="Longest time of the whole search. [default: %(default)g]",
    )
    given = parser.parse_args(arguments)
    places = [given.place] if given.place is not None else _serial_lines_here()
    if not places:
        refuse("no serial line found; name one, or a host")
    found = [_probe_place(place, given.units, given.timeout, given.within) for place in places]
    return 0 if any(found) else 1


def _parse_units(text: str) -> tuple[int, ...]:
    units: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or not 0 <= int(first) <= int(last or first) <= 255:
            raise ArgumentTypeError(f"must be units from 0 to 255, such as 1-247 or 1,5 (is {text})")
        units += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(units))


def _serial_lines_here() -> list[str]:
    """The serial lines of this machine, each once; a name that stays the same comes first."""
    by_device: dict[str, str] = {}
    for pattern in _SERIAL_PORTS:
        for path in sorted(Path("/dev").glob(pattern)):
            by_device.setdefault(str(path.resolve()), str(path))
    return list(by_device.values())


def _endpoints(place: str) -> list[ModbusEndpoint]:
    """The settings to try at a place.

    Raises:
        ValueError: the port is no number.
    """
    if place.startswith("/"):
        return [serial_endpoint(place, line) for line in serial_lines()]
    host, _, port = place.rpartition(":") if place.count(":") == 1 else (place, "", str(MODBUS_PORT))
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{place}: the port must be 1 to 65535 (is {port})")
    return [tcp_endpoint(host, int(port), rtu=rtu) for rtu in (False, True)]


def _probe_place(place: str, units: Sequence[int], timeout_s: float, within_s: float) -> bool:
    """Search one line or host and print what was found; returns whether there is a meter of a known model."""
    if place.startswith("/") and (holder := process_holding(place)) is not None:
        refuse(f"{place}: is in use by {holder}; stop it first, since two masters disturb each other")
    try:
        endpoints = _endpoints(place)
        wire = asyncio.run(_search(endpoints, units, timeout_s, within_s))
    except (MeterError, ValueError) as error:
        refuse(str(error))
    except TimeoutError:
        say(f"{place}: no meter found within {within_s:g} s; --units and --within change what is tried")
        return False
    finally:
        _show_progress("")
    if wire is None:
        say(f"{place}: no device answers")
        return False
    for meter in wire.meters:
        say("\n".join(_described(place, wire, meter)))
    return any(meter.models for meter in wire.meters)


async def _search(
    endpoints: Sequence[ModbusEndpoint], units: Sequence[int], timeout_s: float, within_s: float
) -> ProbedWire | None:
    clock = SystemClock()
    async with clock.timeout(within_s):
        return await probe_wires(endpoints, units, clock, timeout_s, _show_progress)


def _show_progress(text: str) -> None:
    """Write over the last line of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _described(place: str, wire: ProbedWire, meter: FoundMeter) -> Iterator[str]:
    settings = wire.endpoint.settings
    if not meter.models:
        yield f"# {place}, {settings}, unit {meter.unit}: a device answers, but fits no known model"
        return
    number = f", serial number {meter.serial_number}" if meter.serial_number is not None else ""
    yield f"# {place}, {settings}, unit {meter.unit}: {MODELS[meter.models[0]].name}{number}"
    if meter.reading is not None:
        yield f"# it shows {shown_values(meter.reading)}"
    if len(meter.models) > 1:
        yield f"# with the same registers: {', '.join(meter.models[1:])}"
    if meter.others:
        yield f"# a part of its registers also fits: {', '.join(meter.others)}"
    yield "[evse.meter]"
    table = meter_table(wire.endpoint, meter)
    if place.startswith("/"):
        table["device"] = place  # not what a link leads to: its name may change
    yield from (f"{name} = {toml_text(value)}" for name, value in table.items())


COMMANDS: Final[Mapping[str, Action]] = {"meter probe": probe}
