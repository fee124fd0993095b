"""`borne life`: plays days of a station, with everything that can go wrong, and checks it throughout."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from typing import Final

from borne.arguments import Action, http_url
from borne.life.life_plan import LifeFailedError, LifeFigures, LifePlan
from borne.life.played_days import play
from borne.output import refuse, say
from simulator.scenarios.under_test import CsmsError
from station.core.identifiers import check_identifier, check_password, check_url

_MOST_DAYS: Final = 100_000
_MOST_HOURS: Final = 24.0
_LEAST_HOURS: Final = 0.1
_LONGEST_IDENTITY: Final = 48


def life(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne life`; returns the exit code: 0 if everything held, else 1."""
    _add_arguments(parser)
    given = parser.parse_args(arguments)
    if given.csms_api is not None and given.csms is None:
        refuse("--csms-api: needs --csms")
    if given.csms is not None:
        try:
            check_url(given.csms)
        except ValueError as error:
            refuse(f"--csms: {error}")
    for option, value, check in (
        ("identity", given.identity, _check_identity),
        ("password", given.password, _check_password),
    ):
        try:
            check(value)
        except ValueError as error:
            refuse(f"--{option}: {error}")
    plan = LifePlan(
        given.days,
        given.seed,
        given.linky,
        given.hours,
        given.identity,
        given.csms,
        given.csms_api,
        given.password,
    )
    try:
        figures = play(plan, _show_day if sys.stderr.isatty() else lambda _: None)
    except CsmsError as error:
        refuse(str(error))
    except LifeFailedError as error:
        say(str(error))
        return 1
    say(_summary(figures))
    return 0


def _add_arguments(parser: ArgumentParser) -> None:
    defaults = LifePlan(30)
    parser.add_argument(
        "--days", metavar="N", type=_parse_days, default=defaults.days, help="Days to play. [default: %(default)s]"
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="The same seed gives the same days. [default: %(default)s]"
    )
    parser.add_argument("--linky", action="store_true", help="A house with a Linky, whose current the station shares.")
    parser.add_argument(
        "--hours",
        type=_parse_hours,
        default=defaults.day_hours,
        help="Length of a day, which has as many events if it is shorter. [default: %(default)s]",
    )
    parser.add_argument(
        "--csms",
        metavar="URL",
        help="ws:// or wss:// URL of a CSMS, without identity. Default: one that checks each event.",
    )
    parser.add_argument(
        "--csms-api",
        metavar="URL",
        type=http_url,
        help="HTTP API of an adapter that tells this CSMS what to send, and reads its bills; docs/scenarios.md has it.",
    )
    parser.add_argument("--identity", default=defaults.identity, help="Identity of the station. [default: %(default)s]")
    parser.add_argument("--password", help="Password of the station at the CSMS.")


def _check_identity(text: str) -> None:
    if not 1 <= len(text) <= _LONGEST_IDENTITY:
        raise ValueError(f"must have 1 to {_LONGEST_IDENTITY} characters (has {len(text)})")
    check_identifier(text)


def _check_password(text: str | None) -> None:
    if text is not None:
        check_password(text)


def _summary(figures: LifeFigures) -> str:
    cpu = f"{figures.cpu_s_per_day:.2f} s of CPU for a day"
    if figures.transactions is None:
        return f"{figures.days} days, {cpu}; the bills were not compared: --csms-api is not given"
    kwh = figures.billed_wh / 1000
    return (
        f"{figures.days} days, {figures.transactions} transactions ({figures.unbilled} without a register),"
        f" {kwh:.1f} kWh, {cpu}"
        + (f"; {figures.refused_orders} orders were not accepted by --csms-api" if figures.refused_orders else "")
    )


def _show_day(day: int) -> None:
    """Write over the last line of the terminal."""
    sys.stderr.write(f"\r\x1b[Kday {day}")
    sys.stderr.flush()


def _parse_days(text: str) -> int:
    days = int(text) if text.isdecimal() else 0
    if not 1 <= days <= _MOST_DAYS:
        raise ArgumentTypeError(f"must be 1 to {_MOST_DAYS} (is {text})")
    return days


def _parse_hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not _LEAST_HOURS <= hours <= _MOST_HOURS:
        raise ArgumentTypeError(f"must be {_LEAST_HOURS:g} to {_MOST_HOURS:g} (is {text})")
    return hours


COMMANDS: Final[Mapping[str, Action]] = {"life": life}
