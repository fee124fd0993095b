"""The report of a fleet: requests in Locust's columns, energy balance, thresholds, lost hosts; and its files."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec.structs import replace

from borne.fleet.live_view import conclusion
from simulator.fleet.charts import ChartLine, line_chart, ticks
from simulator.fleet.energy_balance import CsmsBill, balance_energy
from simulator.fleet.fleet_record import FleetRecord
from simulator.fleet.fleet_report import FleetReport, FleetRunFacts, fleet_report, read_report, with_bills
from simulator.fleet.histogram import DurationHistogram
from simulator.fleet.report_page import report_page
from simulator.fleet.reports import (
    Direction,
    HostReport,
    RequestReport,
    StationReport,
    StationState,
    decode_report,
    encode_report,
)
from simulator.fleet.requests_csv import COLUMNS, requests_csv
from tests.simulator.fleet.plans import plan

FACTS = FleetRunFacts("process", "2026-03-01T12:00:00+00:00", 10.0, interrupted=False)


def requests(action: str, latencies_ms: list[float], direction: Direction = "to CSMS", **more: Any) -> RequestReport:
    latency = DurationHistogram()
    for latency_ms in latencies_ms:
        latency.record(latency_ms / 1e3)
    return RequestReport(action, direction, latency.data(), **more)


def station(number: int, **more: Any) -> StationReport:
    fields: dict[str, Any] = {"state": StationState.STOPPED, "boots": 1, **more}
    return StationReport(number, f"CS-{number}", **fields)


def host_report_of(
    name: str, *stations: StationReport, boot_s: float = 0.5, request_reports: tuple[RequestReport, ...] = ()
) -> HostReport:
    boot = DurationHistogram()
    boot.record(boot_s)
    return HostReport(name, stations, request_reports, boot.data(), finished=True)


def report(*hosts: HostReport, bills: Any = None, facts: FleetRunFacts = FACTS, **thresholds: Any) -> FleetReport:
    record = FleetRecord()
    for host_report in hosts:
        record.note(host_report)
    record.sample(5.0)
    energy = balance_energy(record.stations, frozenset(record.replaced), bills)
    return fleet_report(plan(thresholds=thresholds), facts, record, energy)


def missed_thresholds(fleet: FleetReport) -> list[str]:
    return [threshold.name for threshold in fleet.thresholds if not threshold.met]


def test_a_report_survives_the_way_to_another_process() -> None:
    host_report = host_report_of(
        "a", station(1, bills={"t": 5.0}), request_reports=(requests("Heartbeat", [1.0, 2.0], failures={"timeout": 1}),)
    )
    assert decode_report(encode_report(host_report)) == host_report


def test_requests_of_all_hosts_are_in_the_columns_of_locust() -> None:
    fleet = report(
        host_report_of("a", station(1), request_reports=(requests("Heartbeat", [1.0, 3.0], response_bytes=160),)),
        host_report_of(
            "b",
            station(2),
            request_reports=(requests("Heartbeat", [5.0]), requests("GetVariables", [7.0], "from CSMS")),
        ),
    )
    rows = list(csv.DictReader(requests_csv(fleet.actions).splitlines()))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["Type"], row["Name"], row["Request Count"]) for row in rows] == [
        ("from CSMS", "GetVariables", "1"),
        ("to CSMS", "Heartbeat", "3"),
        ("", "Aggregated", "4"),
    ]
    heartbeat = rows[1]
    assert float(heartbeat["Median Response Time"]) == pytest.approx(3.0, rel=0.02)
    assert float(heartbeat["Average Response Time"]) == pytest.approx(3.0, rel=0.001)
    assert (float(heartbeat["Min Response Time"]), float(heartbeat["Max Response Time"])) == (1.0, 5.0)
    assert float(heartbeat["100%"]) == 5.0
    assert float(heartbeat["Requests/s"]) == pytest.approx(0.3)


def test_energy_is_compared_at_each_station() -> None:
    stations = (
        station(1, register_wh=100.0, bills={"a": 60.0, "b": 40.0}),
        station(2, register_wh=100.0, bills={"c": 104.0}),
        station(3, register_wh=104.0, bills={"d": 100.0}),
    )
    answered = balance_energy(stations, frozenset(), None)
    assert answered.register_wh == answered.billed_wh == 304.0  # differences of stations do not cancel each other
    assert answered.largest_difference_wh == 4.0
    balance = balance_energy(
        stations,
        frozenset({3}),
        {"CS-1": {"a": CsmsBill(60.0), "b": CsmsBill(40.0)}, "CS-2": {"c": CsmsBill(None)}, "X": {}},
    )
    assert [station.number for station in balance.stations] == [1, 2]
    assert balance.largest_difference_wh == 100.0
    assert balance.unknown_stations == ("X",)


def test_an_event_that_is_lost_between_begin_and_end_fails_its_station() -> None:
    stations = (station(1, register_wh=100.0), station(2, register_wh=50.0))
    bills = {"CS-1": {"a": CsmsBill(60.0, 2), "b": CsmsBill(40.0, 1)}, "CS-2": {"c": CsmsBill(50.0)}}
    fleet = report(host_report_of("a", *stations), bills=bills)
    assert fleet.energy.largest_difference_wh == 0.0
    assert fleet.failed == {"CS-1": "3 transaction events are missing at the CSMS"}
    assert missed_thresholds(fleet) == ["max_failed_stations"]


@pytest.mark.parametrize(
    ("hosts", "limits", "expected"),
    [
        ((host_report_of("a", station(1)),), {}, []),
        ((host_report_of("a", station(1), station(2, boots=0)),), {}, ["min_booted"]),
        ((host_report_of("a", station(1), station(2, boots=0)),), {"min_booted": 0.5}, []),
        ((host_report_of("a", station(1), boot_s=9.0),), {"max_boot_p95_s": 8}, ["max_boot_p95_s"]),
        ((host_report_of("a", station(1)),), {"max_reconnect_p95_s": 1}, []),
        ((host_report_of("a", station(1, register_wh=5.0)),), {}, ["max_energy_difference_wh"]),
        ((host_report_of("a", station(1, register_wh=5.0)),), {"max_energy_difference_wh": 6}, []),
        ((host_report_of("a", station(1, started=2, ended=1)),), {}, ["max_failed_stations"]),
        ((host_report_of("a", station(1, waiting_events=2)),), {}, ["max_failed_stations"]),
        ((host_report_of("a", station(1, failure="disk")),), {"max_failed_stations": 1}, []),
        (
            (
                host_report_of(
                    "a", station(1), request_reports=(requests("Heartbeat", [1.0] * 9, failures={"timeout": 1}),)
                ),
            ),
            {"max_latency_p95_ms": 0.5},
            ["max_latency_p95_ms", "max_failed_requests"],
        ),
        (
            (
                host_report_of(
                    "a", station(1), request_reports=(requests("Heartbeat", [1.0] * 10, failures={"timeout": 1}),)
                ),
            ),
            {"max_failed_requests": 0.1},
            [],
        ),
        ((host_report_of("a", station(1), request_reports=(requests("Heartbeat", [1.0], interrupted=7),)),), {}, []),
    ],
)
def test_thresholds_decide(hosts: tuple[HostReport, ...], limits: dict[str, Any], expected: list[str]) -> None:
    fleet = report(*hosts, **limits)
    assert missed_thresholds(fleet) == expected
    assert fleet.passed is not bool(expected)


def test_a_fleet_that_was_stopped_has_not_passed() -> None:
    assert missed_thresholds(report(host_report_of("a", station(1)), facts=replace(FACTS, interrupted=True))) == [
        "completed"
    ]


def test_a_lost_host_is_counted_once_and_its_stations_go_on_or_are_replaced() -> None:
    before = replace(
        host_report_of(
            "a",
            station(1, started=2, arrivals=3),
            station(2, started=1),
            request_reports=(requests("Heartbeat", [1.0]),),
        ),
        finished=False,
    )
    again = host_report_of(
        "b",
        station(1, started=1, ended=3, arrivals=1, resumed=True),
        station(2, started=4, ended=4, register_wh=70.0),
        request_reports=(requests("Heartbeat", [1.0, 1.0]),),
    )
    fleet = report(before, before, again, again)
    assert fleet.replaced == ["CS-2"]
    assert missed_thresholds(fleet) == ["max_replaced_stations"]
    assert [station.started for station in fleet.station_reports] == [3, 4]
    assert fleet.station_reports[0].arrivals == 4
    assert fleet.actions[-1].requests == 3
    assert [station.number for station in fleet.energy.stations] == [1]


def test_the_failure_of_a_host_is_not_another_host() -> None:
    lost = replace(host_report_of("a", station(1, state=StationState.FAILED)), failure="killed")
    fleet = report(host_report_of("a", station(1, started=1)), lost)
    assert fleet.host_failures == ["killed"]
    assert fleet.replaced == []


class Page(HTMLParser):
    """Collects what a page refers to, and checks that its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts.append(tag)
        self.references += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_complete_without_other_resources_and_escapes_names() -> None:
    hostile = replace(station(1, failure="<script>"), identity="<b>&")
    text = report_page(
        report(host_report_of("a", hostile, request_reports=(requests("Heartbeat", [1.0], failures={"<x>": 1}),)))
    )
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.references == []
    assert page.texts.count("svg") == 7
    assert "script" not in page.texts
    assert "&lt;b&gt;&amp;" in text
    assert "<b>&" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_json_has_everything_but_passwords() -> None:
    record = FleetRecord()
    record.note(host_report_of("a", station(1, bills={"t": 5.0}, register_wh=5.0)))
    secret = plan({"password": "0123456789abcdef-{n}"})
    fleet = fleet_report(secret, FACTS, record, balance_energy(record.stations, frozenset(), None))
    text = fleet.to_json().decode()
    assert "0123456789abcdef" not in text
    found = json.loads(text)
    assert found["passed"] is True
    assert found["station_reports"][0]["bills"] == {"t": 5.0}
    assert found["energy"]["stations"][0]["register_wh"] == 5.0


