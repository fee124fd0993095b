"""Load on the bundled CSMS: `python -m bench.csms_load --stations 1000 --events 20`.

Starts `borne csms` as a process on this machine and connects all stations at once. Each station is a bare websocket
that sends BootNotification, then its TransactionEvents one after another. Prints rates, and what the CSMS costs: its
processor time and its memory, with its workers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_TIMEOUT_S = 120.0
"""the whole run ends after this time at the latest"""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_TIME = "2026-03-01T12:00:00.000Z"
_BOOT = json.dumps(
    [2, "b", "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "m", "vendorName": "v"}}]
)


class BareStation(asyncio.Protocol):
    """The client's end of one websocket, without a library, so that the load costs little; one request at a time."""

    def __init__(self, identity: str, host: str) -> None:
        self._request = (
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp2.0.1\r\n\r\n"
        ).encode()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self.waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """completed with the next response"""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)
        self._complete = self._complete_handshake

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.waiting.done():
            self.waiting.set_exception(ConnectionError(f"the CSMS has closed the connection ({exc})"))

    async def send(self, text: str) -> bytes:
        """Send one message, at most 65535 bytes; returns the next message of the CSMS."""
        assert self._transport is not None
        self.waiting = asyncio.get_running_loop().create_future()
        payload = text.encode()
        length = bytes([128 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        self._transport.write(b"\x81" + length + b"\0\0\0\0" + payload)  # the mask 0 changes nothing
        return await self.waiting

    def close(self) -> None:
        """End the connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    def _complete_handshake(self) -> None:
        end = self._received.find(b"\r\n\r\n")
        if end >= 0:
            status = bytes(self._received[: self._received.find(b"\r\n")])
            del self._received[: end + 4]
            self._complete = self._complete_frame
            if b" 101 " in status:
                self.waiting.set_result(status)
            else:
                self.waiting.set_exception(ConnectionError(status.decode()))

    def _complete_frame(self) -> None:
        data = self._received
        if len(data) < 2:
            return
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) >= start + length and not self.waiting.done():
            frame = bytes(data[start : start + length])
            del data[: start + length]
            self.waiting.set_result(frame)


@dataclass(frozen=True)
class ProcessCost:
    """Processor time and resident memory of a process and its children."""

    cpu_s: float
    memory_mib: float


def process_cost(pid: int) -> ProcessCost:
    """Measure a process with its children that run now."""
    cpu_s, memory_mib = 0.0, 0.0
    for process in (pid, *_children(pid)):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
            cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
            memory_mib += int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1]) * _PAGE_MIB
    return ProcessCost(cpu_s, memory_mib)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


@contextlib.asynccontextmanager
async def csms_process(arguments: Sequence[str]) -> AsyncGenerator[tuple[str, int]]:
    """Run `borne csms` with further arguments on a free port; yields its URL and its process id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "borne", "csms", "--port", "0", *arguments), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    draining = asyncio.ensure_future(_drain(process.stdout))
    try:
        yield line.split()[-1], process.pid
    finally:
        process.terminate()
        await process.wait()
        await draining


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(1 << 20):
        pass


def _event(identity: str, seq_no: int, last: int) -> str:
    kind = "Started" if seq_no == 0 else "Ended" if seq_no == last else "Updated"
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
    samples = [
        {"value": 1000.0 + seq_no, "context": context, "measurand": "Energy.Active.Import.Register"},
        *(
            {"value": 16.0, "context": context, "measurand": "Current.Import", "phase": phase}
            for phase in ("L1", "L2", "L3")
        ),
    ]
    payload = {
        "eventType": kind,
        "timestamp": _TIME,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": f"tx-{identity}", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": _TIME, "sampledValue": samples}],
    }
    return json.dumps([2, f"e{seq_no}", "TransactionEvent", payload])


async def _connect(identity: str, host: str, port: int) -> BareStation:
    _, station = await asyncio.get_running_loop().create_connection(lambda: BareStation(identity, host), host, port)
    await station.waiting
    return station


async def _charge(station: BareStation, identity: str, events: int) -> None:
    for seq_no in range(events):
        answer = await station.send(_event(identity, seq_no, events - 1))
        if not answer.startswith(b"[3"):
            raise RuntimeError(f"the CSMS answers {answer[:200]!r}")


async def load(stations: int, events: int, arguments: Sequence[str]) -> None:
    """Connect, boot and charge all stations at once; print what each phase costs."""
    async with csms_process(arguments) as (url, pid), asyncio.timeout(_TIMEOUT_S):
        address = urlsplit(url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        names = [f"S{number}" for number in range(stations)]
        first = await _connect("FIRST", host, port)  # what is loaded at the first message does not count
        await first.send(_BOOT)
        await _charge(first, "FIRST", 2)
        idle, began_s = process_cost(pid), time.perf_counter()
        connected = await asyncio.gather(*(_connect(name, host, port) for name in names))
        after, took_s = process_cost(pid), time.perf_counter() - began_s
        _row("connections", stations, took_s, after.cpu_s - idle.cpu_s)
        print(f"memory per connection {(after.memory_mib - idle.memory_mib) * 1024 / stations:.1f} KiB")
        began_s = time.perf_counter()
        await asyncio.gather(*(station.send(_BOOT) for station in connected))
        booted, took_s = process_cost(pid), time.perf_counter() - began_s
        _row("BootNotifications", stations, took_s, booted.cpu_s - after.cpu_s)
        began_s = time.perf_counter()
        await asyncio.gather(*(_charge(*pair, events) for pair in zip(connected, names, strict=True)))
        end, took_s = process_cost(pid), time.perf_counter() - began_s
        _row("TransactionEvents", stations * events, took_s, end.cpu_s - booted.cpu_s)
        print(f"memory per station after its events {(end.memory_mib - idle.memory_mib) * 1024 / stations:.1f} KiB")
        print(f"memory of all {end.memory_mib:.0f} MiB, before the stations {idle.memory_mib:.0f} MiB", flush=True)
        for station in connected:
            station.close()


def _row(title: str, count: int, took_s: float, cpu_s: float) -> None:
    print(f"{title:20} {count:8}  {count / took_s:8.0f} per s  {cpu_s / count * 1e6:7.0f} µs of the CSMS's CPU each")


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser("bench.csms_load", description=__doc__)
    parser.add_argument("--stations", type=int, default=1000)
    parser.add_argument("--events", type=int, default=20, help="TransactionEvents of each station, at least 2.")
    given, arguments = parser.parse_known_args()
    asyncio.run(load(given.stations, given.events, arguments))


if __name__ == "__main__":
    main()
