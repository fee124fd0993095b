"""What the port of the bundled CSMS bears: foreign pages, and connections that nobody uses."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from foundation.clock import SystemClock
from simulator.csms.bounded_connection import SPARE_CONNECTIONS
from simulator.csms.csms import CsmsSettings, DemoCsms
from station.interfaces.http.security_headers import SECURITY_HEADERS
from tests.patience import PATIENCE_S

_SINGLE_CONNECTION = CsmsSettings(most_connections=1, first_byte_s=1.0)


async def _request_bills(csms: DemoCsms, host: str | None = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        return await client.get(f"http://127.0.0.1:{csms.port}/api/bills", headers={"Host": host} if host else {})


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:9000", "127.0.0.1.attacker.example", "a b"])
async def test_a_foreign_page_cannot_read_the_bills_by_a_name_of_its_own(host: str) -> None:
    """DNS rebinding: its name leads to this machine, so that the browser takes the bills for its own."""
    async with DemoCsms(SystemClock().now).listening() as csms:
        answer = await _request_bills(csms, host)
    assert answer.status_code == 421
    assert "stations" not in answer.json()


@pytest.mark.parametrize("host", [None, "localhost:9000", "[::1]:9000", "192.168.1.10", "csms:9000", "server.local"])
async def test_the_bills_are_served_under_each_name_of_the_local_network(host: str | None) -> None:
    async with DemoCsms(SystemClock().now).listening() as csms:
        answer = await _request_bills(csms, host)
    assert answer.json() == {"stations": {}}
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["Cache-Control"] == "no-store"


async def test_connections_that_nobody_uses_are_closed_and_stations_still_connect() -> None:
    async with (
        DemoCsms(SystemClock().now, settings=_SINGLE_CONNECTION).listening() as csms,
        asyncio.timeout(PATIENCE_S),
    ):
        idle = [await asyncio.open_connection("127.0.0.1", csms.port) for _ in range(3 * SPARE_CONNECTIONS)]
        for reader, writer in idle:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        async with connect(f"{csms.url}/S-1", subprotocols=[Subprotocol("ocpp2.0.1")]):
            assert (await _request_bills(csms)).status_code == 200


async def test_a_connection_beyond_the_stations_is_closed_at_once() -> None:
    settings = CsmsSettings(most_connections=1, first_byte_s=10 * PATIENCE_S)
    async with DemoCsms(SystemClock().now, settings=settings).listening() as csms, asyncio.timeout(PATIENCE_S):
        peers = [await asyncio.open_connection("127.0.0.1", csms.port) for _ in range(SPARE_CONNECTIONS + 2)]
        with contextlib.suppress(ConnectionError):
            assert await peers[-1][0].read() == b""
        for _, writer in peers:
            writer.close()
