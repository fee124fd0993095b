"""Detects grid phases whose measured currents are always equal: clamps on one conductor, or on one channel. Pure.

Each clamp then measures a plausible current, that of our vehicles included, but the load of one conductor is not
measured at all. Three-phase loads also make equal steps, as our own vehicles do; but a house with equal base loads to a
quarter of an ampere, in which no single-phase load is ever switched, is not to be expected. So two phases are doubted
once they have made the same steps `STEPS` times without ever having differed, and trusted again as soon as they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from msgspec.structs import replace

from energy.draw import OLDEST_S
from foundation.frozen import Frozen

STEPS: Final = 24
"""equal steps after which two phases are doubted"""
_WEIGHT_OF_TWO_PHASE_STEP: Final = 4
"""how many steps one counts that the third phase does not make: it is not that of a load on three phases"""
MIN_STEP_A: Final = 2.0
"""smallest change of a current between two samples that counts as a step"""
SAME_A: Final = 0.25
"""currents that differ by at most this, or by at most `SAME_PART`, are equal: the noise of two clamps"""
SAME_PART: Final = 0.03
"""part of the current by which two calibrated clamps on one conductor may differ"""
OWN_SETTLES_S: Final = OLDEST_S + 2.0
"""time after a change of our own draw in which a step may be its effect"""
_OWN_CHANGE_A: Final = 0.5
"""smallest change of our own draw that counts as one"""


class EqualPhaseCheck(Frozen):
    """State of the check for phases with always equal currents. Immutable: each sample gives a new object."""

    measured_a: tuple[float, ...] = ()
    """the amounts of the meter's last currents, one for each phase"""
    own_a: tuple[float, ...] = ()
    """the draw of our vehicles then, one for each phase"""
    own_changed_s: tuple[float, ...] = ()
    """when that draw last changed (monotonic), one for each phase"""
    steps: tuple[int, ...] = (0, 0, 0)
    """number of equal steps since the phases of a pair last differed: L1 and L2, L1 and L3, L2 and L3"""

    @property
    def doubted(self) -> frozenset[int]:
        """The phases, 0 to 2, that are doubted since their current is always equal to that of another one."""
        pairs = zip(combinations(range(3), 2), self.steps, strict=True)
        return frozenset(phase for pair, count in pairs if count >= STEPS for phase in pair)

    def after(self, measured_a: Sequence[float], own_a: Sequence[float], now_s: float) -> EqualPhaseCheck:
        """Return the state after one more sample: the currents of the meter and of our vehicles on L1 to L3."""
        measured = tuple(map(abs, measured_a))
        if not self.measured_a:
            return EqualPhaseCheck(measured, tuple(own_a), (now_s,) * 3, self.steps)
        changed_s = tuple(
            now_s if abs(own - before) > _OWN_CHANGE_A else since_s
            for own, before, since_s in zip(own_a, self.own_a, self.own_changed_s, strict=True)
        )
        steady = [now_s - since_s >= OWN_SETTLES_S for since_s in changed_s]
        steps = tuple(
            self._count_steps(count, pair, measured, independent=any(steady[phase] for phase in pair))
            for pair, count in zip(combinations(range(3), 2), self.steps, strict=True)
        )
        return replace(self, measured_a=measured, own_a=tuple(own_a), own_changed_s=changed_s, steps=steps)

    def _count_steps(self, count: int, pair: tuple[int, int], measured_a: Sequence[float], *, independent: bool) -> int:
        """The number of equal steps of a pair; `independent`: our vehicles cannot have caused a step on both phases."""
        first, second = pair
        if not _are_equal(measured_a[first], measured_a[second]):
            return 0
        steps_a = [now_a - before_a for now_a, before_a in zip(measured_a, self.measured_a, strict=True)]
        if not independent or min(abs(steps_a[phase]) for phase in pair) < MIN_STEP_A:
            return count
        third = 3 - first - second
        return min(count + (1 if _are_equal(steps_a[third], steps_a[first]) else _WEIGHT_OF_TWO_PHASE_STEP), STEPS)


def _are_equal(first_a: float, second_a: float) -> bool:
    return abs(first_a - second_a) <= max(SAME_A, SAME_PART * max(first_a, second_a))
