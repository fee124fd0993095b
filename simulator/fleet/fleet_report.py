"""The result of a fleet: what `report.json` contains, and what decides the exit code. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.table import all_values
from simulator.fleet.energy_balance import Bills, EnergyBalance, StationBalance, balance_energy
from simulator.fleet.fleet_record import FleetRecord, FleetSample
from simulator.fleet.histogram import DurationHistogram, Percentiles
from simulator.fleet.reports import RequestReport, StationReport, sum_counts

if TYPE_CHECKING:
    from simulator.fleet.plan_tables import DisturbanceTable, FleetPlan, ThresholdsTable

PERCENTS: Final = (50, 66, 75, 80, 90, 95, 98, 99, 99.9, 99.99, 100)
"""the percentiles of a request's latency, those of Locust"""


class ActionReport(Frozen):
    """The requests of one action in one direction, or of all."""

    direction: str
    """`to CSMS` or `from CSMS`; empty for all"""
    action: str
    requests: int
    failures: int
    failures_by_reason: dict[str, int]
    interrupted: int
    """requests whose connection ended before the response; neither requests nor failures"""
    requests_per_s: float
    failures_per_s: float
    mean_ms: float
    min_ms: float
    max_ms: float
    mean_bytes: float
    """mean length of a response"""
    percentiles_ms: dict[str, float]
    """by percentage: 50, 66, … 100"""


class ThresholdResult(Frozen):
    """One threshold of the plan, and whether it is met."""

    name: str
    """key of the table [thresholds], or `completed`"""
    limit: float
    value: float | None
    """None: there is nothing to judge, such as no reconnection"""
    met: bool


class DisturbanceTime(Frozen):
    """When a disturbance of the plan happened, in real seconds since the first station was started."""

    type: str
    from_s: float
    until_s: float
    """its end at the last station; `from_s` if it has no duration"""
    share: float
    """part of the stations"""


class FleetReport(Frozen):
    """The result of a fleet."""

    plan: dict[str, object]
    """the plan, without passwords"""
    engine: str
    hosts: int
    began_at: str
    """ISO 8601, UTC"""
    lasted_s: float
    """real seconds"""
    interrupted: bool
    """whether it was stopped before the end of the plan"""
    stations: int
    booted: int
    """stations that the CSMS has accepted"""
    failed: dict[str, str]
    """why a station has failed, or what was left over, by identity"""
    replaced: list[str]
    """identities of stations that were restarted without their storage"""
    arrivals: int
    started: int
    ended: int
    boot: Percentiles
    reconnect: Percentiles
    latency: Percentiles
    """of all requests to the CSMS"""
    actions: list[ActionReport]
    energy: EnergyBalance
    thresholds: list[ThresholdResult]
    disturbances: list[DisturbanceTime]
    """when the disturbances of the plan happened, in their order; empty if the plan has not begun"""
    samples: list[FleetSample]
    station_reports: list[StationReport]
    host_failures: list[str]
    misbehaviour: int = 0
    """number of messages with which stations have done something wrong on purpose"""

    @property
    def passed(self) -> bool:
        """Whether all thresholds are met."""
        return all(threshold.met for threshold in self.thresholds)

    def to_json(self) -> bytes:
        """The content of `report.json`."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return msgspec.json.format(msgspec.json.encode({**fields, "passed": self.passed}), indent=1)


class FleetRunFacts(Frozen):
    """Facts of a run as a whole, for its report."""

    engine: str
    began_at: str
    lasted_s: float
    interrupted: bool
    plan_began_s: float | None = None
    """real seconds from the start of the first station until the plan began; None: it has not begun"""


def fleet_report(plan: FleetPlan, facts: FleetRunFacts, record: FleetRecord, energy: EnergyBalance) -> FleetReport:
    """Make the report of a fleet whose hosts have ended."""
    stations, boot, reconnect, latency = record.stations, record.boot, record.reconnect, record.latency()
    failed = _failures(stations, energy)
    actions = action_reports(record.requests, facts.lasted_s)
    figures = _Measurements(stations, failed, len(record.replaced), boot, reconnect, latency, actions[-1], energy)
    completed = ThresholdResult("completed", 1.0, float(not facts.interrupted), not facts.interrupted)
    return FleetReport(
        _values_without_password(plan),
        facts.engine,
        len(record.hosts),
        facts.began_at,
        facts.lasted_s,
        facts.interrupted,
        len(stations),
        figures.booted,
        failed,
        [station.identity for station in stations if station.number in record.replaced],
        sum(station.arrivals for station in stations),
        sum(station.started for station in stations),
        sum(station.ended for station in stations),
        boot.percentiles(),
        reconnect.percentiles(),
        latency.percentiles(),
        actions,
        energy,
        [completed, *_threshold_results(plan.thresholds, figures)],
        _disturbance_times(plan, facts),
        record.samples,
        stations,
        [host.failure for host in record.hosts if host.failure is not None],
        sum(station.misbehaviour for station in stations),
    )


def with_bills(report: FleetReport, bills: Bills, source: str) -> FleetReport:
    """The report with the balance, failures and thresholds by the bills of the CSMS. `source`: where they are from."""
    replaced = frozenset(station.number for station in report.station_reports if station.identity in report.replaced)
    energy = balance_energy(report.station_reports, replaced, bills, source)
    failed = _failures(report.station_reports, energy)
    values = {"max_energy_difference_wh": energy.largest_difference_wh, "max_failed_stations": float(len(failed))}
    thresholds = [
        threshold
        if (value := values.get(threshold.name)) is None
        else replace(threshold, value=value, met=value <= threshold.limit)
        for threshold in report.thresholds
    ]
    return replace(report, energy=energy, failed=failed, thresholds=thresholds)


def read_report(data: bytes) -> FleetReport:
    """Read what `to_json` wrote.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    fields = msgspec.json.decode(data, type=dict[str, object])
    fields.pop("passed", None)  # follows from the others
    return msgspec.convert(fields, FleetReport)


