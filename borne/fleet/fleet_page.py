"""The page, API and metrics of a running fleet, on a port of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from borne.fleet.fleet_orders import ORDERS, FleetOrder, UnknownOrderError, carry_out, pages_of
from borne.fleet.fleet_page_files import COLUMNS, PAGE, SCRIPT
from borne.fleet.unit import EngineError
from simulator.fleet.histogram import DurationHistogram
from simulator.fleet.reports import StationState
from simulator.loopback_application import bounded_body, page_application
from simulator.loopback_page import HOST, serving_page
from simulator.page_style import STYLE

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from borne.fleet.fleet_run import FleetRun
    from simulator.fleet.reports import StationReport

_MAX_ROWS: Final = 500
_LONGEST_REASON: Final = 500
_SORTABLE: Final[Mapping[str, Callable[[StationReport], int | float | str]]] = {
    "number": lambda station: station.number,
    "identity": lambda station: station.identity,
    "state": lambda station: station.state.value,
    "boots": lambda station: station.boots,
    "started": lambda station: station.started,
    "waiting_events": lambda station: station.waiting_events,
    "power_w": lambda station: station.power_w,
    "register_wh": lambda station: station.register_wh,
    "misbehaviour": lambda station: station.misbehaviour,
}
"""fields by which the stations can be sorted"""
_QUANTILES: Final = (0.5, 0.95, 0.99)


@contextlib.asynccontextmanager
async def serving_fleet_page(run: FleetRun, port: int) -> AsyncGenerator[int]:
    """Serve page, API and metrics of a fleet while the block runs; yields the port. Port 0: any free one.

    Raises:
        EngineError: the port cannot be bound.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            bound = await stack.enter_async_context(serving_page(lambda: fleet_application(run), port, "fleet page"))
        except OSError as error:
            raise EngineError(f"--http-port: cannot listen at {HOST}:{port}") from error
        yield bound


def fleet_application(run: FleetRun) -> Starlette:
    """The application: the page, `/api/fleet` and `/metrics`; it answers to names of this machine only."""
    registry = CollectorRegistry()
    registry.register(FleetCollector(run))

    async def page(_: Request) -> Response:
        return HTMLResponse(_page(run))

    async def state(request: Request) -> Response:
        query = request.query_params
        body = fleet_state(
            run, state=query.get("state", ""), text=query.get("text", ""), sort=query.get("sort", "number")
        )
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def orders(request: Request) -> Response:
        return await _carry_out(run, request)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def script(_: Request) -> Response:
        return Response(SCRIPT, media_type="text/javascript")

    async def style(_: Request) -> Response:
        return Response(STYLE, media_type="text/css")

    routes = [
        Route("/", page),
        Route("/fleet.js", script),
        Route("/fleet.css", style),
        Route("/api/fleet", state),
        Route("/api/orders", orders, methods=["POST"]),
        Route("/metrics", metrics),
    ]
    return page_application(routes)


