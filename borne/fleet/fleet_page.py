"""The page, API and metrics of a running fleet, on a port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING, Final

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from borne.fleet.unit import EngineError
from simulator.fleet.histogram import DurationHistogram
from simulator.fleet.page_style import STYLE
from simulator.fleet.reports import StationState

if TYPE_CHECKING:
    from starlette.requests import Request

    from borne.fleet.fleet_run import FleetRun
    from simulator.fleet.reports import StationReport

_HOST: Final = "127.0.0.1"
_MOST_ROWS: Final = 500
_QUANTILES: Final = (0.5, 0.95, 0.99)
_START_S: Final = 10.0


@contextlib.asynccontextmanager
async def serving_fleet_page(run: FleetRun, port: int) -> AsyncGenerator[int]:
    """Serve page, API and metrics of a fleet while the block runs; yields the port. Port 0: any free one.

    Raises:
        EngineError: the port cannot be bound.
    """
    config = uvicorn.Config(
        fleet_application(run), host=_HOST, port=port, log_config=None, access_log=False, lifespan="off", ws="none"
    )
    try:
        listener = config.bind_socket()
    except (OSError, SystemExit) as error:
        raise EngineError(f"--http-port: cannot listen at {_HOST}:{port}") from error
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]), name="fleet page")
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True


def fleet_application(run: FleetRun) -> Starlette:
    """The application: `/`, `/api/fleet` and `/metrics`; it answers to names of this machine only."""
    registry = CollectorRegistry()
    registry.register(FleetCollector(run))

    async def page(_: Request) -> Response:
        return HTMLResponse(_page(run))

    async def state(request: Request) -> Response:
        query = request.query_params
        body = fleet_state(run, state=query.get("state", ""), text=query.get("text", ""))
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = [Route("/", page), Route("/api/fleet", state), Route("/metrics", metrics)]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def fleet_state(run: FleetRun, *, state: str, text: str) -> dict[str, object]:
    """The body of GET /api/fleet: the last sample, and the stations in a state whose identity contains a text.

    At most 500 stations. Empty texts: all.
    """
    pages = {number: host.http_port for host in run.record.hosts for number in (one.number for one in host.stations)}
    stations = [one for one in run.record.stations if (not state or one.state.value == state) and text in one.identity]
    samples = run.record.samples
    return {
        "stations": run.loaded.plan.fleet.stations,
        "elapsed_s": run.elapsed_s,
        "lasts_s": sum(run.tasks_s),
        "sample": samples[-1] if samples else None,
        "found": len(stations),
        "rows": [_row(one, pages[one.number]) for one in stations[:_MOST_ROWS]],
    }


def _row(station: StationReport, port: int) -> dict[str, object]:
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
        "page": f"http://{_HOST}:{port}/stations/{station.identity}/" if port else None,
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
            states.add_metric([state.value], sum(one.state is state for one in stations))
        yield states
        yield CounterMetricFamily(
            "borne_fleet_boots", "Acceptances by the CSMS", value=sum(one.boots for one in stations)
        )
        transactions = CounterMetricFamily("borne_fleet_transactions", "Transactions", labels=["event"])
        transactions.add_metric(["started"], sum(one.started for one in stations))
        transactions.add_metric(["ended"], sum(one.ended for one in stations))
        yield transactions
        yield _gauge("borne_fleet_waiting_events", "Events for the CSMS", (one.waiting_events for one in stations))
        yield _gauge("borne_fleet_power_watts", "Power to all vehicles", (one.power_w for one in stations))
        yield _gauge("borne_fleet_energy_watt_hours", "Counted by all meters", (one.register_wh for one in stations))
        yield from self._requests()

    def _requests(self) -> Iterator[Metric]:
        labels = ["direction", "action"]
        latency = GaugeMetricFamily(
            "borne_fleet_request_latency_seconds", "Time to the response", labels=[*labels, "quantile"]
        )
        totals = SummaryMetricFamily("borne_fleet_requests", "Requests and the sum of their latencies", labels=labels)
        failures = CounterMetricFamily(
            "borne_fleet_request_failures", "Requests without a valid response", labels=[*labels, "reason"]
        )
        for one in self._run.record.requests:
            histogram = DurationHistogram([one.latency])
            names = [one.direction, one.action]
            totals.add_metric(names, histogram.count, one.latency.sum_s)
            for quantile in _QUANTILES:
                latency.add_metric([*names, f"{quantile:g}"], histogram.percentile_s(quantile * 100.0))
            for reason, count in one.failures.items():
                failures.add_metric([*names, reason], count)
        yield from (totals, latency, failures)


def _gauge(name: str, text: str, values: Iterable[float]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=sum(values))


class _Server(uvicorn.Server):
    """A server that installs no signal handlers: Ctrl-C stops the fleet."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


