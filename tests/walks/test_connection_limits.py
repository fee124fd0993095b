"""How many connections the local API takes, for how long it waits for each step of a request, and what it logs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from station.interfaces.http.connection_limits import ConnectionLimits, limits_for
from station.interfaces.http.open_connections import OpenConnections
from station.interfaces.http.server import WebServer
from tests.descriptors import no_free_descriptor
from tests.patience import until
from tests.walks.test_tls import Authority

PATIENCE_S = 20.0
MANY = ConnectionLimits(from_network=100, from_loopback=100, per_source=100)
PATIENT = replace(MANY, **dict.fromkeys(("first_byte_s", "head_s", "body_s", "idle_s", "stalled_s"), 10 * PATIENCE_S))
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application that answers with the length of the body; `/much`: with more than any buffer holds."""
    request = Request(scope, receive)
    if scope["path"] == "/refused":
        await PlainTextResponse("no")(scope, receive, send)
    elif scope["path"] == "/much":
        await StreamingResponse(_large_body())(scope, receive, send)
    else:
        with contextlib.suppress(ClientDisconnect):
            await PlainTextResponse(str(len(await request.body())))(scope, receive, send)


async def _large_body() -> AsyncGenerator[bytes]:
    for _ in range(1000):
        yield b" " * 100_000


class ServerUnderTest:
    """A server of the local API around any application, and the peers that connect to it."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.port = port
        self._context = context
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(
        self, source: str = "127.0.0.1", *, encrypted: bool = True, receive_buffer: int | None = None
    ) -> Peer:
        """Connect a peer with this source address; over TLS where the server uses it."""
        context = self._context if encrypted else None
        wire = socket.socket()
        if receive_buffer is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        wire.bind((source, 0))
        wire.setblocking(False)
        await asyncio.get_running_loop().sock_connect(wire, ("127.0.0.1", self.port))
        name = "127.0.0.1" if context is not None else None
        peer = await asyncio.open_connection(sock=wire, ssl=context, server_hostname=name)
        self._writers.append(peer[1])
        return peer

    async def fetch(self, source: str = "127.0.0.1", request: bytes = GET) -> bytes:
        """Send a request on a new connection; returns the response, empty if the connection was closed."""
        try:
            reader, writer = await self.connect(source)
            writer.write(request)
            answer = await reader.read(1000)
            writer.transport.abort()
        except OSError:
            return b""
        return answer

    def close_peers(self) -> None:
        """Close the connections of all peers."""
        for writer in self._writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(
    folder: Path, limits: ConnectionLimits, *, tls: bool = False, build: ASGIApp = application
) -> AsyncGenerator[ServerUnderTest]:
    """Run a server with these limits."""
    context = served = None
    if tls:
        authority = Authority(folder, "authority")
        issued = authority.issue("page")
        served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        served.load_cert_chain(issued.certificate, issued.key)
        context = ssl.create_default_context(cafile=str(authority.file))
        context.check_hostname = False
    server = WebServer("127.0.0.1", 0, limits)
    server.bind()
    running = asyncio.create_task(server.run(lambda: build, (lambda: served) if served is not None else None))
    try:
        async with asyncio.timeout(PATIENCE_S), contextlib.AsyncExitStack() as stack:
            await server.load()
            page = ServerUnderTest(server.port, context)
            stack.callback(page.close_peers)
            yield page
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until_admitted(page: ServerUnderTest, source: str = "127.0.0.1") -> None:
    """Wait until a peer is served: the server frees a place some time after a connection was closed."""

    async def admitted() -> bool:
        return b"200 OK" in await page.fetch(source)

    await until(admitted)


async def read_until_closed(peer: Peer) -> bytes:
    """Read from a peer's connection until it is closed; returns the received bytes."""
    reader, writer = peer
    received = b""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            received += data
    writer.transport.abort()
    return received


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("step", "sent", "answers", "reason"),
    [
        ("first_byte_s", b"", 0, ["the client sends no request"]),
        ("head_s", b"G", 0, ["the client does not complete its headers"]),
        ("head_s", GET[:-2], 0, ["the client does not complete its headers"]),
        ("head_s", GET + GET[:-2], 1, ["the client does not complete its headers"]),
        ("body_s", POST % 10, 0, ["the client does not complete the request body"]),
        ("body_s", POST % 200_000 + b"x" * 199_999, 0, ["the client does not complete the request body"]),
        (
            "body_s",
            POST.replace(b"/", b"/refused", 1) % 300_000,
            1,
            ["the client keeps sending a body after the response"],
        ),
        ("stalled_s", GET.replace(b"/", b"/much", 1), 1, ["the client does not read the response"]),
        ("idle_s", GET, 1, []),
        ("idle_s", POST % 3 + b"abc", 1, []),
    ],
)
async def test_a_peer_has_a_deadline_for_each_step_of_a_request(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    tls: bool,
    step: str,
    sent: bytes,
    answers: int,
    reason: list[str],
) -> None:
    """The deadlines of all other steps are beyond the patience of this test."""
    limits = replace(PATIENT, **{step: 0.3})
    async with serving(tmp_path, limits, tls=tls) as page:
        reader, writer = await page.connect()
        writer.write(sent)
        if step == "stalled_s":
            await until(lambda: reason[0] in caplog.text)
        received = await read_until_closed((reader, writer))
    assert received.count(b"HTTP/1.1 200") == answers
    log_lines = [
        record.getMessage() for record in caplog.records if record.name == "station.interfaces.http.open_connections"
    ]
    assert [line.partition("closed: ")[2][: len(reason[0])] for line in log_lines] == reason


