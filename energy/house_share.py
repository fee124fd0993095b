"""Divides the current that the house leaves among EVSEs: bridges short shortages at 6 A, pauses for long ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from energy.demand import Demand
from energy.pausing import PAUSE_AFTER_S, SUSTAINABLE_PAUSE_AFTER_S, PauseState, pause_or_allow, start_pause
from energy.sharing import Bound, alone_a, bounds_after_draw, raise_after_others
from energy.vehicle_use import VehicleUses
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen
from metering.reading import Phases

_RESUME_SPARE_A = 1.5
"""a pause ends only if this much more than 6 A is available"""


class HouseCapacity(Frozen):
    """Input of `HouseAllocator.divide`: the current that the house leaves per phase, and the EVSEs that want some."""

    now_s: float
    available_a: Phases[float]
    """available current on each grid phase"""
    urgent: frozenset[int]
    """grid phases on which the protection would trip before a vehicle has followed its pilot"""
    sustainable: frozenset[int]
    """grid phases on which the connection bears the present current indefinitely"""
    demands: Sequence[Demand]
    loaded_phases: Mapping[int, frozenset[int]]
    """per EVSE the grid phases that its vehicle loads or would load"""
    demand_a: Mapping[int, float]
    """per EVSE that wants energy the current that its other limits allow"""
    order: Sequence[int]
    """these EVSEs in order of service"""

    @property
    def bounds(self) -> list[Bound]:
        """The available current on each phase, less what vehicles draw that are not entitled to any more."""
        bounds = [
            Bound(left_a, {evse_id: 1.0 for evse_id, phases in self.loaded_phases.items() if phase in phases})
            for phase, left_a in enumerate(self.available_a)
        ]
        return bounds_after_draw(
            bounds,
            {demand.evse_id: demand.max_current_a for demand in self.demands if demand.evse_id not in self.demand_a},
        )


class HouseAllocation(Frozen):
    """The share of an EVSE in the current that the house leaves."""

    current_a: float
    """amperes per phase; 0: it is paused or waits"""
    next_change_s: float | None = None
    """when the share may change next (monotonic); None: with the house's consumption"""
    open_now: bool = False
    """open the contactor at once: the connection would trip before the vehicle has followed"""


class HouseDivision(Frozen):
    """A division of the current that the house leaves: what was divided, and the share of each EVSE by its id."""

    house: HouseCapacity
    shares: Mapping[int, HouseAllocation]


