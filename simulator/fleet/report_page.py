"""`report.html`: the result of a fleet as one page without external resources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from itertools import cycle
from string import ascii_uppercase
from typing import TYPE_CHECKING, Final

from simulator.fleet.charts import ChartBar, ChartLine, ChartMark, bar_chart, line_chart
from simulator.fleet.fleet_report import different_stations
from simulator.fleet.page_style import STYLE
from simulator.fleet.reports import StationState

if TYPE_CHECKING:
    from simulator.fleet.fleet_report import ActionReport, DisturbanceTime, FleetReport, ThresholdResult

_MOST_ROWS: Final = 100
"""rows of a table of stations; report.json has all of them"""
_STATES: Final = (StationState.ONLINE, StationState.OFFLINE, StationState.STARTING, StationState.POWERLESS)


def report_page(report: FleetReport) -> str:
    """The page as HTML: verdict, thresholds, charts, requests, stations that differ, and the plan."""
    verdict = ("good", "All thresholds met") if report.passed else ("bad", "Thresholds not met")
    parts = [
        f"<h1>Fleet of {report.stations} stations</h1>",
        f'<p class="verdict {verdict[0]}">{verdict[1]}</p>',
        f"<p>Began {escape(report.began_at)}, lasted {report.lasted_s:,.0f} s; {report.hosts} hosts,"
        f" engine {escape(report.engine)}.{' It was stopped before the end of the plan.' if report.interrupted else ''}"
        "</p>",
        _tiles(report),
        "<h2>Thresholds</h2>",
        _table(("Threshold", "Limit", "Measured", ""), [_threshold(one) for one in report.thresholds]),
        "<h2>Over time</h2>",
        _disturbances(report),
        f'<div class="charts">{_charts(report)}</div>',
        "<h2>Requests</h2>",
        _latency_chart(report.actions),
        _requests(report.actions),
        "<h2>Energy</h2>",
        _energy(report),
        *_stations(report),
        "<h2>Plan</h2>",
        f"<details><summary>Show</summary><pre>{escape(json.dumps(report.plan, indent=1))}</pre></details>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Report of a fleet</title>'
        f"<style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _tiles(report: FleetReport) -> str:
    total = report.actions[-1]
    tiles = [
        (f"{report.booted} of {report.stations}", "stations accepted"),
        (_seconds(report.boot.p95_s), "boot, p95"),
        (f"{report.started}", "transactions"),
        (f"{report.energy.billed_wh / 1e3:,.2f} kWh", "billed"),
        (f"{report.energy.largest_difference_wh:.3f} Wh", "largest difference to a meter"),
        (f"{total.requests:,}", "requests"),
        (f"{total.requests_per_s:,.1f}/s", "requests, mean"),
        (f"{total.failures}", "failed requests"),
        (_seconds(report.latency.p95_s), "response of the CSMS, p95"),
        (_seconds(report.reconnect.p95_s), "reconnection, p95"),
    ]
    return '<div class="tiles">' + "".join(f"<div><b>{value}</b>{name}</div>" for value, name in tiles) + "</div>"


def _threshold(one: ThresholdResult) -> tuple[str, str, str, str]:
    value = "–" if one.value is None else f"{one.value:g}"
    mark = '<span class="good">met</span>' if one.met else '<span class="bad">not met</span>'
    return f"<code>{escape(one.name)}</code>", f"{one.limit:g}", value, mark


def _charts(report: FleetReport) -> str:
    samples = report.samples
    states = [
        ChartLine(state.value, [(one.at_s, float(one.states.get(state.value, 0))) for one in samples])
        for state in _STATES
        if any(one.states.get(state.value) for one in samples)
    ]
    marks = _marks(report)
    return "".join(
        (
            line_chart("Stations by state", states, lambda y: f"{y:g}", marks),
            line_chart(
                "Requests per second",
                [ChartLine("requests/s", [(one.at_s, one.requests_per_s) for one in samples])],
                lambda y: f"{y:g}",
                marks,
            ),
            line_chart(
                "Response time of the CSMS",
                [
                    ChartLine("median", [(one.at_s, one.median_s) for one in samples]),
                    ChartLine("p95", [(one.at_s, one.p95_s) for one in samples]),
                ],
                _seconds,
                marks,
            ),
            line_chart(
                "Charging power",
                [ChartLine("all vehicles", [(one.at_s, one.power_w / 1e3) for one in samples])],
                lambda y: f"{y:g} kW",
                marks,
            ),
            line_chart(
                "Transactions",
                [
                    ChartLine("started", [(one.at_s, float(one.started)) for one in samples]),
                    ChartLine("ended", [(one.at_s, float(one.ended)) for one in samples]),
                ],
                lambda y: f"{y:g}",
                marks,
            ),
            line_chart(
                "Events waiting for the CSMS",
                [ChartLine("waiting", [(one.at_s, float(one.waiting_events)) for one in samples])],
                lambda y: f"{y:g}",
                marks,
            ),
        )
    )


def _marks(report: FleetReport) -> list[ChartMark]:
    """The disturbances of the plan, named A, B, … in the charts."""
    return [
        ChartMark(letter, _disturbance(one), one.from_s, one.until_s)
        for letter, one in zip(cycle(ascii_uppercase), report.disturbances, strict=False)
    ]


def _disturbance(one: DisturbanceTime) -> str:
    until = f" to {one.until_s:,.0f} s" if one.until_s > one.from_s else ""
    return f"{one.type} at {one.from_s:,.0f} s{until}, {one.share:.0%} of the stations"


def _disturbances(report: FleetReport) -> str:
    """The legend of the marks in the charts."""
    if not (marks := _marks(report)):
        return ""
    return "<p>Disturbances: " + "; ".join(f"<b>{one.letter}</b> {escape(one.meaning)}" for one in marks) + ".</p>"


def _latency_chart(actions: Sequence[ActionReport]) -> str:
    bars = [
        ChartBar(
            f"{one.action} ({'out' if one.direction == 'to CSMS' else 'in'})",
            one.percentiles_ms["95"],
            one.percentiles_ms["50"],
            f"{_seconds(one.percentiles_ms['50'] / 1e3)} · {_seconds(one.percentiles_ms['95'] / 1e3)}",
        )
        for one in actions[:-1]
        if one.requests
    ]
    return bar_chart("Latency by action", bars, "dark: median, light: 95th percentile; out: to the CSMS, in: from it")


def _requests(actions: Iterable[ActionReport]) -> str:
    columns = (*("Direction", "Action", "Requests", "Failed", "Interrupted", "/s"), "Median", "p95", "p99", "Longest")
    rows = [
        (
            escape(one.direction),
            escape(one.action),
            f"{one.requests:,}",
            f"{one.failures:,}" + _reasons(one.failures_by_reason),
            f"{one.interrupted:,}",
            f"{one.requests_per_s:,.2f}",
            *(
                _seconds(one.percentiles_ms[percent] / 1e3 if one.requests else None)
                for percent in ("50", "95", "99", "100")
            ),
        )
        for one in actions
    ]
    return _table(columns, rows)


def _reasons(reasons: dict[str, int]) -> str:
    text = ", ".join(f"{escape(reason)} {count}" for reason, count in sorted(reasons.items()))
    return f" <small>({text})</small>" if text else ""


def _energy(report: FleetReport) -> str:
    energy = report.energy
    sentence = (
        f"<p>The meters have counted {energy.register_wh:,.1f} Wh; {escape(energy.source)}:"
        f" {energy.billed_wh:,.1f} Wh in {energy.transactions} transactions. The largest difference at a station is"
        f" {energy.largest_difference_wh:.3f} Wh.</p>"
    )
    rows = [
        (
            str(one.number),
            escape(one.identity),
            f"{one.register_wh:,.3f}",
            f"{one.billed_wh:,.3f}",
            f"{one.difference_wh:+,.3f}",
        )
        for one in different_stations(energy, 0.5)
    ]
    return sentence + (_table(("Number", "Station", "Meters, Wh", "Bills, Wh", "Difference"), rows) if rows else "")


def _stations(report: FleetReport) -> Iterable[str]:
    if report.failed:
        yield "<h2>Failed stations</h2>"
        rows = [(escape(identity), escape(why)) for identity, why in report.failed.items()]
        yield _table(("Station", "Reason"), rows)
    if report.replaced:
        yield "<h2>Replaced stations</h2><p>Their host was lost with their storage; they are not in the balance.</p>"
        yield _table(("Station",), [(escape(identity),) for identity in report.replaced])
    for failure in report.host_failures:
        yield f'<p class="bad">A host has failed: {escape(failure)}</p>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; the longest ones are cut."""
    head = "".join(f"<th>{one}</th>" for one in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[:_MOST_ROWS])
    more = f"<p>… and {len(rows) - _MOST_ROWS} more, in report.json</p>" if len(rows) > _MOST_ROWS else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def _seconds(value_s: float | None) -> str:
    if value_s is None:
        return "–"
    return f"{value_s:.2f} s" if value_s >= 1.0 else f"{value_s * 1e3:.1f} ms" if value_s else "0"
