"""Counts the messages of the station that the schemas of OCPP refuse, for metrics: each of them is a defect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from foundation.frozen import Frozen


class InvalidMessage(Frozen):
    """A request or response of the station that its schema refuses."""

    action: str
    sent: bool
    """whether it was sent without the parts that the schema refuses; False: it was not sent"""


class InvalidMessageCount(Frozen):
    """How many messages of an action were invalid since the start, and whether they were sent (as `InvalidMessage`)."""

    action: str
    sent: bool
    count: int


class InvalidMessageCounts:
    """Counts invalid messages of the station by action, of which OCPP has a few dozen."""

    def __init__(self) -> None:
        self._counts: Counter[InvalidMessage] = Counter()

    def add(self, message: InvalidMessage) -> None:
        """Count a message."""
        self._counts[message] += 1

    def counts(self) -> Sequence[InvalidMessageCount]:
        """The counts, in the order of their first messages."""
        return [InvalidMessageCount(message.action, message.sent, count) for message, count in self._counts.items()]
