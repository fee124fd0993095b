"""Tracks how vehicles use their offers: what some leave unused is given to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from energy.demand import CHARGING_THRESHOLD_A, Demand
from energy.offer_history import TOLERANCE_A, OfferHistory
from energy.sharing import Bound, Policy, share, share_conductor, spread_remainder
from foundation.constants import MINIMUM_CURRENT_A

_UNUSED_OFFER_A = 1.5
"""a vehicle that draws this much less than its pilot allows does not use its offer"""
_UNUSED_OFFER_AFTER_S = 30.0
"""time after which its unused part is given to others"""
_RESERVE_A = 2.0
"""reserve above its draw that it keeps, so that it can show that it would take more"""
_ASLEEP_AFTER_S = 60.0
"""a vehicle that draws nothing for this long although it may is full or asleep: it is served last"""
_IGNORES_PILOT_AFTER_S = 5.0
"""a vehicle that exceeds all offers of this time, for this time, does not follow its pilot"""


class _VehicleUse(Struct):
    """Use of the offer by the vehicle at an EVSE: start of each state (monotonic); None: not in that state."""

    drawn_a: float = 0.0
    less_since_s: float | None = None
    idle_since_s: float | None = None
    more_since_s: float | None = None
    offers: OfferHistory = field(default_factory=OfferHistory)

    def update(self, demand: Demand, now_s: float) -> None:
        """Update the states by the present draw and offer."""
        self.drawn_a, offered_a = demand.max_current_a, demand.offered_a
        offers = demand.may_charge and offered_a >= MINIMUM_CURRENT_A
        self.less_since_s = _start_of_state(
            self.less_since_s, offers and self.drawn_a < offered_a - _UNUSED_OFFER_A, now_s
        )
        self.idle_since_s = _start_of_state(self.idle_since_s, offers and self.drawn_a < CHARGING_THRESHOLD_A, now_s)
        self.more_since_s = _start_of_state(self.more_since_s, offers and self.drawn_a > offered_a + TOLERANCE_A, now_s)
        self.offers = self.offers.after(offered_a, now_s)


class VehicleUses:
    """Tracks how the vehicle at each EVSE uses the current that it is offered, and divides capacity accordingly.

    What a vehicle leaves unused for a while is given to the others.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._uses: dict[int, _VehicleUse] = {}
        self._now_s = 0.0

    def update(self, demands: Sequence[Demand], now_s: float) -> None:
        """Record the draw and offer of all EVSEs at `now_s` (monotonic), the reference time until the next update."""
        self._now_s = now_s
        for demand in demands:
            self._uses.setdefault(demand.evse_id, _VehicleUse()).update(demand, now_s)

    def ignores_pilot(self, evse_id: int) -> bool:
        """Return whether the vehicle at this EVSE draws more than its pilot offers although it had 5 s to follow."""
        use = self._use_of(evse_id)
        return self._has_lasted(use.more_since_s, _IGNORES_PILOT_AFTER_S) and use.offers.exceeded_by(use.drawn_a)

    def is_asleep(self, evse_id: int) -> bool:
        """Return whether the vehicle has drawn nothing for a minute although it may: it is full, or asleep."""
        return self._has_lasted(self._use_of(evse_id).idle_since_s, _ASLEEP_AFTER_S)

    def share(self, bounds: Sequence[Bound], demand_a: Mapping[int, float], order: Sequence[int]) -> dict[int, float]:
        """Divide capacity, as `sharing.share`: first what each vehicle uses, then the rest to those that can use it."""
        used: Mapping[int, float] = demand_a
        for evse_id in order:
            use = self._uses.get(evse_id)
            if use is not None and self._has_lasted(use.less_since_s, _UNUSED_OFFER_AFTER_S):
                most_a = max(MINIMUM_CURRENT_A, use.drawn_a + _RESERVE_A)
                if most_a < demand_a[evse_id]:
                    used = {**used, evse_id: most_a}
        if (
            used is demand_a
            and len(bounds) == 1
            and (capacity_a := _equal_weight_limit_a(bounds[0], order)) is not None
        ):
            return share_conductor(capacity_a, demand_a, order, self.policy)
        return spread_remainder(share(bounds, used, order, self.policy), bounds, demand_a)

    def _use_of(self, evse_id: int) -> _VehicleUse:
        return self._uses.get(evse_id) or _VehicleUse()

    def _has_lasted(self, since_s: float | None, seconds: float) -> bool:
        return since_s is not None and self._now_s - since_s >= seconds


def _start_of_state(since_s: float | None, in_state: bool, now_s: float) -> float | None:
    if not in_state:
        return None
    return now_s if since_s is None else since_s


def _equal_weight_limit_a(bound: Bound, order: Sequence[int]) -> float | None:
    """The capacity of a bound in amperes if these EVSEs have equal weights on it; else None."""
    weight = 0.0
    for evse_id in order:
        own = bound.weights.get(evse_id, 0.0)
        if own == 0.0 or own != (weight or own):
            return None
        weight = own
    return bound.capacity / weight if weight else None
