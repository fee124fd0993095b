"""Below 6 A no vehicle charges: when a shortage becomes a pause, and when a pause ends. Pure."""

from __future__ import annotations

from dataclasses import replace

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import frozen

PAUSE_AFTER_S = 10.0
"""a shortage that is over sooner does not interrupt the charge"""
SUSTAINABLE_PAUSE_AFTER_S = 120.0
"""nor one that is over within this time, where the connection bears what flows: an oven's thermostat, a kettle"""
RESUME_A = 7.5
RESUME_AFTER_S = 180.0
"""so long there must be enough before a pause ends, and so long it lasts at least"""
RESUME_TRIAL_S = 600.0
"""a pause so soon after the last one means that the last one ended too soon"""
MOST_FAILURES = 3
"""a pause lasts at least 3 min, then 6, 12, and never must be longer than 24"""


@frozen
class PauseState:
    """What is remembered of a shortage."""

    short_since_s: float | None = None
    paused_at_s: float | None = None
    """None: it does not pause"""
    enough_since_s: float | None = None
    failures: int = 0
    """pauses that ended too soon, in a row"""
    resumed_at_s: float | None = None
    max_shortage_s: float = PAUSE_AFTER_S
    """how long the shortage may last before it is a pause"""

    @property
    def paused(self) -> bool:
        """Whether the vehicle has to wait."""
        return self.paused_at_s is not None

    def next_change_s(self, now_s: float) -> float | None:
        """When this may change next; None when no moment is known."""
        if self.paused_at_s is not None:
            since_s = self.enough_since_s if self.enough_since_s is not None else now_s
            return max(self.paused_at_s + self._lasts_s, since_s + RESUME_AFTER_S)
        return None if self.short_since_s is None else self.short_since_s + self.max_shortage_s

    @property
    def _lasts_s(self) -> float:
        return RESUME_AFTER_S * 2.0 ** min(self.failures, MOST_FAILURES)

    def may_end(self, now_s: float) -> bool:
        """Whether it has lasted long enough, and there has been enough for long enough."""
        due_s = self.next_change_s(now_s)
        return self.enough_since_s is not None and due_s is not None and now_s >= due_s


def start_pause(before: PauseState, now_s: float) -> PauseState:
    """The charge is interrupted now."""
    trial = before.resumed_at_s is not None and now_s - before.resumed_at_s < RESUME_TRIAL_S
    return PauseState(paused_at_s=now_s, failures=before.failures + 1 if trial else 0)


def pause_or_allow(
    before: PauseState,
    available_a: float,
    charging: bool,
    now_s: float,
    *,
    enough: bool | None = None,
    max_shortage_s: float = PAUSE_AFTER_S,
) -> tuple[PauseState, float]:
    """What of `left_a` a vehicle may have: nothing while it pauses, never anything between 0 and 6 A.

    A vehicle that is not charging yet simply waits until there is enough.

    Args:
        before: what is remembered.
        left_a: amperes per phase that there are for it.
        charging: whether it draws.
        now_s: the time (monotonic).
        enough: whether a pause could end; when None, whether `left_a` is at least `RESUME_A`.
        bridges_s: how long a shortage may last now before it is a pause.
    """
    if before.paused:
        if not (available_a >= RESUME_A if enough is None else enough):
            return replace(before, enough_since_s=None), 0.0
        waiting = replace(before, enough_since_s=now_s if before.enough_since_s is None else before.enough_since_s)
        if not waiting.may_end(now_s) or available_a < MINIMUM_CURRENT_A:
            return waiting, 0.0
        return PauseState(failures=before.failures, resumed_at_s=now_s), available_a
    if available_a >= MINIMUM_CURRENT_A:
        return replace(before, short_since_s=None), available_a
    if not charging:
        return replace(before, short_since_s=None), 0.0
    since_s = before.short_since_s if before.short_since_s is not None else now_s
    if now_s - since_s < max_shortage_s:
        return replace(before, short_since_s=since_s, max_shortage_s=max_shortage_s), MINIMUM_CURRENT_A
    return start_pause(before, now_s), 0.0
