"""A limit for all EVSEs together, divided among those that want some of it, and held at any moment (K04.FR.05).

What vehicles draw that may not, or not so much any more, is not there yet. But whoever has a share has the least
current at once and keeps it while another stops: no charge is broken off, and a newcomer's is told as such at once
(Part 6, EnergyTransferStarted). That is 6 A too much for each, for the 5 s of IEC 61851-1 as a rule. A welded contactor
never ends it: then the others wait.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from energy.demand import CHARGING_THRESHOLD_A, Demand
from energy.sharing import Bound, alone_a, bounds_after_draw, raise_after_others
from energy.vehicle_use import VehicleUses
from foundation.constants import MINIMUM_CURRENT_A

ENDS_WITHIN_S = 60.0
"""who draws without a right for longer does not stop by itself"""


class SharedLimitAllocator:
    """Divides one limit from one moment to the next, and remembers for how long it has been exceeded."""

    def __init__(self, uses: VehicleUses) -> None:
        self._uses = uses
        self._short_since_s = math.inf

    def divide(
        self, bounds: Sequence[Bound], demands: Sequence[Demand], wanted_a: Mapping[int, float], now_s: float
    ) -> dict[int, float]:
        """The share of each EVSE that wants some, which are those of `wanted_a`, the first served first."""
        order = list(wanted_a)
        drawn = {demand.evse_id: demand.max_current_a for demand in demands}
        taken = {evse_id: drawn_a for evse_id, drawn_a in drawn.items() if evse_id not in wanted_a}
        left = self._left(bounds, taken, order, now_s)
        if len(order) > 1:
            shares = self._uses.share(left, wanted_a, order)
        else:
            shares = {evse_id: alone_a(left, evse_id) for evse_id in order}
        offered = {demand.evse_id: demand.offered_a for demand in demands}
        return raise_after_others(shares, left, drawn, offered, least_a=MINIMUM_CURRENT_A)

    def _left(
        self, bounds: Sequence[Bound], taken_a: Mapping[int, float], order: Sequence[int], now_s: float
    ) -> list[Bound]:
        """What those that have no right to it leave to the others: for a while at least the least current for each."""
        free = bounds_after_draw(bounds, taken_a)
        least = [min(bound.capacity, MINIMUM_CURRENT_A * bound.weight_of(order)) for bound in bounds]
        charge = [evse_id for evse_id, drawn_a in taken_a.items() if drawn_a >= CHARGING_THRESHOLD_A]
        rows = list(zip(free, least, strict=True))
        short = any(bound.capacity < least_a and bound.weight_of(charge) > 0.0 for bound, least_a in rows)
        self._short_since_s = min(self._short_since_s, now_s) if short else math.inf
        if now_s - self._short_since_s >= ENDS_WITHIN_S:
            return free
        return [replace(bound, capacity=max(bound.capacity, least_a)) for bound, least_a in rows]
