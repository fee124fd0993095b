"""The OCPP messages of the last minutes, in memory only, since they contain cards and customer data."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock

Direction = Literal["in", "out"]
_MAX_CHARACTERS = 512 * 1024
_OVERHEAD = 100


class MaskedFrame(Protocol):
    """An OCPP message whose secrets are masked when its text is read."""

    direction: str
    """in: from the CSMS; out: to the CSMS"""
    length: int
    """number of characters, before secrets are masked"""

    @property
    def text(self) -> str:
        """The text without passwords and other secrets."""
        ...


class LoggedFrame(Frozen):
    """An OCPP message in the frame log, for the page and API."""

    number: int
    """counted from 1 since the start, for `frames_after`"""
    at: datetime
    """the station's time"""
    frame: MaskedFrame

    @property
    def direction(self) -> str:
        """in: from the CSMS; out: to the CSMS."""
        return self.frame.direction

    @property
    def text(self) -> str:
        """The text without passwords and other secrets."""
        return self.frame.text


class FrameLog:
    """Keeps the newest OCPP messages in memory, up to a number of characters, for the page and API."""

    def __init__(self, clock: Clock, most_characters: int = _MAX_CHARACTERS) -> None:
        self._clock = clock
        self._most = most_characters
        self._frames: deque[LoggedFrame] = deque()
        self._size = 0
        self._number = 0

    def append(self, frame: MaskedFrame) -> LoggedFrame:
        """Add a message with the present time, and return the entry; drops the oldest ones if the log is full."""
        self._number += 1
        logged = LoggedFrame(self._number, self._clock.now(), frame)
        self._frames.append(logged)
        self._size += frame.length + _OVERHEAD
        while self._size > self._most and len(self._frames) > 1:
            self._size -= self._frames.popleft().frame.length + _OVERHEAD
        return logged

    def frames_after(self, number: int) -> list[LoggedFrame]:
        """The messages after this number, in order."""
        return [logged for logged in self._frames if logged.number > number]
