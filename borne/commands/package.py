"""Commands that print what the package contains: its version, and the example of an installation file."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from borne.arguments import Action
from borne.output import refuse, say
from station.configuration.installation_example import installation_example
from station.core.version import package_build, package_version


def init(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne init`: write the example of an installation file, by default to stdout; returns the exit code."""
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="Default: standard output.")
    parser.add_argument("--force", action="store_true", help="Overwrite the file.")
    parser.add_argument("--storage", metavar="DIRECTORY", help="Directory of the records.")
    given = parser.parse_intermixed_args(arguments)
    file: Path | None = given.file
    example = installation_example({"station": {"storage": given.storage}} if given.storage else {})
    if file is None:
        say(example, end="")
        return 0
    try:
        with file.open("w" if given.force else "x", encoding="utf-8") as target:
            target.write(example)
    except FileExistsError:
        refuse(f"{file}: already exists; use --force to overwrite it")
    except OSError as error:
        refuse(f"{file}: cannot be written: {error.strerror}")
    return 0


def version(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne version`: print the version, and what a package was built from; returns the exit code."""
    parser.parse_args(arguments)
    build = package_build()
    say(f"borne {package_version()}" if build is None else f"borne {package_version()} ({build})")
    return 0


COMMANDS: Final[Mapping[str, Action]] = {"init": init, "version": version}
