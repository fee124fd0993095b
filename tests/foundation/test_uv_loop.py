"""The event loop of stations in real time connects by its own name resolution."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from foundation.uv_loop import UvLoop
from tests.foundation.conftest import FakeNameService


async def on_uvloop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on an event loop of uvloop, in a thread of its own."""

    def run() -> None:
        with asyncio.Runner(loop_factory=UvLoop) as runner:
            runner.run(work)

    await asyncio.to_thread(run)


async def answer_once(server: asyncio.Server, host: str, **options: Any) -> bytes:
    """Connect to a name, and read to the end."""
    reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1], **options)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


async def test_a_connection_is_made_to_the_first_address_that_accepts(name_service: FakeNameService) -> None:
    async def work() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        name_service.resolve_to(("127.0.0.2", port), ("127.0.0.1", port))  # the server is not at the first one
        assert await answer_once(server, "csms.example") == b"hello"
        assert [host for host, *_ in name_service.questions] == ["csms.example"]
        server.close()

    await on_uvloop(work())


async def test_the_last_failure_is_raised_where_no_address_accepts(name_service: FakeNameService) -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        name_service.resolve_to(("127.0.0.2", port), ("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("csms.example", port)
        name_service.resolve_to()
        with pytest.raises(OSError, match="no address"):
            await asyncio.open_connection("csms.example", port)

    await on_uvloop(work())


async def test_the_name_and_not_the_address_is_checked_in_the_certificate(name_service: FakeNameService) -> None:
    class FailingHandshake(ssl.SSLObject):
        """Notes the name that is checked, and fails."""

        def do_handshake(self) -> None:
            raise ssl.SSLCertVerificationError(1, f"checked: {self.server_hostname}")

    async def work() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        name_service.resolve_to(server.sockets[0].getsockname()[:2])
        context = ssl.create_default_context()
        context.sslobject_class = FailingHandshake
        with pytest.raises(ssl.SSLCertVerificationError, match=r"checked: csms\.example"):
            await answer_once(server, "csms.example", ssl=context)
        server.close()

    await on_uvloop(work())


async def test_no_timer_fires_early() -> None:
    """Such as that of the silence between two frames of Modbus RTU, 1.75 ms."""

    async def work() -> None:
        early: list[float] = []
        for delay_s in (n * 0.000_13 for n in range(1, 101)):
            begin_s = time.monotonic()
            await asyncio.sleep(delay_s)
            early.append(delay_s - (time.monotonic() - begin_s))
        assert max(early) <= 0.0
        asyncio.get_running_loop().call_later(float("inf"), print).cancel()

    await on_uvloop(work())
