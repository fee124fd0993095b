"""A Modbus server for simulated meters and other devices, on sockets and ttys; registers are computed at each request.

It implements the protocol itself: the servers of pymodbus cannot be silent or send garbage, and a client and a server
of the same library share its mistakes. Meters are read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Protocol, Self, cast

from foundation.clock import Clock
from foundation.frozen import Frozen
from metering.drivers.modbus_frames import crc
from metering.drivers.registers import MeterModel, encode
from metering.reading import Reading

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE, _DEVICE_FAILURE = 1, 2, 3, 4
_MULTIPLE_WRITES = frozenset({15, 16})
"""functions whose requests have a byte with the number of the bytes that follow"""
_UNDEFINED_WORD = 0xFFFF
"""value of registers that the meter has but our table lacks: NaN as F32"""


class ServedDevice(Protocol):
    """A simulated device that a `MeterServer` serves, such as a `ServedMeter`."""

    def answer(self, pdu: bytes) -> bytes:
        """Return the PDU that answers a request of this PDU, which has its whole data: a response or an exception."""
        ...


class ServedMeter(Frozen):
    """A simulated meter that a `MeterServer` serves: its register table, and the function called for each reading."""

    model: MeterModel
    read_meter: Callable[[], Reading]
    serial_number: str = "1234567"
    """served if the model has registers for it"""

    def answer(self, pdu: bytes) -> bytes:
        """Return the PDU that answers a read request of this PDU; see `answer_request`."""
        return answer_request(self, pdu)


class Silent(Frozen):
    """A fault of a `MeterServer`: requests are not answered."""


class Refusing(Frozen):
    """A fault of a `MeterServer`: requests are answered with a Modbus exception."""

    code: int = _DEVICE_FAILURE
    """exception code; 4: device failure"""


class Garbled(Frozen):
    """A fault of a `MeterServer`: answers are damaged on the wire."""


class Shortened(Frozen):
    """A fault of a `MeterServer`: answers are well formed but lack the last register."""


class Slow(Frozen):
    """A fault of a `MeterServer`: answers are sent late."""

    delay_s: float
    """delay of each answer in s of the server's clock"""


MeterFault = Silent | Refusing | Garbled | Shortened | Slow
"""the faults of a `MeterServer`, one at a time"""


class ModbusRequest(Frozen):
    """A client's request for one unit, taken out of its frame."""

    unit: int
    """address of the meter on its wire"""
    pdu: bytes
    """function code and data"""
    transaction: bytes = b""
    """transaction identifier of Modbus TCP, repeated in the answer; empty in RTU"""


class Framing(Protocol):
    """How requests and answers are framed in a stream of bytes: Modbus TCP or RTU."""

    def take_requests(self, stream: bytearray) -> Iterator[ModbusRequest]:
        """Remove complete requests from the front of `stream` and yield them; an incomplete one stays."""
        ...

    def frame(self, request: ModbusRequest, pdu: bytes) -> bytes:
        """Frame the PDU of an answer to this request."""
        ...

    def garble(self, frame: bytes) -> bytes:
        """Return a framed answer damaged so that a client can detect it."""
        ...


class TcpFraming:
    """`Framing` of Modbus TCP: a header with transaction, protocol 0, length and unit, then the PDU."""

    def take_requests(self, stream: bytearray) -> Iterator[ModbusRequest]:
        """Remove complete requests from the front of `stream` and yield them; an incomplete one stays."""
        while len(stream) >= 6 and len(stream) >= (size := 6 + int.from_bytes(stream[4:6], "big")):
            frame = bytes(stream[:size])
            del stream[:size]
            yield ModbusRequest(frame[6], frame[7:], frame[:2])

    def frame(self, request: ModbusRequest, pdu: bytes) -> bytes:
        """Frame the PDU of an answer with the transaction and unit of the request."""
        return request.transaction + struct.pack(">HHB", 0, len(pdu) + 1, request.unit) + pdu

    def garble(self, frame: bytes) -> bytes:
        """Return the frame with all bytes damaged: TCP answers carry no checksum that reveals a single wrong bit."""
        return bytes(byte ^ 0x55 for byte in frame)


