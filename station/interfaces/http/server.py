"""The web server of the local API; loads the web framework at the first connection or by `load`."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from station.interfaces.http.open_connections import OpenConnections

if TYPE_CHECKING:
    import ssl

    import uvicorn
    from starlette.types import ASGIApp

    from station.interfaces.http.acceptor import Acceptor
    from station.interfaces.http.connection_limits import ConnectionLimits
    from station.interfaces.http.open_connections import ProtocolFactory

_log = logging.getLogger(__name__)

_TCP_OPTIONS: Final = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 15,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 120_000,
}
"""keepalive in seconds and probes, and milliseconds until sent bytes must be acknowledged: detects connections of
phones that have left the network. By name, since only Linux has all of them"""
_BACKLOG: Final = 1024
"""connections that the kernel queues: large enough that a flood from elsewhere leaves room for this machine"""


class WebServer:
    """The web server of page and API: `bind` listens at once, the first connection loads the web framework."""

    def __init__(self, host: str, port: int, limits: ConnectionLimits) -> None:
        self._host = host
        self._limits = limits
        self._connections = OpenConnections(limits, time.monotonic)
        self.port = port
        """the port to listen on; 0 is replaced by a free port in `bind`"""
        self._socket: socket.socket | None = None
        self._requested = asyncio.Event()
        self._serving = asyncio.Event()

    def bind(self) -> None:
        """Open the listening socket, and set `port`; connections wait in the kernel until `run` accepts them.

        Raises:
            OSError: the address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # With the protocol given, asyncio sets TCP_NODELAY; otherwise a response of two packets would take 40 ms more.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # inherited by accepted sockets
        for option, value in _TCP_OPTIONS.items():
            if hasattr(socket, option):
                listener.setsockopt(socket.IPPROTO_TCP, int(getattr(socket, option)), value)
        try:
            listener.bind((self._host, self.port))
        except OSError:
            listener.close()
            raise
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self.port = int(listener.getsockname()[1])
        self._socket = listener
        _log.info("local API at http://%s:%d", self._host, self.port)

    async def load(self) -> None:
        """Make `run` load the application now, without waiting for a connection; returns once it serves."""
        self._requested.set()
        await self._serving.wait()

    async def run(self, build: Callable[[], ASGIApp], tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Serve until cancelled, then finish pending responses. Binds the socket if it is not bound.

        `build` creates the ASGI application; `tls` returns the TLS context for the next connection (None: plain HTTP).
        Both are called in a thread at the first connection, or at `load`, as they import many modules and read files.
        """
        if self._socket is None:
            self.bind()  # at a restart: the previous run has closed the socket
        listener, self._socket = self._socket, None
        if listener is None:
            raise RuntimeError("the listening socket is not bound")
        try:
            await self._wait_first_client(listener)
            from station.interfaces.http.acceptor import Acceptor  # late: for the first visitor

            server, protocol = await asyncio.to_thread(_server, build, tls, self._limits)
            await self._serve(Acceptor(listener, self._connections, self._limits, protocol, tls), server)
        finally:
            self._serving.clear()
            listener.close()

    async def _serve(self, acceptor: Acceptor, server: uvicorn.Server) -> None:
        """Accept connections until cancelled; then finish pending responses."""
        serving = asyncio.ensure_future(server.serve(sockets=[]))  # without sockets: the acceptor accepts
        async with asyncio.TaskGroup() as handshakes:
            try:
                with acceptor.accepting(handshakes):
                    self._serving.set()
                    await asyncio.shield(serving)
            except asyncio.CancelledError:
                server.should_exit = True
                await serving
                raise

    async def _wait_first_client(self, listener: socket.socket) -> None:
        """Wait until a client connects or `load` is called."""
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._requested.set)
        try:
            await self._requested.wait()
        finally:
            loop.remove_reader(listener)


def _server(
    build: Callable[[], ASGIApp], tls: Callable[[], ssl.SSLContext] | None, limits: ConnectionLimits
) -> tuple[uvicorn.Server, ProtocolFactory]:
    """Create the loaded uvicorn server, and the factory of its protocols."""
    from station.interfaces.http.uvicorn_server import uvicorn_server  # late: for the first visitor

    if tls is not None:
        tls()  # reads the certificate here, in the thread
    return uvicorn_server(build(), limits)
