"""Record of a running fleet: the latest report of each host, and samples over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from simulator.fleet.histogram import DurationHistogram, HistogramData
from simulator.fleet.reports import HostReport, RequestReport, StationReport, StationState, merge_requests

_MAX_SAMPLES: Final = 2_000
_SHORTEST_INTERVAL_S: Final = 0.5
"""a sample that comes earlier after another one replaces it: no rate of a few milliseconds"""


class FleetSample(Frozen):
    """A fleet at one moment."""

    at_s: float
    """real seconds since the first station was started"""
    states: dict[str, int]
    """number of stations by state (`StationState`)"""
    requests: int
    """requests with a response or a failure, of stations and CSMS, since the begin"""
    requests_per_s: float
    """the same, on average since the sample before"""
    failures: int
    """requests without a valid response, since the begin"""
    median_s: float | None
    """median time until the CSMS responded, since the sample before; None: no request

    In a sample that stands for several, the highest one, as of `p95_s`."""
    p95_s: float | None
    """95th percentile of it"""
    boots: int
    """acceptances by the CSMS since the begin"""
    started: int
    """transactions started since the begin"""
    ended: int
    """transactions ended since the begin"""
    power_w: float
    """power that flows to all vehicles"""
    energy_wh: float
    """energy that all meters have counted"""
    waiting_events: int
    """transaction events that wait for the CSMS"""
    problem: str | None = None
    """the most frequent reason why stations are not accepted, with their number; None: no station reports one"""


class FleetRecord:
    """Collects the reports of all hosts, also of those that are lost and started again."""

    def __init__(self) -> None:
        self._latest_reports: dict[int, HostReport] = {}
        self._lost_reports: list[HostReport] = []
        self._reports_before_loss: dict[int, StationReport] = {}
        self.replaced: set[int] = set()
        """numbers of the stations that were restarted without their storage"""
        self.samples: list[FleetSample] = []
        """samples over time, oldest first; when there are too many, one stands for several"""
        self._last_sample: FleetSample | None = None
        self._earlier_latency, self._last_latency = HistogramData(), HistogramData()
        """as they were at the last two samples"""
        self._samples_per_point = 1
        self._sample_count = 0
        self._pending_sample: FleetSample | None = None
        """what the next sample that is kept stands for besides itself"""

    def note(self, report: HostReport) -> None:
        """Take a report in place of the former one of the same host.

        If another host has reported on the same stations before, that one is lost: what it has measured is kept, and
        its stations either go on with their storage, or are replaced by new ones.
        """
        before = self._latest_reports.get(report.first)
        if before is not None and report.host and before.host != report.host:
            self._lost_reports.append(before)
            resumed = {station.number for station in report.stations if station.resumed}
            for station in self._with_earlier(before.stations):
                if station.number in resumed:
                    self._reports_before_loss[station.number] = station
                elif station.state is not StationState.WAITING:
                    self.replaced.add(station.number)
                    self._reports_before_loss.pop(station.number, None)
        self._latest_reports[report.first] = report

    @property
    def hosts(self) -> list[HostReport]:
        """The latest report of each host that is not lost, by its first station."""
        return [self._latest_reports[first] for first in sorted(self._latest_reports)]

    @property
    def stations(self) -> list[StationReport]:
        """The latest report of each station, by number."""
        found = [station for host in self._latest_reports.values() for station in self._with_earlier(host.stations)]
        return sorted(found, key=lambda station: station.number)

    @property
    def requests(self) -> list[RequestReport]:
        """The requests of all hosts, also of lost ones."""
        return merge_requests(self._all_reports)

    @property
    def boot(self) -> DurationHistogram:
        """Real time from the start of each station until its acceptance."""
        return DurationHistogram(host_report.boot for host_report in self._all_reports)

    @property
    def reconnect(self) -> DurationHistogram:
        """Real time from the loss of each connection until the next one."""
        return DurationHistogram(host_report.reconnect for host_report in self._all_reports)

    def latency(self) -> DurationHistogram:
        """Time until the CSMS has responded, over all actions."""
        return DurationHistogram(
            request.latency
            for report in self._all_reports
            for request in report.requests
            if request.direction == "to CSMS"
        )

    def sample(self, at_s: float) -> FleetSample:
        """Take a sample `at_s` real seconds after the begin, and keep it."""
        if (
            self._last_sample is not None
            and self.samples
            and self.samples[-1].at_s == self._last_sample.at_s
            and at_s - self._last_sample.at_s < _SHORTEST_INTERVAL_S
        ):
            self._pending_sample = self.samples.pop()
            self._sample_count -= 1
            self._last_sample = self.samples[-1] if self.samples else None
            self._last_latency = self._earlier_latency
        stations, requests, latency = self.stations, self.requests, self.latency()
        recent = latency.without(self._last_latency)
        self._earlier_latency, self._last_latency = self._last_latency, latency.data()
        total = sum(DurationHistogram([request.latency]).count for request in requests)
        sample = FleetSample(
            at_s,
            dict(Counter(station.state.value for station in stations)),
            total,
            _rate(total, at_s, self._last_sample),
            sum(sum(request.failures.values()) for request in requests),
            recent.percentile_s(50) if recent.count else None,
            recent.percentile_s(95) if recent.count else None,
            sum(station.boots for station in stations),
            sum(station.started for station in stations),
            sum(station.ended for station in stations),
            sum(station.power_w for station in stations),
            sum(station.register_wh for station in stations),
            sum(station.waiting_events for station in stations),
            _frequent_problem(stations),
        )
        self._last_sample = sample
        self._store_sample(sample)
        return sample

    @property
    def _all_reports(self) -> list[HostReport]:
        return [*self._lost_reports, *self._latest_reports.values()]

    def _with_earlier(self, stations: Iterable[StationReport]) -> list[StationReport]:
        """Add what a lost host has counted about a station that goes on."""
        return [
            station
            if (earlier := self._reports_before_loss.get(station.number)) is None
            else replace(
                station,
                boots=station.boots + earlier.boots,
                arrivals=station.arrivals + earlier.arrivals,
                started=station.started + earlier.started,
                ended=station.ended + earlier.ended,
            )
            for station in stations
        ]

    def _store_sample(self, sample: FleetSample) -> None:
        self._sample_count += 1
        sample = _merge_samples(self._pending_sample, sample)
        if self._sample_count % self._samples_per_point:
            self._pending_sample = sample
            return
        self._pending_sample = None
        before = self.samples[-1] if self.samples else None
        self.samples.append(replace(sample, requests_per_s=_rate(sample.requests, sample.at_s, before)))
        if len(self.samples) >= _MAX_SAMPLES:
            pairs = zip(self.samples[::2], self.samples[1::2], strict=True)
            self.samples = _with_rates([_merge_samples(former, latter) for former, latter in pairs])
            self._samples_per_point *= 2


def _frequent_problem(stations: Iterable[StationReport]) -> str | None:
    """The most frequent failure, in the words of one station, with the number of stations that report it.

    Two failures are the same if they differ only by the identity of the station.
    """
    failures: dict[str, list[str]] = {}
    for station in stations:
        if station.failure is not None:
            failures.setdefault(station.failure.replace(station.identity, ""), []).append(station.failure)
    if not failures:
        return None
    most = max(failures.values(), key=len)
    return f"{len(most)} station{'s' if len(most) > 1 else ''}: {most[0]}"


def _rate(requests: int, at_s: float, before: FleetSample | None) -> float:
    """The requests in a second since the sample before, or since the begin."""
    elapsed_s = at_s - (before.at_s if before is not None else 0.0)
    return (requests - (before.requests if before is not None else 0)) / elapsed_s if elapsed_s > 0.0 else 0.0


def _merge_samples(former: FleetSample | None, latter: FleetSample) -> FleetSample:
    """The latter of two samples, with the longest response times of both: a peak must not disappear."""
    if former is None:
        return latter
    return replace(
        latter, median_s=_longest(former.median_s, latter.median_s), p95_s=_longest(former.p95_s, latter.p95_s)
    )


def _longest(*durations_s: float | None) -> float | None:
    return max((duration_s for duration_s in durations_s if duration_s is not None), default=None)


def _with_rates(samples: Sequence[FleetSample]) -> list[FleetSample]:
    """The samples with the rate since the one before that is left."""
    formers = (None, *samples)
    return [
        replace(sample, requests_per_s=_rate(sample.requests, sample.at_s, before))
        for sample, before in zip(samples, formers, strict=False)
    ]
