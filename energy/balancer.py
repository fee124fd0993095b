"""The control law of load management: what the house draws → what is left for the vehicles. Pure.

Per phase, once per fresh sample: capacity = limit − (grid current − what our EVSEs draw). A vehicle has 5 s to
follow the pilot (IEC 61851-1), and a grid meter tells with a delay; so the draw that belongs to a sample lies
between the least and the most of the last seconds. Downward the most is believed, upward the least: that way no
excess is subtracted twice, and no room is given twice.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from metering.reading import Phases

FOLLOW_S = 5.0
"""how long a vehicle may take to follow the pilot (IEC 61851-1)"""
CALM_S = 30.0
"""how long there must have been no overload before more is given"""
STEP_UP_A = 4.0
"""the most that is given at once"""
STEP_UP_EVERY_S = 5.0
SMALLEST_STEP_A = 0.5
"""half of a room that is smaller than this is not worth a change of the pilot: give it all"""
IDLE_A = 1.0
"""vehicles that draw less than this do not charge: nothing has to be given to them slowly"""


@dataclass(frozen=True, slots=True)
class Draw:
    """The least and the most that our EVSEs drew in the last seconds, amperes per phase."""

    least_a: Phases[float]
    most_a: Phases[float]


class DrawHistory:
    """What our EVSEs drew while the vehicles may still have been following."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Phases[float]]] = deque()

    def add(self, now_s: float, draw_a: Phases[float]) -> None:
        """Our EVSEs draw this now."""
        self._seen.append((now_s, draw_a))
        while len(self._seen) > 1 and self._seen[1][0] <= now_s - FOLLOW_S:
            self._seen.popleft()

    def window(self) -> Draw:
        """The least and the most of the last seconds; nothing where nothing is known."""
        seen = [draw_a for _, draw_a in self._seen] or [Phases(0.0, 0.0, 0.0)]
        l1, l2, l3 = [[values[phase] for values in map(tuple, seen)] for phase in range(3)]
        return Draw(Phases(min(l1), min(l2), min(l3)), Phases(max(l1), max(l2), max(l3)))


@dataclass(frozen=True, slots=True)
class PhaseCapacity:
    """What is left on one phase, and what the law remembers of it from one sample to the next."""

    current_a: float
    overloaded_at_s: float
    """when the phase was last overloaded, as far as the law knows"""
    stepped_at_s: float


def balance(
    before: PhaseCapacity, limit_a: float, grid_a: float, least_draw_a: float, most_draw_a: float, now_s: float
) -> PhaseCapacity:
    """What is left on one phase after a fresh sample.

    Args:
        before: what was left before the sample.
        limit_a: what the connection carries, amperes.
        grid_a: what the house and our EVSEs draw together, amperes.
        least_draw_a: the least that our EVSEs drew in the last `FOLLOW_S`.
        most_draw_a: the most that they drew then.
        now_s: the time of the sample (monotonic).
    """
    at_most_a = max(0.0, limit_a - (grid_a - most_draw_a))
    surely_a = max(0.0, limit_a - (grid_a - least_draw_a))
    if most_draw_a < IDLE_A:
        return PhaseCapacity(surely_a, before.overloaded_at_s, before.stepped_at_s)
    overloaded_at_s = now_s if grid_a > limit_a else before.overloaded_at_s
    if at_most_a < before.current_a:
        return PhaseCapacity(at_most_a, now_s, before.stepped_at_s)
    room_a = surely_a - before.current_a
    calm = now_s - overloaded_at_s >= CALM_S and now_s - before.stepped_at_s >= STEP_UP_EVERY_S
    if room_a <= 0.0 or not calm:
        return PhaseCapacity(before.current_a, overloaded_at_s, before.stepped_at_s)
    step_a = room_a if room_a < SMALLEST_STEP_A else min(STEP_UP_A, room_a / 2)
    return PhaseCapacity(before.current_a + step_a, overloaded_at_s, now_s)