def _disturbance_times(plan: FleetPlan, facts: FleetRunFacts) -> list[DisturbanceTime]:
    """The disturbances that began before the end of the run, by the time of the plan."""
    if facts.plan_began_s is None:
        return []
    times = [
        DisturbanceTime(
            disturbance.type,
            facts.plan_began_s + disturbance.at_s / plan.fleet.rate,
            facts.plan_began_s + (disturbance.at_s + _duration_s(disturbance)) / plan.fleet.rate,
            disturbance.share,
        )
        for disturbance in plan.disturbance
    ]
    return [
        disturbance
        for disturbance in sorted(times, key=lambda disturbance: disturbance.from_s)
        if disturbance.from_s <= facts.lasted_s
    ]


def _duration_s(disturbance: DisturbanceTable) -> float:
    """Simulated seconds from the begin of a disturbance until its end at the last station."""
    match disturbance.type:
        case "reconnect-storm":
            return 0.0
        case "csms-restart":
            return disturbance.lasts_s
        case _:
            return disturbance.spread_s + disturbance.lasts_s


def action_reports(requests: Sequence[RequestReport], lasted_s: float) -> list[ActionReport]:
    """One report for each action and direction, and a last one, named Aggregated, for all."""
    found = [
        _action_report(request.direction, request.action, DurationHistogram([request.latency]), [request], lasted_s)
        for request in requests
    ]
    return [
        *found,
        _action_report(
            "", "Aggregated", DurationHistogram(request.latency for request in requests), requests, lasted_s
        ),
    ]


def _action_report(
    direction: str, name: str, latency: DurationHistogram, requests: Sequence[RequestReport], lasted_s: float
) -> ActionReport:
    reasons = sum_counts(request.failures for request in requests)
    failures = sum(reasons.values())
    answered = latency.count - reasons.get("timeout", 0)
    return ActionReport(
        direction,
        name,
        latency.count,
        failures,
        reasons,
        sum(request.interrupted for request in requests),
        latency.count / lasted_s if lasted_s > 0.0 else 0.0,
        failures / lasted_s if lasted_s > 0.0 else 0.0,
        latency.mean_s * 1e3,
        latency.min_s * 1e3,
        latency.max_s * 1e3,
        sum(request.response_bytes for request in requests) / answered if answered > 0 else 0.0,
        {f"{percent:g}": latency.percentile_s(percent) * 1e3 for percent in PERCENTS},
    )