class HouseAllocator:
    """Divides the current that the house leaves, at each decision, and keeps each EVSE's pause between decisions."""

    def __init__(self, uses: VehicleUses) -> None:
        self._uses = uses
        self._pauses: dict[int, PauseState] = {}
        self._allocated_a: dict[int, float] = {}
        self._waiting_ids: frozenset[int] = frozenset()
        self.last_division: HouseDivision | None = None
        """None before the first one"""

    @property
    def unserved(self) -> frozenset[int]:
        """The ids of the EVSEs that got no share although their other limits allow one: paused, or waiting to start."""
        return self._waiting_ids | {evse_id for evse_id, pause in self._pauses.items() if pause.paused}

    def pause_of(self, evse_id: int) -> PauseState:
        """The shortage or pause of an EVSE after the last division."""
        return self._pauses.get(evse_id, PauseState())

    def divide(self, house: HouseCapacity) -> dict[int, HouseAllocation]:
        """Compute the share of each EVSE and update its pause; one that wants nothing gets what it could have."""
        bounds = house.bounds
        for evse_id in house.order:  # an EVSE whose pause ends takes part in this round
            self._update_pause(evse_id, house, bounds)
        shares = self._shares(house, bounds)
        self._waiting_ids = self._waiting_to_start(house, bounds, shares)
        parts: dict[int, HouseAllocation] = {}
        for demand in house.demands:
            evse_id = demand.evse_id
            if evse_id in house.demand_a:
                parts[evse_id] = self._allocate(demand, house, bounds, shares)
            else:
                self._pauses.pop(evse_id, None)  # the next vehicle does not inherit a wait
                free_a = min(
                    (tuple(house.available_a)[phase] for phase in house.loaded_phases[evse_id]), default=math.inf
                )
                parts[evse_id] = HouseAllocation(max(0.0, free_a))
        self._allocated_a = self._shares_after_fall(house, bounds, parts)
        parts = {
            evse_id: replace(part, current_a=self._allocated_a.get(evse_id, part.current_a))
            for evse_id, part in parts.items()
        }
        self.last_division = HouseDivision(house, parts)
        return parts

    def _update_pause(self, evse_id: int, house: HouseCapacity, bounds: list[Bound]) -> None:
        """End the pause of an EVSE if enough current is available again."""
        pause = self.pause_of(evse_id)
        if pause.paused:
            enough = self._would_fit(evse_id, house, bounds)
            self._pauses[evse_id], _ = pause_or_allow(
                pause, MINIMUM_CURRENT_A, charging=False, now_s=house.now_s, enough=enough
            )

    def _shares_after_fall(
        self, house: HouseCapacity, bounds: list[Bound], parts: Mapping[int, HouseAllocation]
    ) -> dict[int, float]:
        """Shares that can be given now: a share rises only after the draw of the others has fallen."""
        given = {evse_id: parts[evse_id].current_a for evse_id in house.order}
        drawn = {demand.evse_id: demand.max_current_a for demand in house.demands}
        return raise_after_others(given, bounds, drawn, {demand.evse_id: demand.offered_a for demand in house.demands})

    def _allocate(
        self, demand: Demand, house: HouseCapacity, bounds: list[Bound], shares: Mapping[int, float]
    ) -> HouseAllocation:
        evse_id, now_s = demand.evse_id, house.now_s
        pause = self.pause_of(evse_id)
        open_now = demand.is_charging and bool(house.urgent & house.loaded_phases[evse_id])
        if pause.paused or open_now:
            pause, allowed_a = pause if pause.paused else start_pause(pause, now_s), 0.0
        else:
            share_a = self._share_of(evse_id, house, bounds, shares)
            bridged = self._continues_charging(demand) and not self._yields_turn(evse_id, house, bounds)
            bridges_s = (
                SUSTAINABLE_PAUSE_AFTER_S if house.loaded_phases[evse_id] <= house.sustainable else PAUSE_AFTER_S
            )
            pause, allowed_a = pause_or_allow(pause, max(0.0, share_a), bridged, now_s, max_shortage_s=bridges_s)
        self._pauses[evse_id] = pause
        return HouseAllocation(allowed_a, pause.next_change_s(now_s), open_now)

    @staticmethod
    def _share_of(evse_id: int, house: HouseCapacity, bounds: list[Bound], shares: Mapping[int, float]) -> float:
        return shares[evse_id] if len(house.order) > 1 else alone_a(bounds, evse_id)

    def _waiting_to_start(
        self, house: HouseCapacity, bounds: list[Bound], shares: Mapping[int, float]
    ) -> frozenset[int]:
        """The idle EVSEs whose other limits allow charging but whose share of the house does not."""
        idle = {demand.evse_id for demand in house.demands if not demand.is_charging}
        able = [
            evse_id
            for evse_id in self._not_paused(house.order)
            if evse_id in idle and house.demand_a[evse_id] >= MINIMUM_CURRENT_A
        ]
        return frozenset(
            evse_id for evse_id in able if self._share_of(evse_id, house, bounds, shares) < MINIMUM_CURRENT_A
        )

    def _shares(self, house: HouseCapacity, bounds: list[Bound]) -> dict[int, float]:
        """The share of each EVSE; while a charging vehicle is short, at most 6 A for each."""
        active_ids = self._not_paused(house.order)
        shares = self._uses.share(bounds, house.demand_a, active_ids)
        charging = self._charging_ids(house)
        short = [evse_id for evse_id in active_ids if shares[evse_id] < MINIMUM_CURRENT_A and evse_id in charging]
        if len(active_ids) > 1 and any(not self._yields_turn(evse_id, house, bounds) for evse_id in short):
            shares = {evse_id: min(current_a, MINIMUM_CURRENT_A) for evse_id, current_a in shares.items()}
        return shares

    def _continues_charging(self, demand: Demand) -> bool:
        """Whether its vehicle draws and was allocated current before: one that was ordered to stop is not bridged."""
        return demand.is_charging and self._allocated_a.get(demand.evse_id, MINIMUM_CURRENT_A) >= MINIMUM_CURRENT_A

    def _charging_ids(self, house: HouseCapacity) -> frozenset[int]:
        """The EVSEs whose vehicles draw and may charge."""
        return frozenset(
            demand.evse_id for demand in house.demands if demand.may_charge and self._continues_charging(demand)
        )

    def _yields_turn(self, evse_id: int, house: HouseCapacity, bounds: list[Bound]) -> bool:
        """Return whether an EVSE is short only because others are served first: such a shortage is not bridged."""
        if len(house.order) < 2:
            return False
        charging = self._charging_ids(house)
        charging_ids = [evse_id for evse_id in self._not_paused(house.order) if evse_id in charging]
        return (
            evse_id in charging_ids
            and self._uses.share(bounds, house.demand_a, charging_ids)[evse_id] >= MINIMUM_CURRENT_A
        )

    def _would_fit(self, evse_id: int, house: HouseCapacity, bounds: list[Bound]) -> bool:
        """Return whether there is enough current for one more EVSE, with a reserve."""
        spared = [replace(bound, capacity=bound.capacity - _RESUME_SPARE_A) for bound in bounds]
        together = _in_order_with(self._not_paused(house.order), evse_id, house.order)
        return self._uses.share(spared, house.demand_a, together)[evse_id] >= MINIMUM_CURRENT_A

    def _not_paused(self, order: Sequence[int]) -> list[int]:
        """The EVSEs that are not paused, in order."""
        return [evse_id for evse_id in order if not self.pause_of(evse_id).paused]


def _in_order_with(active_ids: Sequence[int], evse_id: int, order: Sequence[int]) -> list[int]:
    return [candidate for candidate in order if candidate in active_ids or candidate == evse_id]
