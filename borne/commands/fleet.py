"""`borne fleet`: many simulated stations at one CSMS."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rich.console import Console

from borne.arguments import Action, port_number
from borne.fleet.command import FleetOutput, FolderError, has_ended, rewrite_balance, run_fleet
from borne.fleet.fleet_run import FleetOptions, default_hosts
from borne.fleet.host import host
from borne.fleet.process_engine import ProcessEngine
from borne.fleet.unit import EngineError
from borne.output import refuse, say
from foundation.clock import machine_time
from foundation.frozen import Frozen
from simulator.fleet.bills_file import BillsFileError
from simulator.fleet.example import PLAN_EXAMPLE, TEMPLATE_EXAMPLE
from simulator.fleet.plan import load_plan
from station.core.installation_file.document import ConfigurationError

if TYPE_CHECKING:
    from borne.fleet.unit import FleetEngine
    from simulator.fleet.plan import LoadedPlan

_MAX_WORKERS: Final = 1024
_LOCAL_HOSTS: Final = {"127.0.0.1", "::1", "localhost"}


def fleet(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne fleet`; returns the exit code: 0 if all thresholds of the plan are met, else 1."""
    _add_arguments(parser)
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
    if given.bills is not None and loaded.plan.fleet.csms == "bundled":
        refuse('--bills: fleet.csms is "bundled", and the fleet reads the bills of the bundled CSMS itself')
    try:
        if given.bills is not None and has_ended(folder):
            return rewrite_balance(folder, given.bills, Console())
        chosen = _ChosenEngine("process", ProcessEngine(host), default_hosts())
        if given.engine == "dask":
            chosen = _dask_engine(loaded, given.scheduler, workers=given.workers, shared_storage=given.shared_storage)
        elif given.scheduler is not None or given.shared_storage:
            refuse("--scheduler and --shared-storage need --engine dask")
        options = FleetOptions(chosen.name, folder, chosen.hosts)
        return run_fleet(loaded, chosen.engine, options, FleetOutput(Console(), given.http_port, given.bills))
    except (FolderError, EngineError, BillsFileError) as error:
        refuse(str(error))


def _add_arguments(parser: ArgumentParser) -> None:
    parser.epilog = (
        "`borne fleet init [FILE]` writes an example of a plan, and a template beside it. `borne fleet run PLAN` is the"
        " same as `borne fleet PLAN`."
    )
    parser.add_argument("plan", metavar="PLAN", type=Path, help="The plan, a TOML file; see `borne fleet init`.")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, help="Folder for storages and report. Default: fleet-DATE-TIME."
    )
    parser.add_argument(
        "--http-port", metavar="PORT", type=port_number, help="Serve a page of all stations, and /metrics. 0: any port."
    )
    parser.add_argument(
        "--engine",
        choices=("process", "dask"),
        default="process",
        help="Run stations in processes of this machine, or on the workers of a Dask cluster. [default: %(default)s]",
    )
    parser.add_argument(
        "--scheduler",
        metavar="URL",
        help="With --engine dask: scheduler of a running cluster, tcp://… Default: a cluster on this machine.",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_parse_workers,
        default=2,
        help="With --engine dask: workers of the cluster on this machine. [default: %(default)s]",
    )
    parser.add_argument(
        "--shared-storage",
        action="store_true",
        help="With --scheduler: all workers see the folder --out; stations of a lost worker go on with their storage.",
    )
    parser.add_argument(
        "--bills",
        metavar="FILE",
        type=Path,
        help="Compare the meters with the bills of a CSMS of your own, a CSV file with the columns station, transaction"
        " and energy (Wh). If the folder --out contains the report of a fleet, its energy balance is calculated again,"
        " and no fleet runs.",
    )
    parser.add_argument("--check", action="store_true", help="Only check the plan and its template.")


class _ChosenEngine(Frozen):
    """An engine, and what it can run."""

    name: str
    engine: FleetEngine
    hosts: int
    """number of hosts that it is made for"""


def _dask_engine(loaded: LoadedPlan, scheduler: str | None, *, workers: int, shared_storage: bool) -> _ChosenEngine:
    """The engine `dask`; exits if Dask is not installed, or the workers could not reach the CSMS.

    Raises:
        EngineError: the scheduler does not answer.
    """
    try:
        # late: an extra, and it takes a second to import
        from borne.fleet.dask_engine import DaskEngine, DaskOptions, count_threads
    except ImportError as error:
        refuse(f"--engine dask: {error}; install Dask with: pip install 'borne[fleet]'")
    if scheduler is None:
        return _ChosenEngine("dask", DaskEngine(host, DaskOptions(workers=workers)), workers)
    if loaded.plan.fleet.csms == "bundled" and urlsplit(scheduler).hostname not in _LOCAL_HOSTS:
        refuse('fleet.csms: "bundled" is only reached from this machine; give the URL of a CSMS that all workers reach')
    hosts = loaded.plan.fleet.hosts or count_threads(scheduler)
    engine = DaskEngine(host, DaskOptions(scheduler=scheduler, hosts=hosts, shared_storage=shared_storage))
    return _ChosenEngine("dask", engine, hosts)


def _parse_workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MAX_WORKERS:
        raise ArgumentTypeError(f"must be 1 to {_MAX_WORKERS} (is {number})")
    return number


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
