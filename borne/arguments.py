"""The arguments that several commands of the command line share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Action: TypeAlias = Callable[[argparse.ArgumentParser, Sequence[str]], int]
"""a command: gets its parser, which has no arguments yet, and the words after its name; returns the exit code"""


SERVICE_FILE: Final = Path("/etc/borne/station.toml")
"""the installation file of the service, where none is named"""
_LONGEST_WAIT_S: Final = 3600.0


def positive_seconds(text: str) -> float:
    """Parse a time of the command line, above 0 and at most an hour; the `type` of an option.

    Raises:
        ArgumentTypeError: it is out of range.
        ValueError: it is no number.
    """
    seconds = float(text)
    if not 0.0 < seconds <= _LONGEST_WAIT_S:
        raise argparse.ArgumentTypeError(f"must be greater than 0, and at most {_LONGEST_WAIT_S:g} (is {text})")
    return seconds


def port_number(text: str) -> int:
    """Parse a TCP port number of the command line, 0 to 65535; the `type` of an option.

    Raises:
        ArgumentTypeError: it is out of range.
        ValueError: it is no number.
    """
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535 (is {number})")
    return number


def http_url(text: str) -> str:
    """Parse the http:// or https:// URL of an API on the command line; the `type` of an option.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port that is no number
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"must be an http:// or https:// URL (is {text[:80]})")
    return text


def add_host(parser: argparse.ArgumentParser) -> None:
    """Add the option --host, the address on which a command listens; localhost by default."""
    parser.add_argument("--host", default="127.0.0.1", help="Address to listen at. [default: %(default)s]")
