"""Whether a vehicle follows its pilot: it must within 5 s (IEC 61851-1), and one that does not is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.offer_history import TOLERANCE_A, OfferHistory

if TYPE_CHECKING:
    from foundation.clock import Clock

_FOLLOW_S = 10.0
"""a vehicle that has drawn too much for so long is cut off, …"""
_OF_EACH_S = 5.0
"""… but while the offer falls again and again only one that has had its time for a step, and as long again"""


class PilotComplianceMonitor:
    """Compares what the meter shows with what is offered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offers = OfferHistory()
        self._too_much_since_s: float | None = None
        self._not_followed_since_s: float | None = None

    def exceeds(self, draw_a: float | None, offered_a: float) -> bool:
        """Whether the vehicle has drawn too much for too long; `offered_a` 0 is no offer, which proves nothing."""
        now_s = self._clock.monotonic()
        self._offers = self._offers.after(offered_a, now_s)
        if draw_a is None or offered_a == 0.0 or draw_a <= offered_a + TOLERANCE_A:
            self._too_much_since_s = self._not_followed_since_s = None
            return False
        if self._too_much_since_s is None:
            self._too_much_since_s = now_s
        if not self._offers.exceeded_by(draw_a):
            self._not_followed_since_s = None
            return False
        if self._not_followed_since_s is None:
            self._not_followed_since_s = now_s
        return now_s - self._too_much_since_s >= _FOLLOW_S and now_s - self._not_followed_since_s >= _OF_EACH_S
