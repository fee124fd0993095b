"""Records the newest bytes on the meters' wires, up to a limit, so that wiring faults can be found."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from foundation.frozen import Frozen

_MAX_BYTES = 64 * 1024
_OVERHEAD_BYTES = 64


class WireChunk(Frozen):
    """Bytes that were sent or received together on the wire of a meter, as `ByteTap` keeps them."""

    number: int
    """increases by 1, so that a reader can ask for the chunks after one that it has"""
    at: datetime
    """wall time"""
    wire: str
    """path of the serial device, or host and port"""
    data: bytes
    sent: bool
    """True: sent by the station; False: received"""


class ByteTap:
    """Recording, in memory, of the newest bytes on the wires of all meters (Modbus, P1, Linky), to find wiring faults.

    It keeps at most `most_bytes` together, of which each chunk takes 64 for its time and wire.
    """

    def __init__(self, most_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = most_bytes
        self._chunks: deque[WireChunk] = deque()
        self._bytes = 0
        self._next_number = 0

    def record(self, wire: str, at: datetime, data: bytes, *, sent: bool = False) -> None:
        """Store bytes that were sent or received on a wire at a wall time, and drop the oldest beyond the limit."""
        self._next_number += 1
        self._chunks.append(WireChunk(self._next_number, at, wire, data, sent))
        self._bytes += len(data) + _OVERHEAD_BYTES
        while self._bytes > self._max_bytes and len(self._chunks) > 1:
            self._bytes -= len(self._chunks.popleft().data) + _OVERHEAD_BYTES

    def chunks_after(self, number: int) -> list[WireChunk]:
        """The recorded chunks with a higher number than this, in order."""
        return [chunk for chunk in self._chunks if chunk.number > number]
