"""The link to an SECC in a process of its own: connects to its socket, bounds what comes, and notices its silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from station.core.vehicle_link import VehicleEvent, VehicleLinkError, VehicleOrder
from station.devices.secc.secc_protocol import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    MAX_LINE_BYTES,
    MAX_LINES,
    PING_AFTER_S,
    RATE_WINDOW_S,
    VERSION,
    Hello,
    HelloAnswer,
    Ping,
    Pong,
    SeccLine,
    SeccProtocolError,
    StationLine,
    check_hello,
    decode_secc_line,
    encode_line,
)

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)


class LineRate:
    """Counts the lines of an SECC, so that one that floods is cut off."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window_began_s = clock.monotonic()
        self._lines = 0

    def count(self) -> None:
        """Count a line.

        Raises:
            SeccProtocolError: there are more than `MAX_LINES` in `RATE_WINDOW_S`.
        """
        now_s = self._clock.monotonic()
        if now_s - self._window_began_s >= RATE_WINDOW_S:
            self._window_began_s, self._lines = now_s, 0
        self._lines += 1
        if self._lines > MAX_LINES:
            raise SeccProtocolError(f"the SECC has sent more than {MAX_LINES} lines in {RATE_WINDOW_S:g} s")


class SeccConnection:
    """An open connection to an SECC: lines in both directions, with their bounds in size and time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock

    async def send(self, line: StationLine) -> None:
        """Send a line; returns when the SECC takes it.

        Raises:
            VehicleLinkError: the connection is lost, or the SECC does not read.
        """
        try:
            self._writer.write(encode_line(line))
            async with self._clock.timeout(ANSWER_TIMEOUT_S):
                await self._writer.drain()
        except TimeoutError:
            raise VehicleLinkError(f"the SECC has read nothing for {ANSWER_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise VehicleLinkError(f"the connection to the SECC is lost: {error}") from error

    async def read(self, within_s: float) -> SeccLine | None:
        """Read the next line; None: there is none within this time.

        Raises:
            VehicleLinkError: the connection has ended, or the line breaks the protocol.
        """
        try:
            async with self._clock.timeout(within_s):
                line = await self._reader.readline()
        except TimeoutError:
            return None
        except ValueError:  # of StreamReader: the limit is exceeded
            raise VehicleLinkError(f"the SECC has sent a line of more than {MAX_LINE_BYTES} bytes") from None
        except OSError as error:
            raise VehicleLinkError(f"the connection to the SECC is lost: {error}") from error
        if not line.endswith(b"\n"):
            raise VehicleLinkError("the SECC has closed the connection")
        try:
            return decode_secc_line(line)
        except SeccProtocolError as error:
            raise VehicleLinkError(str(error)) from error

    def close(self) -> None:
        """Close the connection; what was not sent is lost."""
        self._writer.transport.abort()


async def open_secc(socket: str, clock: Clock) -> SeccConnection:
    """Connect to the socket of an SECC.

    Raises:
        VehicleLinkError: it cannot be reached; names the socket.
    """
    try:
        with clock.outside_wait():
            async with clock.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(socket, limit=MAX_LINE_BYTES)
    except TimeoutError:
        raise VehicleLinkError(f"{socket}: the SECC does not accept the connection") from None
    except OSError as error:
        raise VehicleLinkError(f"{socket}: {error.strerror or error}") from error
    return SeccConnection(reader, writer, clock)


class ExternalSecc:
    """A `VehicleLink` to an SECC that listens on a Unix socket."""

    def __init__(self, socket: str, evse_id: int, clock: Clock) -> None:
        self._socket = socket
        self._evse_id = evse_id
        self._clock = clock
        self._connection: SeccConnection | None = None
        self._pings = 0

    async def events(self) -> AsyncGenerator[VehicleEvent | None]:
        """Connect, yield None after the hello of the SECC, then its events.

        Raises:
            VehicleLinkError: the SECC is not reachable, has ended, is silent, or breaks the protocol.
        """
        connection = await open_secc(self._socket, self._clock)
        try:
            await self._say_hello(connection)
            self._connection = connection
            yield None
            rate = LineRate(self._clock)
            while True:
                line = await self._next(connection)
                _count(rate)
                if isinstance(line, HelloAnswer):
                    raise VehicleLinkError("event: the SECC has said hello twice")
                if not isinstance(line, Pong):
                    yield line
        finally:
            if self._connection is connection:  # else a later call has connected already
                self._connection = None
            connection.close()

    async def _say_hello(self, connection: SeccConnection) -> None:
        await connection.send(Hello(VERSION, self._evse_id))
        with self._clock.outside_wait():
            answer = await connection.read(CONNECT_TIMEOUT_S)
        if answer is None:
            raise VehicleLinkError(f"{self._socket}: the SECC has not said hello in {CONNECT_TIMEOUT_S:g} s")
        try:
            hello = check_hello(answer, self._evse_id)
        except SeccProtocolError as error:
            raise VehicleLinkError(f"{self._socket}: {error}") from error
        _log.info("EVSE %d: connected to the SECC %r at %s", self._evse_id, hello.name, self._socket)

    async def _next(self, connection: SeccConnection) -> SeccLine:
        """The next line; an SECC that says nothing is asked whether it still lives."""
        line = await connection.read(PING_AFTER_S)
        if line is not None:
            return line
        self._pings += 1
        await connection.send(Ping(self._pings))
        with self._clock.outside_wait():
            line = await connection.read(ANSWER_TIMEOUT_S)
        if line is None:
            raise VehicleLinkError(f"the SECC is silent, and has not answered a ping in {ANSWER_TIMEOUT_S:g} s")
        if isinstance(line, Pong) and line.number != self._pings:
            raise VehicleLinkError(f"number: the SECC has answered ping {self._pings} by pong {line.number}")
        return line

    async def send(self, order: VehicleOrder, /) -> None:
        """Send an order.

        Raises:
            VehicleLinkError: there is no connection, or the SECC does not read.
        """
        if self._connection is None:
            raise VehicleLinkError("the SECC is not connected")
        await self._connection.send(order)


def _count(rate: LineRate) -> None:
    try:
        rate.count()
    except SeccProtocolError as error:
        raise VehicleLinkError(str(error)) from error
