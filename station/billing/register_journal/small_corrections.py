"""Limits journal entries for small clock corrections: the first is written at once, those of an hour as one entry.

Each correction must be in the journal, so that a reader knows how far a time may be off. But a CSMS whose nodes differ
by seconds sets the clock at each heartbeat: 47 MB a year without new information. So within an hour of such an entry
corrections are only counted, then written with their number, sum and largest value.

- Small means below 10 s, alone and in sum: a clock set by the CSMS is informative (OCMF: I), and may be off by as
    much anyway. Durations are measured with another clock, which is never set.
- A correction that changes recorded times, or comes with a change of time status or source, is never small.
- Counted corrections are written before the begin or end of a transaction, so that a reader knows the order.
- A power cut loses the count of less than an hour, which is less than 10 s; an orderly stop loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from metering.journal_entry import Details

SMALL_S: Final = 10.0
WRITE_EVERY_S: Final = 3600.0


class SmallCorrections:
    """Counts small clock corrections, and writes them as one journal entry when due."""

    def __init__(self, clock: Clock, write: Callable[[Details], None]) -> None:
        self._clock = clock
        self._write = write
        self._written_s: float | None = None
        """time of the last entry, single or combined (Clock.monotonic)"""
        self._counted: list[float] = []
        self._first_counted_at = ""
        """when the first of the counted corrections was made (ISO 8601)"""
        self._due: TimerHandle | None = None

    def defer(self, correction_s: float) -> bool:
        """Count a correction for a later entry; False if the caller must write it now, after calling `flush`."""
        now_s = self._clock.monotonic()
        waits_s = WRITE_EVERY_S - (now_s - self._written_s) if self._written_s is not None else 0.0
        if abs(correction_s) >= SMALL_S or waits_s <= 0.0:
            self._written_s = now_s
            return False
        if not self._counted:
            self._first_counted_at = self._clock.now().isoformat()
            self._due = self._clock.call_later(waits_s, self.flush)
        self._counted.append(correction_s)
        if abs(sum(self._counted)) >= SMALL_S:
            self.flush()
        return True

    def flush(self) -> None:
        """Write the counted corrections now, as one entry; none if there are none."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        counted, self._counted = self._counted, []
        if counted:
            self._written_s = self._clock.monotonic()
            self._write(
                {
                    "corrections": len(counted),
                    "since": self._first_counted_at,
                    "correction_s": round(sum(counted), 3),
                    "largest_s": round(max(counted, key=abs), 3),
                }
            )
