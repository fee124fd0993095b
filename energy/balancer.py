"""The control law of load management: what the house draws → what is left for the vehicles. Pure.

Per phase, once per fresh sample: capacity = limit − house, where house = grid current − what our EVSEs drew when the
sample was taken. That moment is known to a second or two only; so the draw that belongs to a sample lies between the
least and the most of that time, and the house between two bounds. The law keeps its earlier estimate where it lies
between them, and moves it to the nearer bound where it does not: what our own vehicles do on their way to a pilot that
has been changed already is never taken for the house (no excess is subtracted twice), and a load that comes meanwhile
is answered at once.

Down: the whole predicted excess, at once; what only a single sample of a fast source shows (a motor that starts) is
waited out for that one second where the protection has seconds enough. Up: half of the room that the house left over all of the last half minute,
at most 4 A a step, at most every 5 s, after 30 s without overload. A load that comes and goes (a hob, an oven's
thermostat) hence keeps the vehicle steady below its peaks in place of chasing it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from metering.reading import Phases

FOLLOW_S = 5.0
"""how long a vehicle may take to follow the pilot (IEC 61851-1)"""
CALM_S = 30.0
"""how long there must have been no overload before more is given, and over which the house's peak counts"""
STEP_UP_A = 4.0
"""the most that is given at once"""
STEP_UP_EVERY_S = 5.0
SMALLEST_STEP_A = 0.5
"""half of a room that is smaller than this is not worth a change of the pilot: give it all"""
IDLE_A = 1.0
"""vehicles that draw less than this do not charge: nothing has to be given to them slowly"""
_AVERAGED_S = 1.0
"""a meter's current is the mean square of a second (Linky: CPT_54E, Modbus meters alike)"""
_OLDEST_S = 3.5
"""the longest frame takes 2.3 s (linky-tic §10): no sample is older than this when it comes"""


def sample_age_s(period_s: float) -> float:
    """How old a sample may be when it comes from a source with something new every `period_s`."""
    return min(_OLDEST_S, _AVERAGED_S + 1.2 * period_s)


@dataclass(frozen=True, slots=True)
class Draw:
    """The least and the most that our EVSEs drew in the last seconds, amperes per phase."""

    least_a: Phases[float]
    most_a: Phases[float]


NO_DRAW = Draw(Phases(0.0, 0.0, 0.0), Phases(0.0, 0.0, 0.0))


class DrawHistory:
    """What our EVSEs drew in the time that a sample may be old."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Draw]] = deque()

    def add(self, now_s: float, draw: Draw) -> None:
        """Our EVSEs draw this now: as much as is known of what each phase has of it."""
        self._seen.append((now_s, draw))
        while len(self._seen) > 1 and self._seen[1][0] <= now_s - _OLDEST_S:
            self._seen.popleft()

    def window(self, since_s: float) -> Draw:
        """The least and the most since a moment; nothing where nothing is known."""
        untils = [at_s for at_s, _ in self._seen][1:]
        seen = [draw for (_, draw), until_s in zip(self._seen, [*untils, since_s], strict=False) if until_s >= since_s]
        least, most = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        for phase in range(3):
            least[phase] = min((tuple(draw.least_a)[phase] for draw in seen), default=0.0)
            most[phase] = max((tuple(draw.most_a)[phase] for draw in seen), default=0.0)
        return Draw(Phases(*least), Phases(*most))

    @property
    def latest(self) -> Draw:
        """What they drew last."""
        return self._seen[-1][1] if self._seen else NO_DRAW


@dataclass(frozen=True, slots=True)
class Look:
    """One fresh sample, as far as it concerns one phase; amperes, seconds of a monotonic clock."""

    limit_a: float
    """what the connection carries"""
    grid_a: float
    """what house and EVSEs draw together; negative when exported"""
    least_draw_a: float
    """the least that our EVSEs drew in the time of the sample"""
    most_draw_a: float
    offered_a: float
    """what the pilots allow our vehicles to draw now: the draw that is ordered already"""
    now_s: float
    overrun: bool = False
    """the meter itself speaks of an overload, or cannot measure so much: nothing more is given"""
    patient: bool = False
    """the next sample comes soon enough to see whether a rise of the house lasts"""


@dataclass(frozen=True, slots=True)
class PhaseCapacity:
    """What is left on one phase, and what the law remembers of it from one sample to the next."""

    current_a: float
    overloaded_at_s: float
    """when the phase was last overloaded, as far as the law knows"""
    stepped_at_s: float
    house_a: float | None = None
    """what the house draws by the best estimate; None before the first sample"""
    peaks: tuple[tuple[float, float], ...] = ()
    """moments and estimates that no later one exceeds, of the last `CALM_S`"""
    low_a: float = math.inf
    """what the house drew at least by the last sample"""


def balance(before: PhaseCapacity, look: Look) -> PhaseCapacity:
    """What is left on one phase after a fresh sample."""
    now_s = look.now_s
    low_a, high_a = look.grid_a - look.most_draw_a, look.grid_a - look.least_draw_a
    lasting_a = min(low_a, before.low_a) if look.patient else low_a
    house_a = high_a if before.house_a is None else min(max(before.house_a, lasting_a), high_a)
    peaks = (*(p for p in before.peaks if p[0] > now_s - CALM_S and p[1] > house_a), (now_s, house_a))
    overloaded = look.overrun or house_a + max(look.offered_a, look.least_draw_a) > look.limit_a
    overloaded_at_s = now_s if overloaded else before.overloaded_at_s
    left_a = max(0.0, look.limit_a - house_a)
    surely_a = max(0.0, look.limit_a - max(high_a, peaks[0][1]))

    def at(current_a: float, stepped_at_s: float = before.stepped_at_s) -> PhaseCapacity:
        return PhaseCapacity(current_a, overloaded_at_s, stepped_at_s, house_a, peaks, low_a)

    if look.most_draw_a < IDLE_A:
        return at(surely_a)
    if left_a < before.current_a:
        return at(left_a)
    room_a = surely_a - before.current_a
    calm = now_s - overloaded_at_s >= CALM_S and now_s - before.stepped_at_s >= STEP_UP_EVERY_S
    if room_a <= 0.0 or not calm:
        return at(before.current_a)
    step_a = room_a if room_a < SMALLEST_STEP_A else min(STEP_UP_A, room_a / 2)
    return at(before.current_a + step_a, now_s)
