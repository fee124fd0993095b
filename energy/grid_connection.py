"""The connection shared with the house as commissioned, and the current that it leaves for the EVSEs."""

from __future__ import annotations

from energy.failsafe import MINIMUM_AFTER_S, PAUSE_AFTER_S, FailsafeSteps
from energy.limit import LimitSource
from foundation.frozen import Frozen
from metering.reading import Phases


class GridConnection(Frozen):
    """The house connection, as commissioned: its phases and limits, for house and EVSEs together."""

    phases: int
    """1 or 3"""
    safe_current_a: float
    """what the EVSEs may draw together while the house's consumption is unknown, amperes per phase"""
    max_current_a: float | None = None
    """limit in amperes per phase, besides the limits that the meter reports"""
    breaker: str = "C"
    """curve of the breaker behind `max_current_a` if no Linky reports its own cut-off (IEC 60898-1: B or C)"""
    unbalance_a: float | None = None
    """highest unbalance between phases by single-phase vehicles (VDE-AR-N 4100: 20 A, 4.6 kVA)"""
    silent_least_after_s: float = MINIMUM_AFTER_S
    """seconds of the meter's silence after which only 6 A remain for all EVSEs together"""
    silent_pause_after_s: float | None = PAUSE_AFTER_S
    """seconds of the meter's silence after which all charging pauses; None: never"""

    def failsafe(self, limit_a: float | None) -> FailsafeSteps:
        """The steps of the limit while the meter is silent; none exceeds the connection's own limit (None: unknown)."""
        safe_a = self.safe_current_a if limit_a is None else min(self.safe_current_a, limit_a)
        return FailsafeSteps(safe_a, self.silent_least_after_s, self.silent_pause_after_s)


class AvailableCurrent(Frozen):
    """The current available to all EVSEs together, amperes per grid phase, and the source of this limit."""

    currents_a: Phases[float]
    source: LimitSource
    next_change_s: float | None = None
    """when it may change next (monotonic), besides with the house's consumption; None: not known"""
