"""Control law of the load management: from the house's consumption to the current available to the vehicles. Pure.

Per phase, once per fresh sample: capacity = limit − house, where house = grid current − draw of our EVSEs when the
sample was taken. That moment is not known exactly, so the draw that belongs to a sample lies between two bounds
(draw.py), and so does the house. The law keeps its earlier estimate of the house if it lies between the bounds, and
else moves it to the nearer bound. So vehicles that are still adapting to a changed pilot are never taken for the house
(no excess is subtracted twice), and a load that is switched on meanwhile takes effect at once.

Down: by the whole predicted excess, at once; a peak in a single sample of a fast source (a starting motor) is ignored
for that one second if the protection tolerates it. Up: by the room that the house left during all of the last 25 s, at
most 4 A per step, at most every 5 s, after 30 s without overload. So a load that cycles (a hob, an oven's thermostat)
keeps the vehicle steady below the load's peaks instead of following it. A source that sends every ten seconds misses
most of a hob's on-times: the largest peak of the last quarter of an hour may recur unseen at any moment, and the
capacity together with it must stay within what the protection bears indefinitely.
"""

from __future__ import annotations

import math

from foundation.frozen import Frozen

CALM_S = 30.0
"""time without overload before the capacity is raised"""
PEAK_S = 25.0
"""window for the house's peak: a hob switches on every ten seconds"""
RARE_PEAK_S = 900.0
"""the same window for a slow source, which does not show each peak: one seen once may recur unseen"""
STEP_UP_A = 4.0
"""largest step up"""
STEP_UP_EVERY_S = 5.0
IDLE_A = 1.0
"""vehicles that draw less than this do not charge: capacity is raised without steps"""


class PhaseSample(Frozen):
    """A fresh sample of the grid meter as input of the control law of one phase; amperes, seconds (monotonic)."""

    limit_a: float
    """limit of the connection"""
    grid_a: float
    """current of house and EVSEs together; negative when exported"""
    min_draw_a: float
    """lower bound of our EVSEs' draw when the sample was taken; `max_draw_a` is the upper bound"""
    max_draw_a: float
    offered_a: float
    """what the pilots allow our vehicles to draw now"""
    now_s: float
    overrun: bool = False
    """the meter itself reports an overload, or is above its range: the capacity is not raised"""
    sustained_limit_a: float | None = None
    """what the protection bears indefinitely, for a slow source: peaks of `RARE_PEAK_S` must stay below; else None"""
    confirms_rise: bool = False
    """the next sample comes soon enough to show whether a rise of the house lasts"""


class PhaseCapacity(Frozen):
    """The current available to our EVSEs on one phase, with the state that the control law keeps between samples."""

    current_a: float
    overloaded_at_s: float
    """when the phase was last overloaded; initially the start"""
    stepped_at_s: float
    """when it was last raised while vehicles charged; initially the start"""
    house_a: float | None = None
    """estimated current of the house; None before the first sample"""
    peaks: tuple[tuple[float, float], ...] = ()
    """(time, house estimate) of the last `PEAK_S` or `RARE_PEAK_S`, without those that a later one exceeds"""
    min_house_a: float = math.inf
    """lower bound of the house's current at the last sample"""


def update_capacity(previous: PhaseCapacity, sample: PhaseSample) -> PhaseCapacity:
    """Return the capacity of one phase after a fresh sample: the control law (see the module)."""
    now_s = sample.now_s
    low_a, high_a = sample.grid_a - sample.max_draw_a, sample.grid_a - sample.min_draw_a
    lasting_a = min(low_a, previous.min_house_a) if sample.confirms_rise else low_a
    house_a = high_a if previous.house_a is None else min(max(previous.house_a, lasting_a), high_a)
    peak_duration_s = PEAK_S if sample.sustained_limit_a is None else RARE_PEAK_S
    peaks = (*(p for p in previous.peaks if p[0] > now_s - peak_duration_s and p[1] > house_a), (now_s, house_a))
    overloaded = sample.overrun or house_a + max(sample.offered_a, sample.min_draw_a) > sample.limit_a
    overloaded_at_s = now_s if overloaded else previous.overloaded_at_s
    left_a = max(0.0, sample.limit_a - house_a)
    surely_a = lasting_room_a(sample, peaks)

    def at(current_a: float, stepped_at_s: float = previous.stepped_at_s) -> PhaseCapacity:
        return PhaseCapacity(current_a, overloaded_at_s, stepped_at_s, house_a, peaks, low_a)

    if sample.max_draw_a < IDLE_A:
        return at(surely_a)
    if left_a < previous.current_a:
        return at(left_a)
    room_a = surely_a - previous.current_a
    calm = now_s - overloaded_at_s >= CALM_S and now_s - previous.stepped_at_s >= STEP_UP_EVERY_S
    if room_a <= 0.0 or not calm:
        return at(previous.current_a)
    return at(previous.current_a + min(STEP_UP_A, room_a), now_s)


def lasting_room_a(sample: PhaseSample, peaks: tuple[tuple[float, float], ...]) -> float:
    """The current in amperes that the house left free during all of the last 25 s; with a slow source, of 15 minutes.

    `peaks` are those of `PhaseCapacity` after this sample.
    """
    high_a = sample.grid_a - sample.min_draw_a
    recent_a = next((peak_a for at_s, peak_a in peaks if at_s > sample.now_s - PEAK_S), high_a)
    surely_a = max(0.0, sample.limit_a - max(high_a, recent_a))
    if sample.sustained_limit_a is None:
        return surely_a
    highest_a = peaks[0][1] if peaks else high_a
    return max(0.0, min(surely_a, sample.sustained_limit_a - highest_a))
