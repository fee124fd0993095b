"""The link to the CSMS: how the station dials, proves who it is, notices a dead link and dials again."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import io
import itertools
import json
import logging
import socket
import weakref
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ocpp_handlers.connection.connection import Connection
from station.configuration.station_tables import LogConfig
from station.maintenance.logs.setup import setup
from station.security.certificates.certificate_results import TlsMaterial
from station.security.network_profile import NetworkProfile
from tests.csms import Csms, running_csms
from tests.patience import PATIENCE_S
from tests.walk import Walk, configuration, powered, walking

PASSWORD = "correct-horse-battery-staple"


def comm(**values: object) -> list[dict[str, str]]:
    """Rows of the installation file for variables of OCPPCommCtrlr."""
    return [{"component": "OCPPCommCtrlr", "variable": name, "value": str(value)} for name, value in values.items()]


EXACT = comm(RetryBackOffWaitMinimum=5, RetryBackOffRandomRange=0, RetryBackOffRepeatTimes=3)


@dataclass
class DialledCsms(Csms):
    """A CSMS that records when the station connects, in the time of the station."""

    dialled: list[datetime] = field(default_factory=list[datetime])

    def _refuse_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        self.dialled.append(self.now())
        self.paths.append(request.path)
        return super()._refuse_handshake(connection, request)

    def waits_s(self) -> list[float]:
        """The times between dials."""
        moments = self.dialled
        return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]


# Who speaks, and what language


async def test_the_station_offers_ocpp_2_0_1_and_nothing_else(tmp_path: Path) -> None:
    """Part 4 §3.1.2."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert walk.csms.headers[0].get_all("Sec-WebSocket-Protocol") == ["ocpp2.0.1"]


@pytest.mark.parametrize("agreed", [None, "ocpp1.6", "ocpp2.0"])
async def test_a_server_that_does_not_agree_is_left_and_dialled_again(tmp_path: Path, agreed: str | None) -> None:
    """Part 4 §3.2."""
    csms = DialledCsms(subprotocol=agreed)
    async with walking(tmp_path, csms, variable=EXACT) as walk:
        await walk.until(lambda: len(csms.dialled) == 3)
        await walk.until(lambda: not csms.connected)
        assert csms.calls == []
        assert not walk.stack.connected
        assert walk.stack.last_error is not None
        csms.subprotocol = "ocpp2.0.1"
        await walk.accepted()
        assert walk.stack.last_error is None


@pytest.mark.parametrize(
    ("identity", "ending", "path"),
    [
        ("CS001", "", "/ocpp/CS001"),
        ("CS001", "/", "/ocpp/CS001"),
        ("RD*1:2|3+4@5.6", "", "/ocpp/RD%2A1%3A2%7C3%2B4%405.6"),
        ("CS001", "/?tenant=a/b", "/ocpp/CS001?tenant=a/b"),
    ],
)
async def test_the_identity_is_the_last_step_of_the_path(tmp_path: Path, identity: str, ending: str, path: str) -> None:
    """Part 4 §3.1.1: appended to the path, percent-encoded."""
    async with running_csms() as csms:
        config = configuration(tmp_path, csms.url + ending, station={"identity": identity})
        async with powered(config, csms) as walk:
            await walk.accepted()
            assert csms.paths == [path]


async def test_the_password_goes_with_every_connection_request(tmp_path: Path) -> None:
    """A00.FR.202, A00.FR.203, A00.FR.204, A00.FR.205."""
    async with (
        running_csms() as csms,
        powered(configuration(tmp_path, csms.url, csms={"password": PASSWORD}), csms) as walk,
    ):
        await walk.accepted()
        csms.drop()
        await walk.until(lambda: csms.connections == 2)
        secret = base64.b64encode(f"BORNE-TEST:{PASSWORD}".encode()).decode()
        assert [headers.get_all("Authorization") for headers in csms.headers] == [[f"Basic {secret}"]] * 2


