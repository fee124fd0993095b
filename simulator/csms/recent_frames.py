"""The frames of the bundled CSMS that were received and sent last, for its page."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from foundation.frozen import Frozen

_MAX_FRAMES: Final = 2_000
_MAX_CHARACTERS: Final = 4 * 1024 * 1024


class RecentFrame(Frozen):
    """A frame that was received or sent."""

    number: int
    """counted up, for `frames_after`"""
    at: datetime
    station: str
    """identity of the station"""
    direction: str
    """in: from the station; out: to it"""
    text: str


class RecentFrames:
    """Keeps the newest frames, up to 2,000 and 4 Mi characters."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._frames: deque[RecentFrame] = deque()
        self._characters = 0
        self._last_number = 0

    def append(self, identity: str, direction: str, text: str) -> None:
        """Add a frame (`FrameListener`); drops the oldest ones beyond the bounds."""
        self._last_number += 1
        self._frames.append(RecentFrame(self._last_number, self._now(), identity, direction, text))
        self._characters += len(text)
        while len(self._frames) > _MAX_FRAMES or (self._characters > _MAX_CHARACTERS and len(self._frames) > 1):
            self._characters -= len(self._frames.popleft().text)

    def frames_after(self, number: int, station: str | None, most: int) -> list[RecentFrame]:
        """The newest `most` frames after this number, in order; `station`: of one station only."""
        found: list[RecentFrame] = []
        for frame in reversed(self._frames):
            if frame.number <= number or len(found) >= most:
                break
            if station is None or frame.station == station:
                found.append(frame)
        return found[::-1]
