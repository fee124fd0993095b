"""`borne init`: writes an installation file, from options or from answers on a terminal."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from borne.arguments import SERVICE_FILE, Action
from borne.output import refuse, say
from station.configuration.installation_choices import (
    BOARDS,
    GRIDS,
    LANGUAGES,
    MAX_EVSES,
    METERS,
    SERVICE_STORAGE,
    STATION_IMAGE,
    InstallationChoices,
    chosen_values,
)
from station.configuration.installation_example import installation_example
from station.configuration.short_installation_example import short_installation_example

T = TypeVar("T")

_OPTIONS: Final = ("board", "grid", "meter", "evses", "languages")
"""options that are asked for on a terminal if none of them is given"""
_DEFAULTS: Final = InstallationChoices()


def init(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne init`: write an installation file, by default to stdout; returns the exit code.

    With an option for a part of the station, or after answers on a terminal, the file has those parts in force.
    """
    _add_options(parser)
    given = parser.parse_intermixed_args(arguments)
    file: Path | None = given.file
    if file is not None and file.exists() and not given.force:
        _refuse_existing(file)
    choices = _given_choices(given)
    if choices is None and sys.stdin.isatty() and sys.stdout.isatty():
        choices = _ask_choices()
    values = dict(chosen_values(choices)) if choices is not None else {}
    if given.image:
        values |= STATION_IMAGE
    if storage := given.storage or (SERVICE_STORAGE if file == SERVICE_FILE else None):
        values["station"] = {"storage": storage}
    example = short_installation_example(values) if given.short else installation_example(values)
    if file is None:
        say(example, end="")
        return 0
    try:
        with file.open("w" if given.force else "x", encoding="utf-8") as target:
            target.write(example)
    except FileExistsError:
        _refuse_existing(file)
    except OSError as error:
        refuse(f"{file}: cannot be written: {error.strerror}")
    if choices is not None:
        say(f"{file}: written; adapt devices and lines to the station, then run: borne check {file}")
    return 0


def _refuse_existing(file: Path) -> None:
    refuse(f"{file}: already exists; use --force to overwrite it")


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="Default: standard output.")
    parser.add_argument("--force", action="store_true", help="Overwrite the file.")
    parser.add_argument("--short", action="store_true", help="Only what is in force, without the explanations.")
    parser.add_argument(
        "--image",
        action="store_true",
        help="For a station image: its updates, its storage, a page for the network.",
    )
    parser.add_argument(
        "--storage",
        metavar="DIRECTORY",
        help=f"Directory of the records. For {SERVICE_FILE}, the default is {SERVICE_STORAGE}.",
    )
    parser.add_argument("--board", choices=BOARDS, help=f"Kind of board. [default: {_DEFAULTS.board}]")
    parser.add_argument(
        "--grid", choices=GRIDS, help=f"How the current of the house is measured. [default: {_DEFAULTS.grid}]"
    )
    parser.add_argument(
        "--meter",
        metavar="MODEL",
        choices=METERS,
        help=f"Model of the billing meter of each EVSE. [default: {_DEFAULTS.meter}]",
    )
    parser.add_argument(
        "--evses",
        metavar="N",
        type=_evse_count,
        help=f"Number of EVSEs, up to {MAX_EVSES}. [default: {_DEFAULTS.evses}]",
    )
    parser.add_argument(
        "--language",
        dest="languages",
        action="append",
        choices=LANGUAGES,
        help=f"Language of the display; may be repeated. [default: {_DEFAULTS.languages[0]}]",
    )


def _evse_count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= MAX_EVSES:
        raise ArgumentTypeError(f"must be 1 to {MAX_EVSES} (is {text})")
    return count


def _given_choices(given: Namespace) -> InstallationChoices | None:
    """The choices that the options make; None if none of them is given."""
    named = {name: value for name in _OPTIONS if (value := getattr(given, name)) is not None}
    if not named:
        return None
    if "languages" in named:
        named["languages"] = tuple(dict.fromkeys(given.languages))
    return InstallationChoices(**named)


def _ask_choices() -> InstallationChoices:
    """Ask for each choice on the terminal; Enter takes the default.

    Raises:
        KeyboardInterrupt: the input has ended.
    """
    say("The parts of the station; Enter takes the value in brackets.")
    return InstallationChoices(
        board=_ask("Kind of board", BOARDS, _DEFAULTS.board),
        grid=_ask("Meter of the house", GRIDS, _DEFAULTS.grid),
        meter=_ask("Model of the billing meters", METERS, _DEFAULTS.meter),
        evses=_ask_parsed(f"Number of EVSEs (1 to {MAX_EVSES})", _evse_count, _DEFAULTS.evses),
        languages=(_ask("Language of the display", LANGUAGES, _DEFAULTS.languages[0]),),
    )


def _ask(question: str, allowed: Sequence[T], default: T) -> T:
    """Ask for one of a few values."""
    by_name = {str(value): value for value in allowed}

    def parse(text: str) -> T:
        if text not in by_name:
            raise ArgumentTypeError(f"must be one of {', '.join(by_name)} (is {text})")
        return by_name[text]

    return _ask_parsed(f"{question}: {', '.join(by_name)}", parse, default)


def _ask_parsed(question: str, parse: Callable[[str], T], default: T) -> T:
    """Ask until the answer is valid."""
    while True:
        say(f"{question} [{default}]: ", end="")
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        if not (text := line.strip()):
            return default
        try:
            return parse(text)
        except ArgumentTypeError as error:
            say(f"  {error}")


COMMANDS: Final[Mapping[str, Action]] = {"init": init}