def test_what_was_not_measured_is_a_dash_and_not_a_zero() -> None:
    """A fleet at a CSMS that does not answer: no boot, no response."""
    waiting = HostReport(
        "a", (station(1, boots=0, failure="cannot connect"),), (requests("Heartbeat", [], interrupted=3),)
    )
    fleet = report(waiting)
    assert (fleet.boot.p95_s, fleet.latency.median_s, fleet.reconnect.max_s) == (None, None, None)
    tiles = {name: value for value, name in re.findall(r"<div><b>([^<]*)</b>([^<]*)</div>", report_page(fleet))}
    assert tiles["boot, p95"] == tiles["response of the CSMS, p95"] == tiles["reconnection, p95"] == "–"
    assert "boot p95 –;" in conclusion(fleet)[0]
    assert "0.0 ms" not in report_page(fleet)


def test_disturbances_are_marked_in_every_chart_over_time() -> None:
    record = FleetRecord()
    record.note(host_report_of("a", station(1)))
    for at_s in (5.0, 60.0, 120.0):
        record.sample(at_s)
    disturbed = plan(
        {"rate": 5, "duration_s": 600},
        disturbance=[
            {"type": "link-cut", "at_s": 100, "lasts_s": 50, "spread_s": 25, "share": 0.2},
            {"type": "reconnect-storm", "at_s": 50},
            {"type": "power-cut", "at_s": 590, "lasts_s": 5},
        ],
    )
    facts = replace(FACTS, lasted_s=120.0, plan_began_s=10.0)
    fleet = fleet_report(disturbed, facts, record, balance_energy(record.stations, frozenset(), None))
    times = [
        (disturbance.type, disturbance.from_s, disturbance.until_s, disturbance.share)
        for disturbance in fleet.disturbances
    ]
    assert times == [("reconnect-storm", 20.0, 20.0, 1.0), ("link-cut", 30.0, 45.0, 0.2)], "stopped before the last"
    text = report_page(fleet)
    assert "<b>A</b> reconnect-storm at 20 s, 100% of the stations; <b>B</b> link-cut at 30 s to 45 s, 20%" in text
    assert text.count('<g class="mark">') == 2 * 6
    assert report_page(replace(fleet, disturbances=[])).count('<g class="mark">') == 0


