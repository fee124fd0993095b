"""Decides when a shortage becomes a pause, and when a pause ends: below 6 A no vehicle charges. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen

PAUSE_AFTER_S = 10.0
"""a shorter shortage does not interrupt the charge"""
SUSTAINABLE_PAUSE_AFTER_S = 120.0
"""the same limit if the connection bears the present current indefinitely: an oven's thermostat, a kettle"""
RESUME_A = 7.5
RESUME_AFTER_S = 180.0
"""time for which enough current must be available before a pause ends, and shortest pause"""
RESUME_TRIAL_S = 600.0
"""a pause sooner after the last one means that the last one ended too soon"""
MAX_FAILURES = 3
"""each failure doubles the shortest pause: 3 min, then 6, 12, at most 24"""


class PauseState(Frozen):
    """One EVSE's shortage of current, or the pause that follows it. Immutable; times are monotonic, in seconds."""

    short_since_s: float | None = None
    """since when less than 6 A has been available while the vehicle charges; None: there is enough"""
    paused_at_s: float | None = None
    """None: not paused"""
    enough_since_s: float | None = None
    """since when enough current for the end of the pause is available; None: it is not"""
    failures: int = 0
    """consecutive pauses that ended too soon"""
    resumed_at_s: float | None = None
    """when the last pause ended"""
    max_shortage_s: float = PAUSE_AFTER_S
    """time after which the shortage becomes a pause"""

    @property
    def paused(self) -> bool:
        """Whether charging is paused for lack of current."""
        return self.paused_at_s is not None

    def next_change_s(self, now_s: float) -> float | None:
        """When the pause may end, or the shortage becomes a pause (monotonic); None if there is neither."""
        if self.paused_at_s is not None:
            since_s = self.enough_since_s if self.enough_since_s is not None else now_s
            return max(self.paused_at_s + self._lasts_s, since_s + RESUME_AFTER_S)
        return None if self.short_since_s is None else self.short_since_s + self.max_shortage_s

    @property
    def _lasts_s(self) -> float:
        return RESUME_AFTER_S * 2.0 ** min(self.failures, MAX_FAILURES)

    def may_end(self, now_s: float) -> bool:
        """Return whether the pause has lasted long enough, with enough current for long enough; it is not ended."""
        due_s = self.next_change_s(now_s)
        return self.enough_since_s is not None and due_s is not None and now_s >= due_s


def start_pause(before: PauseState, now_s: float) -> PauseState:
    """Return the state of a pause that begins now; it counts a failure if the last pause ended shortly before."""
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
    """Return the next state, and the current that the vehicle may have, amperes per phase: 0, or at least 6.

    A vehicle that is not charging yet waits until there is enough, without a pause.

    Args:
        before: the previous state.
        available_a: the current available to it, amperes per phase.
        charging: whether it draws.
        now_s: the time (monotonic).
        enough: whether a pause may end; None: if `available_a` is at least `RESUME_A`.
        max_shortage_s: time after which a shortage becomes a pause.
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
