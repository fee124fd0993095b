"""Tracks the age of a grid source's values: repetitions count as silence. failsafe.py says what follows."""

from __future__ import annotations

from msgspec.structs import replace

from energy.grid import GridSample
from foundation.frozen import Frozen


class Freshness(Frozen):
    """The last sample of the grid meter and its age. Immutable: each sample gives a new object.

    `now_s` is Clock.monotonic() throughout, so that setting the wall clock does not change an age.
    """

    last: GridSample | None = None
    fresh_at_s: float | None = None
    """arrival of the last sample with a new time stamp"""

    def after(self, sample: GridSample, now_s: float) -> Freshness:
        """Return the state after one more sample.

        A repeated time stamp updates the values, not their age: a meter that hangs, or a relay that sends
        its last telegram again, must become stale. A time stamp that goes back is new: the meter's clock was set.
        """
        repeated = self.last is not None and sample.taken_at == self.last.taken_at
        return replace(self, last=sample, fresh_at_s=self.fresh_at_s if repeated else now_s)

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the last fresh sample; None before the first."""
        return None if self.fresh_at_s is None else now_s - self.fresh_at_s