def test_a_report_is_read_as_it_was_written() -> None:
    fleet = report(host_report_of("a", station(1, register_wh=5.0), request_reports=(requests("Heartbeat", [1.0]),)))
    assert json.loads(read_report(fleet.to_json()).to_json()) == json.loads(fleet.to_json())


def test_bills_of_a_foreign_csms_decide_the_balance_and_its_thresholds() -> None:
    fleet = report(
        host_report_of(
            "a",
            station(1, register_wh=100.0, bills={"a": 60.0, "b": 40.0}),
            station(2, register_wh=50.0, bills={"c": 50.0}),
        )
    )
    assert fleet.passed
    bills = {"CS-1": {"a": CsmsBill(60.0), "b": CsmsBill(40.0)}, "CS-2": {"c": CsmsBill(50.0)}}
    closed = with_bills(fleet, bills, "bills in a.csv")
    assert (closed.passed, closed.energy.source, closed.energy.transactions) == (True, "bills in a.csv", 3)
    overbilled = with_bills(fleet, {**bills, "CS-2": {"c": CsmsBill(55.0)}, "X": {"d": CsmsBill(1.0)}}, "bills")
    assert missed_thresholds(overbilled) == ["max_energy_difference_wh"]
    assert overbilled.energy.unknown_stations == ("X",)
    lost = with_bills(fleet, {"CS-1": {"a": CsmsBill(60.0)}, "CS-2": {"c": CsmsBill(50.0)}}, "bills")
    assert missed_thresholds(lost) == ["max_energy_difference_wh", "max_failed_stations"]
    assert lost.failed == {"CS-1": "1 transactions have no bill at the CSMS"}


