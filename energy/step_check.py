"""Whether the grid meter sees our own vehicles: where one begins to draw, its phase must rise by as much. Pure.

A clamp that is unplugged shows no error but no current, one that is not closed too little, one on another conductor
somebody else's. Nothing but a step of our own tells them from a quiet house; now and then the house makes such a step
in the same seconds, so a meter that missed one is asked again with the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from energy.draw import OLDEST_S

IDLE_A = 1.0
START_A = 5.0
"""a vehicle that begins to charge makes a step of 6 A at least"""
PROVES_A = 3.0
"""for a meter that is in doubt each step of our own counts from here on"""
STEADY_S = OLDEST_S + 4.0
"""so long our own draw must have been the same for a sample to tell of it and of nothing before"""
WITHIN_S = 40.0
"""what the house does in more time than this drowns the step"""
_SAME_A = 0.5


@dataclass(frozen=True, slots=True)
class StepCheck:
    """What is known of one phase. A value: each sample makes a new one."""

    blind: bool = False
    """the meter missed the last step"""
    before: tuple[float, float, float] | None = None
    """what we drew, what the meter showed, and when (monotonic), before a step"""
    steady: tuple[float, float] | None = None
    """what we draw now, and since when"""

    def observe(self, own_a: float, grid_a: float, now_s: float, *, signed: bool) -> StepCheck:
        """What our EVSEs draw of the phase when a sample comes, and what it shows; amperes, seconds (monotonic)."""
        if self.steady is None or abs(own_a - self.steady[0]) > _SAME_A:
            return replace(self, steady=(own_a, now_s))
        if now_s - self.steady[1] < STEADY_S:
            return self
        blind = self.blind
        if self.before is not None and now_s - self.before[2] <= WITHIN_S:
            step_a = own_a - self.before[0]
            if abs(step_a) >= (PROVES_A if blind else START_A):
                blind = not _seen(step_a, self.before[1], grid_a, signed=signed)
        if own_a < IDLE_A or blind:
            return replace(self, blind=blind, before=(own_a, grid_a, now_s))
        return replace(self, blind=blind, before=None)  # what we change while it charges answers the house


def _seen(step_a: float, before_a: float, after_a: float, *, signed: bool) -> bool:
    """Whether a meter saw a step: 10 % and half an ampere by its class, one more for the house and whole amperes.

    Of a source without a direction nobody knows whether the house drew or fed back before.
    """
    houses = (before_a,) if signed else (before_a, -before_a)
    shown = after_a if signed else abs(after_a)
    apart_a = min(abs(shown - (house_a + step_a if signed else abs(house_a + step_a))) for house_a in houses)
    return apart_a <= 0.1 * abs(step_a) + 1.5
