"""What our own EVSEs drew when a sample of the grid was taken: their meters tell, but a sample comes late.

How late is a property of the source, and is learned: when our own draw makes a step, the age at which that step
explains the grid's best is the right one. Until then every age counts as possible, and the draw has two bounds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Sequence
from typing import TypeAlias

from foundation.frozen import frozen
from metering.reading import Phases

OLDEST_S = 3.5
"""a second of mean square, and the longest frame of 2.3 s (linky-tic §10): no sample is older when it comes"""
AGES_S = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, OLDEST_S)
_JITTER_S = 0.15
"""samples and readings do not come to the millisecond"""
_FORGETS = 0.995
"""what is left of an age's errors with the next sample: another receiver may be plugged in"""
_VAGUE = 0.5
"""of two ages that explain the same, the one that leaves less open is the better"""
_UNLIKELY_A = 2.5
"""an age that has explained so much less than the best is not the right one; rounding explains less than this"""

Bounds: TypeAlias = tuple[tuple[float, float], ...]
"""per phase the least and the most, amperes"""


@frozen
class DrawBounds:
    """The least and the most that our EVSEs may draw of each grid phase, amperes."""

    least_a: Phases[float]
    most_a: Phases[float]

    @property
    def bounds(self) -> Bounds:
        """The same, phase by phase."""
        return tuple(zip(self.least_a, self.most_a, strict=True))


NO_DRAW = DrawBounds(Phases(0.0, 0.0, 0.0), Phases(0.0, 0.0, 0.0))


class DrawHistory:
    """What the meters of our EVSEs showed in the time that a sample may be old."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._bounds: deque[Bounds] = deque()
        self.latest = NO_DRAW
        """what they drew last"""

    def add(self, read_at_s: float, draw: DrawBounds) -> None:
        """Our EVSEs drew this at a moment; one that was told already becomes what is told now."""
        self.latest = draw
        if self._times and read_at_s <= self._times[-1]:
            self._bounds[-1] = draw.bounds
            return
        self._times.append(read_at_s)
        self._bounds.append(draw.bounds)
        while len(self._times) > 1 and self._times[1] <= read_at_s - OLDEST_S - 1.0:
            self._times.popleft()
            self._bounds.popleft()

    def bounds_at(self, at_s: float) -> Bounds:
        """What they may have drawn at a moment: as a reading of that moment says, else between those around it."""
        return _union(self.readings(at_s))

    def readings(self, at_s: float) -> tuple[Bounds, ...]:
        """The readings that tell of a moment, each once: of that moment, else the one before and the one after."""
        if not self._bounds:
            return (NO_DRAW.bounds,)
        first, last = bisect_left(self._times, at_s - _JITTER_S), bisect_right(self._times, at_s + _JITTER_S)
        if first == last:
            first, last = first - 1, last + 1
        told = dict.fromkeys(self._bounds[index] for index in range(max(0, first), min(last, len(self._bounds))))
        return tuple(told)


class SampleAgeEstimator:
    """How old the samples of one source are when they come."""

    def __init__(self) -> None:
        self._errors = dict.fromkeys(AGES_S, 0.0)
        self._house: dict[float, Bounds] = {}

    def learn(self, history: DrawHistory, grid_a: Sequence[float], now_s: float) -> None:
        """A fresh sample: an age is the worse, the more the house would have moved by it."""
        told: dict[tuple[Bounds, ...], tuple[Bounds, float]] = {}  # while nothing moves, all ages are told the same
        for age_s in AGES_S:
            readings = history.readings(now_s - age_s)
            if readings not in told:
                told[readings] = _house(readings, grid_a)
            house, vague_a = told[readings]
            before = self._house.get(age_s, house)
            moved_a = max(_apart(*pair) for pair in zip(house, before, strict=True))
            self._errors[age_s] = self._errors[age_s] * _FORGETS + moved_a + vague_a * _VAGUE
            self._house[age_s] = house

    @property
    def likely_s(self) -> list[float]:
        """The ages that may be the right one."""
        best = min(self._errors.values())
        return [age_s for age_s, error in self._errors.items() if error <= best + _UNLIKELY_A]

    def draw_at_sample(self, history: DrawHistory, now_s: float) -> DrawBounds:
        """What our EVSEs may have drawn when a sample was taken that comes now."""
        bounds = _union({reading for age_s in self.likely_s for reading in history.readings(now_s - age_s)})
        least, most = zip(*bounds, strict=True)
        return DrawBounds(Phases(*least), Phases(*most))


def _house(readings: Sequence[Bounds], grid_a: Sequence[float]) -> tuple[Bounds, float]:
    """What the house draws by such readings, and how much more they leave open together than each alone."""
    drawn = _union(readings)
    house = tuple((a - most_a, a - least_a) for a, (least_a, most_a) in zip(grid_a, drawn, strict=True))
    return house, max(_width(drawn)) - max(max(_width(reading)) for reading in readings)


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How far two spans are from each other; 0 where they overlap."""
    return max(one[0] - other[1], other[0] - one[1], 0.0)


def _width(bounds: Bounds) -> list[float]:
    """How much each phase leaves open."""
    return [most_a - least_a for least_a, most_a in bounds]


def _union(some: Collection[Bounds]) -> Bounds:
    if len(some) == 1:
        return next(iter(some))
    return tuple((min(low for low, _ in phase), max(high for _, high in phase)) for phase in zip(*some, strict=True))