async def _carry_out(run: FleetRun, request: Request) -> Response:
    """Give an order to stations; it must be JSON, so that no page of another site can send it by a form."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json")
    body = await bounded_body(request)
    if body is None:
        return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")
    try:
        outcome = await carry_out(run, msgspec.json.decode(body, type=FleetOrder))
    except (msgspec.MsgspecError, ValueError, UnknownOrderError, RecursionError) as error:
        return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)[:_LONGEST_REASON])
    return Response(msgspec.json.encode(outcome), media_type="application/json")


def _refused(status: HTTPStatus, detail: str) -> Response:
    return Response(msgspec.json.encode({"detail": detail}), status, media_type="application/json")


def fleet_state(run: FleetRun, *, state: str, text: str, sort: str = "number") -> dict[str, object]:
    """The body of GET /api/fleet: the last sample, and the stations in a state whose identity contains a text.

    At most 500 stations. Empty texts: all. `sort`: a field of the rows, with a minus before it the largest first; any
    other text: by number.
    """
    pages = pages_of(run)
    stations = [
        station
        for station in run.record.stations
        if (not state or station.state.value == state) and text in station.identity
    ]
    field = sort.removeprefix("-")
    if field in _SORTABLE:
        stations.sort(key=lambda station: _SORTABLE[field](station), reverse=sort.startswith("-"))
    samples = run.record.samples
    return {
        "stations": run.loaded.plan.fleet.stations,
        "elapsed_s": run.elapsed_s,
        "lasts_s": sum(run.tasks_s),
        "sample": samples[-1] if samples else None,
        "found": len(stations),
        "rows": [_row(station, pages.get(station.number)) for station in stations[:_MAX_ROWS]],
    }


def _row(station: StationReport, page: str | None) -> dict[str, object]:
    """One station on the page; its own page is served by its host while it runs."""
    return {
        "number": station.number,
        "identity": station.identity,
        "state": station.state.value,
        "boots": station.boots,
        "started": station.started,
        "ended": station.ended,
        "waiting_events": station.waiting_events,
        "power_w": station.power_w,
        "register_wh": station.register_wh,
        "failure": station.failure,
        "misbehaviour": station.misbehaviour,
        "page": page,
    }


class FleetCollector(Collector):
    """The metrics of a fleet, computed when they are read."""

    def __init__(self, run: FleetRun) -> None:
        self._run = run

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its present values."""
        record = self._run.record
        stations = record.stations
        states = GaugeMetricFamily("borne_fleet_stations", "Stations by state", labels=["state"])
        for state in StationState:
            states.add_metric([state.value], sum(station.state is state for station in stations))
        yield states
        yield CounterMetricFamily(
            "borne_fleet_boots", "Acceptances by the CSMS", value=sum(station.boots for station in stations)
        )
        transactions = CounterMetricFamily("borne_fleet_transactions", "Transactions", labels=["event"])
        transactions.add_metric(["started"], sum(station.started for station in stations))
        transactions.add_metric(["ended"], sum(station.ended for station in stations))
        yield transactions
        yield _gauge(
            "borne_fleet_waiting_events", "Events for the CSMS", (station.waiting_events for station in stations)
        )
        yield _gauge("borne_fleet_power_watts", "Power to all vehicles", (station.power_w for station in stations))
        yield _gauge(
            "borne_fleet_energy_watt_hours", "Counted by all meters", (station.register_wh for station in stations)
        )
        yield from self._request_metrics()

    def _request_metrics(self) -> Iterator[Metric]:
        labels = ["direction", "action"]
        latency = GaugeMetricFamily(
            "borne_fleet_request_latency_seconds", "Time to the response", labels=[*labels, "quantile"]
        )
        totals = SummaryMetricFamily("borne_fleet_requests", "Requests and the sum of their latencies", labels=labels)
        failures = CounterMetricFamily(
            "borne_fleet_request_failures", "Requests without a valid response", labels=[*labels, "reason"]
        )
        for request in self._run.record.requests:
            histogram = DurationHistogram([request.latency])
            names = [request.direction, request.action]
            totals.add_metric(names, histogram.count, request.latency.sum_s)
            for quantile in _QUANTILES:
                latency.add_metric([*names, f"{quantile:g}"], histogram.percentile_s(quantile * 100.0))
            for reason, count in request.failures.items():
                failures.add_metric([*names, reason], count)
        yield from (totals, latency, failures)


def _gauge(name: str, text: str, values: Iterable[float]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=sum(values))


def _page(run: FleetRun) -> str:
    parts = {
        "{states}": "".join(f"<option>{state.value}</option>" for state in StationState),
        "{orders}": "".join(f"<option>{name}</option>" for name in ORDERS),
        "{columns}": "".join(
            f'<th scope="col"{" aria-sort=ascending" if field == "number" else ""}>'
            f'<button type="button" class="plain" data-sort="{field}">{title}</button></th>'
            for field, title in COLUMNS.items()
        ),
        "{title}": escape(f"Fleet of {run.loaded.plan.fleet.stations} stations"),
    }
    page = PAGE
    for place, text in parts.items():
        page = page.replace(place, text)
    return page
