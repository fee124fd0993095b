"""Serves the simulated SECC of an EVSE on a Unix socket, as an SECC in a process of its own does; with faults."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from station.core.vehicle_link import VehicleLinkError
from station.devices.secc.secc_protocol import (
    MAX_LINE_BYTES,
    VERSION,
    Hello,
    HelloAnswer,
    Ping,
    Pong,
    SeccProtocolError,
    decode_station_line,
    encode_line,
)

if TYPE_CHECKING:
    from simulator.secc import SimulatedSecc
    from station.devices.secc.secc_protocol import SeccLine


class SeccFaults:
    """What an SECC does wrong; tests set it."""

    def __init__(self) -> None:
        self.hello: HelloAnswer | None = None
        """its hello in place of the right one"""
        self.silent = False
        """whether it answers nothing, though it reads"""


class SeccServer:
    """Listens on a socket for the station, and passes lines on to and from the simulated SECC."""

    def __init__(self, secc: SimulatedSecc, evse_id: int, socket: str) -> None:
        self.faults = SeccFaults()
        self.disconnections = 0
        """how often it has disconnected by `disconnect_after`"""
        self._secc = secc
        self._evse_id = evse_id
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._lines = 0
        self._disconnects_at: int | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made.
        """
        self._server = await asyncio.start_unix_server(self._serve, self._socket, limit=MAX_LINE_BYTES)

    async def stop(self) -> None:
        """End as a process that is killed: the connection is lost, and nobody listens."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.disconnect()

    def disconnect(self) -> None:
        """Lose the connection to the station; the next one is accepted."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    def disconnect_after(self, lines: int | None) -> None:
        """Lose the connection once so many lines more have been sent and received; None: do not."""
        self._disconnects_at = self._lines + lines if lines is not None else None

    def send_raw(self, data: bytes) -> None:
        """Send any bytes to the station."""
        if self._writer is not None:
            self._writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        reporting: asyncio.Task[None] | None = None
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                order = decode_station_line(line)
                self._count_line()
                if isinstance(order, Hello):
                    self._send(self.faults.hello or HelloAnswer(VERSION, self._evse_id, "borne simulator"))
                    reporting = asyncio.ensure_future(self._report_events())
                elif isinstance(order, Ping):
                    self._send(Pong(order.number))
                else:
                    await self._secc.send(order)
        except (OSError, SeccProtocolError, VehicleLinkError, ValueError):
            pass  # the connection ends below, which is all that an SECC can say
        finally:
            if reporting is not None:
                reporting.cancel()
            writer.transport.abort()

    async def _report_events(self) -> None:
        with contextlib.suppress(VehicleLinkError):
            async for event in self._secc.events():
                if event is not None:
                    self._send(event)
        self.disconnect()

    def _send(self, line: SeccLine) -> None:
        if self.faults.silent or self._writer is None:
            return
        self._writer.write(encode_line(line))
        self._count_line()

    def _count_line(self) -> None:
        self._lines += 1
        if self._lines == self._disconnects_at:
            self.disconnections += 1
            self.disconnect()
