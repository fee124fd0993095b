"""Whether a vehicle follows its pilot: it must within 5 s (IEC 61851-1), and one that does not is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metering.clock import Clock

_FOLLOW_S = 10.0
_TOLERANCE_A = 1.5
"""a vehicle that draws so much more than offered for so long does not follow its pilot"""


class DrawWatch:
    """Compares what the meter shows with what is offered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._too_much_since_s: float | None = None

    def exceeds(self, draw_a: float | None, offered_a: float) -> bool:
        """Whether the vehicle has drawn too much for too long; `offered_a` 0 is no offer, which proves nothing."""
        if draw_a is None or offered_a == 0.0 or draw_a <= offered_a + _TOLERANCE_A:
            self._too_much_since_s = None
            return False
        now_s = self._clock.monotonic()
        if self._too_much_since_s is None:
            self._too_much_since_s = now_s
        return now_s - self._too_much_since_s >= _FOLLOW_S