async def test_a_tls_handshake_has_a_deadline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limits = replace(PATIENT, from_loopback=1, first_byte_s=0.3)
    async with serving(tmp_path, limits, tls=True) as page:
        for sent in (b"", b"\x16\x03\x01", GET):
            peer = await page.connect(encrypted=False)
            peer[1].write(sent)
            assert b"200 OK" not in await read_until_closed(peer)
        await until_admitted(page)
    assert caplog.text.count("TLS handshake failed") == 1


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("request_", [GET, GET.replace(b"Host", b"Connection: close\r\nHost")], ids=["kept", "closed"])
async def test_a_peer_that_reads_slowly_gets_all_of_a_large_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, tls: bool, request_: bytes
) -> None:
    """A phone far from the access point: no deadline counts while it reads on."""
    size, limits = 6_000_000, replace(MANY, idle_s=0.3, stalled_s=1.0)

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(" " * size)(scope, receive, send)

    async with serving(tmp_path, limits, tls=tls, build=large) as page:
        reader, writer = await page.connect(receive_buffer=16_384)
        writer.write(request_)
        received_bytes = 0
        while data := await reader.read(50_000):
            received_bytes += len(data)
            await asyncio.sleep(len(data) / 2_000_000)
    assert received_bytes > size, "and when it has all, the connection ends as an idle one does"
    assert "local API: connection from" not in caplog.text


async def test_a_station_that_takes_a_body_slowly_waits_for_its_peer_all_the_same(tmp_path: Path) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1.0)  # a flash chip, say
        await application(scope, receive, send)

    async with serving(tmp_path, replace(MANY, body_s=0.3), build=slow) as page:
        reader, writer = await page.connect()
        writer.write(POST % 20_000_000 + b"x" * 20_000_000)
        assert b"20000000" in await reader.read(1000)


@pytest.mark.parametrize("end", [b"", b"Connection: close\r\n"])
async def test_what_is_no_http_behind_an_answered_request_writes_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: bytes
) -> None:
    """Anybody could fill the log with them."""
    chunked = b"POST /refused HTTP/1.1\r\nHost: a\r\n" + end + b"Transfer-Encoding: chunked\r\n\r\n"
    async with serving(tmp_path, PATIENT) as page:
        for _ in range(3):
            reader, writer = await page.connect()
            writer.write(chunked)
            assert b"200 OK" in await reader.readuntil(b"no")
            writer.write(b"no length\r\n")
            await read_until_closed((reader, writer))
    records = [record for record in caplog.records if record.name != "uvicorn.error"]
    assert not [record for record in records if record.exc_info], "only the refusal is logged"
    assert len(records) <= 2


