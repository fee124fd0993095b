"""The listening socket of the local API. Its first visitor pays for the web framework; without one nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    import uvicorn
    from starlette.types import ASGIApp

_log = logging.getLogger(__name__)

_KEEP_ALIVE: Final = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}
"""seconds, and tries: a phone that leaves the house takes its connections along without a word"""


class WebServer:
    """Listens at once, so that the port is known and a request is answered; loads when somebody knocks."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self.port = port
        """where it listens; 0 becomes the port that was free"""
        self._socket: socket.socket | None = None

    def bind(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # With the protocol named, asyncio sets TCP_NODELAY; an answer of two packets would wait 40 ms otherwise.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # what it accepts has the same
        for option, value in _KEEP_ALIVE.items():
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
        try:
            listener.bind((self._host, self.port))
        except OSError:
            listener.close()
            raise
        listener.listen(128)
        listener.setblocking(False)
        self.port = int(listener.getsockname()[1])
        self._socket = listener
        _log.info("local API at http://%s:%d", self._host, self.port)

    async def run(self, build: Callable[[], ASGIApp], tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Serve until cancelled. `build` makes the ASGI application, in a thread: it imports a lot.

        `tls` makes what https is served with; without it http is.
        """
        if self._socket is None:
            self.bind()  # the second time: what served before has closed it
        listener, self._socket = self._socket, None
        if listener is None:
            raise RuntimeError("nothing to listen at")
        try:
            await self._knock(listener)
            server = await asyncio.to_thread(_server, build, tls)
            serving = asyncio.ensure_future(server.serve(sockets=[listener]))
            try:
                await asyncio.shield(serving)
            except asyncio.CancelledError:
                server.should_exit = True
                await serving
                raise
        finally:
            listener.close()

    async def _knock(self, listener: socket.socket) -> None:
        """Wait until somebody connects."""
        loop = asyncio.get_running_loop()
        knocked: asyncio.Future[None] = loop.create_future()
        loop.add_reader(listener, lambda: knocked.done() or knocked.set_result(None))
        try:
            await knocked
        finally:
            loop.remove_reader(listener)


def _server(build: Callable[[], ASGIApp], tls: Callable[[], ssl.SSLContext] | None) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        """A server that leaves signals to the program."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    context = tls() if tls is not None else None
    config = uvicorn.Config(
        build(),
        proxy_headers=False,  # who asks through a proxy is not at this machine (door/visitor.py)
        server_header=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws="none",
    )
    config.load()
    config.ssl = context  # ours, so that its certificate can be replaced while it serves
    return Server(config)
