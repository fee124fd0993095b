"""Expected messages, and the search for them among those that were observed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from foundation.frozen import Frozen
from simulator.scenarios.messages import CALL, Message, Sender
from simulator.scenarios.patterns import Captures, mismatch

_NEAR_MISSES: Final = 3
_LONGEST_SHOWN: Final = 160


class ExpectedMessage(Frozen):
    """A message that is expected."""

    action: str
    payload: Mapping[str, object] = {}
    """pattern of its payload"""
    answer: Mapping[str, object] | None = None
    """pattern of the payload of its answer; None: no matter"""
    error: str | None = None
    """pattern of the code of the CALLERROR that answers it; None: no matter"""
    sender: Sender | None = None
    """who sends it; None: whichever"""

    def __str__(self) -> str:
        return self.action + shown_value(self.payload)

    def may_be(self, message: Message) -> bool:
        """Whether a message is a call of this action by this sender."""
        return (
            message.kind == CALL
            and message.action == self.action
            and (self.sender is None or message.sender == self.sender)
        )


def shown_value(value: object) -> str:
    """A value in a title, after a space; nothing if it is empty."""
    if not value:
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f" {text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '…'}"


class MessageSearch:
    """The search for expected messages, in any order, from a position on; each observed message is found once."""

    def __init__(
        self, expected: Sequence[ExpectedMessage], messages: Sequence[Message], begin: int, captures: Captures
    ) -> None:
        """`messages`: the messages of the scenario, which may become more. `captures`: get what is captured."""
        self._expected = expected
        self._messages = messages
        self._begin = begin
        self._captures = captures
        self._found: dict[int, Message] = {}
        """by position in `expected`"""

    @property
    def found(self) -> list[Message]:
        """The messages found so far, in the order of the expected ones."""
        return [self._found[number] for number in sorted(self._found)]

    @property
    def missing(self) -> list[ExpectedMessage]:
        """The expected messages that were not found so far."""
        return [one for number, one in enumerate(self._expected) if number not in self._found]

    def find_all(self) -> bool:
        """Search for what is missing; returns whether everything has been found."""
        for number, expected in enumerate(self._expected):
            if number not in self._found and (message := self._find(expected)) is not None:
                self._found[number] = message
        return len(self._found) == len(self._expected)

    def _find(self, expected: ExpectedMessage) -> Message | None:
        taken = {message.index for message in self._found.values()}
        for message in self._messages[self._begin :]:
            if message.index not in taken and expected.may_be(message):
                captures = dict(self._captures)
                if _difference(expected, message, captures) is None:
                    self._captures.update(captures)
                    return message
        return None

    def explain(self) -> str:
        """Why the search has failed: what is missing, and how those of the same action differ."""
        return "; ".join(self._explain(expected) for expected in self.missing)

    def _explain(self, expected: ExpectedMessage) -> str:
        near = [message for message in self._messages[self._begin :] if expected.may_be(message)]
        if not near:
            came = sorted({message.action for message in self._messages[self._begin :] if message.kind == CALL})
            return f"expected {expected}, but there was no {expected.action}; there were: {', '.join(came) or 'none'}"
        reasons = [
            f"at {message.at:%H:%M:%S} {_difference(expected, message, dict(self._captures)) or 'matches another one'}"
            for message in near[-_NEAR_MISSES:]
        ]
        return f"expected {expected}, but {len(near)} {expected.action} came that differ: {'; '.join(reasons)}"


def _difference(expected: ExpectedMessage, message: Message, captures: Captures) -> str | None:
    """How a message differs from the expected one; None if it is the one. Adds to `captures`."""
    if (found := mismatch(dict(expected.payload), message.payload, captures)) is not None:
        return found
    if expected.answer is None and expected.error is None:
        return None
    answer = message.answer
    if answer is None:
        return "no answer has come"
    if expected.error is not None:
        if not answer.is_error:
            return f"expected the CALLERROR {expected.error}, was answered"
        return mismatch({"code": expected.error}, answer.payload, captures)
    if answer.is_error:
        return f"was answered with a CALLERROR: {answer.payload}"
    return mismatch(dict(expected.answer or {}), answer.payload, captures)
