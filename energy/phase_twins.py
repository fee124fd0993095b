"""Detects grid phases that always show the same current: clamps on one conductor, or wired to one channel. Pure.

Each of them shows a plausible current, also the vehicles' own, but the load of the conductor that no clamp measures is
not seen. Loads on three phases look alike, and our own vehicles do; but a house in which nothing else is switched on
between them, and whose base loads are the same to a tenth of an ampere, is not to be expected. So two phases are
doubted once they have shown the same steps again and again without ever having differed, and believed as soon as they
differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from msgspec.structs import replace

from energy.draw import OLDEST_S
from foundation.frozen import Frozen

STEPS: Final = 20
"""equal steps after which two phases are doubted"""
MIN_STEP_A: Final = 2.0
SAME_A: Final = 0.1
"""currents that differ by less than this and `SAME_PART` are the same: the noise of two clamps"""
SAME_PART: Final = 0.01
"""part by which two calibrated clamps on one conductor may differ"""
OWN_SETTLES_S: Final = OLDEST_S + 2.0
"""time after a change of our own draw in which a step may be its effect"""
_OWN_A: Final = 0.5


class PhaseTwins(Frozen):
    """State of the check for phases that always show the same current. Immutable: each sample gives a new object."""

    shown_a: tuple[float, ...] = ()
    """the last currents, one for each phase"""
    own_a: tuple[float, ...] = ()
    """our vehicles' draw then"""
    own_changed_s: tuple[float, ...] = ()
    """when that last changed (monotonic)"""
    steps: tuple[int, ...] = (0, 0, 0)
    """equal steps of each pair of phases, since they last differed: L1 and L2, L1 and L3, L2 and L3"""

    @property
    def phases(self) -> frozenset[int]:
        """The phases, 0 to 2, that show the same as another one."""
        pairs = zip(combinations(range(3), 2), self.steps, strict=True)
        return frozenset(phase for pair, count in pairs if count >= STEPS for phase in pair)

    def after(self, shown_a: Sequence[float], own_a: Sequence[float], now_s: float) -> PhaseTwins:
        """Return the state after one more sample of three phases: the meter's currents, and our vehicles' draw."""
        shown = tuple(map(abs, shown_a))
        if not self.shown_a:
            return PhaseTwins(shown, tuple(own_a), (now_s,) * 3, self.steps)
        changed_s = tuple(
            now_s if abs(own - before) > _OWN_A else since_s
            for own, before, since_s in zip(own_a, self.own_a, self.own_changed_s, strict=True)
        )
        steady = [now_s - since_s >= OWN_SETTLES_S for since_s in changed_s]
        steps = tuple(
            self._count(count, pair, shown, counts=any(steady[phase] for phase in pair))
            for pair, count in zip(combinations(range(3), 2), self.steps, strict=True)
        )
        return replace(self, shown_a=shown, own_a=tuple(own_a), own_changed_s=changed_s, steps=steps)

    def _count(self, count: int, pair: tuple[int, int], shown_a: Sequence[float], *, counts: bool) -> int:
        """The equal steps of a pair of phases; `counts`: a step now is not that of our own vehicles on both."""
        first, second = pair
        if not _same(shown_a[first], shown_a[second]):
            return 0
        steps_a = [shown_a[phase] - self.shown_a[phase] for phase in pair]
        if counts and min(map(abs, steps_a)) >= MIN_STEP_A:
            return min(count + 1, STEPS)
        return count


def _same(one_a: float, other_a: float) -> bool:
    return abs(one_a - other_a) <= max(SAME_A, SAME_PART * max(one_a, other_a))
