"""Keeps the requests with which a simulated station is driven, while somebody records them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from foundation.clock import Clock
    from station.maintenance.logs.frame_log import LoggedFrame

_MAX_REQUESTS: Final = 2000
_MAX_CHARACTERS: Final = 4 * 1024 * 1024
"""of all bodies, and of all messages"""
_MAX_FRAMES: Final = 20_000
HIDDEN: Final = "${secret}"
"""stands for a secret: a scenario with it is valid once [values] has it"""
_SECRET_KEY: Final = re.compile("password|secret|private_?key|pin$|key$", re.IGNORECASE)
_PRIVATE_KEY: Final = "PRIVATE KEY"


class RecordedRequest(Frozen):
    """A request with which somebody has driven the station."""

    at_s: float
    """by the elapsed time of the station's clock, which no jump changes"""
    method: str
    path: str
    """without the query"""
    body: object
    """parsed JSON, with `HIDDEN` in place of secrets; None: none"""


class RecordedFrame(Frozen):
    """An OCPP message that came while somebody recorded."""

    at_s: float
    """by the elapsed time of the station's clock"""
    frame: LoggedFrame


class RequestRecorder:
    """The requests and messages of one station since somebody began to record; bounded: what is too much is left out.

    A message is kept when the next request comes, since a power cut deletes the log of the station.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.active = False
        """whether somebody records"""
        self.requests: list[RecordedRequest] = []
        """the requests so far, in order"""
        self.frames: list[RecordedFrame] = []
        """the messages so far, in order"""
        self._last_number = 0
        self._offset: tuple[datetime, float] = (clock.now(), clock.monotonic())
        """a wall time, and the elapsed time that it was: of the last request, since one may let the wall time jump"""
        self._characters = 0
        self._frame_characters = 0

    def begin(self, last_number: int) -> None:
        """Forget what was recorded, and record from now on. `last_number`: of the newest message in the log."""
        self.end()
        self.active, self._last_number = True, last_number
        self._note_time()

    def end(self) -> None:
        """Record nothing more."""
        self.active, self.requests, self.frames = False, [], []
        self._characters = self._frame_characters = 0

    def add(self, at_s: float, method: str, path: str, body: object, length: int) -> None:
        """Add an accepted request, if somebody records. `length`: characters of its body."""
        if not self.active or len(self.requests) >= _MAX_REQUESTS or self._characters + length > _MAX_CHARACTERS:
            return
        self._characters += length
        self.requests.append(RecordedRequest(at_s, method, path, without_secrets(body)))
        self._note_time()

    @property
    def last_number(self) -> int:
        """The number of the newest message that was looked at."""
        return self._last_number

    def keep(self, frames: Sequence[LoggedFrame]) -> None:
        """Keep messages of the log that came after `last_number`."""
        wall, elapsed_s = self._offset
        for logged in frames:
            self._last_number = logged.number
            self._frame_characters += logged.frame.length
            if len(self.frames) < _MAX_FRAMES and self._frame_characters <= _MAX_CHARACTERS:
                self.frames.append(RecordedFrame(elapsed_s + (logged.at - wall).total_seconds(), logged))

    def now_s(self) -> float:
        """The elapsed time of the station's clock."""
        return self._clock.monotonic()

    def _note_time(self) -> None:
        self._offset = self._clock.now(), self._clock.monotonic()


def without_secrets(body: object) -> object:
    """A body with `HIDDEN` in place of passwords, keys and the values of variables that are named like one."""
    if is_object(body):
        named = _SECRET_KEY.search(str(body.get("variable", ""))) is not None
        return {
            key: HIDDEN if _SECRET_KEY.search(key) or (named and key == "value") else without_secrets(value)
            for key, value in body.items()
        }
    if is_list(body):
        return [without_secrets(value) for value in body]
    return HIDDEN if isinstance(body, str) and _PRIVATE_KEY in body else body
