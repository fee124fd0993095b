"""Detects a vehicle that exceeds the current offered by the pilot; it must follow within 5 s (IEC 61851-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.offer_history import TOLERANCE_A, OfferHistory

if TYPE_CHECKING:
    from foundation.clock import Clock

_EXCEEDED_S = 10.0
"""a vehicle that exceeds the offer for this long is cut off"""
_NOT_FOLLOWED_S = 5.0
"""it must also exceed, for this long, all offers that it had time to follow: relevant while the offer falls often"""


class PilotComplianceMonitor:
    """Watches whether a vehicle draws more than the pilot offers; fed with each meter reading by its EVSE."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offers = OfferHistory()
        self._exceeded_since_s: float | None = None
        self._not_followed_since_s: float | None = None

    def exceeds(self, draw_a: float | None, offered_a: float) -> bool:
        """Add a measurement, and return whether the vehicle has exceeded the offer for too long (10 s).

        Highest current drawn and offered on a phase, in A; `offered_a` 0 means no offer and is not judged.
        """
        now_s = self._clock.monotonic()
        if offered_a > 0.0:
            self._offers = self._offers.after(offered_a, now_s)
        if draw_a is None or offered_a == 0.0 or draw_a <= offered_a + TOLERANCE_A:
            self._exceeded_since_s = self._not_followed_since_s = None
            return False
        if self._exceeded_since_s is None:
            self._exceeded_since_s = now_s
        if not self._offers.exceeded_by(draw_a):
            self._not_followed_since_s = None
            return False
        if self._not_followed_since_s is None:
            self._not_followed_since_s = now_s
        return now_s - self._exceeded_since_s >= _EXCEEDED_S and now_s - self._not_followed_since_s >= _NOT_FOLLOWED_S
