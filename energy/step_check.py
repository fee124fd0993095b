"""Whether the grid meter sees our own vehicles: where one begins to draw, its phase must rise by as much. Pure.

A clamp that is unplugged shows no error but no current, one that is not closed too little, one on another conductor
somebody else's. Nothing but a step of our own tells them from a quiet house. The house moves too, so what the meter
showed in the seconds before and after is compared, and a meter that missed one step is asked again with another, down
to the safe current, before it counts as blind.

A source that has something new every ten seconds only is not checked: in the half minute that two samples before and
after a step take, a house does as much by itself. The slow ones are P1 ports, whose meter has no clamps: what the house
draws goes through it. A Modbus meter is asked as often as its configuration says, which warns where that is too seldom.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from energy.draw import OLDEST_S
from foundation.frozen import frozen

if TYPE_CHECKING:
    from energy.grid import GridSample

CHECKED_PERIOD_S = 2.5
"""a source that has something new so often is checked"""
IDLE_A = 1.0
START_A = 5.0
"""a vehicle that begins to charge makes a step of 6 A at least"""
PROVES_A = 3.0
"""for a meter that is in doubt a smaller step counts"""
LOOKS_S = 4.0
"""so long the meter is watched before and after a step"""
WITHIN_S = 40.0
"""what the house does in more time than this drowns the step"""
SAME_A = 0.5
"""currents that differ by no more are alike"""
_SEEN = 0.6
"""of a step at least so much must show"""
_COARSE_A = 1.5
"""what whole amperes and the class of a clamp hide"""


@frozen
class SteadyDraw:
    """What our EVSEs drew of the phase for some seconds, and what the meter showed of it."""

    own_a: float
    since_s: float
    grid_readings: tuple[tuple[float, float], ...] = ()
    """moments and amperes of the last seconds, only of samples that tell of this level"""

    def after(self, grid_a: float, now_s: float) -> SteadyDraw:
        """This with one more sample."""
        if now_s - self.since_s < OLDEST_S:
            return self  # it may be of a moment before
        recent = (one for one in self.grid_readings if one[0] >= now_s - 2.0 * LOOKS_S)
        return SteadyDraw(self.own_a, self.since_s, (*recent, (now_s, grid_a)))

    @property
    def known(self) -> bool:
        """Whether it was watched for long enough."""
        return bool(self.grid_readings) and self.grid_readings[-1][0] - self.grid_readings[0][0] >= LOOKS_S

    @property
    def min_grid_a(self) -> float:
        """The least that was shown."""
        return min(shown_a for _, shown_a in self.grid_readings)

    @property
    def max_grid_a(self) -> float:
        """The most that was shown."""
        return max(shown_a for _, shown_a in self.grid_readings)


@frozen
class StepCheck:
    """What is known of one phase. A value: each sample makes a new one. Amperes, seconds (monotonic)."""

    safe_a: float
    """what the EVSEs may draw whatever the house does"""
    phase_uncertain: bool = False
    """the vehicle may be on another phase as well: one that stands still is never taken for its own"""
    suspect_a: float | None = None
    """the meter missed a step, and we drew this after it"""
    blind: bool = False
    """it missed the next one too"""
    before: SteadyDraw | None = None
    """from where a step is judged"""
    level: SteadyDraw | None = None

    @property
    def doubted(self) -> bool:
        """Whether no more than the safe current may flow.

        A meter that missed one step is asked again: by the way down to the safe current or, where that is no step, by
        the next one upwards, which the law makes when the house is calm.
        """
        return self.blind or (self.suspect_a is not None and self._asked_down)

    @property
    def _asked_down(self) -> bool:
        return self.suspect_a is not None and self.suspect_a >= self.safe_a + PROVES_A

    def observe(self, own_a: float, grid_a: float, now_s: float, *, signed: bool) -> StepCheck:
        """What our EVSEs draw of the phase when a sample comes, and what it shows."""
        level = self.level
        if level is None or abs(own_a - level.own_a) > SAME_A:
            keep = level is not None and level.known and (level.own_a < IDLE_A or self.suspect_a is not None)
            return replace(self, before=level if keep else self.before, level=SteadyDraw(own_a, now_s))
        level = level.after(grid_a, now_s)
        after = replace(self, level=level)
        if self.before is None or not level.known:
            return after
        after = replace(after, before=None)  # what we change while it charges answers the house, and proves nothing
        if now_s - self.before.grid_readings[-1][0] > WITHIN_S or not self._counts(level.own_a - self.before.own_a):
            return after
        if self._is_visible(self.before, level, signed=signed):
            return replace(after, suspect_a=None, blind=False)
        return replace(after, suspect_a=level.own_a, blind=self.suspect_a is not None)

    def _counts(self, step_a: float) -> bool:
        """Whether a step tells something of the meter."""
        if self.suspect_a is None:
            return abs(step_a) >= START_A
        return abs(step_a) >= PROVES_A and (step_a > 0.0 or self.doubted)

    def _is_visible(self, before: SteadyDraw, after: SteadyDraw, *, signed: bool) -> bool:
        """Whether a step shows: as the largest movement, in its direction, between what was shown before and after.

        Of a source without a direction nobody knows whether the house drew or fed back before.
        """
        step_a = after.own_a - before.own_a
        rise_a, fall_a = after.max_grid_a - before.min_grid_a, before.max_grid_a - after.min_grid_a
        least_a = _SEEN * abs(step_a)
        if (rise_a if step_a > 0.0 else fall_a) >= least_a:
            return True
        if signed or self.phase_uncertain:
            return not signed and max(rise_a, fall_a) >= least_a
        fed_back = (abs(step_a - before.min_grid_a), abs(step_a - before.max_grid_a))
        return min(fed_back) - _COARSE_A <= after.max_grid_a and after.min_grid_a <= max(fed_back) + _COARSE_A


def can_check_steps(sample: GridSample) -> bool:
    """Whether the source is fast enough, and tells enough, to be checked by this sample."""
    return sample.period_s <= CHECKED_PERIOD_S and not sample.clipped
