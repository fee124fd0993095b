"""How old what a grid source last said is: a repetition is silence. What silence means, `failsafe` says."""

from __future__ import annotations

from dataclasses import replace

from energy.grid import GridSample
from foundation.frozen import frozen


@frozen
class Freshness:
    """The last sample and its age. A value: each sample makes a new one.

    `now_s` is Clock.monotonic() throughout, so that setting the wall clock ages nothing.
    """

    last: GridSample | None = None
    fresh_at_s: float | None = None
    """when the last sample came whose time stamp was not a repetition"""

    def after(self, sample: GridSample, now_s: float) -> Freshness:
        """This with one more sample.

        A time stamp that repeats renews the values, not their age: a meter that hangs, or a relay that sends
        its last telegram again, must become stale. One that goes back is new: somebody set the clock.
        """
        repeated = self.last is not None and sample.taken_at == self.last.taken_at
        return replace(self, last=sample, fresh_at_s=self.fresh_at_s if repeated else now_s)

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the last fresh sample; None when there was none."""
        return None if self.fresh_at_s is None else now_s - self.fresh_at_s