def _page(run: FleetRun) -> str:
    options = "".join(f"<option>{state.value}</option>" for state in StationState)
    return (
        _PAGE.replace("{style}", STYLE)
        .replace("{states}", options)
        .replace("{title}", escape(f"Fleet of {run.loaded.plan.fleet.stations} stations"))
    )


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<link rel="icon" href="data:,"><style>{style}</style></head><body><main>
<h1>{title}</h1>
<p id="progress">starting …</p>
<div class="tiles" id="tiles"></div>
<h2>Stations</h2>
<p><label>State <select id="state"><option value="">all</option>{states}</select></label>
<label>Identity <input id="text" size="16"></label> <span id="found"></span></p>
<div class="wide"><table><thead><tr><th>Number</th><th>Station</th><th>State</th><th>Boots</th><th>Transactions</th>
<th>Waiting events</th><th>Power</th><th>Energy</th><th></th></tr></thead><tbody id="rows"></tbody></table></div>
<p><a href="metrics">Metrics</a></p>
</main><script>
const element = id => document.getElementById(id);
const cell = (row, text, link) => {
  const added = row.insertCell();
  if (!link) { added.textContent = text; return; }
  const anchor = document.createElement("a");
  anchor.href = link; anchor.textContent = text; added.append(anchor);
};
const milliseconds = s => s === null ? "–" : s >= 1 ? s.toFixed(2) + " s" : (s * 1000).toFixed(1) + " ms";
function tiles(sample) {
  const values = [
    ...Object.entries(sample.states).map(([name, count]) => [count, name]),
    [sample.requests_per_s.toFixed(0), "requests/s"], [sample.failures, "failed requests"],
    [milliseconds(sample.median_s), "CSMS responds, median"], [milliseconds(sample.p95_s), "CSMS responds, p95"],
    [sample.started, "transactions started"], [sample.ended, "transactions ended"],
    [(sample.power_w / 1000).toFixed(1) + " kW", "charging"],
    [(sample.energy_wh / 1000).toFixed(2) + " kWh", "charged"],
    [sample.waiting_events, "waiting events"]];
  element("tiles").replaceChildren(...values.map(([value, name]) => {
    const tile = document.createElement("div"), bold = document.createElement("b");
    bold.textContent = value; tile.append(bold, name);
    return tile;
  }));
}
function rows(fleet) {
  const body = document.createElement("tbody");
  body.id = "rows";
  for (const one of fleet.rows) {
    const row = body.insertRow();
    cell(row, one.number); cell(row, one.identity, one.page); cell(row, one.state); cell(row, one.boots);
    cell(row, one.started + " started, " + one.ended + " ended"); cell(row, one.waiting_events);
    cell(row, (one.power_w / 1000).toFixed(1) + " kW"); cell(row, (one.register_wh / 1000).toFixed(3) + " kWh");
    cell(row, one.failure || "");
  }
  element("rows").replaceWith(body);
  element("found").textContent = fleet.found + " stations" +
    (fleet.found > fleet.rows.length ? ", first " + fleet.rows.length : "");
}
async function update() {
  try {
    const query = new URLSearchParams({state: element("state").value, text: element("text").value});
    const fleet = await (await fetch("api/fleet?" + query)).json();
    element("progress").textContent = fleet.elapsed_s.toFixed(0) + " of " + fleet.lasts_s.toFixed(0) + " s";
    if (fleet.sample) tiles(fleet.sample);
    rows(fleet);
  } catch (error) {
    element("progress").textContent = "the fleet does not answer: it has probably ended";
  }
}
element("state").addEventListener("change", update);
element("text").addEventListener("input", update);
setInterval(update, 1000);
update();
</script></body></html>
"""
