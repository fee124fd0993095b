"""Divides a limit for all EVSEs together among those that want energy, and keeps it at any moment (K04.FR.05).

Current still drawn by vehicles that are no longer entitled to it is not available yet. But each EVSE with a share gets
6 A at once and keeps them while another one stops: no charge is interrupted, and a new vehicle starts at once (Part 6,
EnergyTransferStarted). The limit is then exceeded by up to 6 A each, as a rule for the 5 s of IEC 61851-1. A welded
contactor never stops drawing: after a while the others wait.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from energy.demand import CHARGING_THRESHOLD_A, Demand
from energy.sharing import Bound, alone_a, bounds_after_draw, raise_after_others
from energy.vehicle_use import VehicleUses
from foundation.constants import MINIMUM_CURRENT_A

ENDS_WITHIN_S = 60.0
"""a vehicle that draws without a share for longer will not stop by itself"""


class SharedLimitAllocator:
    """Divides one limit for all EVSEs together, at each decision; one object per source of limits.

    Between decisions it keeps since when vehicles without a share have left the others less than 6 A.
    """

    def __init__(self, uses: VehicleUses) -> None:
        self._uses = uses
        self._short_since_s = math.inf

    def divide(
        self, bounds: Sequence[Bound], demands: Sequence[Demand], demand_a: Mapping[int, float], now_s: float
    ) -> dict[int, float]:
        """Compute the share of each EVSE in `demand_a`, amperes per phase.

        `demand_a` is what each EVSE that wants energy could use, in order of service; `now_s` is monotonic.
        """
        order = list(demand_a)
        drawn = {demand.evse_id: demand.max_current_a for demand in demands}
        drawn_by_others_a = {evse_id: drawn_a for evse_id, drawn_a in drawn.items() if evse_id not in demand_a}
        left = self._bounds_left(bounds, drawn_by_others_a, order, now_s)
        if len(order) > 1:
            shares = self._uses.share(left, demand_a, order)
        else:
            shares = {evse_id: alone_a(left, evse_id) for evse_id in order}
        offered = {demand.evse_id: demand.offered_a for demand in demands}
        return raise_after_others(shares, left, drawn, offered, least_a=MINIMUM_CURRENT_A)

    def _bounds_left(
        self, bounds: Sequence[Bound], drawn_by_others_a: Mapping[int, float], order: Sequence[int], now_s: float
    ) -> list[Bound]:
        """The capacity left by EVSEs without a share: for a while at least 6 A for each of the others."""
        free = bounds_after_draw(bounds, drawn_by_others_a)
        least = [min(bound.capacity, MINIMUM_CURRENT_A * bound.weight_of(order)) for bound in bounds]
        charge = [evse_id for evse_id, drawn_a in drawn_by_others_a.items() if drawn_a >= CHARGING_THRESHOLD_A]
        rows = list(zip(free, least, strict=True))
        short = any(bound.capacity < least_a and bound.weight_of(charge) > 0.0 for bound, least_a in rows)
        self._short_since_s = min(self._short_since_s, now_s) if short else math.inf
        if now_s - self._short_since_s >= ENDS_WITHIN_S:
            return free
        return [replace(bound, capacity=max(bound.capacity, least_a)) for bound, least_a in rows]
