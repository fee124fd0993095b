"""A CSMS process that costs as little as possible: answers each CALL with `{}`, and reports when it had all events.

Speaks just enough of the websocket protocol for one station, without a library, so that what is measured is the
station. Commands and reports are lines on stdin and stdout.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
import time
from typing import Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BOOT: Final = b'"BootNotification"'
_EVENT: Final = b'"TransactionEvent"'
_HEAD_BYTES: Final = 80
"""the beginning of a CALL, which contains message type, message id (36 characters) and action"""


class _EventCsms(asyncio.Protocol):
    """One connection of a station."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._received = 0
        self._first_s = 0.0
        self._buffer = b""
        self._open = False
        self._boot_id: bytes | None = None
        self.may_boot = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            self._shake_hands()
        while self._open and (size := _frame_size(self._buffer)) is not None and len(self._buffer) >= size:
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            self._answer(_head(frame))

    def _shake_hands(self) -> None:
        request, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lines = (line.partition(b":") for line in request.split(b"\r\n"))
        (key,) = (value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: ocpp2.0.1\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._open, self._buffer = True, rest

    def _answer(self, head: bytes) -> None:
        if not head.startswith(b'[2,"'):
            return
        identity = head[4 : head.index(b'"', 4)]
        if _BOOT in head:
            self._boot_id = identity
            if self.may_boot:
                self.accept_boot()
            return
        self._send(b'[3,"' + identity + b'",{}]')
        if _EVENT in head:
            now_s = time.perf_counter()
            self._first_s = self._first_s or now_s
            self._received += 1
            if self._received == self._expected:
                print(self._first_s, now_s, flush=True)

    def accept_boot(self) -> None:
        """Answer the BootNotification, the one that waits and those to come."""
        self.may_boot = True
        if self._boot_id is not None:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            payload = f'{{"currentTime":"{now}","interval":3600,"status":"Accepted"}}'
            self._send(b'[3,"' + self._boot_id + b'",' + payload.encode() + b"]")
            self._boot_id = None

    def _send(self, text: bytes) -> None:
        size = bytes((0x81, len(text))) if len(text) < 126 else b"\x81\x7e" + len(text).to_bytes(2)
        self._transport.write(size + text)


def _frame_size(buffer: bytes) -> int | None:
    """The bytes of the masked frame at the beginning of the buffer; None if its header is not complete."""
    if len(buffer) < 4:
        return None
    length = buffer[1] & 0x7F
    if length == 126:
        return 8 + int.from_bytes(buffer[2:4])
    return 6 + length


def _head(frame: bytes) -> bytes:
    """The first bytes of the payload of a masked text frame; empty for other frames."""
    if frame[0] != 0x81:
        return b""
    start = 4 if frame[1] & 0x7F == 126 else 2
    mask, part = frame[start : start + 4], frame[start + 4 : start + 4 + _HEAD_BYTES]
    repeated = (mask * (_HEAD_BYTES // 4))[: len(part)]
    return (int.from_bytes(part) ^ int.from_bytes(repeated)).to_bytes(len(part))


async def _main(expected: int) -> None:
    """Serve; print the port, then, once all events are there, when the first and the last came (perf_counter)."""
    loop = asyncio.get_running_loop()
    station = _EventCsms(expected)
    server = await loop.create_server(lambda: station, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)  # the command to accept the station
    station.accept_boot()
    await loop.run_in_executor(None, sys.stdin.readline)  # the command to end
    server.close()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
