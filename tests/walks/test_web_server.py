"""The listening socket of the local API, as the machine sees it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from borne.composition.station_assembly import host_process
from station.interfaces.http.connection_limits import connection_limits
from station.interfaces.http.server import WebServer
from tests.patience import PATIENCE_S, until
from tests.walk import configuration
from tests.walks.station_process import StationProcess

_ESTABLISHED, _KEEPALIVE = "01", "02"


def _timer(port: int) -> str | None:
    """Return the kernel timer of the connection accepted at a port (proc_net_tcp); None: none was accepted."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port and fields[3] == _ESTABLISHED:
            return fields[5].partition(":")[0]
    return None


async def test_a_phone_that_vanishes_before_it_has_asked_for_anything_is_found_out() -> None:
    """Browsers connect in advance, and no server waits for a request with a clock in hand."""
    server = WebServer("127.0.0.1", 0, connection_limits(tls=False))
    server.bind()
    serving = asyncio.create_task(server.run(lambda: PlainTextResponse("ok"), None))
    async with asyncio.timeout(PATIENCE_S):
        _, phone = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: _timer(server.port) is not None)
        assert _timer(server.port) == _KEEPALIVE
        phone.close()
        await phone.wait_closed()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def test_whoever_waits_for_the_ready_file_finds_the_page_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has asked for anything yet; the interpreter writes what it imports, and when, on stderr."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    station = StationProcess(tmp_path, None)
    try:
        station.start()
        await station.ready()
        loaded = station.log.read_text(encoding="utf-8")
        assert "station.interfaces.application" in loaded
        assert "uvicorn.protocols.http.h11_impl" in loaded
    finally:
        await station.aclose()


async def test_a_ready_file_that_cannot_be_written_stops_no_station(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = host_process(configuration(tmp_path, None))
    running = asyncio.create_task(process.run(tmp_path / "none" / "ready.json"))
    await until(lambda: "cannot be written" in caplog.text)
    assert process.station.running
    process.stop()
    await running
