"""Currents from the samples of an analogue-to-digital converter behind current transformers: pure arithmetic.

rms² = Σx²/N − mean², noise subtracted in squares. A converter at the end of its range shows less than there is; one
that shows nothing at all, not even noise, is not connected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from foundation.frozen import frozen

_BELOW_THRESHOLD_A: Final = 0.3
"""what a 12-bit converter cannot tell from its own noise"""
_BIAS_OFF: Final = 0.15
"""part of the whole range by which the mean may be away from where the bias should be"""


class ClampFault(StrEnum):
    """Why a window of samples gives no current."""

    DEAD = "not-connected"
    """the same number throughout: no converter that works does that"""
    BIAS = "bias-off"
    """the mean is far from the middle: clamp or bias broken"""
    SHORT = "too-few-samples"


@frozen
class Converter:
    """One channel of a converter, and the clamp before it."""

    lowest: int
    highest: int
    """the ends of its range, as it counts"""
    volts_per_count: float
    bias_count: float
    """where the signal swings around"""
    amperes_per_volt: float
    """of the clamp, times its calibration"""
    noise_a: float = 0.0
    """what it shows when no current flows, measured at installation"""


@frozen
class Window:
    """What a window of samples says."""

    current_a: float | None
    """RMS, without a sign; None: see `fault`"""
    clipped: bool = False
    """the true current is higher"""
    fault: ClampFault | None = None


def rms_current(counts: Sequence[int], converter: Converter) -> Window:
    """The RMS current of a window; whole numbers are added up, so no digit is lost to the bias."""
    number = len(counts)
    if number < 2:
        return Window(None, fault=ClampFault.SHORT)
    lowest, highest = min(counts), max(counts)
    total = sum(counts)
    if lowest == highest:
        return Window(None, fault=ClampFault.DEAD)
    clipped = lowest <= converter.lowest or highest >= converter.highest
    whole_range = converter.highest - converter.lowest
    if not clipped and abs(total / number - converter.bias_count) > _BIAS_OFF * whole_range:
        return Window(None, fault=ClampFault.BIAS)
    variance = (number * sum(count * count for count in counts) - total * total) / (number * number)
    raw_a = math.sqrt(variance) * converter.volts_per_count * converter.amperes_per_volt
    current_a = math.sqrt(max(0.0, raw_a * raw_a - converter.noise_a * converter.noise_a))
    return Window(current_a if current_a >= _BELOW_THRESHOLD_A else 0.0, clipped=clipped)
