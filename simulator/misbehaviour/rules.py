"""Rules that change some messages between a simulated station and its CSMS, and what a rule makes of a message."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from foundation.frozen import Frozen
from foundation.json_values import is_list, list_of
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.schema import shared_schemas

Sender = Literal["station", "csms"]
MessageKind = Literal["call", "answer"]
Way = Literal["drop", "delay", "duplicate", "reorder", "corrupt", "replace", "answer", "sequence-number", "half-frame"]

MAX_RULES: Final = 100
"""rules of one station"""
_CALL, _RESULT, _ERROR = 2, 3, 4
_SEQUENCE_NUMBER: Final = re.compile(r'("seqNo"\s*:\s*)(-?\d+)')
_EVENT_ACTION: Final = "TransactionEvent"


class Rule(Frozen):
    """What is done to the next messages of one kind."""

    way: Way
    """drop: the message is lost; delay: it and all later ones of its sender wait; duplicate: it comes twice; reorder:
    it comes after the next message; corrupt: its second half is missing; replace: `text` or `payload` comes instead;
    answer: the station does not get this request of the CSMS, which is answered with `payload` or `error`;
    sequence-number: the seqNo of the event is changed by `offset`; half-frame: half of the websocket frame leaves, and
    nothing after it until the connection ends"""
    sender: Sender = "station"
    """whose messages"""
    message: MessageKind = "call"
    """which of them: requests, or answers to requests of the other side"""
    action: str | None = None
    """only those of this action; of an answer: the action that is answered; None: all"""
    times: int = 1
    """number of messages; 0: until the rule is removed"""
    skip: int = 0
    """number of such messages that pass unchanged before"""
    seconds: float = 10.0
    """of `delay`, and the longest wait of `reorder`, by the station's clock"""
    text: str | None = None
    """the frame that comes instead; `{id}` in it is the id of the message"""
    payload: Mapping[str, object] | None = None
    """the payload that comes instead"""
    error: str | None = None
    """code of the CALLERROR"""
    description: str = ""
    """description of the CALLERROR"""
    offset: int = -1
    """what is added to the sequence number"""
    new_id: bool = False
    """whether the second of a duplicated request has an id of its own, as if it was sent again"""

    def matches(self, message: WireMessage) -> bool:
        """Return whether a message is of the kind that this rule changes."""
        return (
            message.sender == self.sender
            and message.kind == self.message
            and (self.action is None or self.action == message.action)
            and (self.way != "sequence-number" or message.action == _EVENT_ACTION)
        )


class WireMessage(Frozen):
    """A message between a station and its CSMS."""

    sender: Sender
    kind: MessageKind | None
    """None: it is not an OCPP message"""
    message_id: str
    action: str
    """of an answer: that of the request, empty if that is not known"""
    text: str

    @property
    def name(self) -> str:
        """Action, kind and id, for notes."""
        kind = {"call": "request", "answer": "answer"}.get(self.kind or "", "frame")
        return f"{self.action or 'unknown'} {kind} {self.message_id}"


class Effect(Frozen):
    """What becomes of a message."""

    note: str
    """what was done, for logs and reports"""
    passed: tuple[str, ...] = ()
    """the frames that go on instead, in order"""
    delay_s: float = 0.0
    """when they go on, in seconds from now"""
    held_s: float | None = None
    """the longest time for which the message waits for the next one of its sender; None: it does not wait"""
    returned: str | None = None
    """a frame that its sender gets as if the other side had sent it"""
    half_frame: bool = False
    """whether half of a websocket frame leaves, and nothing after it"""
    differs: bool = False
    """whether `passed` or `returned` have another text than the message"""


def rule_errors(rule: Rule) -> Iterator[tuple[str, str]]:
    """Fields of a rule that contradict each other, with reasons."""
    calls_of = {"answer": "csms", "sequence-number": "station", "half-frame": "station"}
    if rule.way in calls_of and rule.sender != calls_of[rule.way]:
        yield "sender", f'must be "{calls_of[rule.way]}" for {rule.way}'
    if rule.way in ("answer", "sequence-number") and rule.message != "call":
        yield "message", f'must be "call" for {rule.way}'
    if rule.way == "sequence-number" and rule.action not in (None, _EVENT_ACTION):
        yield "action", f"only {_EVENT_ACTION} has sequence numbers"
    if rule.text is not None and rule.way != "replace":
        yield "text", f"has no meaning for {rule.way}"
    if rule.payload is not None and rule.way not in ("replace", "answer"):
        yield "payload", f"has no meaning for {rule.way}"
    if rule.error is not None and rule.way not in ("replace", "answer"):
        yield "error", f"has no meaning for {rule.way}"
    if rule.error is not None and rule.way == "replace" and rule.message == "call":
        yield "error", "only an answer can be replaced by a CALLERROR"
    if rule.way in ("replace", "answer"):
        given = [name for name in ("text", "payload", "error") if getattr(rule, name) is not None]
        allowed = "payload or error" if rule.way == "answer" else "text, payload or error"
        if len(given) != 1:
            yield "way", f"{rule.way} needs {allowed}, exactly one of them"
    if rule.payload is not None and not _is_json(rule.payload):
        yield "payload", "must have values of JSON only: texts, numbers, true, false, lists, tables"
    if rule.new_id and (rule.way, rule.message) != ("duplicate", "call"):
        yield "new_id", "only a duplicated request can have a new id"
    if rule.way == "reorder" and (rule.sender, rule.message) == ("station", "call"):
        yield from _reorder_errors(rule.action)


