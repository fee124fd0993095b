"""What the commands of `borne board` share: their options, the stopped station, and the end by a signal."""

from __future__ import annotations

import contextlib
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne import start
from borne.arguments import SERVICE_FILE
from borne.bring_up.interruption import run_until_signal
from borne.bring_up.stopped_station import lock_out_station
from borne.commands.installed_argument import load_or_refuse
from borne.output import refuse
from foundation.expected_error import ExpectedError
from station.configuration.missing_packages import missing_package_errors
from station.storage.storage_lock import StorageLockError

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration

_LONGEST_OUTPUT_S: Final = 60.0


def add_config(parser: ArgumentParser) -> None:
    """Add the option --config, the installation file; that of the service by default."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=SERVICE_FILE,
        help="The installation file. [default: %(default)s]",
    )


def add_seconds(parser: ArgumentParser, default: float, meaning: str) -> None:
    """Add the option --seconds; `meaning`: what lasts so long."""
    parser.add_argument(
        "--seconds",
        metavar="SECONDS",
        type=_output_seconds,
        default=default,
        help=f"{meaning}, up to {_LONGEST_OUTPUT_S:g}. [default: %(default)g]",
    )


def _output_seconds(text: str) -> float:
    seconds = float(text)
    if not 0.0 < seconds <= _LONGEST_OUTPUT_S:
        raise ArgumentTypeError(f"must be greater than 0, and at most {_LONGEST_OUTPUT_S:g} (is {text})")
    return seconds


def add_evse(parser: ArgumentParser) -> None:
    """Add the option --evse, the number of an EVSE."""
    parser.add_argument("--evse", metavar="N", type=int, default=1, help="The EVSE. [default: %(default)s]")


@contextlib.contextmanager
def stopped_station(file: Path) -> Generator[Configuration]:
    """Load the installation file, and keep its station from running in the block; exit with 2 if it runs."""
    configuration = load_or_refuse(file)
    start.require_packages(missing_package_errors(configuration), file)
    with contextlib.ExitStack() as held:
        try:
            station = lock_out_station(Path(configuration.station.storage), held)
        except StorageLockError as error:
            refuse(f"{file}: station.storage: {error}; run this as the user of the station")
        if station is not None:
            refuse(f"a station runs with this board ({station}); stop it first: systemctl stop borne")
        yield configuration


def run(work: Callable[[], Awaitable[int]]) -> int:
    """Run work until a signal; returns its exit code, 1 if a device has failed."""
    try:
        return run_until_signal(work)
    except ExpectedError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:
        raise
    except OSError:  # the terminal is gone
        return 1
