"""A histogram of durations with logarithmic buckets, which can be merged and sent between processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import field

from foundation.frozen import Frozen

_BITS_PER_OCTAVE: Final = 6
_BUCKETS_PER_OCTAVE: Final = 1 << _BITS_PER_OCTAVE
"""buckets for each doubling, so that a percentile is at most 1.6 % too high"""
_UNIT_S: Final = 1e-6
"""resolution: shorter durations count as this one"""


class Percentiles(Frozen):
    """Values of a histogram, in seconds; None if nothing was counted."""

    count: int
    mean_s: float | None = None
    min_s: float | None = None
    max_s: float | None = None
    median_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None


class HistogramData(Frozen):
    """The content of a `DurationHistogram`, to be sent to another process and merged there."""

    buckets: dict[int, int] = field(default_factory=dict[int, int])
    """number of durations by bucket; only buckets with some"""
    sum_s: float = 0.0
    min_s: float = 0.0
    max_s: float = 0.0


class DurationHistogram:
    """Counts durations in buckets whose width grows with the duration (as HDR histograms do): 1 µs to centuries.

    Its size depends on the spread of the durations, not on their number. Merging loses nothing.
    """

    __slots__ = ("_buckets", "_max_s", "_min_s", "_sum_s", "count")

    def __init__(self, data: Iterable[HistogramData] = ()) -> None:
        """A histogram of all durations of `data`; empty without."""
        self._buckets: dict[int, int] = {}
        self._sum_s = 0.0
        self._min_s = 0.0
        self._max_s = 0.0
        self.count = 0
        """number of durations"""
        for histogram_data in data:
            self.merge(histogram_data)

    def record(self, duration_s: float) -> None:
        """Count one duration in seconds; a negative one counts as 0."""
        duration_s = max(0.0, duration_s)
        self._note_extremes(duration_s, duration_s)
        bucket = _bucket_of(duration_s)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self._sum_s += duration_s
        self.count += 1

    def merge(self, data: HistogramData) -> None:
        """Add all durations of another histogram."""
        if not data.buckets:
            return
        self._note_extremes(data.min_s, data.max_s)
        for bucket, count in data.buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
            self.count += count
        self._sum_s += data.sum_s

    def without(self, earlier: HistogramData) -> DurationHistogram:
        """The durations that were counted since `earlier`, a former content; smallest and largest are those of all."""
        left = DurationHistogram()
        for bucket, count in self._buckets.items():
            if (more := count - earlier.buckets.get(bucket, 0)) > 0:
                left._buckets[bucket] = more
                left.count += more
        left._sum_s = self._sum_s - earlier.sum_s
        left._min_s, left._max_s = self._min_s, self._max_s
        return left

    def data(self) -> HistogramData:
        """A copy of the content."""
        return HistogramData(dict(self._buckets), self._sum_s, self._min_s, self._max_s)

    @property
    def mean_s(self) -> float:
        """The mean; 0 if empty."""
        return self._sum_s / self.count if self.count else 0.0

    @property
    def min_s(self) -> float:
        """The shortest duration; 0 if empty."""
        return self._min_s

    @property
    def max_s(self) -> float:
        """The longest duration; 0 if empty."""
        return self._max_s

    def percentile_s(self, percent: float) -> float:
        """The duration that `percent` % of all do not exceed: exact to a bucket, and never above the longest one."""
        wanted_count = max(1.0, percent / 100.0 * self.count)
        reached = 0
        for bucket in sorted(self._buckets):
            reached += self._buckets[bucket]
            if reached >= wanted_count - 1e-9:
                return min(_upper_bound_s(bucket), self._max_s)
        return self._max_s

    def percentiles(self) -> Percentiles:
        """The usual values at once."""
        if not self.count:
            return Percentiles(0)
        return Percentiles(
            self.count,
            self.mean_s,
            self.min_s,
            self.max_s,
            self.percentile_s(50),
            self.percentile_s(95),
            self.percentile_s(99),
        )

    def _note_extremes(self, min_s: float, max_s: float) -> None:
        self._min_s = min(self._min_s, min_s) if self.count else min_s
        self._max_s = max(self._max_s, max_s) if self.count else max_s


def _bucket_of(duration_s: float) -> int:
    """The number of the bucket: microseconds up to 64 each have their own, then 64 for each doubling."""
    units = int(duration_s / _UNIT_S)
    if units < _BUCKETS_PER_OCTAVE:
        return units
    octave = units.bit_length() - _BITS_PER_OCTAVE - 1
    return (octave + 1) * _BUCKETS_PER_OCTAVE + (units >> octave) - _BUCKETS_PER_OCTAVE


def _upper_bound_s(bucket: int) -> float:
    """The end of a bucket, in seconds."""
    if bucket < _BUCKETS_PER_OCTAVE:
        return (bucket + 1) * _UNIT_S
    octave, place = divmod(bucket - _BUCKETS_PER_OCTAVE, _BUCKETS_PER_OCTAVE)
    return ((place + _BUCKETS_PER_OCTAVE + 1) << octave) * _UNIT_S
