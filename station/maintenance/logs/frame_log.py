"""The OCPP messages of the last minutes, for the page and API.

In memory, since they contain cards and customer data; `FrameStore` keeps them over a restart without personal data.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal, Protocol

from foundation.frozen import Frozen
from foundation.waiting import Flag

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from foundation.clock import Clock

Direction = Literal["in", "out"]
SENT_BY_BENCH: Final = "sent by the bench"
"""the note of a message that a test bench has sent, and not the station"""
_MAX_CHARACTERS = 512 * 1024
_OVERHEAD = 100


class MaskedFrame(Protocol):
    """An OCPP message whose secrets are masked when its text is read."""

    @property
    def direction(self) -> str:
        """in: from the CSMS; out: to the CSMS."""
        ...

    @property
    def length(self) -> int:
        """Number of characters, before secrets are masked."""
        ...

    @property
    def note(self) -> str:
        """What the simulated misbehaviour of a station has done; empty: an ordinary message."""
        ...

    @property
    def text(self) -> str:
        """The text without passwords and other secrets."""
        ...

    @property
    def anonymous_text(self) -> str:
        """The text with shortened id tokens and without other personal data."""
        ...


class LoggedFrame(Frozen):
    """An OCPP message in the frame log, for the page and API."""

    number: int
    """counted up, also over restarts, for `frames_after`"""
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

    @property
    def note(self) -> str:
        """What the simulated misbehaviour of a station has done; empty: an ordinary message."""
        return self.frame.note


class FrameLog:
    """Keeps the newest OCPP messages in memory, up to a number of characters, for the page and API."""

    def __init__(self, clock: Clock, most_characters: int = _MAX_CHARACTERS) -> None:
        self._clock = clock
        self._max_characters = most_characters
        self._frames: deque[LoggedFrame] = deque()
        self._size = 0
        self.last_number = 0
        """the number of the newest message, kept or not; 0: there was none"""
        self.in_use = Flag()
        """set once this run has added a message"""

    def append(self, frame: MaskedFrame) -> LoggedFrame:
        """Add a message with the present time, and return the entry; drops the oldest ones if the log is full."""
        self.last_number += 1
        logged = LoggedFrame(self.last_number, self._clock.now(), frame)
        self._append(logged)
        self.in_use.set()
        return logged

    def restore(self, frames: Iterable[LoggedFrame], last_number: int) -> None:
        """Fill an empty log with the messages of an earlier run; numbers continue after `last_number`."""
        for logged in frames:
            self._append(logged)
        self.last_number = last_number

    def _append(self, logged: LoggedFrame) -> None:
        self._frames.append(logged)
        self._size += logged.frame.length + _OVERHEAD
        while self._size > self._max_characters and len(self._frames) > 1:
            self._size -= self._frames.popleft().frame.length + _OVERHEAD

    def frames_after(self, number: int) -> list[LoggedFrame]:
        """The messages after this number, in order."""
        return [logged for logged in self._frames if logged.number > number]
