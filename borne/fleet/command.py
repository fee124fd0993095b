"""`borne fleet PLAN`: runs a plan with its views, and writes the report."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console

from borne.fleet.fleet_page import serving_fleet_page
from borne.fleet.fleet_run import FleetOptions, FleetRun
from borne.fleet.live_view import PlainView, ScreenView, conclusion
from foundation.frozen import Frozen
from simulator.fleet.bills_file import read_bills_file
from simulator.fleet.fleet_report import read_report, with_bills
from simulator.fleet.report_page import report_page
from simulator.fleet.requests_csv import requests_csv

if TYPE_CHECKING:
    from borne.fleet.unit import FleetEngine
    from simulator.fleet.fleet_report import FleetReport
    from simulator.fleet.plan import LoadedPlan

PASSED: Final = 0
FAILED: Final = 1
_REPORT_NAME: Final = "report.json"


class FolderError(Exception):
    """The folder of a fleet cannot be used; the message says why."""


class FleetOutput(Frozen):
    """Outputs of a fleet: terminal, page with API, and what its report compares the meters with."""

    console: Console
    http_port: int | None
    """port of page, API and metrics; 0: any free one; None: none"""
    bills: Path | None = None
    """CSV file with the bills of the CSMS, read at the end; None: those of the bundled CSMS, or answered events"""


def run_fleet(loaded: LoadedPlan, engine: FleetEngine, options: FleetOptions, output: FleetOutput) -> int:
    """Run a plan until its end or Ctrl-C, show it meanwhile, and write the report; returns the exit code. Blocks.

    If the file of bills cannot be used, the report without it stays in the folder.

    Raises:
        BillsFileError: the file of bills cannot be used.
        FolderError: the folder has been used by a fleet, or cannot be written; the result is shown nevertheless.
        EngineError: CSMS or hosts cannot be started.
    """
    _create_folder(options.folder)
    gc.enable()
    report = asyncio.run(_run_with_views(FleetRun(loaded, engine, options), output))
    if output.bills is None:
        return _show_and_write_report(report, options.folder, output.console)
    write_reports(report, options.folder)  # stays if the file of bills cannot be used
    return _show_and_write_report(_with_bills_from_file(report, output.bills), options.folder, output.console)


def has_ended(folder: Path) -> bool:
    """Return whether the folder contains the report of a fleet."""
    return (folder / _REPORT_NAME).exists()


def rewrite_balance(folder: Path, bills: Path, console: Console) -> int:
    """Compare the meters of a fleet that has ended with a file of bills, and write its report again.

    Returns the exit code.

    Raises:
        BillsFileError: the file of bills cannot be used.
        FolderError: the report in the folder cannot be read or written.
    """
    try:
        report = read_report((folder / _REPORT_NAME).read_bytes())
    except OSError as error:
        raise FolderError(f"{folder / _REPORT_NAME}: cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise FolderError(f"{folder / _REPORT_NAME}: is not the report of a fleet: {error}") from error
    return _show_and_write_report(_with_bills_from_file(report, bills), folder, console)


def _with_bills_from_file(report: FleetReport, bills: Path) -> FleetReport:
    return with_bills(report, read_bills_file(bills), f"bills in {bills.name}")


def _show_and_write_report(report: FleetReport, folder: Path, console: Console) -> int:
    """Show the result of a fleet and write its report; returns the exit code."""
    for line in conclusion(report):
        console.out(line, highlight=False)
    write_reports(report, folder)
    console.out(f"report: {folder / 'report.html'}", highlight=False)
    return PASSED if report.passed else FAILED


def write_reports(report: FleetReport, folder: Path) -> None:
    """Write report.html, report.json and requests.csv.

    Raises:
        FolderError: they cannot be written.
    """
    try:
        (folder / _REPORT_NAME).write_bytes(report.to_json())
        (folder / "requests.csv").write_text(requests_csv(report.actions), encoding="utf-8")
        (folder / "report.html").write_text(report_page(report), encoding="utf-8")
    except OSError as error:
        raise FolderError(f"{folder}: the report cannot be written: {error.strerror}") from error


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderError(f"{folder}: is not empty; every run needs its own folder")
    except OSError as error:
        raise FolderError(f"{folder}: cannot be used: {error.strerror}") from error


async def _run_with_views(run: FleetRun, output: FleetOutput) -> FleetReport:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, run.stop)
    async with contextlib.AsyncExitStack() as stack:
        if output.console.is_terminal:
            stack.enter_context(ScreenView(run, output.console).live)
        else:
            PlainView(run, output.console)
        if output.http_port is not None:
            port = await stack.enter_async_context(serving_fleet_page(run, output.http_port))
            run.remarks.publish(f"page of all stations at http://127.0.0.1:{port}/, metrics at /metrics")
        return await run.run()