def test_the_problem_of_most_stations_is_reported_with_their_number() -> None:
    record = FleetRecord()
    record.note(
        host_report_of(
            "a",
            *(station(number, boots=0, failure=f"cannot connect to ws://h/CS-{number}: refused") for number in (1, 2)),
            station(3, boots=0, failure="the CSMS rejects it"),
        )
    )
    assert record.sample(1.0).problem == "2 stations: cannot connect to ws://h/CS-1: refused"
    record.note(host_report_of("a", station(1), station(2), station(3)))
    assert record.sample(2.0).problem is None


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (0.0, [0, 1]),
        (4.0, [0, 1, 2, 3, 4]),
        (60.0, [0, 20, 40, 60]),
        (0.03, [0, 0.01, 0.02, 0.03]),
        (7.0, [0, 2, 4, 6, 8]),
    ],
)
def test_an_axis_has_round_values_up_to_the_highest(highest: float, expected: list[float]) -> None:
    assert ticks(highest) == pytest.approx(expected)


def test_long_runs_are_thinned_out() -> None:
    record = FleetRecord()
    record.note(host_report_of("a", station(1)))
    for second in range(9_000):
        record.sample(float(second))
    assert 1_000 <= len(record.samples) <= 2_000
    assert record.samples[-1].at_s > 8_900
    steps = {second.at_s - first.at_s for first, second in zip(record.samples, record.samples[1:], strict=False)}
    assert len(steps) == 1


def test_peaks_of_long_runs_are_kept_and_rates_are_means() -> None:
    """A peak of a second must be in the chart of a run of hours, wherever it falls."""
    record = FleetRecord()
    latency = DurationHistogram()
    for second in range(1, 5_001):
        latency.record(0.5 if second == 4_321 else 0.001)
        record.note(
            host_report_of("a", station(1), request_reports=(RequestReport("Heartbeat", "to CSMS", latency.data()),))
        )
        record.sample(float(second))
    assert max(sample.p95_s or 0.0 for sample in record.samples) == pytest.approx(0.5, rel=0.02)
    assert {round(sample.requests_per_s, 6) for sample in record.samples} == {1.0}


def test_a_sample_soon_after_another_one_replaces_it() -> None:
    record = FleetRecord()
    for at_s, count in ((1.0, 10), (2.0, 20), (2.01, 21)):
        record.note(host_report_of("a", station(1), request_reports=(requests("Heartbeat", [1.0] * count),)))
        record.sample(at_s)
    assert [(sample.at_s, sample.requests) for sample in record.samples] == [(1.0, 10), (2.01, 21)]
    assert record.samples[-1].requests_per_s == pytest.approx(11 / 1.01)


def test_a_value_between_gaps_is_drawn_as_a_dot() -> None:
    drawn = line_chart("t", [ChartLine("one", [(0.0, None), (1.0, 2.0), (2.0, None)])], str)
    assert re.search(r'class="line c0" d="M[\d.]+ [\d.]+h0"', drawn)
