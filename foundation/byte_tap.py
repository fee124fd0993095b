"""What went over the meters' wires lately, byte by byte, for whoever looks for the mistake in a wiring. Bounded."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from foundation.frozen import frozen

_MOST_BYTES = 64 * 1024
_OVERHEAD_BYTES = 64


@frozen
class Chunk:
    """Bytes that went over a wire at one time."""

    number: int
    """counts up, so that a reader can ask for what came since"""
    at: datetime
    wire: str
    data: bytes
    sent: bool
    """by the station; else it was received"""


class ByteTap:
    """Keeps the newest bytes of all wires together."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._number = 0

    def record(self, wire: str, at: datetime, data: bytes, *, sent: bool = False) -> None:
        """Something went over a wire."""
        self._number += 1
        self._chunks.append(Chunk(self._number, at, wire, data, sent))
        self._bytes += len(data) + _OVERHEAD_BYTES
        while self._bytes > self._most_bytes and len(self._chunks) > 1:
            self._bytes -= len(self._chunks.popleft().data) + _OVERHEAD_BYTES

    def chunks_after(self, number: int) -> list[Chunk]:
        """What came after the chunk of this number, in order."""
        return [chunk for chunk in self._chunks if chunk.number > number]
