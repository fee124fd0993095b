"""Keeps the requests with which a simulated station is driven, while somebody records them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from foundation.clock import Clock
    from station.maintenance.logs.frame_log import LoggedFrame

MAX_REQUESTS: Final = 2000
_MAX_FRAMES: Final = 20_000


class RecordedRequest(Frozen):
    """A request with which somebody has driven the station."""

    at: datetime
    """by the station's clock"""
    method: str
    path: str
    """without the query"""
    body: object
    """parsed JSON; None: none"""


class RequestRecorder:
    """The requests of one station since somebody began to record; further ones than `MAX_REQUESTS` are left out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began_at: datetime | None = None
        """when the recording began, by the station's clock; None: nobody records"""
        self.requests: list[RecordedRequest] = []
        """the requests so far, in order"""
        self.frames: list[LoggedFrame] = []
        """the OCPP messages since the begin, as far as they were kept, in order"""

    def begin(self) -> None:
        """Forget what was recorded, and record from now on."""
        self.began_at, self.requests, self.frames = self._clock.now(), [], []

    def end(self) -> None:
        """Record nothing more."""
        self.began_at, self.requests, self.frames = None, [], []

    def add(self, at: datetime, method: str, path: str, body: object) -> None:
        """Add a request, if somebody records."""
        if self.began_at is not None and len(self.requests) < MAX_REQUESTS:
            self.requests.append(RecordedRequest(at, method, path, body))

    @property
    def last_number(self) -> int:
        """The number of the newest message that is kept; 0: none is."""
        return self.frames[-1].number if self.frames else 0

    def keep(self, frames: Iterable[LoggedFrame]) -> None:
        """Keep messages that came after the last kept one: a power cut deletes the log of the station."""
        if self.began_at is not None:
            began_at = self.began_at
            self.frames = [*self.frames, *(frame for frame in frames if frame.at >= began_at)][:_MAX_FRAMES]

    def now(self) -> datetime:
        """The present time of the station's clock."""
        return self._clock.now()
