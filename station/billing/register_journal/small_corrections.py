"""Small corrections of the clock in the register journal: the first is told at once, an hour of more as one entry.

Each setting of the clock is owed to the journal, so that a reader can say how far a time in it may be off. But a CSMS
whose nodes differ by seconds sets the clock at each heartbeat, for ever: 47 MB a year that tell nothing new. So within
an hour of such an entry corrections are counted only, and then told with their number, their sum and the largest.

- Small is what is below 10 s, alone and in sum: a clock that a CSMS sets is informative (OCMF: I), and may be off by as
  much anyway. Durations are measured with another clock, which is never set.
- What changes a time on record is never small, nor is it where the time becomes better or worse, or another one's.
- Before a transaction begins or ends in the journal what was counted is told: a reader knows on which side it was.
- A power cut loses the count of less than an hour, and with it less than 10 s; a stop in order loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from metering.journal_entry import Details

SMALL_S: Final = 10.0
TELL_EVERY_S: Final = 3600.0


class SmallCorrections:
    """Counts them, and tells of them when it is time."""

    def __init__(self, clock: Clock, tell: Callable[[Details], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._told_s: float | None = None
        """when one was last told, alone or with others (Clock.monotonic)"""
        self._counted: list[float] = []
        self._since = ""
        self._due: TimerHandle | None = None

    def take(self, correction_s: float) -> bool:
        """Whether a correction is counted, and told later; else it is to be told now, after those that were counted."""
        now_s = self._clock.monotonic()
        waits_s = TELL_EVERY_S - (now_s - self._told_s) if self._told_s is not None else 0.0
        if abs(correction_s) >= SMALL_S or waits_s <= 0.0:
            self._told_s = now_s
            return False
        if not self._counted:
            self._since = self._clock.now().isoformat()
            self._due = self._clock.call_later(waits_s, self.tell)
        self._counted.append(correction_s)
        if abs(sum(self._counted)) >= SMALL_S:
            self.tell()
        return True

    def tell(self) -> None:
        """Tell now of those that were counted."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        counted, self._counted = self._counted, []
        if counted:
            self._told_s = self._clock.monotonic()
            self._tell(
                {
                    "corrections": len(counted),
                    "since": self._since,
                    "correction_s": round(sum(counted), 3),
                    "largest_s": round(max(counted, key=abs), 3),
                }
            )
