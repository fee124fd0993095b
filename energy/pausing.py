"""Below 6 A no vehicle charges: when a shortage becomes a pause, and when a pause ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from energy.sharing import MINIMUM_A

PAUSE_AFTER_S = 10.0
"""a shortage that is over sooner does not interrupt the charge"""
RESUME_A = 7.5
RESUME_AFTER_S = 180.0
"""so long there must be enough before a pause ends"""


@dataclass(frozen=True, slots=True)
class Pause:
    """What is remembered of a shortage."""

    short_since_s: float | None = None
    paused: bool = False
    enough_since_s: float | None = None


def let_pass(before: Pause, left_a: float, charging: bool, now_s: float) -> tuple[Pause, float]:
    """What of `left_a` a vehicle may have: nothing while it pauses, never anything between 0 and 6 A.

    A vehicle that is not charging yet simply waits until there is enough.
    """
    if before.paused:
        if left_a < RESUME_A:
            return Pause(paused=True), 0.0
        since_s = before.enough_since_s if before.enough_since_s is not None else now_s
        if now_s - since_s < RESUME_AFTER_S:
            return Pause(paused=True, enough_since_s=since_s), 0.0
        return Pause(), left_a
    if left_a >= MINIMUM_A:
        return Pause(), left_a
    if not charging:
        return Pause(), 0.0
    since_s = before.short_since_s if before.short_since_s is not None else now_s
    if now_s - since_s < PAUSE_AFTER_S:
        return Pause(short_since_s=since_s), MINIMUM_A
    return Pause(paused=True), 0.0
