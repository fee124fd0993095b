"""What the house leaves, divided among those that want it: short shortages are bridged at 6 A, long ones are pauses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from energy.demand import Demand
from energy.pausing import MILD_PAUSE_AFTER_S, PAUSE_AFTER_S, Pause, begin, let_pass
from energy.sharing import MINIMUM_A, Bound, alone_a, without
from energy.use import Uses
from metering.frozen import frozen
from metering.reading import Phases

_RESUME_SPARE_A = 1.5
"""a pause ends only when so much more than 6 A is there"""


@frozen
class Round:
    """What is there to be divided at one moment, and who wants some of it."""

    now_s: float
    left_a: Phases[float]
    """what the house leaves on each grid phase"""
    urgent: frozenset[int]
    """grid phases on which the pilot is too slow"""
    mild: frozenset[int]
    """grid phases on which the connection bears for ever what flows now"""
    demands: Sequence[Demand]
    loaded: Mapping[int, frozenset[int]]
    """per EVSE the grid phases that its vehicle loads"""
    wanted_a: Mapping[int, float]
    """per EVSE that wants energy the most that its other limits let it use"""
    order: Sequence[int]
    """these EVSEs, the first served first"""

    @property
    def bounds(self) -> list[Bound]:
        """What is left on each phase, without what flows to vehicles that have no right to it any more."""
        bounds = [
            Bound(left_a, {evse_id: 1.0 for evse_id, phases in self.loaded.items() if phase in phases})
            for phase, left_a in enumerate(self.left_a)
        ]
        return without(bounds, {one.evse_id: one.most_a for one in self.demands if one.evse_id not in self.wanted_a})

    @property
    def charging(self) -> frozenset[int]:
        """The EVSEs whose vehicles draw and may."""
        return frozenset(demand.evse_id for demand in self.demands if demand.wants and demand.charges)


@frozen
class Part:
    """What an EVSE may have of it."""

    current_a: float
    next_change_s: float | None = None
    """when this may change next; None: when the house does"""
    open_now: bool = False
    """the connection would trip before the vehicle has followed"""


class HouseShare:
    """Divides from one moment to the next, and remembers who pauses."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses
        self._pauses: dict[int, Pause] = {}

    def divide(self, round_: Round) -> dict[int, Part]:
        """The part of each EVSE; of one that wants nothing, what it could have."""
        bounds = round_.bounds
        shares = self._shares(round_, bounds)
        parts: dict[int, Part] = {}
        for demand in round_.demands:
            evse_id = demand.evse_id
            if evse_id in round_.wanted_a:
                parts[evse_id] = self._part(demand, round_, bounds, shares)
            else:
                self._pauses.pop(evse_id, None)  # the next vehicle does not inherit a wait
                free_a = min((tuple(round_.left_a)[phase] for phase in round_.loaded[evse_id]), default=math.inf)
                parts[evse_id] = Part(max(0.0, free_a))
        return parts

    def _part(self, demand: Demand, round_: Round, bounds: list[Bound], shares: Mapping[int, float]) -> Part:
        evse_id, now_s = demand.evse_id, round_.now_s
        pause = self._pause_of(evse_id)
        open_now = demand.charges and bool(round_.urgent & round_.loaded[evse_id])
        if open_now:
            pause, allowed_a = pause if pause.paused else begin(pause, now_s), 0.0
        else:
            mine_a = shares[evse_id] if len(round_.order) > 1 else alone_a(bounds, evse_id)
            bridged = demand.charges and not self._gave_way(evse_id, round_, bounds)
            enough = pause.paused and self._would_fit(evse_id, round_, bounds)
            bridges_s = MILD_PAUSE_AFTER_S if round_.loaded[evse_id] <= round_.mild else PAUSE_AFTER_S
            left_a = max(0.0, mine_a)
            pause, allowed_a = let_pass(pause, left_a, bridged, now_s, enough=enough, bridges_s=bridges_s)
        self._pauses[evse_id] = pause
        return Part(allowed_a, pause.next_change_s(now_s), open_now)

    def _shares(self, round_: Round, bounds: list[Bound]) -> dict[int, float]:
        """The share of each; while a vehicle that charges is short, all that charge have the least until that ends."""
        going = self._going(round_.order)
        shares = self._uses.share(bounds, round_.wanted_a, going)
        short = [evse_id for evse_id in going if shares[evse_id] < MINIMUM_A and evse_id in round_.charging]
        if len(going) > 1 and any(not self._gave_way(evse_id, round_, bounds) for evse_id in short):
            shares = {evse_id: min(current_a, MINIMUM_A) for evse_id, current_a in shares.items()}
        for evse_id in round_.order:
            if evse_id not in shares:  # one that pauses: what it would have
                shares[evse_id] = self._uses.share(bounds, round_.wanted_a, _with(going, evse_id, round_.order))[
                    evse_id
                ]
        return shares

    def _gave_way(self, evse_id: int, round_: Round, bounds: list[Bound]) -> bool:
        """Whether there would be enough for it, were it not somebody else's turn: that is no shortage to bridge."""
        if len(round_.order) < 2:
            return False
        at_it = [one for one in self._going(round_.order) if one in round_.charging]
        return evse_id in at_it and self._uses.share(bounds, round_.wanted_a, at_it)[evse_id] >= MINIMUM_A

    def _would_fit(self, evse_id: int, round_: Round, bounds: list[Bound]) -> bool:
        """Whether there is enough for one more, with something to spare."""
        spared = [replace(bound, capacity=bound.capacity - _RESUME_SPARE_A) for bound in bounds]
        together = _with(self._going(round_.order), evse_id, round_.order)
        return self._uses.share(spared, round_.wanted_a, together)[evse_id] >= MINIMUM_A

    def _going(self, order: Sequence[int]) -> list[int]:
        """Those that do not pause."""
        return [evse_id for evse_id in order if not self._pause_of(evse_id).paused]

    def _pause_of(self, evse_id: int) -> Pause:
        return self._pauses.get(evse_id, Pause())


def _with(going: Sequence[int], evse_id: int, order: Sequence[int]) -> list[int]:
    return [one for one in order if one in going or one == evse_id]
