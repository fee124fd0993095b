"""`borne csms` as processes: workers that share a port and the bills, restarts, and the limit of open files."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import ssl
import sys
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from simulator.csms.csms_process import raise_file_limit
from simulator.pki.v2g_pki import TestPki
from tests.command_line import invoke
from tests.patience import PATIENCE_S, until
from tests.processes import is_running

ROOT = Path(__file__).parents[3]


@dataclass
class CsmsProcess:
    """A running `borne csms`."""

    process: asyncio.subprocess.Process
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].removesuffix("/ocpp"))

    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]

    async def page_url(self) -> str:
        """The address of page and API, in the second line of its output."""
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        assert line.startswith("page and API at http://"), line
        return line.split()[-1]

    async def get(self, path: str) -> Any:
        """The response of its API."""

        def read() -> Any:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_S) as answer:
                return json.load(answer)

        return await asyncio.to_thread(read)


@asynccontextmanager
async def csms_process(*arguments: str, limit: str = "") -> AsyncGenerator[CsmsProcess]:
    """Run `borne csms` on a free port, unless the arguments name one; `limit`: shell command before it."""
    command = f'{limit} exec "$0" -m borne csms --port 0 "$@"'
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", command, sys.executable, *arguments), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = (await process.stdout.readline()).decode()
        assert line.startswith(("CSMS at ws://", "CSMS at wss://")), line
        yield CsmsProcess(process, line.split()[-1])
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()


async def deliver(csms: CsmsProcess, identity: str, *seq_nos: int, last: int = 3) -> None:
    """Connect as a station, and send events of its transaction; each must be acknowledged."""
    async with connect(f"{csms.url}/{identity}", subprotocols=[Subprotocol("ocpp2.0.1")]) as websocket:
        for seq_no in seq_nos:
            context = {0: "Transaction.Begin", last: "Transaction.End"}.get(seq_no, "Sample.Periodic")
            at = "2026-03-01T12:00:00Z"
            sample = {"value": 100.0 * seq_no, "context": context}
            payload = {
                "eventType": {0: "Started", last: "Ended"}.get(seq_no, "Updated"),
                "timestamp": at,
                "triggerReason": "MeterValuePeriodic",
                "seqNo": seq_no,
                "transactionInfo": {"transactionId": f"t-{identity}"},
                "meterValue": [{"timestamp": at, "sampledValue": [sample]}],
            }
            await websocket.send(json.dumps([2, f"m{seq_no}", "TransactionEvent", payload]))
            async with asyncio.timeout(PATIENCE_S):
                assert json.loads(await websocket.recv()) == [3, f"m{seq_no}", {}]


async def test_workers_share_a_port_and_each_answers_for_the_bills_of_all() -> None:
    """Each connection may reach another worker; both have to know every event, also those that are sent again."""
    async with csms_process("--quiet", "--workers", "2") as csms:
        assert len(csms.workers()) == 2
        stations = [f"S{number}" for number in range(8)]
        for seq_nos in ((0, 1), (1, 2), (2, 3)):
            await asyncio.gather(*(deliver(csms, identity, *seq_nos) for identity in stations))
        total = {"transactions": 1, "ended": 1, "energy_wh": 300.0, "repeated": 2}
        for _ in range(6):  # whichever worker answers
            assert await csms.get("/api/bills") == {"stations": dict.fromkeys(stations, total)}
        csms.process.send_signal(signal.SIGINT)
        assert await csms.process.wait() == 0


async def test_over_tls_a_station_verifies_the_certificate_and_may_have_to_present_its_own(tmp_path: Path) -> None:
    TestPki.create(tmp_path / "pki")
    files = {name: str(tmp_path / "pki" / name) for name in ("csms.pem", "csms.key", "csms-root.pem")}
    trusting = ssl.create_default_context(cafile=files["csms-root.pem"])
    options = ("--quiet", "--certificate", files["csms.pem"], "--key", files["csms.key"])

    async def handshake(url: str, context: ssl.SSLContext) -> str:
        address = f"{url.replace('127.0.0.1', 'localhost')}/S1"
        async with connect(address, ssl=context, subprotocols=[Subprotocol("ocpp2.0.1")]) as websocket:
            await websocket.send(json.dumps([2, "m1", "Heartbeat", {}]))
            async with asyncio.timeout(PATIENCE_S):
                return json.loads(await websocket.recv())[1]

    async with csms_process(*options) as csms:
        assert csms.url.startswith("wss://")
        assert await handshake(csms.url, trusting) == "m1"
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake(csms.url, ssl.create_default_context())
    async with csms_process(*options, "--client-ca", files["csms-root.pem"]) as csms:
        with pytest.raises((ConnectionError, ssl.SSLError, WebSocketException)):
            await handshake(csms.url, trusting)
        trusting.load_cert_chain(tmp_path / "pki" / "station.pem", tmp_path / "pki" / "station.key")
        assert await handshake(csms.url, trusting) == "m1"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--certificate", "c.pem"], "--certificate and --key belong together"),
        (["--client-ca", "c.pem"], "--certificate and --key belong together"),
        (["--certificate", "c.pem", "--key", "absent"], "cannot be read"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused(options: list[str], error: str) -> None:
    outcome = invoke(("csms", "--port", "0", *options))
    assert outcome.exit_code == 2
    assert error in outcome.stderr


async def test_a_killed_worker_is_replaced_and_its_bills_are_kept() -> None:
    async with csms_process("--quiet", "--workers", "2") as csms:
        await deliver(csms, "S1", 0, 1)
        before = csms.workers()
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: len(now := csms.workers()) >= 2 and now != before)
        await asyncio.gather(*(deliver(csms, identity, 0, 1, 2, 3) for identity in ("S1", "S2", "S3", "S4")))
        bills = (await csms.get("/api/bills"))["stations"]
        assert {name: bill["energy_wh"] for name, bill in bills.items()} == dict.fromkeys(
            ("S1", "S2", "S3", "S4"), 300.0
        )
        assert bills["S1"]["repeated"] == 2


async def test_workers_end_with_their_parent_however_it_ends() -> None:
    async with csms_process("--quiet", "--workers", "2") as csms:
        workers = csms.workers()
        csms.process.kill()
        await csms.process.wait()
        await until(lambda: not any(is_running(worker) for worker in workers))


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_it_ends_with_the_program_that_started_it(workers: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "borne", "csms", "--port", "0", "--quiet", "--workers", workers),
        "--until-stdin-closes",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert (await process.stdout.readline()).startswith(b"CSMS at ")
            process.stdin.close()  # as when that program is killed
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_with_a_storage_folder_bills_survive_a_killed_csms(tmp_path: Path, workers: str) -> None:
    options = ("--quiet", "--workers", workers, "--storage", str(tmp_path / "bills"))
    async with csms_process(*options) as csms:
        await deliver(csms, "S1", 0, 1)
        csms.process.kill()
        await csms.process.wait()
    async with csms_process(*options, "--port", str(csms.port)) as again:
        assert again.port == csms.port
        await deliver(again, "S1", 1, 2, 3)
        assert await again.get("/api/transactions?station=S1") == {
            "transactions": [
                {
                    "station": "S1",
                    "id": "t-S1",
                    "ended": True,
                    "begin_wh": 0.0,
                    "end_wh": 300.0,
                    "energy_wh": 300.0,
                    "received": [[0, 3]],
                    "missing": 0,
                    "offline": 0,
                    "repeated": 1,
                }
            ]
        }
        assert await again.get("/api/transactions?station=S2") == {"transactions": []}


async def test_a_port_is_not_shared_with_another_csms() -> None:
    async with csms_process("--quiet", "--workers", "2") as csms:
        for workers in ("1", "2"):
            refused = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "borne", "csms", "--port", str(csms.port), "--workers", workers),
                cwd=ROOT,
                stderr=asyncio.subprocess.PIPE,
            )
            _, sentence = await refused.communicate()
            assert refused.returncode == 2
            assert sentence.decode().startswith(f"csms: cannot listen at 127.0.0.1:{csms.port}: ")
            assert "address already in use" in sentence.decode().lower()


async def test_stations_beyond_the_open_files_of_a_process_are_refused_with_a_reason() -> None:
    async with csms_process("--quiet", limit="ulimit -n 66;") as csms:
        async with (
            connect(f"{csms.url}/S1", subprotocols=[Subprotocol("ocpp2.0.1")]),
            connect(f"{csms.url}/S2", subprotocols=[Subprotocol("ocpp2.0.1")]),
        ):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{csms.url}/S3", subprotocols=[Subprotocol("ocpp2.0.1")])
            assert refused.value.response.body == b"2 stations are connected\n"
        await deliver(csms, "S4", 0)


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--workers", "0"), "must be 1 to 64 (is 0)"),
        (("--heartbeat", "86401"), "must be 1 to 86400 (is 86401)"),
    ],
)
def test_options_out_of_range_are_refused(options: tuple[str, ...], sentence: str) -> None:
    outcome = invoke(("csms", *options))
    assert outcome.exit_code == 2
    assert sentence in outcome.stderr


def test_a_storage_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    outcome = invoke(("csms", "--port", "0", "--storage", str(tmp_path / "file")))
    assert (outcome.exit_code, outcome.stderr) == (2, f"--storage: {tmp_path / 'file'}: File exists\n")


async def test_without_its_port_the_csms_goes_on_without_a_page_unless_it_is_asked_for() -> None:
    for _ in range(20):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            taken = holder.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", taken - 1)).close()
            except OSError:
                continue
            async with csms_process("--port", str(taken - 1)) as csms:
                assert csms.process.stdout is not None
                assert (await csms.process.stdout.readline()).startswith(f"no page and API: port {taken}".encode())
            async with csms_process("--http-port", str(taken)) as csms:
                assert await csms.process.wait() == 2
            break
    else:
        pytest.fail("no two free ports side by side")
    assert "--workers 1" in invoke(["csms", "--workers", "2", "--http-port", "0"]).stderr
