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
from simulator.fleet.reports import StationState
from simulator.page_style import STYLE

if TYPE_CHECKING:
    from simulator.fleet.fleet_report import ActionReport, DisturbanceTime, FleetReport, ThresholdResult

_MAX_ROWS: Final = 100
"""rows of a table of stations; report.json has all of them"""
_CHARTED_STATES: Final = (StationState.ONLINE, StationState.OFFLINE, StationState.STARTING, StationState.POWERLESS)


def report_page(report: FleetReport) -> str:
    """The page as HTML: verdict, thresholds, charts, requests, stations that differ, and the plan."""
    verdict = ("good", "All thresholds met") if report.passed else ("bad", "Thresholds not met")
    parts = [
        f"<h1>Fleet of {report.stations} stations</h1>",
        f'<p class="verdict {verdict[0]}">{verdict[1]}</p>',
        f"<p>Began {escape(report.began_at)}, lasted {report.lasted_s:,.0f} s; {report.hosts} hosts,"
        f" engine {escape(report.engine)}.{' It was stopped before the end of the plan.' if report.interrupted else ''}"
        "</p>",
        _tiles_html(report),
        "<h2>Thresholds</h2>",
        _table_html(
            ("Threshold", "Limit", "Measured", ""), [_threshold_row(threshold) for threshold in report.thresholds]
        ),
        "<h2>Over time</h2>",
        _disturbances_html(report),
        f'<div class="charts">{_charts_html(report)}</div>',
        "<h2>Requests</h2>",
        _latency_chart(report.actions),
        _requests_html(report.actions),
        "<h2>Energy</h2>",
        _energy_html(report),
        *_stations_html(report),
        "<h2>Plan</h2>",
        f"<details><summary>Show</summary><pre>{escape(json.dumps(report.plan, indent=1))}</pre></details>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Report of a fleet</title>'
        f"<style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _tiles_html(report: FleetReport) -> str:
    total = report.actions[-1]
    tiles = [
        (f"{report.booted} of {report.stations}", "stations accepted"),
        (_seconds_text(report.boot.p95_s), "boot, p95"),
        (f"{report.started}", "transactions"),
        (f"{report.energy.billed_wh / 1e3:,.2f} kWh", "billed"),
        (f"{report.energy.largest_difference_wh:.3f} Wh", "largest difference to a meter"),
        (f"{total.requests:,}", "requests"),
        (f"{total.requests_per_s:,.1f}/s", "requests, mean"),
        (f"{total.failures}", "failed requests"),
        (_seconds_text(report.latency.p95_s), "response of the CSMS, p95"),
        (_seconds_text(report.reconnect.p95_s), "reconnection, p95"),
    ]
    return '<div class="tiles">' + "".join(f"<div><b>{value}</b>{name}</div>" for value, name in tiles) + "</div>"


def _threshold_row(threshold: ThresholdResult) -> tuple[str, str, str, str]:
    value = "–" if threshold.value is None else f"{threshold.value:g}"
    mark = '<span class="good">met</span>' if threshold.met else '<span class="bad">not met</span>'
    return f"<code>{escape(threshold.name)}</code>", f"{threshold.limit:g}", value, mark


def _charts_html(report: FleetReport) -> str:
    samples = report.samples
    states = [
        ChartLine(state.value, [(sample.at_s, float(sample.states.get(state.value, 0))) for sample in samples])
        for state in _CHARTED_STATES
        if any(sample.states.get(state.value) for sample in samples)
    ]
    marks = _chart_marks(report)
    return "".join(
        (
            line_chart("Stations by state", states, lambda y: f"{y:g}", marks),
            line_chart(
                "Requests per second",
                [ChartLine("requests/s", [(sample.at_s, sample.requests_per_s) for sample in samples])],
                lambda y: f"{y:g}",
                marks,
            ),
            line_chart(
                "Response time of the CSMS",
                [
                    ChartLine("median", [(sample.at_s, sample.median_s) for sample in samples]),
                    ChartLine("p95", [(sample.at_s, sample.p95_s) for sample in samples]),
                ],
                _seconds_text,
                marks,
            ),
            line_chart(
                "Charging power",
                [ChartLine("all vehicles", [(sample.at_s, sample.power_w / 1e3) for sample in samples])],
                lambda y: f"{y:g} kW",
                marks,
            ),
            line_chart(
                "Transactions",
                [
                    ChartLine("started", [(sample.at_s, float(sample.started)) for sample in samples]),
                    ChartLine("ended", [(sample.at_s, float(sample.ended)) for sample in samples]),
                ],
                lambda y: f"{y:g}",
                marks,
            ),
            line_chart(
                "Events waiting for the CSMS",
                [ChartLine("waiting", [(sample.at_s, float(sample.waiting_events)) for sample in samples])],
                lambda y: f"{y:g}",
                marks,
            ),
        )
    )


def _chart_marks(report: FleetReport) -> list[ChartMark]:
    """The disturbances of the plan, named A, B, … in the charts."""
    return [
        ChartMark(letter, _disturbance_text(disturbance), disturbance.from_s, disturbance.until_s)
        for letter, disturbance in zip(cycle(ascii_uppercase), report.disturbances, strict=False)
    ]


def _disturbance_text(disturbance: DisturbanceTime) -> str:
    until = f" to {disturbance.until_s:,.0f} s" if disturbance.until_s > disturbance.from_s else ""
    return f"{disturbance.type} at {disturbance.from_s:,.0f} s{until}, {disturbance.share:.0%} of the stations"


def _disturbances_html(report: FleetReport) -> str:
    """The legend of the marks in the charts, and how much the stations have done wrong on purpose."""
    marks = "; ".join(f"<b>{mark.letter}</b> {escape(mark.meaning)}" for mark in _chart_marks(report))
    count = report.misbehaviour
    return (f"<p>Disturbances: {marks}.</p>" if marks else "") + (
        f"<p>Misbehaviour on purpose: {count:,} messages.</p>" if count else ""
    )


def _latency_chart(actions: Sequence[ActionReport]) -> str:
    bars = [
        ChartBar(
            f"{action.action} ({'out' if action.direction == 'to CSMS' else 'in'})",
            action.percentiles_ms["95"],
            action.percentiles_ms["50"],
            f"{_seconds_text(action.percentiles_ms['50'] / 1e3)} · {_seconds_text(action.percentiles_ms['95'] / 1e3)}",
        )
        for action in actions[:-1]
        if action.requests
    ]
    return bar_chart("Latency by action", bars, "dark: median, light: 95th percentile; out: to the CSMS, in: from it")


def _requests_html(actions: Iterable[ActionReport]) -> str:
    columns = (*("Direction", "Action", "Requests", "Failed", "Interrupted", "/s"), "Median", "p95", "p99", "Longest")
    rows = [
        (
            escape(action.direction),
            escape(action.action),
            f"{action.requests:,}",
            f"{action.failures:,}" + _reasons_text(action.failures_by_reason),
            f"{action.interrupted:,}",
            f"{action.requests_per_s:,.2f}",
            *(
                _seconds_text(action.percentiles_ms[percent] / 1e3 if action.requests else None)
                for percent in ("50", "95", "99", "100")
            ),
        )
        for action in actions
    ]
    return _table_html(columns, rows)


def _reasons_text(reasons: dict[str, int]) -> str:
    text = ", ".join(f"{escape(reason)} {count}" for reason, count in sorted(reasons.items()))
    return f" <small>({text})</small>" if text else ""


def _energy_html(report: FleetReport) -> str:
    energy = report.energy
    sentence = (
        f"<p>The meters have counted {energy.register_wh:,.1f} Wh; {escape(energy.source)}:"
        f" {energy.billed_wh:,.1f} Wh in {energy.transactions} transactions. The largest difference at a station is"
        f" {energy.largest_difference_wh:.3f} Wh.</p>"
    )
    rows = [
        (
            str(balance.number),
            escape(balance.identity),
            f"{balance.register_wh:,.3f}",
            f"{balance.billed_wh:,.3f}",
            f"{balance.difference_wh:+,.3f}",
        )
        for balance in different_stations(energy, 0.5)
    ]
    return sentence + (
        _table_html(("Number", "Station", "Meters, Wh", "Bills, Wh", "Difference"), rows) if rows else ""
    )


def _stations_html(report: FleetReport) -> Iterable[str]:
    if report.failed:
        yield "<h2>Failed stations</h2>"
        rows = [(escape(identity), escape(why)) for identity, why in report.failed.items()]
        yield _table_html(("Station", "Reason"), rows)
    if report.replaced:
        yield "<h2>Replaced stations</h2><p>Their host was lost with their storage; they are not in the balance.</p>"
        yield _table_html(("Station",), [(escape(identity),) for identity in report.replaced])
    for failure in report.host_failures:
        yield f'<p class="bad">A host has failed: {escape(failure)}</p>'


def _table_html(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; the longest ones are cut."""
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[:_MAX_ROWS])
    more = f"<p>… and {len(rows) - _MAX_ROWS} more, in report.json</p>" if len(rows) > _MAX_ROWS else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def _seconds_text(value_s: float | None) -> str:
    if value_s is None:
        return "–"
    return f"{value_s:.2f} s" if value_s >= 1.0 else f"{value_s * 1e3:.1f} ms" if value_s else "0"
