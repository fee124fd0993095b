"""The control law of load management: what the house draws → what is left for the vehicles. Pure.

Per phase, once per fresh sample: capacity = limit − house, where house = grid current − what our EVSEs drew when the
sample was taken. That moment is not known exactly; so the draw that belongs to a sample lies between two bounds
(draw.py), and so does the house. The law keeps its earlier estimate where it lies
between them, and moves it to the nearer bound where it does not: what our own vehicles do on their way to a pilot that
has been changed already is never taken for the house (no excess is subtracted twice), and a load that comes meanwhile
is answered at once.

Down: the whole predicted excess, at once; what only a single sample of a fast source shows (a motor that starts) is
waited out for that one second where the protection has seconds enough. Up: the room that the house left over all of
the last 25 s, at most 4 A a step, at most every 5 s, after 30 s without overload. A load that comes and goes (a hob, an
oven's thermostat) hence keeps the vehicle steady below its peaks in place of chasing it. A source that speaks every ten
seconds shows few of a hob's packets: the largest of the last quarter of an hour may come again unseen at any moment,
and together with it no more is given than the protection bears for ever.
"""

from __future__ import annotations

import math

from foundation.frozen import frozen

CALM_S = 30.0
"""how long there must have been no overload before more is given"""
PEAK_S = 25.0
"""over which the house's peak counts: the packets of a hob come in every ten seconds"""
RARE_PEAK_S = 900.0
"""the same for what a source shows too seldom to show each packet: what it met once comes again unseen"""
STEP_UP_A = 4.0
"""the most that is given at once"""
STEP_UP_EVERY_S = 5.0
IDLE_A = 1.0
"""vehicles that draw less than this do not charge: nothing has to be given to them slowly"""


@frozen
class PhaseSample:
    """One fresh sample, as far as it concerns one phase; amperes, seconds of a monotonic clock."""

    limit_a: float
    """what the connection carries"""
    grid_a: float
    """what house and EVSEs draw together; negative when exported"""
    min_draw_a: float
    """the least that our EVSEs drew in the time of the sample"""
    max_draw_a: float
    offered_a: float
    """what the pilots allow our vehicles to draw now: the draw that is ordered already"""
    now_s: float
    overrun: bool = False
    """the meter itself speaks of an overload, or cannot measure so much: nothing more is given"""
    sustained_limit_a: float | None = None
    """what the protection bears for ever, at a source that speaks seldom: no peak of `RARE_PEAK_S` may exceed it"""
    confirms_rise: bool = False
    """the next sample comes soon enough to see whether a rise of the house lasts"""


@frozen
class PhaseCapacity:
    """What is left on one phase, and what the law remembers of it from one sample to the next."""

    current_a: float
    overloaded_at_s: float
    """when the phase was last overloaded, as far as the law knows"""
    stepped_at_s: float
    house_a: float | None = None
    """what the house draws by the best estimate; None before the first sample"""
    peaks: tuple[tuple[float, float], ...] = ()
    """moments and estimates that no later one exceeds, of the last `PEAK_S`, or `RARE_PEAK_S`"""
    min_house_a: float = math.inf
    """what the house drew at least by the last sample"""


def update_capacity(previous: PhaseCapacity, sample: PhaseSample) -> PhaseCapacity:
    """What is left on one phase after a fresh sample."""
    now_s = sample.now_s
    low_a, high_a = sample.grid_a - sample.max_draw_a, sample.grid_a - sample.min_draw_a
    lasting_a = min(low_a, previous.min_house_a) if sample.confirms_rise else low_a
    house_a = high_a if previous.house_a is None else min(max(previous.house_a, lasting_a), high_a)
    kept_s = PEAK_S if sample.sustained_limit_a is None else RARE_PEAK_S
    peaks = (*(p for p in previous.peaks if p[0] > now_s - kept_s and p[1] > house_a), (now_s, house_a))
    overloaded = sample.overrun or house_a + max(sample.offered_a, sample.min_draw_a) > sample.limit_a
    overloaded_at_s = now_s if overloaded else previous.overloaded_at_s
    left_a = max(0.0, sample.limit_a - house_a)
    surely_a = max(0.0, sample.limit_a - max(high_a, next(a for s, a in peaks if s > now_s - PEAK_S)))
    if sample.sustained_limit_a is not None:
        surely_a = max(0.0, min(surely_a, sample.sustained_limit_a - peaks[0][1]))

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
