"""The transaction events of one EVSE that are not in the outbox yet, in order; in memory."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from foundation.change_signal import ChangeSignal
from station.core.model import SAMPLE_TRIGGERS, EventType, TransactionEvent

_log = logging.getLogger(__name__)

_MAX_SAMPLES: Final = 500
"""with this many samples waiting in memory to be stored, every second one is dropped (E04.FR.07)"""


class UnrecordedEvents:
    """Queues the transaction events of one EVSE until `EventRecorder` has stored each in the outbox."""

    def __init__(self) -> None:
        self._events: deque[TransactionEvent] = deque()
        self._dropped = 0
        self._awaits_meter = False
        """the oldest event is an end that waits for the meter, and its reason is already stored"""
        self.changed = ChangeSignal()
        """fires when an event is queued or removed, and when the oldest one begins to wait for the meter"""

    def put(self, event: TransactionEvent) -> None:
        """Queue an event; too many queued samples are thinned out. Stores nothing yet."""
        self._events.append(event)
        if event.trigger in SAMPLE_TRIGGERS:
            self._drop_excess_samples()
        self.changed.notify()

    @property
    def oldest(self) -> TransactionEvent | None:
        """The event to store next; None: the queue is empty."""
        return self._events[0] if self._events else None

    @property
    def oldest_awaits_meter(self) -> bool:
        """Whether the oldest event is an end that waits for the meter, and its reason is already stored."""
        return self._awaits_meter

    def note_awaited_meter(self) -> None:
        """Note that the oldest event is an end that waits for the meter, and that its reason is stored."""
        self._awaits_meter = True
        self.changed.notify()

    def remove_oldest(self) -> None:
        """Remove the oldest event, which is stored."""
        self._awaits_meter = False
        self._events.popleft()
        self.changed.notify()

    def count(self, transaction_id: str | None = None) -> int:
        """Return the number of queued events, of one transaction or (None) of all."""
        return sum(1 for event in self._events if transaction_id in {None, event.transaction_id})

    @property
    def end_pending(self) -> bool:
        """Whether an Ended event is queued."""
        return any(event.event_type is EventType.ENDED for event in self._events)

    async def wait_recorded(self) -> None:
        """Wait until all queued events are stored, or the reason of an end that waits for the meter is.

        Events queued behind such an end are of transactions without energy that were not reported yet.
        """
        count_before = self.changed.count
        while self._events and not self._awaits_meter:
            count_before = await self.changed.wait(count_before)

    def _drop_excess_samples(self) -> None:
        """Drop the 1st, 3rd, 5th … sample if too many wait; other events stay (E04.FR.08, E12.FR.05)."""
        # The oldest event is being written.
        samples = [
            position for position, event in enumerate(self._events) if position and event.trigger in SAMPLE_TRIGGERS
        ]
        if len(samples) < _MAX_SAMPLES:
            return
        dropped = set(samples[::2])
        self._events = deque(event for position, event in enumerate(self._events) if position not in dropped)
        self._dropped += len(dropped)
        _log.error("transaction events cannot be stored: %d samples dropped so far", self._dropped)
