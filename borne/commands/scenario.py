"""`borne scenario`: plays, checks, lists and writes scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from borne.arguments import Action, http_url
from borne.composition.station_assembly import event_loop_at
from borne.output import refuse, say
from borne.scenarios.scenario_run import RunOptions, ScenarioRun
from simulator.api_client import TOKEN_VARIABLE, ApiConnection, SimulatorRequestError, send_action
from simulator.scenarios import reports
from simulator.scenarios.scenario_file import load_scenario
from simulator.scenarios.shipped_scenarios import EXAMPLE, find_file, shipped_files
from simulator.scenarios.station_table import read_template
from station.core.installation_file.document import ConfigurationError

if TYPE_CHECKING:
    from simulator.scenarios.scenario_file import Scenario

_MAX_JOBS: Final = 200
_SIMULATED_RATE: Final = 0.0
_LONGEST_RECORDING_S: Final = 86_400.0


def run(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne scenario run`; returns the exit code: 0 if every scenario passed, else 1."""
    _add_run_arguments(parser)
    given = parser.parse_intermixed_args(arguments)
    scenarios = _load(_named_files(given.files, shipped=given.shipped), dict(given.value))
    for option in ("junit", "html"):
        _require_folder(option, getattr(given, option))
    try:
        template = read_template(given.installation)
    except ConfigurationError as error:
        refuse("\n".join(error.sentences))
    options = RunOptions(
        csms_url=given.csms,
        csms_api=given.csms_api,
        station_url=given.station,
        token=given.token or os.environ.get(TOKEN_VARIABLE) or None,
        jobs=given.jobs,
        time=given.time,
        template=template,
        identity=given.identity,
        password=given.password,
        folder=given.keep,
    )
    played = ScenarioRun(scenarios, options)
    with asyncio.Runner(loop_factory=event_loop_at(_SIMULATED_RATE)) as runner:
        complete = runner.run(played.run(lambda verdict: say("\n".join(reports.lines_of(verdict)))))
    say(reports.summary_of(played.verdicts) + ("" if complete else ", interrupted"))
    _write("junit", given.junit, reports.junit_report(played.verdicts))
    _write("html", given.html, reports.html_report(played.verdicts).encode())
    return 0 if reports.all_passed(played.verdicts) else 1


def _add_run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help="A scenario, a folder of them, or the name of a shipped one."
    )
    parser.add_argument("--shipped", action="store_true", help="Play all shipped scenarios.")
    parser.add_argument(
        "--csms", metavar="URL", help="ws:// or wss:// URL of the CSMS, without identity. Default: the bundled CSMS."
    )
    parser.add_argument(
        "--csms-api",
        metavar="URL",
        type=http_url,
        help="HTTP API of an adapter that tells this CSMS what to send and answer; docs/scenarios.md has its routes.",
    )
    parser.add_argument(
        "--station",
        metavar="URL",
        type=http_url,
        help="Play with a simulated station that runs already, at this URL of its local API.",
    )
    parser.add_argument("--token", help=f"Access token for --station. [default: {TOKEN_VARIABLE}]")
    parser.add_argument(
        "--installation", metavar="FILE", type=Path, help="Installation file of the stations; simulated board only."
    )
    parser.add_argument(
        "--identity",
        metavar="PATTERN",
        type=_parse_identity,
        default=RunOptions().identity,
        help="Identities of the stations; {n} is the number of the scenario. [default: %(default)s]",
    )
    parser.add_argument("--password", help="Password of the stations at the CSMS.")
    parser.add_argument(
        "--value",
        metavar="NAME=TEXT",
        type=_parse_value,
        action="append",
        default=[],
        help="Replace a value of [values]; may be repeated.",
    )
    parser.add_argument(
        "--time", choices=("simulated", "real"), help="How time passes. Default: as each scenario says."
    )
    parser.add_argument(
        "--jobs", metavar="N", type=_parse_jobs, default=4, help="Scenarios played side by side. [default: %(default)s]"
    )
    parser.add_argument("--junit", metavar="OUT.xml", type=Path, help="Write the verdicts as JUnit XML.")
    parser.add_argument("--html", metavar="OUT.html", type=Path, help="Write the verdicts as a page.")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="Keep the storages of the stations in this folder.")


def _parse_identity(text: str) -> str:
    try:
        text.format(n=1)
    except (KeyError, IndexError, ValueError) as error:
        raise ArgumentTypeError("may have no other placeholder than {n}, such as {n:03}") from error
    return text


def _parse_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ArgumentTypeError(f"must be NAME=TEXT (is {text})")
    return name, value


def _parse_jobs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MAX_JOBS:
        raise ArgumentTypeError(f"must be 1 to {_MAX_JOBS} (is {number})")
    return number


