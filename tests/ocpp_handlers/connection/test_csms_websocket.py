"""A websocket is down with the Close frame of its peer; what came before that frame is read first."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import AsyncGenerator, Callable

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ocpp_handlers.connection.csms_websocket import csms_websocket_class, dial
from tests.patience import until

TEXT = b"\x81\x05hello"
CLOSE = b"\x88\x02\x03\xe8"


def _ignore() -> None:
    pass


async def _ignore_message() -> None:
    pass


@contextlib.asynccontextmanager
async def connected(
    on_request: Callable[[], None] = _ignore,
) -> AsyncGenerator[tuple[ClientConnection, ServerConnection]]:
    """Both ends of a websocket; the server answers no Close frame and ends no connection by itself."""
    served: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def handler(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        served.put_nowait(connection)
        await connection.wait_closed()

    factory = csms_websocket_class(on_request, _ignore_message)
    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        client = await dial(f"ws://127.0.0.1:{port}/", create_connection=factory, close_timeout=0.1, proxy=None)
        server_side = await served.get()
        try:
            yield client, server_side
        finally:
            client.transport.abort()
            server_side.transport.abort()


async def test_a_waiting_receiver_gets_the_close_frame_at_once() -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        reading = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        server_side.transport.write(CLOSE)
        with pytest.raises(ConnectionClosed, match="received 1000"):
            await reading
        assert not client.transport.is_closing(), "TCP stands"
        await client.close()
        assert client.transport.is_closing(), "and ends after the time for that"


async def test_what_follows_the_close_frame_changes_nothing() -> None:
    """It may come while the reader is being notified."""
    async with connected() as (client, _), asyncio.timeout(30):
        reading = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        for _ in range(4):
            client.data_received(CLOSE)
            await asyncio.sleep(0)
        with pytest.raises(ConnectionClosed, match="received 1000"):
            await reading


async def test_messages_that_came_with_the_close_frame_are_read_first() -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        reading = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        server_side.transport.write(TEXT + TEXT + CLOSE)
        assert [await reading, await client.recv()] == ["hello", "hello"]
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_messages_that_nobody_waited_for_are_read_after_the_close_frame() -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        server_side.transport.write(TEXT + CLOSE)
        await asyncio.wait_for(until(lambda: client.protocol.close_rcvd is not None), 30)
        assert await client.recv() == "hello"
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_a_reader_that_is_cancelled_is_cancelled() -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        reading = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})
        assert reading.cancelled()
        server_side.transport.write(TEXT)
        assert await client.recv() == "hello"


async def test_the_request_is_announced_when_tcp_is_up_and_not_before() -> None:
    requests: list[None] = []

    def note() -> None:
        requests.append(None)

    async with connected(note):
        assert len(requests) == 1
    factory = csms_websocket_class(note, _ignore_message)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(OSError, match="Connect call failed"):
        await dial(f"ws://127.0.0.1:{port}/", create_connection=factory, proxy=None)
    assert len(requests) == 1


async def test_a_request_that_is_refused_was_one() -> None:
    requests: list[None] = []

    def note() -> None:
        requests.append(None)

    factory = csms_websocket_class(note, _ignore_message)
    async with serve(_never, "127.0.0.1", 0, process_request=lambda here, _: here.respond(401, "no")) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(InvalidStatus):
            await dial(f"ws://127.0.0.1:{port}/", create_connection=factory, proxy=None)
    assert len(requests) == 1


async def _never(connection: ServerConnection) -> None:
    raise AssertionError(connection)


async def test_what_is_sent_arrives_and_nothing_is_sent_after_the_end() -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        server_side.transport.resume_reading()
        await client.send("é")
        assert await server_side.recv() == "é"
        client.transport.abort()
        await client.wait_closed()
        with pytest.raises(ConnectionClosed):
            await client.send("too late")


async def waiting_sender(client: ClientConnection, server_side: ServerConnection) -> asyncio.Task[None]:
    """A task that sends more than fits into the buffers of TCP, and waits."""
    for connection, buffer in ((client, socket.SO_SNDBUF), (server_side, socket.SO_RCVBUF)):
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, 65_536)

    async def flood() -> None:
        for _ in range(400):
            await client.send(secrets.token_hex(50_000))  # which compresses badly

    sending = asyncio.create_task(flood())
    for _ in range(2_000):
        await asyncio.sleep(0)
    assert not sending.done()
    return sending


async def test_sending_waits_while_the_csms_reads_nothing() -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        sending = await waiting_sender(client, server_side)
        assert client.transport.get_write_buffer_size() < 1_000_000
        sending.cancel()


async def test_a_reset_of_tcp_ends_a_sender_that_waits_as_any_end_of_the_connection() -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        sending = await waiting_sender(client, server_side)
        linger = struct.pack("ii", 1, 0)  # TCP ends by a reset
        server_side.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        server_side.transport.abort()
        with pytest.raises(ConnectionClosed):
            await sending


@pytest.mark.parametrize("frames", [b"\x81\x02\xc3\x28", b"\x01\x01\xc3\x80\x01\x28"])
async def test_a_text_that_is_no_utf8_ends_the_connection(frames: bytes) -> None:
    async with connected() as (client, server_side), asyncio.timeout(30):
        server_side.transport.write(TEXT + frames)
        assert await client.recv() == "hello"
        with pytest.raises(ConnectionClosed, match="1007"):
            await client.recv()


async def test_a_connection_that_is_reset_while_sending_waits_counts_as_closed() -> None:
    """Any other error would end the task that holds the link, as one that nobody expected."""
    async with connected() as (client, server_side), asyncio.timeout(30):

        async def flood() -> None:
            while True:
                await client.send(secrets.token_hex(50_000))

        sending = asyncio.create_task(flood())
        await until(lambda: client.paused)
        end = server_side.transport.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # hence a reset
        server_side.transport.abort()
        with pytest.raises(ConnectionClosed):
            await sending
