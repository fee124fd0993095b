"""The OCPP messages of the last minutes, in memory only, since they contain cards and customer data."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from foundation.clock import Clock

Direction = Literal["in", "out"]
_MAX_CHARACTERS = 512 * 1024
_OVERHEAD = 100


class LoggedFrame(Frozen):
    """An OCPP message in the frame log, for the page and API."""

    number: int
    """counted from 1 since the start, for `frames_after`"""
    at: datetime
    """the station's time"""
    direction: str
    """in: from the CSMS; out: to the CSMS"""
    text: str


class FrameLog:
    """Keeps the newest OCPP messages in memory, up to a number of characters, for the page and API."""

    def __init__(self, clock: Clock, most_characters: int = _MAX_CHARACTERS) -> None:
        self._clock = clock
        self._most = most_characters
        self._frames: deque[LoggedFrame] = deque()
        self._size = 0
        self._number = 0

    def append(self, direction: str, text: str) -> LoggedFrame:
        """Add a message with the present time, and return the entry; drops the oldest ones if the log is full."""
        self._number += 1
        frame = LoggedFrame(self._number, self._clock.now(), direction, text)
        self._frames.append(frame)
        self._size += len(text) + _OVERHEAD
        while self._size > self._most and len(self._frames) > 1:
            self._size -= len(self._frames.popleft().text) + _OVERHEAD
        return frame

    def frames_after(self, number: int) -> list[LoggedFrame]:
        """The messages after this number, in order."""
        return [frame for frame in self._frames if frame.number > number]
