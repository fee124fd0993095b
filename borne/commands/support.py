"""Commands that show the state and the log of the station on this machine."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import ArgumentParser
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Final

from msgspec import json
from rich.console import Console
from rich.text import Text

from borne.arguments import Action
from borne.commands.installed_argument import add_installation, load_or_refuse
from borne.output import refuse, say
from borne.support.local_api import LocalApi, api_url
from borne.support.log_lines import LEVELS, LogFilter, LogLine, format_line, parse_since
from borne.support.log_sources import SOURCES, LogSource, LogSourceError, find_source
from borne.support.station_status import find_process, read_station_status
from borne.support.status_screen import status_screen
from foundation.clock import SystemClock
from simulator.api_client import TOKEN_VARIABLE
from station.core.local_time import named_zone

_LINES: Final = 200
_LEVEL_STYLES: Final = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}


def status(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne status`: print the state of the station on this machine; returns a `StatusExit`."""
    add_installation(parser)
    parser.add_argument("--json", action="store_true", help="Print JSON, with documented keys.")
    parser.add_argument(
        "--url", metavar="URL", help="Address of the station's local API. [default: from the installation file]"
    )
    parser.add_argument(
        "--token",
        help=f"Access token to sign in with; on the station's own machine none is needed. [default: {TOKEN_VARIABLE}]",
    )
    given = parser.parse_intermixed_args(arguments)
    configuration = load_or_refuse(given.installation)
    process = find_process(configuration)
    port = process.http_port if process is not None else None
    api = LocalApi(
        given.url or api_url(configuration.http, port), given.token or os.environ.get(TOKEN_VARIABLE) or None
    )
    found = read_station_status(configuration, given.installation, api, process)
    if given.json:
        say(json.format(json.encode(found), indent=1).decode())
    else:
        Console(highlight=False).print(status_screen(found))
    return found.exit_status


def logs(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne logs`: print the log of the station on this machine; returns the exit code."""
    add_installation(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="Then print new lines, until Ctrl-C.")
    parser.add_argument(
        "--since", metavar="TIME", help="Lines from this time on: 30m, 2h, 3d, or a date with or without time."
    )
    parser.add_argument("--level", choices=LEVELS, default="debug", help="The lowest level. [default: %(default)s]")
    parser.add_argument(
        "--category",
        metavar="NAME",
        action="append",
        default=[],
        help="Lines of this category and those below it, such as station.charging; may be repeated.",
    )
    parser.add_argument(
        "-n",
        "--lines",
        metavar="NUMBER",
        type=int,
        help=f"The newest lines. [default: {_LINES}; with --since all]",
    )
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default="auto",
        help="Where to read: the journal of systemd, the file of [log], or the log in the storage."
        " [default: the first that there is]",
    )
    given = parser.parse_intermixed_args(arguments)
    configuration = load_or_refuse(given.installation)
    time_zone = named_zone(configuration.station.time_zone) if configuration.station.time_zone else UTC
    try:
        since = parse_since(given.since, SystemClock().now(), time_zone) if given.since else None
    except (ValueError, OverflowError):
        refuse(f"--since: must be a duration such as 2h, or a date such as 2026-03-01 12:00 (is {given.since})")
    log_filter = LogFilter(since, given.level, tuple(given.category))
    count = given.lines if given.lines is not None else None if since is not None else _LINES
    try:
        source = find_source(given.source, configuration, given.installation)
        with contextlib.closing(source):
            return _print_log(source, log_filter, count, _printer(time_zone), follow=given.follow)
    except LogSourceError as error:
        refuse(str(error))
    except KeyboardInterrupt:
        return 0


def _print_log(
    source: LogSource, log_filter: LogFilter, count: int | None, show: Callable[[LogLine], None], *, follow: bool
) -> int:
    _print_newest((line for line in source.read(log_filter.since) if log_filter.matches(line)), count, show)
    if follow:
        sys.stderr.write(f"following {source.name}\n")
        for line in source.follow():
            if log_filter.matches(line):
                show(line)
    return 0


def _print_newest(lines: Iterable[LogLine], count: int | None, show: Callable[[LogLine], None]) -> None:
    for line in lines if count is None else deque(lines, maxlen=max(count, 0)):
        show(line)


def _printer(time_zone: tzinfo) -> Callable[[LogLine], None]:
    """Returns what prints a line: with colours on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    coloured = console.is_terminal and not console.no_color

    def show(line: LogLine) -> None:
        for text in format_line(line, time_zone):
            if coloured:
                console.print(Text(text, _LEVEL_STYLES.get(line.level, "")))
            else:
                say(text)

    return show


COMMANDS: Final[Mapping[str, Action]] = {"status": status, "logs": logs}