async def test_without_a_password_nothing_is_claimed(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert "Authorization" not in walk.csms.headers[0]


@pytest.fixture
def debug_log() -> io.StringIO:
    """The log of the process as the daemon writes it at its most talkative."""
    stream = io.StringIO()
    setup(LogConfig(level="debug", frames=True), stream)
    return stream


async def test_no_log_line_has_the_password(tmp_path: Path, debug_log: io.StringIO) -> None:
    """Nor its base64: in a good connection, a refused one and a lost one."""
    csms = DialledCsms(http_status=401)
    async with running_csms(csms):
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.until(lambda: len(csms.dialled) == 2)
            csms.http_status = None
            await walk.accepted()
            csms.drop()
            await walk.until(lambda: csms.connections == 2)
    text = debug_log.getvalue()
    assert "BootNotification" in text
    assert "HTTP 401" in text
    assert PASSWORD not in text
    assert base64.b64encode(f"BORNE-TEST:{PASSWORD}".encode()).decode().rstrip("=") not in text


# Dialling again (part 4 §5.3)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_a_refused_handshake_is_dialled_again_with_doubling_waits(tmp_path: Path, status: int) -> None:
    csms = DialledCsms(http_status=status)
    async with walking(tmp_path, csms, variable=EXACT) as walk:
        await walk.until(lambda: len(csms.dialled) == 7, within_s=200)
        assert csms.waits_s() == pytest.approx([5, 10, 20, 40, 40, 40], abs=0.01)
        csms.http_status = None
        await walk.accepted()


async def test_each_wait_has_its_own_random_part(tmp_path: Path) -> None:
    csms = DialledCsms(http_status=503)
    rows = comm(RetryBackOffWaitMinimum=10, RetryBackOffRandomRange=8, RetryBackOffRepeatTimes=1)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.until(lambda: len(csms.dialled) == 8, within_s=300)
        parts = [wait - base for wait, base in zip(csms.waits_s(), [10] + [20] * 6, strict=True)]
        assert all(-0.01 <= part <= 8.01 for part in parts), parts
        assert len({round(part, 3) for part in parts}) > 4


async def test_the_back_off_can_be_set_over_the_link_it_is_for(tmp_path: Path) -> None:
    csms = DialledCsms()
    async with walking(tmp_path, csms, variable=EXACT) as walk:
        await walk.accepted()
        await walk.set_variable("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "3")
        await walk.set_variable("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "1")
        await walk.advance(30)
        csms.http_status = 503
        csms.drop()
        await walk.until(lambda: len(csms.dialled) == 5)
        assert csms.waits_s()[1:] == pytest.approx([6, 6, 6], abs=0.01)


async def test_every_connection_that_succeeds_resets_the_waits(tmp_path: Path) -> None:
    """Part 4 §5.3 with errata 4.12, however soon the CSMS drops the link again."""
    csms = DialledCsms()
    async with walking(tmp_path, csms, variable=EXACT) as walk:
        await walk.accepted()
        for _ in range(2):
            csms.http_status = 503
            count = len(csms.dialled)
            csms.drop()
            await walk.until(lambda count=count: len(csms.dialled) == count + 2)
            csms.http_status = None
            await walk.until(lambda count=count: len(csms.dialled) == count + 3)
            assert csms.waits_s()[-2:] == pytest.approx([10, 20], abs=0.01)
            await walk.until(lambda: csms.connected)
            dropped_at = csms.now()
            csms.drop()
            await walk.until(lambda count=count: len(csms.dialled) == count + 4)
            assert (csms.dialled[-1] - dropped_at).total_seconds() == pytest.approx(5, abs=0.01)
            await walk.until(lambda: csms.connected)


async def test_a_server_that_is_not_there_is_found_once_it_is(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    csms = Csms(port=port)
    async with powered(configuration(tmp_path, csms.url, variable=EXACT), csms) as walk:
        await walk.advance(300)
        assert walk.stack.last_error is not None
        assert not walk.stack.connected
        async with running_csms(csms):
            await walk.until(lambda: csms.connected, within_s=41)


async def test_a_cut_network_is_not_dialled_until_it_is_mended(tmp_path: Path) -> None:
    csms = DialledCsms()
    async with walking(tmp_path, csms, variable=EXACT) as walk:
        await walk.accepted()
        walk.stack.cut_network()
        await walk.advance(600)
        assert len(csms.dialled) == 1
        assert not csms.connected
        walk.stack.restore_network()
        await walk.until(lambda: csms.connected, within_s=1)


# Websocket pings (part 4 §5.2, WebSocketPingInterval)


class BareCsms:
    """A CSMS made of frames: sees each ping, and answers it or does not."""

    def __init__(self) -> None:
        self.pongs = True
        self.connections = 0
        self.pings: list[datetime] = []
        self.now: Callable[[], datetime] | None = None
        self.protocol: ServerProtocol | None = None
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the station ends it."""
        self.connections += 1
        protocol = self.protocol = ServerProtocol(subprotocols=[Subprotocol("ocpp2.0.1")])
        self._writer = writer
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                protocol.receive_data(data)
                for event in protocol.events_received():
                    if isinstance(event, Request):
                        protocol.send_response(protocol.accept(event))
                    elif isinstance(event, Frame):
                        self._read(event)
                self._flush()
        writer.close()

    def _read(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            assert self.now is not None
            self.pings.append(self.now())
        elif frame.opcode is Opcode.TEXT:
            self._handle_frame(json.loads(bytes(frame.data)))

    def _handle_frame(self, frame: list[Any]) -> None:
        assert self.protocol is not None
        assert self.now is not None
        if frame[0] != 2:
            self._answers.pop(frame[1]).set_result(frame[2])
            return
        now = self.now().isoformat()
        answers = {
            "BootNotification": {"currentTime": now, "interval": 86_400, "status": "Accepted"},
            "Heartbeat": {"currentTime": now},
        }
        self._send([3, frame[1], answers.get(frame[2], {})])

    def _send(self, frame: list[Any]) -> None:
        assert self.protocol is not None
        self.protocol.send_text(json.dumps(frame).encode())

    def _flush(self) -> None:
        assert self.protocol is not None
        assert self._writer is not None
        for data in self.protocol.data_to_send():
            pong = self.protocol.state is State.OPEN and data[:1] == b"\x8a"
            if not data:
                self._writer.write_eof()
            elif self.pongs or not pong:
                self._writer.write(data)

    async def set_ping_interval(self, value: int) -> str:
        """SetVariables of the interval; the status that comes back."""
        self._answers["1"] = asyncio.get_running_loop().create_future()
        item = {
            "component": {"name": "OCPPCommCtrlr"},
            "variable": {"name": "WebSocketPingInterval"},
            "attributeValue": str(value),
        }
        self._send([2, "1", "SetVariables", {"setVariableData": [item]}])
        answer = self._answers["1"]
        self._flush()
        async with asyncio.timeout(PATIENCE_S):
            return str((await answer)["setVariableResult"][0]["attributeStatus"])


@contextlib.asynccontextmanager
async def _bare(storage: Path, ping_interval_s: int) -> AsyncGenerator[tuple[Walk, BareCsms]]:
    bare = BareCsms()
    server = await asyncio.start_server(bare.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = configuration(storage, f"ws://127.0.0.1:{port}/", variable=comm(WebSocketPingInterval=ping_interval_s))
    try:
        async with powered(config, Csms()) as walk:
            bare.now = walk.application.clock.now
            await walk.until(lambda: walk.stack.link.online)
            await walk.settle()
            yield walk, bare
    finally:
        server.close()
        await server.wait_closed()


def _waits_s(moments: list[datetime]) -> list[float]:
    return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]


async def test_pings_go_out_at_the_configured_interval(tmp_path: Path) -> None:
    async with _bare(tmp_path, 30) as (walk, bare):
        await walk.until(lambda: len(bare.pings) == 4, within_s=125)
        assert _waits_s(bare.pings) == pytest.approx([30, 30, 30], abs=0.01)
        assert bare.connections == 1


async def test_a_new_interval_counts_at_once_and_0_ends_the_pings(tmp_path: Path) -> None:
    async with _bare(tmp_path, 3_600) as (walk, bare):
        assert await bare.set_ping_interval(10) == "Accepted"
        await walk.until(lambda: len(bare.pings) == 3, within_s=31)
        assert _waits_s(bare.pings) == pytest.approx([10, 10], abs=0.01)
        assert await bare.set_ping_interval(-1) == "Rejected"
        assert await bare.set_ping_interval(0) == "Accepted"
        await walk.advance(7_200)
        assert len(bare.pings) == 3
        assert await bare.set_ping_interval(20) == "Accepted"
        await walk.until(lambda: len(bare.pings) == 4, within_s=21)


async def test_a_half_open_link_is_noticed_and_dialled_again(tmp_path: Path) -> None:
    async with _bare(tmp_path, 30) as (walk, bare):
        await walk.until(lambda: len(bare.pings) == 1)
        bare.pongs = False
        await walk.until(lambda: bare.connections == 2, within_s=30 + 20 + 15 + 1)
        bare.pongs = True
        await walk.until(lambda: walk.stack.connected)
        await walk.advance(300)
        assert bare.connections == 2


async def test_with_pings_off_a_silent_peer_is_not_called_dead(tmp_path: Path) -> None:
    async with _bare(tmp_path, 0) as (walk, bare):
        bare.pongs = False
        await walk.advance(3_600)
        assert bare.pings == []
        assert walk.stack.connected
        assert bare.connections == 1


async def test_an_error_that_nobody_foresaw_does_not_keep_the_station_from_its_other_csms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B10.FR.03: else the station would begin with the first slot again, for ever."""
    async with running_csms() as second, walking(tmp_path) as walk:
        await walk.accepted()
        second_profile = NetworkProfile(second.url, 0, 30.0)
        await walk.parts.network.store(2, second_profile)
        await walk.parts.network.set_priority("1,2")
        open_websocket = Connection._open  # pyright: ignore[reportPrivateUsage]  # to be watched

        async def stumble(self: Connection, profile: NetworkProfile, material: TlsMaterial | None) -> object:
            if profile != second_profile:
                raise UnicodeError("label empty or too long")
            return await open_websocket(self, profile, material)

        monkeypatch.setattr(Connection, "_open", stumble)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: second.connected, within_s=300.0)


async def test_messages_are_compressed_where_the_csms_can(tmp_path: Path) -> None:
    """Part 4, §3.3 (RFC 7692): permessage-deflate is offered, and what follows is understood."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert "permessage-deflate" in walk.csms.headers[0]["Sec-WebSocket-Extensions"]
        websocket = walk.csms._websocket  # pyright: ignore[reportPrivateUsage]  # what the handshake agreed on
        assert websocket is not None
        assert [type(extension).__name__ for extension in websocket.protocol.extensions] == ["PerMessageDeflate"]


async def test_the_station_keeps_nothing_of_a_stack_that_has_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another one is built after a failure: what the former had subscribed to has ended with it."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        # A log record would hold the error, and with its frames the former stack.
        caplog.set_level(logging.CRITICAL, "foundation.supervision")
        stack, ended = walk.stack, weakref.ref(walk.stack.link)

        def fail(_: object) -> None:
            raise RuntimeError("a part of the stack fails")

        stack.link.lost.subscribe(fail)
        walk.csms.drop()
        del stack
        await walk.until(lambda: walk.stack.link is not ended())
        await walk.accepted()
        gc.collect()
        assert ended() is None