class RtuFraming:
    """`Framing` of Modbus RTU: unit, PDU, CRC. Requests of the functions 1 to 6, 15 and 16 are supported."""

    def take_requests(self, stream: bytearray) -> Iterator[ModbusRequest]:
        """Remove complete requests from the front of `stream` and yield them; an incomplete one stays.

        On a wrong CRC all received bytes are dropped.
        """
        while len(stream) >= 8 and len(stream) >= (size := _rtu_request_size(stream)):
            frame = bytes(stream[:size])
            if crc(frame) != b"\0\0":
                stream.clear()
                return
            del stream[:size]
            yield ModbusRequest(frame[0], frame[1:-2])

    def frame(self, request: ModbusRequest, pdu: bytes) -> bytes:
        """Frame the PDU of an answer with the unit of the request and a CRC."""
        frame = bytes((request.unit,)) + pdu
        return frame + crc(frame)

    def garble(self, frame: bytes) -> bytes:
        """Return the frame with one bit of the CRC flipped."""
        return frame[:-1] + bytes((frame[-1] ^ 1,))


def _rtu_request_size(stream: bytearray) -> int:
    """The length of the RTU request at the front of a stream of eight bytes or more."""
    return 9 + stream[6] if stream[1] in _MULTIPLE_WRITES else 8


def answer_request(meter: ServedMeter, pdu: bytes) -> bytes:
    """Return the PDU that answers a read request of this PDU: registers, or a Modbus exception.

    Calls `meter.read_meter` for the values. Exceptions: a function other than the meter's, too many registers, an
    address that the meter lacks, a request that begins or ends within a value.
    """
    function, model = pdu[0], meter.model
    if len(pdu) != 5:
        return _refusal(function, _ILLEGAL_FUNCTION)
    address, count = struct.unpack(">HH", pdu[1:])
    has_serial_number = model.serial_number is not None and model.serial_number.covers(function, address)
    if function not in {register.function for register in model.registers} and not has_serial_number:
        return _refusal(function, _ILLEGAL_FUNCTION)
    if not 1 <= count <= model.max_registers:
        return _refusal(function, _ILLEGAL_VALUE)
    words = encode(model, meter.read_meter())
    if model.serial_number is not None:
        words |= model.serial_number.encode(meter.serial_number)
    requested = [(function, at) for at in range(address, address + count)]
    known = all(place in words or any(place[1] in run for run in model.readable) for place in requested)
    inside = {at for register in model.registers for at in range(register.address + 1, register.end)}
    if not known or address in inside or address + count in inside:
        return _refusal(function, _ILLEGAL_ADDRESS)
    return struct.pack(f">BB{count}H", function, 2 * count, *(words.get(place, _UNDEFINED_WORD) for place in requested))


def _refusal(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))


class MeterServer(ABC):
    """A Modbus server for simulated meters on one wire, by unit; a context manager that starts and stops it.

    `fault` may be set and cleared at any time, and applies to all its meters.
    """

    def __init__(self, meters: Mapping[int, ServedDevice], framing: Framing, clock: Clock) -> None:
        self.fault: MeterFault | None = None
        """the fault that answers show from now on; None: none"""
        self._meters = meters
        self._framing = framing
        self._clock = clock

    @abstractmethod
    async def start(self) -> None:
        """Open the wire and start answering requests."""

    @abstractmethod
    async def stop(self) -> None:
        """Close the wire and every connection; the server may be started again."""

    @property
    @abstractmethod
    def address(self) -> Mapping[str, str | int]:
        """The settings in the [evse.meter] table or grid source by which the station's driver reaches this wire."""
        ...

    def silence(self, silent: bool) -> None:
        """Set the fault that no meter answers, in place of any other; False: clear any fault."""
        self.fault = Silent() if silent else None

    def garble(self, garbled: bool) -> None:
        """Set the fault that answers are damaged, in place of any other; False: clear any fault."""
        self.fault = Garbled() if garbled else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def receive(self, stream: bytearray, send: Callable[[bytes], object]) -> None:
        """Answer the complete requests in `stream` by calling `send` with each frame, subject to `fault`.

        Called by the subclass when data arrived; requests are removed from `stream`, and those of unknown units
        ignored.
        """
        for request in self._framing.take_requests(stream):
            device = self._meters.get(request.unit)
            if device is None or isinstance(self.fault, Silent):
                continue
            pdu = device.answer(request.pdu)
            if isinstance(self.fault, Refusing):
                pdu = _refusal(request.pdu[0], self.fault.code)
            elif isinstance(self.fault, Shortened) and pdu[0] == request.pdu[0]:
                pdu = bytes((pdu[0], pdu[1] - 2)) + pdu[2:-2]
            frame = self._framing.frame(request, pdu)
            if isinstance(self.fault, Garbled):
                frame = self._framing.garble(frame)
            if isinstance(self.fault, Slow):
                self._clock.call_later(self.fault.delay_s, partial(send, frame))
            else:
                send(frame)


