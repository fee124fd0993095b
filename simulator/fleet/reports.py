"""Reports of the hosts of a fleet, as values that can be sent between processes and merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import field

from foundation.frozen import Frozen
from simulator.fleet.histogram import DurationHistogram, HistogramData

Direction = Literal["to CSMS", "from CSMS"]
"""who has sent a request: the station, or the CSMS"""


class StationState(StrEnum):
    """State of a station of a fleet."""

    WAITING = "waiting"
    """its turn in the ramp has not come"""
    STARTING = "starting"
    """it runs, but the CSMS has not accepted it yet"""
    ONLINE = "online"
    """connected and accepted"""
    OFFLINE = "offline"
    """accepted before, but not connected now"""
    POWERLESS = "without power"
    """its power is cut"""
    STOPPED = "stopped"
    """it was stopped in order"""
    FAILED = "failed"
    """it has ended early"""


class RequestReport(Frozen):
    """The requests of one action in one direction."""

    action: str
    direction: Direction
    latency: HistogramData
    """time from sending the request to its response, at the station; of a request of the CSMS: from receiving it to
    sending the response"""
    failures: dict[str, int] = field(default_factory=dict[str, int])
    """number of requests without a valid response, by reason: the code of a CALLERROR, or `timeout`"""
    interrupted: int = 0
    """number of requests whose connection ended before the response"""
    response_bytes: int = 0
    """length of all responses"""


class StationReport(Frozen):
    """One station of a fleet."""

    number: int
    identity: str
    state: StationState = StationState.WAITING
    boots: int = 0
    """number of times that the CSMS has accepted it"""
    arrivals: int = 0
    """number of vehicles that were plugged in"""
    started: int = 0
    """number of transactions started"""
    ended: int = 0
    """number of transactions ended"""
    waiting_events: int = 0
    """transaction events that wait for the CSMS"""
    misbehaviour: int = 0
    """messages with which it has done something wrong on purpose"""
    power_w: float = 0.0
    """power that flows to its vehicles"""
    register_wh: float = 0.0
    """energy that its billing meters have counted"""
    bills: dict[str, float] = field(default_factory=dict[str, float])
    """energy of each ended transaction in Wh, by the events that the CSMS has answered; only in the last report"""
    unfinished: int = 0
    """transactions of which the CSMS has answered the begin but not the end; only in the last report"""
    resumed: bool = False
    """whether its storage existed when its host began: an earlier host was lost"""
    failure: str | None = None
    """why it has ended early"""


class HostReport(Frozen):
    """Measurements of one host so far; the last report has `finished`."""

    host: str
    """identifies this run of a host; a host that is started again has another one"""
    stations: tuple[StationReport, ...]
    requests: tuple[RequestReport, ...] = ()
    boot: HistogramData = HistogramData()
    """real time from the start of a station until its first acceptance"""
    reconnect: HistogramData = HistogramData()
    """real time from the loss of a connection, other than by a power cut, until the next one"""
    finished: bool = False
    failure: str | None = None
    """why the host has ended early"""
    begun_at: float = 0.0
    """when the plan has begun at its stations, in seconds since 1970; 0: not yet"""
    http_port: int = 0
    """port of the pages of its stations, at /stations/{identity}/; 0: none"""

    @property
    def first(self) -> int:
        """The number of its first station, which identifies its range."""
        return self.stations[0].number


def encode_report(report: HostReport) -> bytes:
    """Encode a report for another process."""
    return msgspec.msgpack.encode(report)


def decode_report(data: bytes) -> HostReport:
    """Decode what `encode_report` returned.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return msgspec.msgpack.decode(data, type=HostReport)


def merge_requests(reports: Iterable[HostReport]) -> list[RequestReport]:
    """The requests of all hosts together, by direction and action."""
    found: dict[tuple[str, str], list[RequestReport]] = {}
    for report in reports:
        for request in report.requests:
            found.setdefault((request.direction, request.action), []).append(request)
    return [_merge_same_action(found[key]) for key in sorted(found)]


def _merge_same_action(requests: list[RequestReport]) -> RequestReport:
    return RequestReport(
        requests[0].action,
        requests[0].direction,
        DurationHistogram(request.latency for request in requests).data(),
        sum_counts(request.failures for request in requests),
        sum(request.interrupted for request in requests),
        sum(request.response_bytes for request in requests),
    )


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of counts by the same keys, such as failures by their reason."""
    total: dict[str, int] = {}
    for counter in counts:
        for key, count in counter.items():
            total[key] = total.get(key, 0) + count
    return total
