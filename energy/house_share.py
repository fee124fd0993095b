"""What the house leaves, divided among those that want it: short shortages are bridged at 6 A, long ones are pauses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from energy.demand import Demand
from energy.pausing import MILD_PAUSE_AFTER_S, PAUSE_AFTER_S, Pause, begin, let_pass
from energy.sharing import Bound, after_others, alone_a, without
from energy.use import Uses
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import frozen
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
        self._given_a: dict[int, float] = {}
        self._waiting: frozenset[int] = frozenset()

    @property
    def left_out(self) -> frozenset[int]:
        """The EVSEs that get nothing of it although their other limits would let them: they pause, or wait to begin."""
        return self._waiting | {evse_id for evse_id, pause in self._pauses.items() if pause.paused}

    def divide(self, round_: Round) -> dict[int, Part]:
        """The part of each EVSE; of one that wants nothing, what it could have."""
        bounds = round_.bounds
        for evse_id in round_.order:  # a pause that ends leaves less to the others, at once
            self._wait(evse_id, round_, bounds)
        shares = self._shares(round_, bounds)
        self._waiting = self._that_wait(round_, bounds, shares)
        parts: dict[int, Part] = {}
        for demand in round_.demands:
            evse_id = demand.evse_id
            if evse_id in round_.wanted_a:
                parts[evse_id] = self._part(demand, round_, bounds, shares)
            else:
                self._pauses.pop(evse_id, None)  # the next vehicle does not inherit a wait
                free_a = min((tuple(round_.left_a)[phase] for phase in round_.loaded[evse_id]), default=math.inf)
                parts[evse_id] = Part(max(0.0, free_a))
        self._given_a = self._in_turn(round_, bounds, parts)
        return {
            evse_id: replace(part, current_a=self._given_a.get(evse_id, part.current_a))
            for evse_id, part in parts.items()
        }

    def _wait(self, evse_id: int, round_: Round, bounds: list[Bound]) -> None:
        """Whether the pause of one that pauses ends now."""
        pause = self._pause_of(evse_id)
        if pause.paused:
            enough = self._would_fit(evse_id, round_, bounds)
            self._pauses[evse_id], _ = let_pass(
                pause, MINIMUM_CURRENT_A, charging=False, now_s=round_.now_s, enough=enough
            )

    def _in_turn(self, round_: Round, bounds: list[Bound], parts: Mapping[int, Part]) -> dict[int, float]:
        """What is given of the parts of those that want some: no more before the others have fallen."""
        given = {evse_id: parts[evse_id].current_a for evse_id in round_.order}
        drawn = {demand.evse_id: demand.most_a for demand in round_.demands}
        return after_others(given, bounds, drawn, {demand.evse_id: demand.offered_a for demand in round_.demands})

    def _part(self, demand: Demand, round_: Round, bounds: list[Bound], shares: Mapping[int, float]) -> Part:
        evse_id, now_s = demand.evse_id, round_.now_s
        pause = self._pause_of(evse_id)
        open_now = demand.charges and bool(round_.urgent & round_.loaded[evse_id])
        if pause.paused or open_now:
            pause, allowed_a = pause if pause.paused else begin(pause, now_s), 0.0
        else:
            mine_a = self._share_of(evse_id, round_, bounds, shares)
            bridged = self._goes_on(demand) and not self._gave_way(evse_id, round_, bounds)
            bridges_s = MILD_PAUSE_AFTER_S if round_.loaded[evse_id] <= round_.mild else PAUSE_AFTER_S
            pause, allowed_a = let_pass(pause, max(0.0, mine_a), bridged, now_s, bridges_s=bridges_s)
        self._pauses[evse_id] = pause
        return Part(allowed_a, pause.next_change_s(now_s), open_now)

    @staticmethod
    def _share_of(evse_id: int, round_: Round, bounds: list[Bound], shares: Mapping[int, float]) -> float:
        return shares[evse_id] if len(round_.order) > 1 else alone_a(bounds, evse_id)

    def _that_wait(self, round_: Round, bounds: list[Bound], shares: Mapping[int, float]) -> frozenset[int]:
        """Those whose vehicles could begin by all other limits, and not by what the house leaves to them."""
        idle = {demand.evse_id for demand in round_.demands if not demand.charges}
        able = [one for one in self._going(round_.order) if one in idle and round_.wanted_a[one] >= MINIMUM_CURRENT_A]
        return frozenset(one for one in able if self._share_of(one, round_, bounds, shares) < MINIMUM_CURRENT_A)

    def _shares(self, round_: Round, bounds: list[Bound]) -> dict[int, float]:
        """The share of each; while a vehicle that charges is short, all that charge have the least until that ends."""
        going = self._going(round_.order)
        shares = self._uses.share(bounds, round_.wanted_a, going)
        charging = self._charging(round_)
        short = [evse_id for evse_id in going if shares[evse_id] < MINIMUM_CURRENT_A and evse_id in charging]
        if len(going) > 1 and any(not self._gave_way(evse_id, round_, bounds) for evse_id in short):
            shares = {evse_id: min(current_a, MINIMUM_CURRENT_A) for evse_id, current_a in shares.items()}
        return shares

    def _goes_on(self, demand: Demand) -> bool:
        """Whether its vehicle draws and was given something before: what has been told to stop is not bridged."""
        return demand.charges and self._given_a.get(demand.evse_id, MINIMUM_CURRENT_A) >= MINIMUM_CURRENT_A

    def _charging(self, round_: Round) -> frozenset[int]:
        """The EVSEs whose vehicles draw and may."""
        return frozenset(demand.evse_id for demand in round_.demands if demand.wants and self._goes_on(demand))

    def _gave_way(self, evse_id: int, round_: Round, bounds: list[Bound]) -> bool:
        """Whether there would be enough for it, were it not somebody else's turn: that is no shortage to bridge."""
        if len(round_.order) < 2:
            return False
        charging = self._charging(round_)
        at_it = [one for one in self._going(round_.order) if one in charging]
        return evse_id in at_it and self._uses.share(bounds, round_.wanted_a, at_it)[evse_id] >= MINIMUM_CURRENT_A

    def _would_fit(self, evse_id: int, round_: Round, bounds: list[Bound]) -> bool:
        """Whether there is enough for one more, with something to spare."""
        spared = [replace(bound, capacity=bound.capacity - _RESUME_SPARE_A) for bound in bounds]
        together = _with(self._going(round_.order), evse_id, round_.order)
        return self._uses.share(spared, round_.wanted_a, together)[evse_id] >= MINIMUM_CURRENT_A

    def _going(self, order: Sequence[int]) -> list[int]:
        """Those that do not pause."""
        return [evse_id for evse_id in order if not self._pause_of(evse_id).paused]

    def _pause_of(self, evse_id: int) -> Pause:
        return self._pauses.get(evse_id, Pause())


def _with(going: Sequence[int], evse_id: int, order: Sequence[int]) -> list[int]:
    return [one for one in order if one in going or one == evse_id]
