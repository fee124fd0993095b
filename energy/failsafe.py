"""What holds while the grid meter is silent: never the last set-point for ever. Pure, and without any CSMS.

The ladder: held for a moment → ramped down to the safe current of the commissioning → 6 A → pause.
"""

from __future__ import annotations

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import frozen

STALE_AFTER_S = 10.0
"""Linky is stale after 10 s (Enedis CPT_54E §9.4); a slower source gets as much more as it is slower than 1 s"""
HOLD_S = 5.0
"""so long a silence changes nothing"""
LEAST_AFTER_S = 600.0
"""a meter that is silent for so long is broken: only the least that a vehicle can charge with"""
PAUSE_AFTER_S = 3600.0
"""and then nothing any more, unless the installer says otherwise"""


@frozen
class FailsafeSteps:
    """The rungs of one installation."""

    safe_a: float
    """amperes per phase for all EVSEs together that were commissioned as safe whatever the house does"""
    least_after_s: float = LEAST_AFTER_S
    pause_after_s: float | None = PAUSE_AFTER_S
    """None: the least goes on"""

    def limit_a(self, last_a: float, silent_s: float) -> float:
        """The current that a silent source leaves; `last_a` is what its last sample left."""
        if silent_s <= HOLD_S:
            return last_a
        if self.pause_after_s is not None and silent_s >= self.pause_after_s:
            return 0.0
        if silent_s >= self.least_after_s:
            return min(last_a, self.safe_a, MINIMUM_CURRENT_A)
        if last_a <= self.safe_a:
            return last_a
        left = max(0.0, (STALE_AFTER_S - silent_s) / (STALE_AFTER_S - HOLD_S))
        return self.safe_a + (last_a - self.safe_a) * left

    def limit_before_sample_a(self, waiting_s: float) -> float:
        """What holds before the first sample: the safe current, then the lower rungs."""
        return self.limit_a(self.safe_a, max(waiting_s, STALE_AFTER_S))

    def next_step_s(self, silent_s: float) -> float | None:
        """After how long a silence the next rung comes; None on the last."""
        rungs = (HOLD_S, STALE_AFTER_S, self.least_after_s, self.pause_after_s)
        return min((rung for rung in rungs if rung is not None and rung > silent_s), default=None)


def silence_s(age_s: float, period_s: float) -> float:
    """How long a source has been silent when its last sample is `age_s` old and a new one is due each `period_s`."""
    return max(0.0, age_s - max(0.0, period_s - 1.0))
