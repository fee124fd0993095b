"""The OCPP messages of one station, as a scenario observes them: each call with its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from foundation.frozen import Frozen
from foundation.json_values import is_list
from station.maintenance.logs.frame_log import SENT_BY_BENCH

Sender = Literal["station", "csms"]

CALL: Final = 2
RESULT: Final = 3
ERROR: Final = 4
MAX_MESSAGES: Final = 50_000
"""messages of one scenario; a peer that sends more ends it"""
_MAX_CHARACTERS: Final = 64 * 1024 * 1024
_LONGEST_SHOWN: Final = 400


class StationFrame(Frozen):
    """A frame of the station's log of OCPP messages."""

    number: int
    """consecutive number in the log"""
    at: datetime
    """by the clock of the station"""
    sender: Sender
    text: str
    note: str = ""
    """what the simulated misbehaviour of the station has done; empty: an ordinary message"""


@dataclass(slots=True)
class Message:
    """An OCPP message; a call gets its answer when that is observed."""

    index: int
    """position among all messages of the scenario"""
    at: datetime
    sender: Sender
    kind: int
    """2: call, 3: result, 4: error; 0: not understood"""
    message_id: str
    action: str
    """of an answer: that of its call; empty: not known"""
    payload: object
    """of an error: an object with code, description and details; not understood: the text"""
    answer: Message | None = None
    """of a call; None: none yet"""
    note: str = ""
    """what the simulated misbehaviour of the station has done; empty: an ordinary message"""

    @property
    def is_error(self) -> bool:
        """Whether it is a CALLERROR."""
        return self.kind == ERROR

    @property
    def shown(self) -> str:
        """One line for a report."""
        arrow = "→" if self.sender == "station" else "←"
        kind = {CALL: "", RESULT: " result", ERROR: " error"}.get(self.kind, " not understood")
        text = json.dumps(self.payload, ensure_ascii=False, separators=(",", ":"), default=str)[:_LONGEST_SHOWN]
        if self.note:
            return f"{self.at:%H:%M:%S.%f} {arrow} misbehaviour: {self.note} {text if self.payload else ''}".rstrip()
        return f"{self.at:%H:%M:%S.%f} {arrow} {self.action}{kind} {text}"


class FloodError(Exception):
    """There are more messages than a scenario keeps."""


class MessageLog:
    """All messages of a scenario, in the order of the station's log; calls find their answers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.misbehaviour: list[str] = []
        """what the station has done wrong on purpose, one line each"""
        self.last_number = 0
        """number of the last frame"""
        self._characters = 0
        self._open_calls: dict[tuple[Sender, str], Message] = {}

    def add(self, frame: StationFrame) -> Message:
        """Add the next frame.

        Raises:
            FloodError: there are too many.
        """
        self.last_number = frame.number
        self._characters += len(frame.text)
        if len(self.messages) >= MAX_MESSAGES or self._characters > _MAX_CHARACTERS:
            raise FloodError(f"more than {len(self.messages)} messages were sent and received")
        message = _parsed(len(self.messages), frame)
        if message.note:
            self.misbehaviour.append(message.shown)
        if message.kind == CALL:
            self._open_calls[message.sender, message.message_id] = message
        elif message.kind in (RESULT, ERROR):
            caller: Sender = "csms" if message.sender == "station" else "station"
            call = self._open_calls.pop((caller, message.message_id), None)
            if call is not None:
                call.answer, message.action = message, call.action
        self.messages.append(message)
        return message


def _parsed(index: int, frame: StationFrame) -> Message:
    if frame.note and frame.note != SENT_BY_BENCH:
        return Message(index, frame.at, frame.sender, 0, "", "", frame.text, note=frame.note)
    try:
        parts: object = json.loads(frame.text)
    except (ValueError, RecursionError):
        parts = None
    if is_list(parts):
        match parts:
            case [2, str(identity), str(action), payload]:
                return Message(index, frame.at, frame.sender, CALL, identity, action, payload, note=frame.note)
            case [3, str(identity), payload]:
                return Message(index, frame.at, frame.sender, RESULT, identity, "", payload)
            case [4, str(identity), str(code), str(description), *details]:
                error: dict[str, object] = {"code": code, "description": description, "details": [*details, None][0]}
                return Message(index, frame.at, frame.sender, ERROR, identity, "", error)
            case _:
                pass
    return Message(index, frame.at, frame.sender, 0, "", "", frame.text, note=frame.note)