class _Measurements(Frozen):
    """Measurements that are compared with thresholds."""

    stations: Sequence[StationReport]
    failed: dict[str, str]
    replaced: int
    boot: DurationHistogram
    reconnect: DurationHistogram
    latency: DurationHistogram
    total: ActionReport
    energy: EnergyBalance

    @property
    def booted(self) -> int:
        """Stations that the CSMS has accepted."""
        return sum(station.boots > 0 for station in self.stations)


def _threshold_results(limits: ThresholdsTable, figures: _Measurements) -> Iterator[ThresholdResult]:
    if limits.min_booted is not None:
        share = figures.booted / max(1, len(figures.stations))
        yield ThresholdResult("min_booted", limits.min_booted, share, share >= limits.min_booted)
    total, boot, reconnect, latency = figures.total, figures.boot, figures.reconnect, figures.latency
    highest: list[tuple[str, float | None, float | None]] = [
        ("max_boot_p95_s", limits.max_boot_p95_s, boot.percentile_s(95) if boot.count else None),
        ("max_reconnect_p95_s", limits.max_reconnect_p95_s, reconnect.percentile_s(95) if reconnect.count else None),
        ("max_latency_p95_ms", limits.max_latency_p95_ms, latency.percentile_s(95) * 1e3 if latency.count else None),
        (
            "max_failed_requests",
            limits.max_failed_requests,
            total.failures / total.requests if total.requests else None,
        ),
        ("max_energy_difference_wh", limits.max_energy_difference_wh, figures.energy.largest_difference_wh),
        ("max_failed_stations", limits.max_failed_stations, float(len(figures.failed))),
        ("max_replaced_stations", limits.max_replaced_stations, float(figures.replaced)),
    ]
    for name, limit, value in highest:
        if limit is not None:
            yield ThresholdResult(name, limit, value, value is None or value <= limit)


def _failures(stations: Sequence[StationReport], energy: EnergyBalance) -> dict[str, str]:
    """Why each failed station has failed, by identity."""
    balances = {balance.number: balance for balance in energy.stations}
    return {
        station.identity: why
        for station in stations
        if (why := _failure_text(station, balances.get(station.number))) is not None
    }


def _failure_text(station: StationReport, balance: StationBalance | None) -> str | None:
    """Sentence about the failure of a station, or about what is left over or missing at the CSMS; None: none.

    `balance`: None for a replaced station, which is not compared.
    """
    if station.failure is not None:
        return station.failure
    # What a lost host has counted since its last report is not known; `unfinished` is from the storage.
    left = [
        (0 if station.resumed else station.started - station.ended, "transactions have not ended"),
        (station.waiting_events, "transaction events were not answered"),
        (station.unfinished, "bills are not complete"),
        (balance.missing_events if balance is not None else 0, "transaction events are missing at the CSMS"),
        (balance.missing_bills if balance is not None else 0, "transactions have no bill at the CSMS"),
    ]
    return "; ".join(f"{count} {subject}" for count, subject in left if count > 0) or None


def different_stations(energy: EnergyBalance, limit_wh: float) -> list[StationBalance]:
    """The stations whose bills and meters differ by more than `limit_wh`, those that differ most first."""
    found = [balance for balance in energy.stations if abs(balance.difference_wh) > limit_wh]
    return sorted(found, key=lambda balance: -abs(balance.difference_wh))


def _values_without_password(plan: FleetPlan) -> dict[str, object]:
    values = all_values(plan)
    return values | {"fleet": {key: value for key, value in all_values(plan.fleet).items() if key != "password"}}
