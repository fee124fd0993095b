"""Estimates what our EVSEs drew when a grid sample was taken: grid samples arrive later than the EVSEs' own readings.

The delay depends on the source and is learned: when our own draw makes a step, the age at which that step matches the
grid's best is the right one. Until then every age counts as possible, and the draw has two bounds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Sequence
from typing import TypeAlias

from foundation.frozen import Frozen
from metering.reading import Phases

OLDEST_S = 3.5
"""highest age of a sample on arrival: a second of mean square, and the longest frame, 2.3 s (linky-tic §10)"""
AGES_S = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, OLDEST_S)
_JITTER_S = 0.15
"""tolerance of arrival times of samples and readings"""
_ERROR_DECAY = 0.995
"""decay of an age's error per sample: another receiver may be plugged in"""
_VAGUE_WIDTH = 0.5
"""weight of the width of the bounds: of two ages that match equally well, the one with the narrower bounds is better"""
_UNLIKELY_A = 2.5
"""an age whose error exceeds the best one's by more than this is ruled out; rounding causes less"""

Bounds: TypeAlias = tuple[tuple[float, float], ...]
"""per phase the lowest and the highest value, amperes"""


class DrawBounds(Frozen):
    """Lower and upper bound of what our EVSEs draw from each grid phase, amperes."""

    least_a: Phases[float]
    most_a: Phases[float]

    @property
    def bounds(self) -> Bounds:
        """The bounds as pairs, phase by phase."""
        return tuple(zip(self.least_a, self.most_a, strict=True))


NO_DRAW = DrawBounds(Phases(0.0, 0.0, 0.0), Phases(0.0, 0.0, 0.0))


class DrawHistory:
    """The recent draw of our EVSEs by their own meters, for as long as a grid sample may be old. Monotonic times."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque()
        self._bounds: deque[Bounds] = deque()
        self.latest = NO_DRAW
        """the newest draw"""

    def add(self, read_at_s: float, draw: DrawBounds) -> None:
        """Store the draw at a moment; one that is not later than the newest replaces it. What is too old is dropped."""
        self.latest = draw
        if self._times_s and read_at_s <= self._times_s[-1]:
            self._bounds[-1] = draw.bounds
            return
        self._times_s.append(read_at_s)
        self._bounds.append(draw.bounds)
        while len(self._times_s) > 1 and self._times_s[1] <= read_at_s - OLDEST_S - 1.0:
            self._times_s.popleft()
            self._bounds.popleft()

    def bounds_at(self, at_s: float) -> Bounds:
        """The bounds of the draw at a moment: of the readings of that moment, else of those before and after."""
        return _union(self.readings(at_s))

    def readings(self, at_s: float) -> tuple[Bounds, ...]:
        """The distinct readings of the draw at a moment, else the one before and the one after."""
        if not self._bounds:
            return (NO_DRAW.bounds,)
        first, last = bisect_left(self._times_s, at_s - _JITTER_S), bisect_right(self._times_s, at_s + _JITTER_S)
        if first == last:
            first, last = first - 1, last + 1
        distinct = dict.fromkeys(self._bounds[index] for index in range(max(0, first), min(last, len(self._bounds))))
        return tuple(distinct)


class SampleAgeEstimator:
    """Learns how old the samples of the grid meter are on arrival, and thus what our EVSEs drew when one was taken."""

    def __init__(self) -> None:
        self._error_by_age = dict.fromkeys(AGES_S, 0.0)
        self._house_bounds: dict[float, Bounds] = {}

    def learn(self, history: DrawHistory, grid_a: Sequence[float], now_s: float) -> None:
        """Learn from a fresh sample with these grid currents, amperes per phase, which arrives at `now_s` (monotonic).

        An age's error grows with the change of the house's current that it would imply.
        """
        houses: dict[tuple[Bounds, ...], tuple[Bounds, float]] = {}  # often all ages have the same readings
        for age_s in AGES_S:
            readings = history.readings(now_s - age_s)
            if readings not in houses:
                houses[readings] = _house_bounds(readings, grid_a)
            house, vague_a = houses[readings]
            before = self._house_bounds.get(age_s, house)
            moved_a = max(_distance(*pair) for pair in zip(house, before, strict=True))
            self._error_by_age[age_s] = self._error_by_age[age_s] * _ERROR_DECAY + moved_a + vague_a * _VAGUE_WIDTH
            self._house_bounds[age_s] = house

    @property
    def likely_s(self) -> list[float]:
        """The ages on arrival, in seconds, that are not ruled out: all of `AGES_S` before anything is learned."""
        best = min(self._error_by_age.values())
        return [age_s for age_s, error in self._error_by_age.items() if error <= best + _UNLIKELY_A]

    def draw_at_sample(self, history: DrawHistory, now_s: float) -> DrawBounds:
        """The bounds of our EVSEs' draw when a sample that arrives now was taken."""
        bounds = _union({reading for age_s in self.likely_s for reading in history.readings(now_s - age_s)})
        least, most = zip(*bounds, strict=True)
        return DrawBounds(Phases(*least), Phases(*most))


def _house_bounds(readings: Sequence[Bounds], grid_a: Sequence[float]) -> tuple[Bounds, float]:
    """The house's current by these readings, and how much wider their union is than the widest of them."""
    drawn = _union(readings)
    house = tuple((a - most_a, a - least_a) for a, (least_a, most_a) in zip(grid_a, drawn, strict=True))
    return house, max(_widths(drawn)) - max(max(_widths(reading)) for reading in readings)


def _distance(first: tuple[float, float], second: tuple[float, float]) -> float:
    """The distance between two intervals; 0 if they overlap."""
    return max(first[0] - second[1], second[0] - first[1], 0.0)


def _widths(bounds: Bounds) -> list[float]:
    """The width of the bounds of each phase."""
    return [most_a - least_a for least_a, most_a in bounds]


def _union(some: Collection[Bounds]) -> Bounds:
    if len(some) == 1:
        return next(iter(some))
    return tuple((min(low for low, _ in phase), max(high for _, high in phase)) for phase in zip(*some, strict=True))
