"""The argument INSTALLATION: the file of an installed station, loaded as the service of the station loads it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

from borne.output import refuse
from borne.support.installed_station import DEFAULT_INSTALLATION, load_installed
from station.configuration.installation_file import ConfigurationError

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration


def add_installation(parser: ArgumentParser) -> None:
    """Add the argument, by default the file of the service."""
    parser.add_argument(
        "installation",
        metavar="INSTALLATION",
        type=Path,
        nargs="?",
        default=DEFAULT_INSTALLATION,
        help=f"The installation file of the station. [default: {DEFAULT_INSTALLATION}]",
    )


def load_or_refuse(installation: Path) -> Configuration:
    """Load the file with the environment of its service; if it is invalid, print why and exit with 2."""
    try:
        return load_installed(installation)
    except ConfigurationError as error:
        refuse("\n".join(error.sentences))
