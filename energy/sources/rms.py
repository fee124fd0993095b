"""Computes RMS currents from samples of an analogue-to-digital converter behind current transformers. Pure.

rms² = Σx²/N − mean², noise subtracted in squares. A signal at the end of the converter's range is clipped; one that
does not vary at all, not even by noise, is not connected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from foundation.frozen import Frozen

_NOISE_FLOOR_A: Final = 0.3
"""lowest current that a 12-bit converter can distinguish from its own noise"""
_MAX_BIAS_ERROR: Final = 0.15
"""largest deviation of the mean from the bias, as a part of the whole range"""


class ClampFault(StrEnum):
    """Why a window of samples of a current transformer gives no current."""

    DEAD = "not-connected"
    """all samples are equal: impossible for a working converter"""
    BIAS = "bias-off"
    """the mean is far from the bias: clamp or bias is broken"""
    SHORT = "too-few-samples"


class ChannelCalibration(Frozen):
    """Constants that convert the counts of one channel of a converter to the current in its clamp."""

    lowest: int
    highest: int
    """the limits of its range, in counts"""
    volts_per_count: float
    bias_count: float
    """DC offset of the signal, in counts"""
    amperes_per_volt: float
    """of the clamp, times its calibration"""
    noise_a: float = 0.0
    """current shown when none flows, measured at installation"""


class RmsWindow(Frozen):
    """The RMS current of one window of samples, or the fault that prevents it."""

    current_a: float | None
    """RMS, unsigned; None: see `fault`"""
    clipped: bool = False
    """the true current is higher"""
    fault: ClampFault | None = None


def rms_current(counts: Sequence[int], converter: ChannelCalibration) -> RmsWindow:
    """Compute the RMS current of a window of raw counts; sums are integers, so the bias costs no precision."""
    number = len(counts)
    if number < 2:
        return RmsWindow(None, fault=ClampFault.SHORT)
    lowest, highest = min(counts), max(counts)
    total = sum(counts)
    if lowest == highest:
        return RmsWindow(None, fault=ClampFault.DEAD)
    clipped = lowest <= converter.lowest or highest >= converter.highest
    full_range = converter.highest - converter.lowest
    if not clipped and abs(total / number - converter.bias_count) > _MAX_BIAS_ERROR * full_range:
        return RmsWindow(None, fault=ClampFault.BIAS)
    variance = (number * sum(count * count for count in counts) - total * total) / (number * number)
    raw_a = math.sqrt(variance) * converter.volts_per_count * converter.amperes_per_volt
    current_a = math.sqrt(max(0.0, raw_a * raw_a - converter.noise_a * converter.noise_a))
    return RmsWindow(current_a if current_a >= _NOISE_FLOOR_A else 0.0, clipped=clipped)
