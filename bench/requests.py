"""Measures how fast requests of the CSMS are answered, beside a bare floor (`python -m bench.requests`).

Station, floor and CSMS are pinned to one CPU: across two, each wake-up adds some 40 µs by chance. The CSMS is a
blocking socket, whose own share of a round trip is a few microseconds. Station and floor are asked in turns, so that a
slow phase of the machine affects both.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import STATION, one_cpu

_WAIT_S = 30.0
_ROUND = 100
"""requests to one peer before the other has its turn"""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_VARIABLES = (
    ("OCPPCommCtrlr", "HeartbeatInterval", None),
    ("OCPPCommCtrlr", "RetryBackOffWaitMinimum", None),
    ("OCPPCommCtrlr", "NetworkConfigurationPriority", None),
    ("OCPPCommCtrlr", "MessageTimeout", "Default"),
    ("OCPPCommCtrlr", "OfflineThreshold", None),
    ("TxCtrlr", "EVConnectionTimeOut", None),
    ("TxCtrlr", "StopTxOnInvalidId", None),
    ("AuthCtrlr", "AuthorizeRemoteStart", None),
    ("SampledDataCtrlr", "TxUpdatedInterval", None),
    ("SecurityCtrlr", "OrganizationName", None),
)


class WireCsms:
    """A CSMS for one station on a blocking socket: sends requests one at a time, and answers all CALLs meanwhile."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_WAIT_S)
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._number = 0

    @property
    def url(self) -> str:
        """URL that the station connects to."""
        return f"ws://127.0.0.1:{self._listener.getsockname()[1]}"

    def accept(self) -> None:
        """Wait for the station, and until its BootNotification has been answered."""
        self._socket, _ = self._listener.accept()
        self._socket.settimeout(_WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received[:] = rest
        key = next(
            line.split(b":", 1)[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        accepted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        self._socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: ocpp2.0.1\r\n" + f"Sec-WebSocket-Accept: {accepted}\r\n\r\n".encode()
        )
        while self._answer_call(self._next_message()) != "BootNotification":
            pass

    def ask(self, action: str, payload: str) -> tuple[str, float]:
        """Send a request with this JSON payload.

        Returns the frame of the response, and the seconds from sending the request until all its bytes had arrived.

        Raises:
            RuntimeError: the station answered with a CALLERROR.
        """
        self._number += 1
        request = _frame_of(_TEXT, f'[2,"{self._number}","{action}",{payload}]'.encode())
        peer = self._connected()
        began_s = time.perf_counter()
        peer.sendall(request)
        while True:
            self._receive_frame()
            ended_s = time.perf_counter()
            text = self._next_message()
            if text.startswith("[2,"):
                self._answer_call(text)
            elif text.startswith("[3,"):
                return text, ended_s - began_s
            else:
                raise RuntimeError(f"the station answered {text}")

    def serve(self, seconds: float) -> None:
        """Answer the CALLs of the station for some time."""
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            self._connected().settimeout(left_s)
            with contextlib.suppress(TimeoutError):
                self._answer_call(self._next_message())
        self._connected().settimeout(_WAIT_S)

    def close(self) -> None:
        """Close the connection, and stop listening."""
        if self._socket is not None:
            self._socket.close()
        self._listener.close()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("the station is not connected")
        return self._socket

    def _answer_call(self, text: str) -> str:
        call = json.loads(text)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        answers = {"BootNotification": f'{{"currentTime":"{now}","interval":3600,"status":"Accepted"}}'}
        answers["Heartbeat"] = f'{{"currentTime":"{now}"}}'
        self._send(_TEXT, f'[3,"{call[1]}",{answers.get(call[2], "{}")}]'.encode())
        return call[2]

    def _send(self, kind: int, data: bytes) -> None:
        self._connected().sendall(_frame_of(kind, data))

    def _receive_frame(self) -> int:
        """Receive until a whole frame has arrived; returns its size in bytes."""
        received = self._received
        while len(received) < 2 or len(received) < (needed := _frame_size(received)):
            self._receive()
        return needed

    def _receive(self) -> None:
        data = self._connected().recv(65_536)
        if not data:
            raise RuntimeError("the station has closed the connection")
        self._received += data

    def _next_message(self) -> str:
        """The next text message; pings are answered."""
        while True:
            kind, data = self._next_frame()
            if kind == _TEXT:
                return data.decode()
            if kind == _PING:
                self._send(_PONG, data)
            elif kind == _CLOSE:
                raise RuntimeError("the station has closed the connection")

    def _next_frame(self) -> tuple[int, bytes]:
        """The next websocket frame, unmasked (RFC 6455, 5.2); no fragments, as the peers send none."""
        received, needed = self._received, self._receive_frame()
        kind, data = received[0] & 0x0F, bytes(received[needed - _payload_size(received) : needed])
        mask = bytes(received[needed - len(data) - 4 : needed - len(data)])
        del received[:needed]
        key = (mask * (len(data) // 4 + 1))[: len(data)]
        return kind, (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


def _frame_of(kind: int, data: bytes) -> bytes:
    """A websocket frame of a server, which is not masked."""
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
    return bytes([0x80 | kind]) + length + data


def _payload_size(received: bytearray) -> int:
    size = received[1] & 0x7F
    return size if size < 126 else int.from_bytes(received[2:4] if size == 126 else received[2:10], "big")


def _frame_size(received: bytearray) -> int:
    extended = {126: 2, 127: 8}.get(received[1] & 0x7F, 0)
    return 2 + extended + 4 + _payload_size(received)


@dataclass(frozen=True, slots=True)
class RequestFigure:
    """The round trip of one kind of request, in microseconds: of the station, of the floors, and the aim."""

    what: str
    p50_us: float
    p99_us: float
    floor_p50_us: float
    client_p50_us: float | None
    """of the minimal client on the `ocpp` package; None for requests that it does not know"""
    aim_us: float


@contextlib.contextmanager
def _peer(*arguments: str, folder: Path, configuration: str | None = None) -> Generator[WireCsms]:
    """Start a program that connects to a CSMS, and yield that once it has booted."""
    csms = WireCsms()
    if configuration is None:
        arguments = (*arguments, csms.url, str(folder / "floor.sqlite"))  # the second is for those that store something
    else:
        file = folder / "station.toml"
        file.write_text(configuration.format(url=csms.url, storage=folder / "storage"), encoding="utf-8")
        arguments = (*arguments, "--config", str(file), "--http-port", "0")
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        csms.accept()
        csms.serve(1.0)
        yield csms
    finally:
        csms.close()
        process.terminate()
        process.wait()


def get_variables(count: int) -> str:
    """The payload of a GetVariables for `count` variables, 10 at the most."""
    items = [_address(*address) for address in _VARIABLES[:count]]
    return json.dumps({"getVariableData": items}, separators=(",", ":"))


def _address(component: str, name: str, instance: str | None) -> dict[str, object]:
    variable = {"name": name} if instance is None else {"name": name, "instance": instance}
    return {"component": {"name": component}, "variable": variable}


def set_variable(number: int) -> str:
    """The payload of a SetVariables whose value differs from that of the number before."""
    item = {**_address("TxCtrlr", "EVConnectionTimeOut", None), "attributeValue": str(60 + number % 2)}
    return json.dumps({"setVariableData": [item]}, separators=(",", ":"))


def charging_profile(number: int, periods: int = 24) -> str:
    """The payload of a SetChargingProfile whose limits differ from those of the number before."""
    schedule = {
        "id": 1,
        "chargingRateUnit": "A",
        "startSchedule": "2026-01-01T00:00:00Z",
        "chargingSchedulePeriod": [
            {"startPeriod": 3600 * hour, "limit": 10.0 + (hour + number) % 20} for hour in range(periods)
        ],
    }
    profile = {
        "id": 7,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Daily",
        "chargingSchedule": [schedule],
    }
    return json.dumps({"evseId": 0, "chargingProfile": profile}, separators=(",", ":"))


def _measure(count: int) -> Iterator[RequestFigure]:
    single, ten = get_variables(1), get_variables(10)
    rows: Sequence[tuple[str, str, Sequence[str], int, float]] = (
        ("GetVariables", "GetVariables", (single,), count, 45.0),
        ("GetVariables × 10", "GetVariables", (ten,), count, 80.0),
        (
            "SetVariables that changes a value, one commit",
            "SetVariables",
            [set_variable(n) for n in (0, 1)],
            count // 2,
            400.0,
        ),
        (
            "SetChargingProfile, 24 periods, stored",
            "SetChargingProfile",
            [charging_profile(n) for n in range(20)],
            count // 2,
            420.0,
        ),
    )
    with (
        one_cpu(),
        tempfile.TemporaryDirectory() as folder,
        _peer("-m", "bench.floor_requests", folder=Path(folder)) as floor,
        _peer("-m", "bench.floor_ocpp", folder=Path(folder)) as client,
        _peer("-m", "borne", "run", folder=Path(folder), configuration=STATION) as station,
    ):
        for title, action, payloads, requests, aim_us in rows:
            peers = [station, floor, client] if action == "GetVariables" else [station, floor]
            ours, bare, *other_peers = _in_turns(peers, action, payloads, requests)
            client_us = statistics.median(other_peers[0]) if other_peers else None
            p99_us = ours[len(ours) * 99 // 100]
            yield RequestFigure(title, ours[len(ours) // 2], p99_us, statistics.median(bare), client_us, aim_us)


def _in_turns(peers: Sequence[WireCsms], action: str, payloads: Sequence[str], count: int) -> list[list[float]]:
    """The round trips of each peer, in microseconds, sorted."""
    times_of_peers: list[list[float]] = [[] for _ in peers]
    for first_of_round in range(0, count + _ROUND, _ROUND):
        for csms, times_us in zip(peers, times_of_peers, strict=True):
            for number in range(_ROUND):
                payload = payloads[number % len(payloads)]
                answer, took_s = csms.ask(action, payload)
                if '"Rejected"' in answer or '"Unknown' in answer:
                    raise RuntimeError(f"the station answered {answer}")
                if first_of_round > 0:  # the first round compiles schemas
                    times_us.append(took_s * 1e6)
    return [sorted(times_us) for times_us in times_of_peers]


async def measure_requests(count: int = 3000) -> list[RequestFigure]:
    """Measure each kind of request: `count` round trips, half as many of those that are stored."""
    return await asyncio.to_thread(lambda: list(_measure(count)))


def main() -> None:
    """Measure and print the results."""
    for row in asyncio.run(measure_requests(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)):
        verdict = "met" if row.p50_us <= row.aim_us else "NOT MET"
        print(
            f"{row.what:48} p50 {row.p50_us:7.1f} µs  p99 {row.p99_us:7.1f}  floor {row.floor_p50_us:7.1f}"
            f"  ratio {row.p50_us / row.floor_p50_us:5.2f}  aim ≤ {row.aim_us:g}: {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
