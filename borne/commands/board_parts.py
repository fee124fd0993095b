"""`borne board light`, `reader`, `meter` and `report`: the devices beside the board, and the report of all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne.bring_up.device_answers import DEFAULT_WITHIN_S, DeviceAnswer, ask_devices
from borne.bring_up.device_checks import device_checks
from borne.bring_up.support_report import support_report
from borne.commands.board_options import add_config, add_seconds, run, stopped_station
from borne.output import refuse, say
from foundation.clock import SystemClock
from foundation.expected_error import ExpectedError
from foundation.json_values import object_of
from metering.drivers.bus_registry import BusRegistry
from station.configuration.installation_file import load_document
from station.core.hardware.token_reader import UnusableUidError, id_token_from_uid
from station.core.light_patterns import STOPPED, Colour, Light, LightReason, Pattern
from station.devices.leds import LightError
from station.devices.simulated_config import SimulatedReaderConfig

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration
    from station.devices.device_config import ReaderConfig

_WATCH_S: Final = 0.2
_LONGEST_OUTPUT_S: Final = 60.0


def light(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board light`: show colours on every LED, one after the other; then what a stopped station shows."""
    parser.add_argument(
        "colours",
        metavar="COLOUR",
        nargs="*",
        help=f"Colours to show. [default: all: {', '.join(Colour)}]",
    )
    add_config(parser)
    add_seconds(parser, 2.0, "Time of each colour")
    parser.add_argument("--blink", action="store_true", help="Let the LEDs blink.")
    given = parser.parse_intermixed_args(arguments)
    if unknown := [name for name in given.colours if name not in set(Colour)]:
        refuse(f"COLOUR: must be one of {', '.join(Colour)} (is {unknown[0]})")
    with stopped_station(given.config) as configuration:
        if not configuration.light.open():
            refuse(f'light.type is "{configuration.light.type}": there is no LED')
        colours = [Colour(name) for name in given.colours] or list(Colour)
        pattern = Pattern.BLINKING if given.blink else Pattern.STEADY
        lights = [Light(colour, pattern, LightReason.SELF_TEST) for colour in colours]
        return run(lambda: _show_lights(configuration, lights, given.seconds))


async def _show_lights(configuration: Configuration, lights: Sequence[Light], seconds: float) -> int:
    leds, clock = configuration.light.open(), SystemClock()
    try:
        for light in lights:
            say(f"{light.colour}, {light.pattern}")
            for led in leds:
                await led.show(light)
            await clock.sleep(seconds)
    finally:
        for led in leds:
            with contextlib.suppress(LightError):
                led.show_blocking(STOPPED)
    return 0


def reader(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board reader`: print the UID of each card presented; exit 0 if there was one, else 1."""
    add_config(parser)
    add_seconds(parser, 30.0, "Time to wait for cards")
    given = parser.parse_args(arguments)
    with stopped_station(given.config) as configuration:
        readers = [
            (position, table)
            for position, table in enumerate(configuration.reader)
            if not isinstance(table, SimulatedReaderConfig)
        ]
        if not readers:
            refuse("the installation file has no [[reader]] that is not simulated")
        return run(lambda: _read_cards(readers, given.seconds))


async def _read_cards(readers: Sequence[tuple[int, ReaderConfig]], seconds: float) -> int:
    clock, cards = SystemClock(), list[str]()

    async def read(position: int, table: ReaderConfig) -> None:
        assert not isinstance(table, SimulatedReaderConfig)
        reads: AsyncIterator[str | None] = table.open(clock).reads()
        try:
            async for digits in reads:
                if digits is None:
                    say(f"reader[{position}]: open; present a card")
                else:
                    cards.append(digits)
                    say(f"reader[{position}]: {_described_card(digits, reversed_bytes=table.reversed_bytes)}")
        except ExpectedError as error:
            say(f"reader[{position}]: FAILED: {error}")

    with contextlib.suppress(TimeoutError):
        async with clock.timeout(seconds), asyncio.TaskGroup() as group:
            for position, table in readers:
                group.create_task(read(position, table))
    return 0 if cards else 1


def _described_card(digits: str, *, reversed_bytes: bool) -> str:
    try:
        token = id_token_from_uid(digits, reversed_bytes=reversed_bytes)
    except UnusableUidError as error:
        return f"UID {digits}: not usable: {error}"
    return f"UID {token.value}, {token.type}"


def meter(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board meter`: read each meter once; exit 0 if all answer, else 1."""
    add_config(parser)
    given = parser.parse_args(arguments)
    with stopped_station(given.config) as configuration:
        answers = _answers(configuration, only=lambda key: key.endswith("meter") or key.startswith("grid"))
    for answer in answers:
        result = answer.reason or ", ".join(f"{name} {text}" for name, text in answer.answer.items())
        say(f"{answer.key}: {answer.device}: {result}")
    return 0 if all(answer.reason is None for answer in answers) else 1


def _answers(configuration: Configuration, only: Callable[[str], bool]) -> Sequence[DeviceAnswer]:
    clock = SystemClock()
    checks = [check for check in device_checks(configuration, clock, BusRegistry()) if only(check.key)]
    return asyncio.run(ask_devices(checks, clock, DEFAULT_WITHIN_S, None))


# Report


def report(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne board report`: write a file for the support, with what each device answers and without secrets."""
    parser.add_argument("file", metavar="REPORT", type=Path, help="The file to write, as JSON.")
    add_config(parser)
    parser.add_argument("--force", action="store_true", help="Overwrite the file.")
    given = parser.parse_intermixed_args(arguments)
    file: Path = given.file
    if file.exists() and not given.force:
        refuse(f"{file}: already exists; use --force to overwrite it")
    with stopped_station(given.config) as configuration:
        answers = _answers(configuration, only=lambda _: True)
    tree = object_of(load_document(given.config, os.environ).tree)
    content = support_report(configuration, tree, answers, SystemClock().now())
    text = json.dumps(content, indent=2, ensure_ascii=False)
    try:
        with file.open("w" if given.force else "x", encoding="utf-8") as target:
            target.write(f"{text}\n")
    except OSError as error:
        refuse(f"{file}: cannot be written: {error.strerror}")
    failed = sum(answer.reason is not None for answer in answers)
    say(f"{file}: written; {len(answers) - failed} of {len(answers)} devices answered")
    return 0
