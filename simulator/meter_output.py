"""Outputs of simulated meters that only send: a pseudo-terminal, and a port of a serial server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from energy.sources.byte_feed import ByteFeed


class MeterOutput(Protocol):
    """The wire on which a simulated meter sends. It never waits for a reader: unread data is lost, as on a wire."""

    @property
    def device(self) -> str:
        """The path or `socket://` address for a reader."""
        ...

    def send(self, data: bytes) -> None:
        """Send data without waiting; it is lost if nobody reads."""
        ...

    def send_directly(self, data: bytes) -> None:
        """Send data through the `ByteFeed` if the wire has one, else as `send`: a fast virtual clock outruns a line."""
        ...

    def close(self) -> None:
        """Close the wire; readers get an error."""
        ...


class PseudoTerminal:
    """A pseudo-terminal: the simulated meter writes to one end, a reader opens the other by the path `device`.

    `speed`: a constant of termios, such as `termios.B1200`. `feed`: what the reader reads beside the device.
    """

    def __init__(self, speed: int, feed: ByteFeed | None) -> None:
        self._speed = speed
        self._feed = feed
        self._own_descriptor, self._terminal_descriptor = os.openpty()
        # The far end is kept open, so that its settings and its path stay valid.
        self.device = os.ttyname(self._terminal_descriptor)
        """path for a reader, valid until `close`"""
        tty.setraw(self._terminal_descriptor)
        settings = termios.tcgetattr(self._terminal_descriptor)
        settings[4] = settings[5] = speed
        termios.tcsetattr(self._terminal_descriptor, termios.TCSANOW, settings)
        os.set_blocking(self._own_descriptor, False)

    def send(self, data: bytes) -> None:
        """Send data without waiting; it is lost if nobody reads. A reader that set another speed receives zeros."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._own_descriptor, self._received(data))

    def send_directly(self, data: bytes) -> None:
        """Send data through the feed, if there is one, as the reader would receive it from the device."""
        if self._feed is None:
            self.send(data)
        else:
            self._feed.send(self._received(data))

    def _received(self, data: bytes) -> bytes:
        return data if termios.tcgetattr(self._terminal_descriptor)[4] == self._speed else bytes(len(data))

    def close(self) -> None:
        """Close both ends; readers get an error."""
        os.close(self._own_descriptor)
        os.close(self._terminal_descriptor)


class SerialServer:
    """A TCP port of localhost that sends the same bytes to all clients, like a serial-to-network converter."""

    _UNREAD = 65_536
    """bytes that a client may leave unread before further ones are lost"""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def device(self) -> str:
        """The `socket://` address for a reader; valid after `start`."""
        return f"socket://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start listening on any free port; after `close`, on the same port as before."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def send(self, data: bytes) -> None:
        """Send data to all clients without waiting; it is lost for clients that do not read."""
        for writer in self._writers:
            if writer.transport.get_write_buffer_size() < self._UNREAD:
                writer.write(data)

    def send_directly(self, data: bytes) -> None:
        """Send data to all clients, as `send`: a TCP port has no way through memory."""
        self.send(data)

    def hang_up(self) -> None:
        """Abort the connections of all clients, and continue listening."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def close(self) -> None:
        """Stop listening and abort all connections; may be started again."""
        if self._server is not None:
            self._server.close()
        self.hang_up()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while await reader.read(1024):
                    pass  # a meter that only sends ignores input
        finally:
            self._writers.discard(writer)
            writer.close()
