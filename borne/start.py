"""`borne run`: its arguments, and the start of a station."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration


def run(arguments: Sequence[str]) -> None:
    """Run the station until SIGINT or SIGTERM; exit with 2 if arguments, installation file or storage are rejected."""
    given = _parser().parse_args(arguments)
    config: Path = given.config
    from station.core.local_time import named_zone
    from station.maintenance.logs import setup as logging_setup

    configuration = loaded(config)
    from station.storage.storage_lock import StorageLock, StorageLockError

    try:  # first: a second process must use neither the log file nor the light of the first
        lock = StorageLock(Path(configuration.station.storage))
    except StorageLockError as error:
        refuse(f"{config}: station.storage: {error}")
    try:
        logging_setup.setup(configuration.log, time_zone=named_zone(configuration.station.time_zone))
    except OSError as error:
        refuse(f"{config}: log.file: cannot be opened: {error.strerror}")
    from station.core.light_patterns import STARTING
    from station.devices.leds import show_on_all

    show_on_all(configuration.light, STARTING)  # before the remaining modules are loaded, which takes a while
    from borne.composition import station as app

    try:
        app.run(configuration, http_port=given.http_port, ready_file=given.ready_file, lock=lock)
    except app.StartError as error:
        refuse(f"{config}: {error}")


def loaded(file: Path) -> Configuration:
    """Load the installation file, overridden by the BORNE_ variables; exit with 2 if it is invalid."""
    from station.configuration.installation_file import ConfigurationError, load_configuration

    try:
        return load_configuration(file, os.environ)
    except ConfigurationError as error:
        refuse("\n".join(error.sentences))


def refuse(sentence: str) -> NoReturn:
    """Write a sentence to stderr, and exit with 2."""
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("borne run", description="Run the station until it is stopped.")
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="The installation file.")
    parser.add_argument(
        "--http-port", metavar="PORT", type=port, help="TCP port instead of http.port, up to 65535; 0: any free port."
    )
    parser.add_argument("--ready-file", metavar="PATH", type=Path, help="File to write once the station is running.")
    return parser


def port(text: str) -> int:
    """Parse a TCP port number of the command line.

    Raises:
        ArgumentTypeError: it is out of range.
    """
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535 (is {number})")
    return number
