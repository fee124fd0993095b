"""Checks whether the grid meter measures our own vehicles: a step of ours must show on its phase. Pure.

An unplugged clamp shows no error but no current, one that is not closed too little, one on another conductor that
conductor's current. Only a step of our own distinguishes these from a quiet house. The house changes too, so the
meter's values in the seconds before and after are compared, and a meter that missed one step is tested with another
one, down to the safe current, before it counts as blind.

A source with an update period of ten seconds is not checked: within the half minute that two samples before and after
a step take, a house changes as much by itself. The slow sources are P1 ports, whose meters have no clamps: the whole
current passes through them. The period of a Modbus meter is configured; the configuration warns if it is too long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from energy.draw import OLDEST_S
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from energy.grid import GridSample

CHECKED_PERIOD_S = 2.5
"""longest update period of a source that is checked"""
MAX_IDLE_A = 1.0
MIN_STEP_A = 5.0
"""smallest step to check; a vehicle that begins to charge makes one of at least 6 A"""
MIN_PROOF_STEP_A = 3.0
"""smallest step to check for a meter in doubt"""
OBSERVED_S = 4.0
"""time for which the meter is observed before and after a step"""
MAX_APART_S = 40.0
"""longest time between both observations: the house changes too much in more"""
SAME_A = 0.5
"""tolerance within which two currents count as equal"""
_MIN_VISIBLE_PART = 0.6
"""smallest part of a step that must show"""
_COARSE_TOLERANCE_A = 1.5
"""error from whole amperes and the accuracy class of a clamp"""


class SteadyDraw(Frozen):
    """A steady draw of our EVSEs on a phase, and the grid meter's readings of that phase meanwhile. Immutable."""

    own_a: float
    """our EVSEs' draw, amperes"""
    since_s: float
    """monotonic"""
    grid_readings: tuple[tuple[float, float], ...] = ()
    """(time, amperes) of the last seconds, only of samples taken during this draw"""

    def after(self, grid_a: float, now_s: float) -> SteadyDraw:
        """Return a copy with one more reading of the grid meter, unless it may have been taken before this draw."""
        if now_s - self.since_s < OLDEST_S:
            return self  # it may have been taken before
        recent = (grid_reading for grid_reading in self.grid_readings if grid_reading[0] >= now_s - 2.0 * OBSERVED_S)
        return SteadyDraw(self.own_a, self.since_s, (*recent, (now_s, grid_a)))

    @property
    def known(self) -> bool:
        """Whether the readings span at least `OBSERVED_S` seconds, so that this draw can be compared with another."""
        return bool(self.grid_readings) and self.grid_readings[-1][0] - self.grid_readings[0][0] >= OBSERVED_S

    @property
    def min_grid_a(self) -> float:
        """The grid meter's lowest reading, amperes."""
        return min(current_a for _, current_a in self.grid_readings)

    @property
    def max_grid_a(self) -> float:
        """The grid meter's highest reading, amperes."""
        return max(current_a for _, current_a in self.grid_readings)


class StepCheck(Frozen):
    """State of the check whether the grid meter shows our vehicles on one phase.

    Immutable: each sample gives a new object. Amperes, seconds (monotonic).
    """

    safe_a: float
    """current that the EVSEs may draw whatever the house draws"""
    phase_uncertain: bool = False
    """the vehicle may be on another phase: a phase that does not move proves nothing"""
    suspect_a: float | None = None
    """our draw after a step that the meter missed; None: it missed none"""
    blind: bool = False
    """the meter missed the following step too"""
    before: SteadyDraw | None = None
    """level before the step to check"""
    level: SteadyDraw | None = None

    @property
    def doubted(self) -> bool:
        """Whether the EVSEs may draw no more than the safe current.

        A meter that missed one step is tested again: by the step down to the safe current or, if that is too small, by
        the next one upwards, which the control law makes when the house is calm.
        """
        return self.blind or (self.suspect_a is not None and self._expected_fall)

    @property
    def _expected_fall(self) -> bool:
        return self.suspect_a is not None and self.suspect_a >= self.safe_a + MIN_PROOF_STEP_A

    def observe(self, own_a: float, grid_a: float, now_s: float, *, signed: bool) -> StepCheck:
        """Return the state after one more sample: our EVSEs' draw from the phase, and the grid meter's current.

        `signed`: the meter's currents distinguish export from import.
        """
        level = self.level
        if level is None or abs(own_a - level.own_a) > SAME_A:
            keeps_level = level is not None and level.known and (level.own_a < MAX_IDLE_A or self.suspect_a is not None)
            return replace(self, before=level if keeps_level else self.before, level=SteadyDraw(own_a, now_s))
        level = level.after(grid_a, now_s)
        after = replace(self, level=level)
        if self.before is None or not level.known:
            return after
        after = replace(after, before=None)  # later changes react to the house, and prove nothing
        if now_s - self.before.grid_readings[-1][0] > MAX_APART_S or not self._is_large_enough(
            level.own_a - self.before.own_a
        ):
            return after
        if self._is_visible(self.before, level, signed=signed):
            return replace(after, suspect_a=None, blind=False)
        return replace(after, suspect_a=level.own_a, blind=self.suspect_a is not None)

    def _is_large_enough(self, step_a: float) -> bool:
        """Return whether a step is large enough to test the meter."""
        if self.suspect_a is None:
            return abs(step_a) >= MIN_STEP_A
        return abs(step_a) >= MIN_PROOF_STEP_A and (step_a > 0.0 or self.doubted)

    def _is_visible(self, before: SteadyDraw, after: SteadyDraw, *, signed: bool) -> bool:
        """Return whether a step shows: as a change of the meter's readings in its direction, large enough.

        A source without a sign does not show whether the house imported or exported before.
        """
        step_a = after.own_a - before.own_a
        rise_a, fall_a = after.max_grid_a - before.min_grid_a, before.max_grid_a - after.min_grid_a
        least_a = _MIN_VISIBLE_PART * abs(step_a)
        if (rise_a if step_a > 0.0 else fall_a) >= least_a:
            return True
        if signed or self.phase_uncertain:
            return not signed and max(rise_a, fall_a) >= least_a
        fed_back = (abs(step_a - before.min_grid_a), abs(step_a - before.max_grid_a))
        return (
            min(fed_back) - _COARSE_TOLERANCE_A <= after.max_grid_a
            and after.min_grid_a <= max(fed_back) + _COARSE_TOLERANCE_A
        )


def can_check_steps(sample: GridSample) -> bool:
    """Return whether a source is fast enough, and this sample precise enough, for the check."""
    return sample.period_s <= CHECKED_PERIOD_S and not sample.clipped
