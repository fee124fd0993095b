"""The wires of simulated meters that only talk: a pseudo-terminal, and a port of a serial server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from typing import Protocol


class MeterOutput(Protocol):
    """What a meter talks into. It never waits for a reader: what nobody takes is lost, as on a wire."""

    @property
    def device(self) -> str:
        """What a reader opens."""
        ...

    def send(self, data: bytes) -> None:
        """Send, or lose what nobody takes."""
        ...

    def close(self) -> None:
        """Take the wire away; a reader finds it gone."""
        ...


class PseudoTerminal:
    """The meter's end, and the end that a reader opens."""

    def __init__(self, speed: int) -> None:
        self._speed = speed
        self._near, self._far = os.openpty()
        # The far end stays open here too: its settings and its path live as long as the wire.
        self.device = os.ttyname(self._far)
        tty.setraw(self._far)
        settings = termios.tcgetattr(self._far)
        settings[4] = settings[5] = speed
        termios.tcsetattr(self._far, termios.TCSANOW, settings)
        os.set_blocking(self._near, False)

    def send(self, data: bytes) -> None:
        """Send, or lose what nobody takes. At another speed each character is a framing error, read as zero."""
        if termios.tcgetattr(self._far)[4] != self._speed:
            data = bytes(len(data))
        with contextlib.suppress(BlockingIOError):
            os.write(self._near, data)

    def close(self) -> None:
        """Take the device away."""
        os.close(self._near)
        os.close(self._far)


class SerialServer:
    """A TCP port that gives everybody who is connected the same bytes."""

    _UNREAD = 65_536
    """bytes that a client may leave unread before it loses what comes next"""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def device(self) -> str:
        """The address, as a reader opens it."""
        return f"socket://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen, on the same port as before when it was closed."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def send(self, data: bytes) -> None:
        """Send, or lose what nobody takes."""
        for writer in self._writers:
            if writer.transport.get_write_buffer_size() < self._UNREAD:
                writer.write(data)

    def hang_up(self) -> None:
        """Cut every connection, and go on listening."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def close(self) -> None:
        """Cut every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        self.hang_up()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while await reader.read(1024):
                    pass  # nothing can be said to a meter that only talks
        finally:
            self._writers.discard(writer)
            writer.close()
