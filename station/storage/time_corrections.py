"""Correction of times recorded by a wrong clock, after the clock was set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.core.model import EventType
from station.core.sampling import ReadingContext

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from foundation.clock import Clock
    from station.core.model import TransactionEvent
    from station.core.sampling import MeterValue


class TimeCorrection(Frozen):
    """A wrong clock that was set meanwhile: which recorded times are wrong, and by how much.

    Times that it gave from the start of the program until it was set are corrected by adding `by`.
    """

    after_event: int
    """row id of the newest event stored before the start of the program"""
    by: timedelta
    since: datetime
    """start of the program, by the wrong clock"""
    until: datetime
    """when the clock was set, by the wrong clock"""

    def correct_moment(self, at: datetime, now: datetime) -> datetime:
        """Return a recorded time corrected; unchanged if outside the wrong span.

        Also unchanged if the corrected clock may have given it, since it was set and until `now`.
        """
        by_the_wrong_clock = self.since <= at <= self.until and not self.until + self.by <= at <= now
        return at + self.by if by_the_wrong_clock else at

    def correct_value(self, value: MeterValue, now: datetime) -> MeterValue:
        """Return a meter value with its time corrected, as `correct_moment`."""
        return replace(value, taken_at=self.correct_moment(value.taken_at, now))

    def correct_event(
        self, event: TransactionEvent, now: datetime, *, keep_stored_values: bool = False
    ) -> TransactionEvent:
        """Return an event with the times of event, meter values and register corrected, as `correct_moment`.

        `keep_stored_values`: leave the values of an Ended event that were stored before it: they are corrected
        already.
        """
        register = event.register
        return replace(
            event,
            occurred_at=self.correct_moment(event.occurred_at, now),
            meter_values=tuple(
                value if keep_stored_values and _was_stored_before(event, value) else self.correct_value(value, now)
                for value in event.meter_values
            ),
            register=replace(register, taken_at=self.correct_moment(register.taken_at, now))
            if register is not None
            else None,
        )


def _was_stored_before(event: TransactionEvent, value: MeterValue) -> bool:
    """Return whether a value of an event was stored before the event."""
    is_end_value = all(sample.context is ReadingContext.TRANSACTION_END for sample in value.samples)
    return event.event_type is EventType.ENDED and not is_end_value


class ClockCorrections:
    """The time corrections still to be written to disk, and the last one written; shared by outbox and end data.

    The last one is applied to each event or value that is stored later with a time by the wrong clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_written: TimeCorrection | None = None
        self.lock = asyncio.Lock()
        """held while reading or writing data that a correction may change, and while applying one"""
        self.due: list[TimeCorrection] = []
        """corrections not written to disk yet, oldest first"""

    def mark_applied(self) -> None:
        """Move the first pending correction from `due` to the last one written; call once it is on disk."""
        self._last_written = self.due.pop(0)

    def correct_event(self, event: TransactionEvent) -> TransactionEvent:
        """Return an event that is about to be stored, with its times corrected by the last correction written."""
        return (
            self._last_written.correct_event(event, self._clock.now(), keep_stored_values=True)
            if self._last_written is not None
            else event
        )

    def correct_value(self, value: MeterValue) -> MeterValue:
        """Return a meter value that is about to be stored, with its time corrected by the last correction written."""
        return self._last_written.correct_value(value, self._clock.now()) if self._last_written is not None else value