def _named_files(names: Sequence[str], *, shipped: bool) -> list[Path]:
    files = shipped_files() if shipped else []
    for name in names:
        path = find_file(name)
        found = sorted([*path.glob("*.toml"), *path.glob("*.py")]) if path.is_dir() else [path]
        if not found:
            refuse(f"{path}: contains no scenario")
        files += found
    if not files:
        refuse("no scenario: name a FILE, or --shipped")
    return files


def _load(files: Sequence[Path], values: Mapping[str, str]) -> list[Scenario]:
    """Load scenarios; if some are invalid, print all errors and exit with 2."""
    scenarios: list[Scenario] = []
    sentences: list[str] = []
    for file in files:
        try:
            scenarios.append(load_scenario(file, values))
        except ConfigurationError as error:
            sentences += error.sentences
    if sentences:
        refuse("\n".join(sentences))
    return scenarios


def _require_folder(option: str, path: Path | None) -> None:
    """Refuse a report that cannot be written before anything is played."""
    if path is not None and not path.absolute().parent.is_dir():
        refuse(f"--{option}: {path.parent}: is no folder")


def _write(option: str, path: Path | None, content: bytes) -> None:
    if path is not None:
        try:
            path.write_bytes(content)
        except OSError as error:
            refuse(f"--{option}: {path}: cannot be written: {error.strerror}")


def check(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne scenario check`: report every error of the files; returns the exit code."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="A scenario, a folder of them, or a shipped one.")
    given = parser.parse_intermixed_args(arguments)
    for scenario in _load(_named_files(given.files, shipped=False), {}):
        steps = f"{len(scenario.steps)} steps" if scenario.play is None else "a function"
        say(f"{scenario.path}: ok: {scenario.name}: {steps}, {scenario.table.time} time")
    return 0


def init(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne scenario init`: write an example of a scenario; returns the exit code."""
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="Default: standard output.")
    parser.add_argument("--force", action="store_true", help="Overwrite the file.")
    given = parser.parse_intermixed_args(arguments)
    file: Path | None = given.file
    if file is None:
        say(EXAMPLE, end="")
        return 0
    if file.exists() and not given.force:
        refuse(f"{file}: already exists; use --force to overwrite it")
    try:
        file.write_text(EXAMPLE, encoding="utf-8")
    except OSError as error:
        refuse(f"{file}: cannot be written: {error.strerror}")
    return 0


def record(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne scenario record`: write what is done with a running station as a scenario; returns the exit code."""
    parser.add_argument("file", metavar="FILE", type=Path, help="Scenario to write.")
    parser.add_argument(
        "--station",
        metavar="URL",
        type=http_url,
        default=ApiConnection().url,
        help="Local API of the simulated station. [default: %(default)s]",
    )
    parser.add_argument("--token", help=f"Access token for --station. [default: {TOKEN_VARIABLE}]")
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_parse_seconds,
        help="Record for so long. Default: until Ctrl-C.",
    )
    parser.add_argument("--force", action="store_true", help="Overwrite the file.")
    given = parser.parse_intermixed_args(arguments)
    file: Path = given.file
    _require_folder("file", file)
    if file.exists() and not given.force:
        refuse(f"{file}: already exists; use --force to overwrite it")
    api = ApiConnection(given.station, given.token or os.environ.get(TOKEN_VARIABLE) or None)
    try:
        text = _recorded(api, given.seconds)
    except SimulatorRequestError as error:
        refuse(str(error))
    if "[[step]]" not in text:
        refuse(f"nothing was done at {given.station} meanwhile: no scenario is written")
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        refuse(f"{file}: cannot be written: {error.strerror}")
    say(f"{file}: written")
    return 0


def _recorded(api: ApiConnection, seconds: float | None) -> str:
    """Record for so long, or until Ctrl-C; returns the scenario.

    Raises:
        SimulatorRequestError: the station does not answer, or refuses.
    """
    send_action(api, "recording", method="POST")
    try:
        say(f"recording what is done at {api.url}" + ("" if seconds else "; Ctrl-C writes the scenario"))
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait(seconds)
        return send_action(api, "recording/scenario", method="GET")
    finally:
        send_action(api, "recording", method="DELETE")


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST_RECORDING_S:
        raise ArgumentTypeError(f"must be greater than 0, and at most {_LONGEST_RECORDING_S:g} (is {text})")
    return seconds


def list_shipped(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne scenario list`: list the shipped scenarios with what they show; returns the exit code."""
    parser.parse_args(arguments)
    scenarios = _load(shipped_files(), {})
    width = max(len(scenario.path.stem) for scenario in scenarios)
    for scenario in scenarios:
        say(f"{scenario.path.stem:<{width}}  {scenario.name}")
    return 0


COMMANDS: Final[Mapping[str, Action]] = {
    "scenario run": run,
    "scenario check": check,
    "scenario init": init,
    "scenario list": list_shipped,
    "scenario record": record,
}
