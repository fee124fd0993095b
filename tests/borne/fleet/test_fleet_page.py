"""The page, API and metrics of a running fleet."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from borne.fleet.fleet_page import fleet_application, serving_fleet_page
from borne.fleet.fleet_run import FleetOptions, FleetRun
from borne.fleet.unit import HostTask, ReportListener
from simulator.fleet.histogram import DurationHistogram
from simulator.fleet.plan import load_plan
from simulator.fleet.reports import HostReport, RequestReport, StationReport, StationState
from station.interfaces.http.connection_limits import connection_limits
from station.interfaces.http.security_headers import SECURITY_HEADERS
from tests.patience import PATIENCE_S
from tests.simulator.fleet.plans import write_plan


class IdleEngine:
    """An engine whose hosts never report."""

    def prepared(self, folder: Path) -> AbstractAsyncContextManager[None]:
        """Nothing is needed."""
        return nullcontext()

    async def run(self, tasks: Sequence[HostTask], listener: ReportListener) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


def running_fleet(folder: Path, stations: int = 3) -> FleetRun:
    """A fleet of which two stations are online and the others offline."""
    plan = load_plan(write_plan(folder, f'[fleet]\nstations = {stations}\ntemplate = "station.toml"\n'))
    run = FleetRun(plan, IdleEngine(), FleetOptions("process", folder, 1))
    states = [StationState.ONLINE] * 2 + [StationState.OFFLINE] * (stations - 2)
    latency = DurationHistogram()
    latency.record(0.25)
    run.record.note(
        HostReport(
            "host",
            tuple(
                StationReport(number, f"FLEET-{number}", state, boots=1, started=2, ended=1, register_wh=10.5)
                for number, state in enumerate(states, 1)
            ),
            (RequestReport("Heartbeat", "to CSMS", latency.data(), {"timeout": 1}),),
            http_port=8123,
        )
    )
    run.record.sample(2.0)
    return run


def client(run: FleetRun, host: str = "127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(fleet_application(run)), base_url=f"http://{host}")


async def state(run: FleetRun, query: str = "") -> dict[str, Any]:
    async with client(run) as visitor:
        return (await visitor.get(f"/api/fleet?{query}")).json()


async def test_the_api_lists_stations_by_state_and_text(tmp_path: Path) -> None:
    run = running_fleet(tmp_path)
    answer = await state(run)
    assert answer["sample"]["states"] == {"online": 2, "offline": 1}
    assert answer["found"] == 3
    assert answer["rows"][0]["page"] == "http://127.0.0.1:8123/stations/FLEET-1/"
    assert [row["identity"] for row in (await state(run, "state=offline"))["rows"]] == ["FLEET-3"]
    assert [row["identity"] for row in (await state(run, "text=T-2"))["rows"]] == ["FLEET-2"]


async def test_the_api_answers_with_a_bounded_number_of_stations(tmp_path: Path) -> None:
    many = await state(running_fleet(tmp_path, 1200))
    assert (many["found"], len(many["rows"])) == (1200, 500)


async def test_metrics_are_those_of_the_whole_fleet(tmp_path: Path) -> None:
    async with client(running_fleet(tmp_path)) as visitor:
        text = (await visitor.get("/metrics")).text
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["borne_fleet_stations", "online"] == 2
    assert values["borne_fleet_transactions_total", "started"] == 6
    assert values["borne_fleet_energy_watt_hours",] == 31.5
    assert values["borne_fleet_requests_count", "Heartbeat", "to CSMS"] == 1
    assert values["borne_fleet_request_latency_seconds", "0.95", "Heartbeat", "to CSMS"] == 0.25
    assert values["borne_fleet_request_failures_total", "Heartbeat", "timeout", "to CSMS"] == 1


async def test_only_names_of_this_machine_are_answered(tmp_path: Path) -> None:
    """A page of another site must not read the fleet through a name that it directs to this machine."""
    async with client(running_fleet(tmp_path), "attacker.example") as visitor:
        assert (await visitor.get("/api/fleet")).status_code == 400


async def test_the_page_is_served_on_a_free_port(tmp_path: Path) -> None:
    async with serving_fleet_page(running_fleet(tmp_path), 0) as port, httpx.AsyncClient() as visitor:
        text = (await visitor.get(f"http://127.0.0.1:{port}/")).text
        assert "<title>Fleet of 3 stations</title>" in text
        assert "{" not in text
        for file in ("fleet.js", "fleet.css"):
            assert f'"{file}"' in text
            assert (await visitor.get(f"http://127.0.0.1:{port}/{file}")).is_success


async def test_the_page_has_the_security_headers_of_the_station_and_nothing_inline(tmp_path: Path) -> None:
    async with client(running_fleet(tmp_path)) as visitor:
        for path in ("/", "/api/fleet", "/metrics", "/none"):
            answer = await visitor.get(path)
            assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS, path
        text = (await visitor.get("/")).text
    assert "<style" not in text
    assert text.count("<script") == text.count('<script src="')
    assert not re.search(r" (on\w+|style)=", text)


async def test_connections_to_the_page_are_as_bounded_as_those_to_a_station(tmp_path: Path) -> None:
    most = connection_limits(tls=False).from_loopback
    async with serving_fleet_page(running_fleet(tmp_path), 0) as port, asyncio.timeout(PATIENCE_S):
        peers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(most + 1)]
        with contextlib.suppress(ConnectionError):
            assert await peers[-1][0].read() == b"", "one too many is closed"
        for _, writer in peers:
            writer.close()