def _reorder_errors(action: str | None) -> Iterator[tuple[str, str]]:
    """A station sends one request at a time, so it must believe that the one that waits is answered: by `{}`."""
    if action is None:
        yield "action", "is missing: the station gets an empty answer to the request that comes late"
    elif action not in V201.actions or shared_schemas(V201).check_response(action, {}) is not None:
        yield "action", f"the answer to {action} cannot be empty, so its requests cannot come late"


def effect_of(rule: Rule, message: WireMessage) -> Effect:
    """What a rule makes of a message that it matches."""
    match rule.way:
        case "drop":
            return Effect("dropped")
        case "delay":
            return Effect(f"delayed by {rule.seconds:g} s", (message.text,), delay_s=rule.seconds)
        case "duplicate":
            return _duplicated(rule, message)
        case "reorder":
            return _reordered(rule, message)
        case "corrupt":
            half = message.text[: len(message.text) // 2]
            return Effect(f"only its first {len(half)} of {len(message.text)} characters were sent", (half,))
        case "replace":
            return Effect("replaced", (_replacement(rule, message),), differs=True)
        case "answer":
            answer = _replacement(rule, message)
            return Effect("answered by the bench; the station has not received it", returned=answer, differs=True)
        case "sequence-number":
            return _renumbered(rule, message)
        case "half-frame":
            note = "half of its websocket frame was sent, then nothing until the connection ended"
            return Effect(note, (message.text,), half_frame=True)


def _duplicated(rule: Rule, message: WireMessage) -> Effect:
    if not rule.new_id:
        return Effect("sent twice", (message.text, message.text))
    again = str(uuid.uuid4())
    _, _, *rest = list_of(json.loads(message.text))
    second = json.dumps([_CALL, again, *rest], ensure_ascii=False)
    return Effect(f"sent twice, the second time with the id {again}", (message.text, second))


def _reordered(rule: Rule, message: WireMessage) -> Effect:
    note = f"sent after the next message, or after {rule.seconds:g} s"
    if (message.sender, message.kind) != ("station", "call"):
        return Effect(note, held_s=rule.seconds)
    answer = json.dumps([_RESULT, message.message_id, {}])
    return Effect(f"{note}; the station has got an empty answer", held_s=rule.seconds, returned=answer)


def _renumbered(rule: Rule, message: WireMessage) -> Effect:
    found = _SEQUENCE_NUMBER.search(message.text)
    if found is None:
        return Effect("has no sequence number: unchanged", (message.text,))
    number = max(0, int(found[2]) + rule.offset)
    if number == int(found[2]):
        return Effect(f"has seqNo {number} already: unchanged", (message.text,))
    text = f"{message.text[: found.start(2)]}{number}{message.text[found.end(2) :]}"
    return Effect(f"sent with seqNo {number} instead of {found[2]}", (text,), differs=True)


def _replacement(rule: Rule, message: WireMessage) -> str:
    if rule.text is not None:
        return rule.text.replace("{id}", message.message_id)
    if rule.error is not None:
        frame: list[object] = [_ERROR, message.message_id, rule.error, rule.description, {}]
    elif rule.way == "replace" and message.kind == "call":
        frame = [_CALL, message.message_id, message.action, rule.payload]
    else:
        frame = [_RESULT, message.message_id, rule.payload]
    return json.dumps(frame, ensure_ascii=False)


def wire_message(sender: Sender, text: str, answered: Mapping[str, str]) -> WireMessage:
    """Parse a frame. `answered`: actions of requests of the other side, by their ids."""
    try:
        parts: object = json.loads(text)
    except (ValueError, RecursionError):
        parts = None
    if is_list(parts):
        match parts:
            case [2, str(message_id), str(action), *_] if _is_text(message_id + action):
                return WireMessage(sender, "call", message_id, action, text)
            case [3 | 4, str(message_id), *_] if _is_text(message_id):
                return WireMessage(sender, "answer", message_id, answered.get(message_id, ""), text)
            case _:
                pass
    return WireMessage(sender, None, "", "", text)


def _is_text(text: str) -> bool:
    """Whether a text can be written: JSON may contain unpaired surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_json(value: object) -> bool:
    """Whether a value can be sent: TOML has dates, times and numbers that JSON does not have."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
