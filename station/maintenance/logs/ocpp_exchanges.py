"""Requests between station and CSMS with their answers, found in the log of OCPP messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from foundation.frozen import Frozen
from station.maintenance.logs.frame_log import SENT_BY_BENCH

if TYPE_CHECKING:
    from station.maintenance.logs.frame_log import LoggedFrame

_BEGINNING: Final = re.compile(r'\s*\[\s*([234])\s*,\s*"((?:[^"\\]|\\.){0,100})"(?:\s*,\s*"((?:[^"\\]|\\.){0,100})")?')
"""kind, message id, and of a request the action"""
_CALL: Final = 2
_RESULT: Final = 3
_ERROR: Final = 4


class ParsedFrame(Frozen):
    """A message of the log, with what it says about itself."""

    frame: LoggedFrame
    kind: int
    """2: request, 3: result, 4: error; 0: not an OCPP message, or a note about one"""
    message_id: str
    action: str
    """of an answer: that of its request; empty: not known"""


class OcppExchange(Frozen):
    """A request with its answer; or a message that belongs to no request."""

    first: ParsedFrame
    """the request, or the single message"""
    answer: ParsedFrame | None = None
    """None: none so far, or none of them is known"""

    @property
    def duration_s(self) -> float | None:
        """Seconds of the station's clock from the request to its answer; None: there is none."""
        return None if self.answer is None else (self.answer.frame.at - self.first.frame.at).total_seconds()

    @property
    def outcome(self) -> Literal["result", "error", "open", "none"]:
        """How a request was answered; `none`: the message is no request."""
        if self.answer is not None:
            return "error" if self.answer.kind == _ERROR else "result"
        return "open" if self.first.kind == _CALL else "none"

    @property
    def frames(self) -> Iterator[ParsedFrame]:
        """The messages of the exchange, in order."""
        yield self.first
        if self.answer is not None:
            yield self.answer


class FrameFilter(Frozen):
    """Which exchanges are wanted; None or empty: all."""

    action: str = ""
    direction: str | None = None
    """of the request: `in` or `out`"""
    message_id: str = ""
    since: int = 0
    """number of a message: only exchanges with a newer one"""
    text: str = ""
    """part of a message, ignoring case"""
    begin: datetime | None = None
    end: datetime | None = None

    def accepts(self, exchange: OcppExchange) -> bool:
        """Return whether an exchange is wanted; its time is that of its request."""
        first = exchange.first
        return (
            (not self.action or first.action.casefold() == self.action.casefold())
            and self.direction in (None, first.frame.direction)
            and (not self.message_id or first.message_id == self.message_id)
            and (self.begin is None or first.frame.at >= self.begin)
            and (self.end is None or first.frame.at < self.end)
            and (not self.since or any(parsed.frame.number > self.since for parsed in exchange.frames))
            and (not self.text or any(self._has_text(parsed) for parsed in exchange.frames))
        )

    def _has_text(self, parsed: ParsedFrame) -> bool:
        wanted = self.text.casefold()
        return wanted in parsed.frame.text.casefold() or wanted in parsed.frame.note.casefold()


def exchanges(frames: Iterable[LoggedFrame]) -> list[OcppExchange]:
    """Find the answer of each request; in the order of the requests."""
    found: list[OcppExchange] = []
    open_requests: dict[tuple[str, str], int] = {}
    """position of each request that has no answer yet, by direction and message id"""
    for frame in frames:
        parsed = _parsed(frame)
        if parsed.kind in (_RESULT, _ERROR):
            asked = "in" if frame.direction == "out" else "out"
            place = open_requests.pop((asked, parsed.message_id), None)
            if place is not None:
                request = found[place].first
                answer = ParsedFrame(frame, parsed.kind, parsed.message_id, request.action)
                found[place] = OcppExchange(request, answer)
                continue
        if parsed.kind == _CALL:
            open_requests[frame.direction, parsed.message_id] = len(found)
        found.append(OcppExchange(parsed))
    return found


def _parsed(frame: LoggedFrame) -> ParsedFrame:
    """Parse the beginning of a message: a log is searched often, and a message may be long.

    A note about a message is not a message itself; a frame that a bench has sent is one.
    """
    found = _BEGINNING.match(frame.text) if frame.note in ("", SENT_BY_BENCH) else None
    if found is None or not frame.text.rstrip().endswith("]"):
        named = _BEGINNING.match(frame.text)  # the frame that a note is about
        is_call = named is not None and named[1] == str(_CALL)
        return ParsedFrame(frame, 0, _text(named[2]) if named else "", _text(named[3]) if named and is_call else "")
    kind = int(found[1])
    if kind == _CALL and found[3] is None:
        return ParsedFrame(frame, 0, "", "")
    return ParsedFrame(frame, kind, _text(found[2]), _text(found[3]) if kind == _CALL else "")


def _text(quoted: str | None) -> str:
    """A text of JSON, without its quotation marks; empty if no text of a response can have it."""
    if quoted is None:
        return ""
    try:
        text = str(json.loads(f'"{quoted}"'))
        text.encode()  # an unpaired surrogate, which JSON may contain
    except ValueError:
        return ""
    return text
