"""`borne fleet`: many simulated stations at one CSMS."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from borne.arguments import Action, port_number, refuse, say
from borne.fleet.command import FleetOutput, FolderError, run_fleet
from borne.fleet.fleet_run import FleetOptions, default_hosts
from borne.fleet.process_engine import ProcessEngine
from borne.fleet.unit import EngineError
from foundation.clock import machine_time
from simulator.fleet.example import PLAN_EXAMPLE, TEMPLATE_EXAMPLE
from simulator.fleet.plan import load_plan
from station.core.installation_file.document import ConfigurationError


def fleet(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne fleet`; returns the exit code: 0 if all thresholds of the plan are met, else 1."""
    parser.epilog = "`borne fleet init [FILE]` writes an example of a plan, and a template beside it."
    parser.add_argument("plan", metavar="PLAN", type=Path, help="The plan, a TOML file; see `borne fleet init`.")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, help="Folder for storages and report. Default: fleet-DATE-TIME."
    )
    parser.add_argument(
        "--http-port", metavar="PORT", type=port_number, help="Serve a page of all stations, and /metrics. 0: any port."
    )
    parser.add_argument("--check", action="store_true", help="Only check the plan and its template.")
    given = parser.parse_intermixed_args(arguments)
    plan: Path = given.plan
    try:
        loaded = load_plan(plan)
    except ConfigurationError as error:
        refuse("\n".join(error.sentences))
    if given.check:
        fleet = loaded.plan.fleet
        say(f"{plan}: ok: {fleet.stations} stations for {fleet.duration_s:g} s at rate {fleet.rate:g}")
        return 0
    folder: Path = given.out or Path(f"fleet-{machine_time():%Y%m%d-%H%M%S}")
    options = FleetOptions("process", folder, default_hosts())
    try:
        return run_fleet(loaded, ProcessEngine(), options, FleetOutput(Console(), given.http_port))
    except (FolderError, EngineError) as error:
        refuse(str(error))


def init(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne fleet init`: write the example of a plan, with a template beside it; returns the exit code."""
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="Default: standard output.")
    parser.add_argument("--force", action="store_true", help="Overwrite the files.")
    given = parser.parse_intermixed_args(arguments)
    file: Path | None = given.file
    if file is None:
        say(PLAN_EXAMPLE, end="")
        return 0
    files = {file: PLAN_EXAMPLE, file.with_name("station.toml"): TEMPLATE_EXAMPLE}
    for path in files:
        if path.exists() and not given.force:
            refuse(f"{path}: already exists; use --force to overwrite it")
    for path, text in files.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            refuse(f"{path}: cannot be written: {error.strerror}")
    return 0


COMMANDS: Final[Mapping[str, Action]] = {"fleet": fleet, "fleet init": init}
