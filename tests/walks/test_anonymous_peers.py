"""Peers of the local network who open all the connections they can, and a station that goes on with its work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest

from tests.csms import Csms, running_csms
from tests.patience import until
from tests.walks.station_process import ROOT, StationProcess

_FLOOD_S = 20.0
_WATCHDOG_S = 8.0
_DESCRIPTORS = 1024
"""of the station, as without the unit of systemd"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("tls", "idle", "bodies", "listeners"), [(False, 6000, 1500, 300), (True, 1500, 150, 60)], ids=["http", "https"]
)
async def test_a_charge_goes_on_whatever_anonymous_peers_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tls: bool, idle: int, bodies: int, listeners: int
) -> None:
    """Its page answers at the machine, its CSMS is dialled again, its watchdog hears of it, its memory stays."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(_WATCHDOG_S * 1_000_000)))
    with contextlib.closing(_WatchdogSocket(tmp_path / "notify")) as beats:
        async with running_csms() as csms, _charging(tmp_path, csms, tls=tls) as station:
            energy_wh, memory_mib = station.register_wh(), _memory_mib(station)
            log_bytes = station.log.stat().st_size
            numbers = [str(number) for number in (_port(station), _FLOOD_S, idle, bodies, listeners)]
            flood = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.walks.flood", *numbers, *(["tls"] if tls else [])),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                began_s, watched = time.monotonic(), _ResourceUse()
                while (since_s := time.monotonic() - began_s) < _FLOOD_S - 1.0:
                    await watched.sample(station, beats)
                    if csms.connections == 1 and since_s > _FLOOD_S / 3:
                        csms.drop()
                    await asyncio.sleep(0.3)
                assert csms.connections == 2, "the CSMS was dialled again meanwhile"
                output, _ = await asyncio.wait_for(flood.communicate(), 60)
            finally:
                if flood.returncode is None:
                    flood.kill()
                    await flood.wait()
            flood_result = json.loads(output)
            await until(lambda: csms.connected)
            assert station.register_wh() > energy_wh + 100, "the charge goes on"
            assert (await station.evse())["charging_state"] == "Charging"
        assert flood.returncode == 0
        assert flood_result["connections"] >= idle + bodies + listeners
        assert flood_result["most_listening"] <= 8
        assert watched.slowest_s < 2.0
        assert watched.most_memory_mib < memory_mib + 20
        assert watched.most_descriptors < _DESCRIPTORS / 2, "enough are left for all else"
        assert beats.longest_gap_s < _WATCHDOG_S
        assert station.log.stat().st_size - log_bytes < 100_000
        lines = [line for line in station.log_records() if "local API: connection from" in str(line["message"])]
        assert 0 < len(lines) <= 40, "20 sources in a minute"


class _ResourceUse:
    """The highest memory, descriptor count and response time of the station during the flood."""

    def __init__(self) -> None:
        self.slowest_s = 0.0
        self.most_memory_mib = 0.0
        self.most_descriptors = 0

    async def sample(self, station: StationProcess, beats: _WatchdogSocket) -> None:
        """Measure once, and read the watchdog messages."""
        began_s = time.monotonic()
        async with httpx.AsyncClient(verify=False, timeout=20, trust_env=False) as client:
            assert (await client.get(station.api.base_url.join("/healthz"))).status_code == 200
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        self.most_memory_mib = max(self.most_memory_mib, _memory_mib(station))
        self.most_descriptors = max(self.most_descriptors, _descriptors(station))
        beats.read_messages()


class _WatchdogSocket:
    """The service manager's end of the watchdog: measures the longest time without a message."""

    def __init__(self, path: Path) -> None:
        self._wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._wire.bind(str(path))
        self._wire.setblocking(False)
        self._last_s = 0.0
        self.longest_gap_s = 0.0

    def read_messages(self) -> None:
        """Read the messages that have arrived since the last call."""
        now_s = time.monotonic()
        beats = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                beats += b"WATCHDOG=1" in self._wire.recv(4000)
        if self._last_s:
            self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_s)
        if beats or not self._last_s:
            self._last_s = now_s

    def close(self) -> None:
        """Close the socket."""
        self._wire.close()


@contextlib.asynccontextmanager
async def _charging(folder: Path, csms: Csms, *, tls: bool) -> AsyncGenerator[StationProcess]:
    """Run a station that charges and has loaded all modules that a request needs."""
    station = StationProcess(folder, csms.url, more="[http]\ntls = true\n" if tls else "")
    try:
        with _few_descriptors():
            station.start()
        await station.ready(https=tls)
        await station.charging()
        await until(lambda: csms.connected)
        async with station.api.stream("GET", "/api/events"):
            pass
        yield station
        station.signal(signal.SIGTERM)
        assert await station.ended() == 0
    finally:
        await station.aclose()


@contextlib.contextmanager
def _few_descriptors() -> Generator[None]:
    """Lower the limit of file descriptors for processes that are started during the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _memory_mib(station: StationProcess) -> float:
    """Resident memory of the station's process."""
    for line in Path(f"/proc/{station.process.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the process has no memory")


def _descriptors(station: StationProcess) -> int:
    """How many file descriptors the station's process has open."""
    return len(list(Path(f"/proc/{station.process.pid}/fd").iterdir()))


def _port(station: StationProcess) -> int:
    port = station.api.base_url.port
    assert port is not None
    return port
