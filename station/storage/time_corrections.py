"""A clock that was wrong until somebody told the time: what was recorded by it gets its right times, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from station.core.model import EventType
from station.core.sampling import ReadingContext

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from foundation.clock import Clock
    from station.core.model import TransactionEvent
    from station.core.sampling import MeterValue


@frozen
class TimeCorrection:
    """The clock was wrong by `by` from the begin of this life on, until it was set."""

    after_event: int
    """the newest event of the lives before this one"""
    by: timedelta
    since: datetime
    """when this life began, as the wrong clock had it"""
    until: datetime
    """when it was set, as the wrong clock had it"""

    def moment(self, at: datetime, now: datetime) -> datetime:
        """A time as a clock that was right would have had it; one that the right clock has shown until `now` stays."""
        by_the_wrong_clock = self.since <= at <= self.until and not self.until + self.by <= at <= now
        return at + self.by if by_the_wrong_clock else at

    def value(self, value: MeterValue, now: datetime) -> MeterValue:
        """The same at its right time."""
        return replace(value, taken_at=self.moment(value.taken_at, now))

    def event(self, event: TransactionEvent, now: datetime, *, late: bool = False) -> TransactionEvent:
        """The same with its right times; in one that comes to the disk `late` what was kept there has them already."""
        register = event.register
        return replace(
            event,
            occurred_at=self.moment(event.occurred_at, now),
            meter_values=tuple(
                value if late and _was_kept(event, value) else self.value(value, now) for value in event.meter_values
            ),
            register=replace(register, taken_at=self.moment(register.taken_at, now)) if register is not None else None,
        )


def _was_kept(event: TransactionEvent, value: MeterValue) -> bool:
    """Whether a value of an event was on disk before it."""
    ends = all(one.context is ReadingContext.TRANSACTION_END for one in value.samples)
    return event.event_type is EventType.ENDED and not ends


class ClockCorrections:
    """Those that the disk is to get, and the last that it has: for what was in memory then, and comes to it now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: TimeCorrection | None = None
        self.turn = asyncio.Lock()
        """of who reads or writes what a correction may move, and of who moves it"""
        self.due: list[TimeCorrection] = []

    def applied(self) -> None:
        """The disk has the first of those that are due."""
        self._last = self.due.pop(0)

    def event(self, event: TransactionEvent) -> TransactionEvent:
        """An event that comes to the disk, with its right times."""
        return self._last.event(event, self._clock.now(), late=True) if self._last is not None else event

    def value(self, value: MeterValue) -> MeterValue:
        """A sample that comes to the disk, at its right time."""
        return self._last.value(value, self._clock.now()) if self._last is not None else value