class TcpMeterServer(MeterServer):
    """Simulated meters on a TCP port: Modbus TCP, or RTU frames as behind a serial server.

    Listens on localhost only, unless `host` is set.
    """

    def __init__(
        self,
        meters: Mapping[int, ServedDevice],
        framing: Framing,
        clock: Clock,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(meters, framing, clock)
        self._host = host
        self.port = port
        """the TCP port; 0 before the first start: any free port"""
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def clients(self) -> int:
        """Number of clients connected now."""
        return len(self._connections)

    @property
    def address(self) -> Mapping[str, str | int]:
        """Host and port for the station's driver; the host is always localhost."""
        return {"host": "127.0.0.1", "port": self.port}

    async def start(self) -> None:
        """Start listening; after `stop`, on the same port as before.

        Raises:
            OSError: it cannot listen at host and port.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, self._connections), self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and abort every connection; does nothing if stopped."""
        if self._server is not None:
            self._server.close()
            for connection in tuple(self._connections):
                connection.cut()
            await self._server.wait_closed()
            self._server = None


class _Connection(asyncio.Protocol):
    """One client of a TCP server."""

    def __init__(self, server: MeterServer, connections: set[_Connection]) -> None:
        self._server = server
        self._connections = connections
        self._stream = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._stream += data
        self._server.receive(self._stream, self._send)

    def cut(self) -> None:
        """Abort the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)


class SerialMeterServer(MeterServer):
    """Simulated meters on a serial line (Modbus RTU): a pseudo-terminal, whose other end the station's driver opens."""

    def __init__(self, meters: Mapping[int, ServedDevice], clock: Clock) -> None:
        super().__init__(meters, RtuFraming(), clock)
        self.device = ""
        """path for the driver; empty before the first start, and changes with each start"""
        self._stream = bytearray()
        self._frame_ends: tuple[int, int] | None = None

    @property
    def address(self) -> Mapping[str, str | int]:
        """Device and parity for the station's driver; a pseudo-terminal has no parity."""
        return {"device": self.device, "parity": "N"}

    async def start(self) -> None:
        """Open the pseudo-terminal and answer requests on it; needs a running event loop."""
        self._frame_ends = ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self.device = os.ttyname(theirs)
        asyncio.get_running_loop().add_reader(ours, self._readable)

    async def stop(self) -> None:
        """Close the pseudo-terminal; readers see a hang-up. Does nothing if stopped."""
        if self._frame_ends is not None:
            asyncio.get_running_loop().remove_reader(self._frame_ends[0])
            for end in self._frame_ends:
                os.close(end)
            self._frame_ends = None
            self._stream.clear()

    def _readable(self) -> None:
        if self._frame_ends is not None:
            self._stream += os.read(self._frame_ends[0], 4096)
            self.receive(self._stream, self._send)

    def _send(self, frame: bytes) -> None:
        # If nobody reads, the buffer fills up and further data is lost.
        with contextlib.suppress(BlockingIOError):
            if self._frame_ends is not None:
                os.write(self._frame_ends[0], frame)
