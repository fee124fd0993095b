"""The messages shown to the driver at each EVSE: one per topic, replaced by the next of the same topic."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.events import Event
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from station.core.model import MessageContent


class DisplayTopic(StrEnum):
    """The topic of a message; the display of an EVSE shows at most one message per topic."""

    TARIFF = "tariff"
    COST = "cost"


class DisplayedMessage(Frozen):
    """A message on the display of an EVSE: its text, since when it is shown, and whom it concerns."""

    topic: DisplayTopic
    content: MessageContent
    since: datetime
    transaction_id: str | None = None
    """the transaction that the message concerns; None: no particular one"""
    personal: bool = False
    """meant for this driver only"""


class Display:
    """Holds the messages shown to drivers at each EVSE, in memory, for screen and local page to render."""

    def __init__(self, clock: Clock) -> None:
        self.changed: Event[int] = Event()
        """a displayed message changed; carries the EVSE id"""
        self._clock = clock
        self._messages: dict[tuple[int, DisplayTopic], DisplayedMessage] = {}

    def show(
        self,
        evse_id: int,
        topic: DisplayTopic,
        content: MessageContent,
        transaction_id: str | None = None,
        *,
        personal: bool = False,
    ) -> None:
        """Show a message at an EVSE until it is cleared or the next one of its topic replaces it."""
        self._messages[evse_id, topic] = DisplayedMessage(topic, content, self._clock.now(), transaction_id, personal)
        self.changed.publish(evse_id)

    def clear(self, evse_id: int, *topics: DisplayTopic) -> None:
        """Remove the messages of these topics at an EVSE; without topics, all of them."""
        for topic in topics or DisplayTopic:
            if self._messages.pop((evse_id, topic), None) is not None:
                self.changed.publish(evse_id)

    def of(self, evse_id: int) -> list[DisplayedMessage]:
        """The messages shown at an EVSE, in the order of `DisplayTopic`."""
        return [message for topic in DisplayTopic if (message := self._messages.get((evse_id, topic))) is not None]
