"""One phase of the house connection at the last sample of its meter, for explanations."""

from __future__ import annotations

from energy.balancer import PhaseCapacity, PhaseSample
from foundation.frozen import Frozen


class PhaseState(Frozen):
    """One phase of the house connection at the last fresh sample: what the control law got, and what it decided."""

    index: int
    """0 to 2"""
    limit_a: float
    """limit of the connection, amperes"""
    sample: PhaseSample
    capacity: PhaseCapacity
    available_a: float
    """current available to all EVSEs together, amperes"""

    @property
    def house_a(self) -> float:
        """Current of the house without the EVSEs, amperes; negative when it feeds in."""
        return self.capacity.house_a or 0.0

    @property
    def room_a(self) -> float:
        """What the house leaves below limit and reserve now, amperes; negative: it exceeds them."""
        return self.sample.limit_a - self.house_a