async def test_a_long_body_that_comes_at_a_good_pace_may_take_longer(tmp_path: Path) -> None:
    limits = replace(MANY, body_s=2.0)
    async with serving(tmp_path, limits) as page:
        reader, writer = await page.connect()
        writer.write(POST % 3_000_000)
        for _ in range(12):
            writer.write(b"x" * 250_000)
            await writer.drain()
            await asyncio.sleep(0.25)
        assert b"3000000" in await reader.read(1000)


async def test_one_machine_does_not_take_the_places_of_others_nor_all_of_them_those_of_this_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = ConnectionLimits(from_network=5, from_loopback=2, per_source=3)
    async with serving(tmp_path, limits) as page:
        for _ in range(3):
            await page.connect("127.0.0.2")
        assert await page.fetch("127.0.0.2") == b""
        assert b"200 OK" in await page.fetch("127.0.0.3")
        for _ in range(2):
            await page.connect("127.0.0.4")
        assert await page.fetch("127.0.0.3") == b"", "five are from elsewhere"
        assert b"200 OK" in await page.fetch("127.0.0.1")
        for _ in range(2):
            await page.connect("127.0.0.1")
        assert await page.fetch("127.0.0.1") == b""
        page.close_peers()
        await until_admitted(page, "127.0.0.2")
    log_lines = [
        record.getMessage() for record in caplog.records if record.name == "station.interfaces.http.open_connections"
    ]
    assert [line.split()[4] for line in log_lines] == ["127.0.0.2", "127.0.0.3", "127.0.0.1"], "a line for each machine"


async def test_unfinished_requests_share_a_bounded_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limits = replace(PATIENT, unfinished_bytes=500_000)
    received = 0

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        await application(scope, counted, send)

    async with serving(tmp_path, limits, build=counting) as page:
        peers = [await page.connect("127.0.0.2") for _ in range(2)]
        for _, writer in peers:
            writer.write(POST % 250_000 + b"x" * 240_000)
            await writer.drain()
        await until(lambda: received >= 480_000)
        third = await page.connect("127.0.0.2")
        third[1].write(POST % 250_000 + b"x" * 240_000)
        assert await read_until_closed(third) == b""
        assert "the buffer for unfinished requests is full" in caplog.text
        assert b"200 OK" in await page.fetch("127.0.0.3"), "a small one has room"
        own_peer = await page.connect()
        own_peer[1].write(POST % 250_000 + b"x" * 250_000)
        assert b"250000" in await own_peer[0].read(1000), "this machine has its own"
        for reader, writer in peers:
            writer.write(b"x" * 10_000)
            assert b"250000" in await reader.read(1000)
        fourth = await page.connect("127.0.0.2")
        fourth[1].write(POST % 250_000 + b"x" * 250_000)
        assert b"250000" in await fourth[0].read(1000), "what is answered needs no memory any more"


