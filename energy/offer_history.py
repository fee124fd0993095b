"""Whether a vehicle follows its pilot: it has 5 s (IEC 61851-1), so the most that was offered in them counts. Pure.

An offer that falls again and again, as while a house switches on one load after the other, is not to make a fault of a
vehicle that takes its 5 s each time.
"""

from __future__ import annotations

from foundation.constants import VEHICLE_RESPONSE_S
from foundation.frozen import frozen

TOLERANCE_A = 1.5
"""a vehicle that draws so much more than it was offered does not follow: what meters and pilots differ by is less"""


@frozen
class OfferHistory:
    """What a pilot has offered in the time that a vehicle has to follow. A value: each look makes a new one."""

    peaks: tuple[tuple[float, float], ...] = ()
    """moments (s, monotonic) and amperes that no later one exceeds"""

    def after(self, offered_a: float, now_s: float) -> OfferHistory:
        """This with what is offered now."""
        recent = (peak for peak in self.peaks if peak[0] > now_s - VEHICLE_RESPONSE_S and peak[1] > offered_a)
        return OfferHistory((*recent, (now_s, offered_a)))

    def exceeded_by(self, drawn_a: float) -> bool:
        """Whether a vehicle that draws so much has had its time to follow, and has not."""
        return bool(self.peaks) and drawn_a > self.peaks[0][1] + TOLERANCE_A
