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
    """A clock error of `by`, from the start of the program until the clock was set."""

    after_event: int
    """row id of the newest event stored before the start of the program"""
    by: timedelta
    since: datetime
    """start of the program, by the wrong clock"""
    until: datetime
    """when the clock was set, by the wrong clock"""

    def correct_moment(self, at: datetime, now: datetime) -> datetime:
        """Correct a time; one that the corrected clock may have given, until `now`, is unchanged."""
        by_the_wrong_clock = self.since <= at <= self.until and not self.until + self.by <= at <= now
        return at + self.by if by_the_wrong_clock else at

    def correct_value(self, value: MeterValue, now: datetime) -> MeterValue:
        """Correct the time of a meter value."""
        return replace(value, taken_at=self.correct_moment(value.taken_at, now))

    def correct_event(self, event: TransactionEvent, now: datetime, *, late: bool = False) -> TransactionEvent:
        """Correct the times of an event; `late`: its previously stored meter values are corrected already."""
        register = event.register
        return replace(
            event,
            occurred_at=self.correct_moment(event.occurred_at, now),
            meter_values=tuple(
                value if late and _was_kept(event, value) else self.correct_value(value, now)
                for value in event.meter_values
            ),
            register=replace(register, taken_at=self.correct_moment(register.taken_at, now))
            if register is not None
            else None,
        )


def _was_kept(event: TransactionEvent, value: MeterValue) -> bool:
    """Return whether a value of an event was stored before the event."""
    ends = all(one.context is ReadingContext.TRANSACTION_END for one in value.samples)
    return event.event_type is EventType.ENDED and not ends


class ClockCorrections:
    """Pending time corrections, and the last one stored, which applies to data stored after it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: TimeCorrection | None = None
        self.turn = asyncio.Lock()
        """held while reading or writing data that a correction may change, and while applying one"""
        self.due: list[TimeCorrection] = []

    def mark_applied(self) -> None:
        """Mark the first pending correction as stored."""
        self._last = self.due.pop(0)

    def correct_event(self, event: TransactionEvent) -> TransactionEvent:
        """Correct an event that is about to be stored."""
        return self._last.correct_event(event, self._clock.now(), late=True) if self._last is not None else event

    def correct_value(self, value: MeterValue) -> MeterValue:
        """Correct a meter value that is about to be stored."""
        return self._last.correct_value(value, self._clock.now()) if self._last is not None else value
