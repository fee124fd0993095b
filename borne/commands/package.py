"""The command that prints the version of the package."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Final

from borne.arguments import Action
from borne.output import say
from station.core.version import package_build, package_version


def version(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne version`: print the version, and what a package was built from; returns the exit code."""
    parser.parse_args(arguments)
    build = package_build()
    say(f"borne {package_version()}" if build is None else f"borne {package_version()} ({build})")
    return 0


COMMANDS: Final[Mapping[str, Action]] = {"version": version}
