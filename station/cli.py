"""The command line: run the station, check or begin an installation file, tell the version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from station.config import Configuration

# Without rich: its import is dear, and `borne run` on a small controller has nobody to please.
commands = typer.Typer(
    help="The software of an AC charging station.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@commands.command()
def run(
    config: Annotated[Path, typer.Option(metavar="FILE", help="The installation file.")],
    http_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="In place of http.port; 0 takes any free port.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Written as soon as the station is up.")
    ] = None,
) -> None:
    """Run the station until it is told to stop."""
    from station import logging_setup

    configuration = _load(config)
    try:
        logging_setup.setup(configuration.log)
    except OSError as error:
        _refuse(f"{config}: log.file: cannot be opened: {error.strerror}")
    from station import app

    app.run(configuration, http_port=http_port, ready_file=ready_file)


@commands.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Tell whether an installation file, with the BORNE_ variables over it, is fit to run."""
    typer.echo(f"{file}: ok: {_summary(_load(file))}")


@commands.command()
def init(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Standard output when left out.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write an example of an installation file."""
    from station.example_config import EXAMPLE

    if file is None:
        typer.echo(EXAMPLE, nl=False)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as target:
            target.write(EXAMPLE)
    except FileExistsError:
        _refuse(f"{file}: exists already; --force overwrites it")
    except OSError as error:
        _refuse(f"{file}: cannot be written: {error.strerror}")


@commands.command()
def version() -> None:
    """Tell the version."""
    from station.version import package_version

    typer.echo(f"borne {package_version()}")


def _load(file: Path) -> Configuration:
    from station.config import ConfigurationError, load

    try:
        return load(file, os.environ)
    except ConfigurationError as error:
        _refuse(str(error))


def _refuse(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(2)


def _summary(configuration: Configuration) -> str:
    evses = [
        f"{evse.phases} phase{'s' if evse.phases > 1 else ''}, {evse.max_current_a:g} A" for evse in configuration.evse
    ]
    count = f"{len(evses)} EVSE{'s' if len(evses) > 1 else ''} ({'; '.join(evses)})"
    csms = "stand-alone" if configuration.csms is None else f"CSMS {configuration.csms.url}"
    return f"{configuration.station.identity}, {count}, {csms}"
