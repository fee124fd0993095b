"""What the driver of an EVSE is shown: one message a topic, in the place of what was there before."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.events import Event
from foundation.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from station.core.model import MessageContent


class DisplayTopic(StrEnum):
    """What a message is about; each has one place on the display of an EVSE."""

    TARIFF = "tariff"
    COST = "cost"


@frozen
class DisplayedMessage:
    """A message as it is shown now."""

    topic: DisplayTopic
    content: MessageContent
    since: datetime
    transaction_id: str | None = None
    """the transaction that it is about; None: none in particular"""
    personal: bool = False
    """meant for this driver alone"""


class Display:
    """The displays of all EVSEs. Whoever draws them, a screen or the local page, looks here."""

    def __init__(self, clock: Clock) -> None:
        self.changed = Event[int]()
        """the EVSE whose display shows something else now"""
        self._clock = clock
        self._shown: dict[tuple[int, DisplayTopic], DisplayedMessage] = {}

    def show(
        self,
        evse_id: int,
        topic: DisplayTopic,
        content: MessageContent,
        transaction_id: str | None = None,
        *,
        personal: bool = False,
    ) -> None:
        """Show this to the driver of an EVSE until something else, or nothing, is to be shown."""
        self._shown[evse_id, topic] = DisplayedMessage(topic, content, self._clock.now(), transaction_id, personal)
        self.changed.publish(evse_id)

    def clear(self, evse_id: int, *topics: DisplayTopic) -> None:
        """Show nothing more of these topics, or of any where none is named."""
        for topic in topics or DisplayTopic:
            if self._shown.pop((evse_id, topic), None) is not None:
                self.changed.publish(evse_id)

    def of(self, evse_id: int) -> list[DisplayedMessage]:
        """What is shown at an EVSE, by topic."""
        return [shown for topic in DisplayTopic if (shown := self._shown.get((evse_id, topic))) is not None]
