"""The live view of a fleet: a screen that is drawn again each second, or plain lines without a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simulator.fleet.reports import StationState

if TYPE_CHECKING:
    from borne.fleet.fleet_run import FleetRun
    from simulator.fleet.fleet_record import FleetSample
    from simulator.fleet.fleet_report import FleetReport

_LINE_INTERVAL_S: Final = 5.0
_MAX_REMARKS: Final = 6
_ECHO_COLUMNS: Final = 2
"""columns that stay free for the ^C of the terminal: on a new line, it would move the next picture"""


class PlainView:
    """Writes a line every few seconds, each remark at once, and a problem of the stations when it begins."""

    def __init__(self, run: FleetRun, console: Console) -> None:
        self._console = console
        self._written_s = -_LINE_INTERVAL_S
        self._problem: str | None = None
        run.sampled.subscribe(self._write)
        run.remarks.subscribe(lambda remark: console.out(remark, highlight=False))

    def _write(self, sample: FleetSample) -> None:
        is_news = sample.problem is not None and self._problem is None
        if is_news or sample.at_s - self._written_s >= _LINE_INTERVAL_S:
            self._written_s, self._problem = sample.at_s, sample.problem
            self._console.out(f"{sample.at_s:7.1f} s  {sample_line(sample)}", highlight=False)


class ScreenView:
    """Draws the state of the fleet on a terminal, within the block of `live`."""

    def __init__(self, run: FleetRun, console: Console) -> None:
        self._run = run
        self._remarks: list[str] = []
        self.live = Live(Text("starting …"), console=console, auto_refresh=False)
        """context manager that shows the screen"""
        run.sampled.subscribe(self._draw)
        run.remarks.subscribe(self._add_remark)

    def _add_remark(self, remark: str) -> None:
        self._remarks = [*self._remarks, f"{max(0.0, self._run.elapsed_s):7.1f} s  {remark}"][-_MAX_REMARKS:]

    def _draw(self, sample: FleetSample) -> None:
        width = self.live.console.width - _ECHO_COLUMNS
        self.live.update(picture(self._run, sample, self._remarks, width), refresh=True)


def picture(run: FleetRun, sample: FleetSample, remarks: list[str], width: int) -> Panel:
    """Draw a fleet in `width` columns: progress, stations by state, requests, charging, and the last remarks."""
    fleet, (ramp_s, plan_s) = run.loaded.plan.fleet, run.tasks_s
    plan_end_s = ramp_s + plan_s
    phase = "ramp" if sample.at_s < ramp_s else "plan" if sample.at_s < plan_end_s else "drain"
    table = Table.grid(padding=(0, 3))
    table.add_row("progress", f"{sample.at_s:.0f} of {plan_end_s:.0f} s, {phase}")
    table.add_row("stations", states_text(sample))
    table.add_row("boots", f"{sample.boots}, p95 {_seconds(run.record.boot.percentiles().p95_s)}")
    table.add_row("requests", f"{sample.requests_per_s:,.0f}/s, {sample.requests:,} in all, {sample.failures} failed")
    table.add_row("CSMS responds", f"median {_seconds(sample.median_s)}, p95 {_seconds(sample.p95_s)}")
    table.add_row("transactions", f"{sample.started} started, {sample.ended} ended")
    table.add_row("charging", f"{sample.power_w / 1e3:,.1f} kW, {sample.energy_wh / 1e3:,.2f} kWh so far")
    table.add_row("waiting events", str(sample.waiting_events))
    if sample.problem is not None:
        table.add_row("problem", sample.problem)
    bar = ProgressBar(total=plan_end_s, completed=min(sample.at_s, plan_end_s))
    title = f"{fleet.stations} stations, {run.options.engine} engine; Ctrl-C stops them in order"
    return Panel(
        Group(Padding(bar, (0, 0, 1, 0)), table, Text("\n".join(remarks), style="dim")), title=title, width=width
    )


def sample_line(sample: FleetSample) -> str:
    """The state of a fleet in a line."""
    return (
        f"{states_text(sample)}; {sample.requests_per_s:,.0f} requests/s, {sample.failures} failed,"
        f" p95 {_seconds(sample.p95_s)}; {sample.started} transactions, {sample.ended} ended,"
        f" {sample.power_w / 1e3:,.1f} kW" + (f"; {sample.problem}" if sample.problem is not None else "")
    )


def states_text(sample: FleetSample) -> str:
    """The numbers of stations by state, in the order in which a station enters them."""
    return ", ".join(f"{sample.states[state]} {state}" for state in StationState if sample.states.get(state))


def conclusion(report: FleetReport) -> list[str]:
    """The result of a fleet, in sentences for the terminal."""
    energy, latency = report.energy, report.latency
    lines = [
        f"{report.booted} of {report.stations} stations accepted, boot p95 {_seconds(report.boot.p95_s)};"
        f" {report.started} transactions started, {report.ended} ended",
        f"{report.actions[-1].requests:,} requests, {report.actions[-1].failures} failed; the CSMS responded in"
        f" {_seconds(latency.median_s)} (median), {_seconds(latency.p95_s)} (p95), {_seconds(latency.max_s)} (longest)",
        f"energy: meters {energy.register_wh:,.1f} Wh, {energy.source} {energy.billed_wh:,.1f} Wh;"
        f" largest difference at a station {energy.largest_difference_wh:.3f} Wh",
        *(f"failed: {identity}: {why}" for identity, why in list(report.failed.items())[:10]),
    ]
    missed = [threshold for threshold in report.thresholds if not threshold.met]
    for threshold in missed:
        value = "nothing" if threshold.value is None else f"{threshold.value:g}"
        lines.append(f"threshold not met: {threshold.name} = {threshold.limit:g}, was {value}")
    return lines if missed else [*lines, "all thresholds met"]


def _seconds(value_s: float | None) -> str:
    if value_s is None:
        return "–"
    return f"{value_s:.2f} s" if value_s >= 1.0 else f"{value_s * 1e3:.1f} ms"
