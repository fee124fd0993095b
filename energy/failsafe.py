"""The limit while the grid meter is silent. Pure, and independent of the CSMS.

The steps: the last limit for a moment → a ramp down to the commissioned safe current → 6 A → pause.
"""

from __future__ import annotations

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen

STALE_AFTER_S = 10.0
"""a Linky is stale after 10 s (Enedis CPT_54E §9.4); a slower source gets its period beyond 1 s on top"""
HOLD_S = 5.0
"""a silence up to this changes nothing"""
MINIMUM_AFTER_S = 600.0
"""a meter silent for this long is broken: only the lowest charging current (6 A)"""
PAUSE_AFTER_S = 3600.0
"""after this a pause, unless the installer has set otherwise"""


class FailsafeSteps(Frozen):
    """Steps of the limit while the grid meter is silent: the last limit, a ramp to the safe current, 6 A, a pause."""

    safe_a: float
    """amperes per phase for all EVSEs together, commissioned as safe whatever the house draws"""
    least_after_s: float = MINIMUM_AFTER_S
    """seconds of silence after which only 6 A remain"""
    pause_after_s: float | None = PAUSE_AFTER_S
    """seconds of silence after which all charging pauses; None: never, 6 A remain"""

    def limit_a(self, last_a: float, silent_s: float) -> float:
        """The limit after `silent_s` seconds of silence, amperes per phase for all EVSEs together; 0 is a pause.

        `last_a` is the limit at the last sample.
        """
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
        """The limit `waiting_s` seconds after the start, without a sample: the safe current, then the lower steps."""
        return self.limit_a(self.safe_a, max(waiting_s, STALE_AFTER_S))

    def next_step_s(self, silent_s: float) -> float | None:
        """The duration of silence, in seconds, at which the next step begins; None on the last."""
        rungs = (HOLD_S, STALE_AFTER_S, self.least_after_s, self.pause_after_s)
        return min((rung for rung in rungs if rung is not None and rung > silent_s), default=None)


def silence_s(age_s: float, period_s: float) -> float:
    """Seconds for which a source counts as silent: the age of its last sample less its period beyond one second."""
    return max(0.0, age_s - max(0.0, period_s - 1.0))
