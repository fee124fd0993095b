"""Checks whether a vehicle follows its pilot, with the 5 s that it has to do so (IEC 61851-1). Pure.

The highest offer of the last 5 s counts, so that an offer that falls repeatedly, while a house switches on one load
after the other, is not reported as a fault of a vehicle that takes its 5 s each time.
"""

from __future__ import annotations

from foundation.constants import VEHICLE_RESPONSE_S
from foundation.frozen import Frozen

TOLERANCE_A = 1.5
"""a vehicle that draws more than this above its offer does not follow; meters and pilots differ by less"""


class OfferHistory(Frozen):
    """The highest currents that an EVSE's pilot offered in the last 5 s. Immutable: `after` gives a new object."""

    peaks: tuple[tuple[float, float], ...] = ()
    """(time, amperes), without those that a later one exceeds; times in s (monotonic)"""

    def after(self, offered_a: float, now_s: float) -> OfferHistory:
        """Return the history after one more offer, in amperes."""
        recent = (peak for peak in self.peaks if peak[0] > now_s - VEHICLE_RESPONSE_S and peak[1] > offered_a)
        return OfferHistory((*recent, (now_s, offered_a)))

    def exceeded_by(self, drawn_a: float) -> bool:
        """Return whether a draw exceeds all offers of the last 5 s by more than the tolerance."""
        return bool(self.peaks) and drawn_a > self.peaks[0][1] + TOLERANCE_A