async def test_one_machine_does_not_take_the_memory_of_all_others(tmp_path: Path) -> None:
    limits = replace(PATIENT, unfinished_bytes=400_000, unfinished_bytes_per_source=150_000)
    async with serving(tmp_path, limits) as page:
        first = await page.connect("127.0.0.2")
        first[1].write(POST % 140_000 + b"x" * 130_000)
        second = await page.connect("127.0.0.2")
        second[1].write(POST % 140_000 + b"x" * 130_000)
        done, waiting = await asyncio.wait(
            {asyncio.create_task(read_until_closed(peer)) for peer in (first, second)},
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert (len(done), len(waiting)) == (1, 1)
        third = await page.connect("127.0.0.3")
        third[1].write(POST % 140_000 + b"x" * 140_000)
        assert b"140000" in await third[0].read(1000)
        for task in waiting:
            task.cancel()


async def test_nobody_piles_requests_up_behind_an_answer_that_does_not_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(tmp_path, PATIENT, build=endless) as page:
        reader, writer = await page.connect()
        writer.write(GET)
        await reader.readuntil(b"first")
        writer.write(GET * 10_000)
        await read_until_closed((reader, writer))
    assert "the client sends too many requests before their responses" in caplog.text


async def test_without_a_free_descriptor_accepting_pauses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In place of asking the kernel, and logging, thousands of times in a second."""
    async with serving(tmp_path, MANY) as page:
        with socket.socket() as early:
            early.setblocking(False)
            loop, turns = asyncio.get_running_loop(), 0
            with no_free_descriptor():
                await loop.sock_connect(early, ("127.0.0.1", page.port))
                until_s = loop.time() + 1.5
                while loop.time() < until_s:
                    turns += 1
                    await asyncio.sleep(0.01)
            assert turns > 20, "the loop has time for other things"
            assert caplog.text.count("cannot accept connections") == 1
            await loop.sock_sendall(early, GET)
            assert b"200 OK" in await loop.sock_recv(early, 1000)


def test_a_machine_is_logged_once_in_a_minute_and_machines_without_end_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times_s = [0.0, 30.0, 59.9, 60.0] + [60.0] * 1000
    connections = OpenConnections(replace(MANY, per_source=0), iter(times_s).__next__)
    for _ in range(3):
        assert connections.admit("192.0.2.1") is None
    assert len(caplog.records) == 1
    connections.admit("192.0.2.1")
    assert len(caplog.records) == 2
    for number in range(1000):
        connections.admit(f"2001:db8::{number:x}")
    assert len(caplog.records) <= 25


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_has_its_places_by_whichever_protocol_it_comes(address: str) -> None:
    connections = OpenConnections(ConnectionLimits(from_network=0, from_loopback=1, per_source=0), lambda: 0.0)
    assert connections.admit(address) is not None
    assert connections.admit(address) is None


def test_an_address_of_this_link_is_one_machine_whatever_its_scope() -> None:
    connections = OpenConnections(ConnectionLimits(from_network=9, from_loopback=1, per_source=1), lambda: 0.0)
    place = connections.admit("fe80::1%eth0")
    assert place is not None
    assert connections.admit("fe80::1%eth1") is None
    place.release()
    place.release()
    assert connections.admit("fe80::1") is not None
    assert connections.admit("fe80::1") is None


def test_one_machine_with_many_addresses_of_its_network_leaves_places_for_others() -> None:
    connections = OpenConnections(ConnectionLimits(from_network=6, from_loopback=1, per_source=2), lambda: 0.0)
    places = [connections.admit(f"2001:db8::{number}") for number in range(1, 7)]
    assert [place is not None for place in places] == [True] * 4 + [False] * 2
    assert connections.admit("2001:db8:0:1::1") is not None, "of another network"
    assert connections.admit("192.0.2.1") is not None
    assert connections.admit("192.0.2.2") is None, "six are from elsewhere"
    for place in places[:4]:
        assert place is not None
        place.release()
    assert connections.admit("2001:db8::6") is not None


@pytest.mark.parametrize(("descriptors", "total"), [(256, 32), (512, 128), (1024, 128), (8192, 128), (100, 8)])
def test_connections_leave_descriptors_for_everything_else(descriptors: int, total: int) -> None:
    limits = limits_for(descriptors, tls=False)
    assert limits.from_network + limits.from_loopback == total
    assert limits.from_loopback >= 2
    assert limits.per_source * 3 <= limits.from_network


def test_tls_connections_are_fewer_as_each_needs_more_memory() -> None:
    limits = limits_for(8192, tls=True)
    assert limits.from_network + limits.from_loopback == 56
