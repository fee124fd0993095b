"""A shared capacity divided among the EVSEs that want some. Pure.

A capacity is one or more bounds: each conductor of the connection is one (amperes), a power for all EVSEs together is
another (watts). An EVSE weighs on a bound by what one ampere of it adds there: 1 on each conductor that its vehicle
loads, volts times phases on a power.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import frozen

TURN_S = 900.0
"""how long an EVSE is served before one that waits comes first"""
_NOTHING = 1e-9
_CLASS_A = 0.5
"""a vehicle that draws so much more than it may still follows: what meters and pilots differ by"""


class Policy(StrEnum):
    """Who gets what is left when everybody that fits has 6 A."""

    FAIR = "fair"
    """all the same, up to what each can use"""
    FIRST_COME = "first-come"
    """the first all it can use, then the second, …; where priorities differ, the higher first"""


@frozen
class Bound:
    """At most `capacity`, of which one ampere of an EVSE takes its weight; EVSEs that are not named take none."""

    capacity: float
    weights: Mapping[int, float]

    def weight_of(self, evse_ids: Iterable[int]) -> float:
        """What one ampere of each of these takes together."""
        return sum(self.weights.get(evse_id, 0.0) for evse_id in evse_ids)


def share(
    bounds: Sequence[Bound], wanted_a: Mapping[int, float], order: Sequence[int], policy: Policy = Policy.FAIR
) -> dict[int, float]:
    """Divide a capacity: 6 A to as many as fit, in `order`; then the rest, none above what it wants.

    Args:
        bounds: what all together must keep.
        wanted_a: per EVSE the most that it can use, amperes per phase, for those that want energy.
        order: the EVSEs, the first served first.
        policy: how the rest is divided.

    Returns: amperes per phase for each EVSE of `order`; 0 for one that must wait.
    """
    shares = dict.fromkeys(order, 0.0)
    left = [bound.capacity for bound in bounds]
    served: list[int] = []
    for evse_id in order:
        fits = _room_a(bounds, left, [evse_id]) >= MINIMUM_CURRENT_A - _NOTHING
        if fits and wanted_a.get(evse_id, 0.0) >= MINIMUM_CURRENT_A:
            _give(shares, bounds, left, [evse_id], MINIMUM_CURRENT_A)
            served.append(evse_id)
    for group in [served] if policy is Policy.FAIR else [[evse_id] for evse_id in served]:
        _fill(shares, bounds, left, group, wanted_a)
    return shares


def alone_a(bounds: Sequence[Bound], evse_id: int) -> float:
    """What an EVSE could have were it the only one; infinite where no bound concerns it."""
    return min(
        (max(0.0, bound.capacity) / weight for bound in bounds if (weight := bound.weights.get(evse_id, 0.0)) > 0.0),
        default=math.inf,
    )


def equal_share_a(bounds: Sequence[Bound], evse_ids: Iterable[int]) -> float:
    """What each of these would have were all served alike, however little: the tighter of two limits comes first."""
    among = list(evse_ids)
    weighed = [(bound.capacity, sum(bound.weights.get(evse_id, 0.0) for evse_id in among)) for bound in bounds]
    return min((capacity / weight for capacity, weight in weighed if weight > 0.0), default=math.inf)


def bounds_after_draw(bounds: Sequence[Bound], drawn_a: Mapping[int, float]) -> list[Bound]:
    """What bounds leave when these EVSEs draw so much of them: vehicles that have no right to it, or not any more."""
    taken = [sum(bound.weights.get(evse_id, 0.0) * drawn_a[evse_id] for evse_id in drawn_a) for bound in bounds]
    return [Bound(bound.capacity - used, bound.weights) for bound, used in zip(bounds, taken, strict=True)]


def raise_after_others(
    shares: Mapping[int, float],
    bounds: Sequence[Bound],
    drawn_a: Mapping[int, float],
    offered_a: Mapping[int, float],
    least_a: float = 0.0,
) -> dict[int, float]:
    """Shares of which none rises before the others have fallen: a vehicle may take 5 s to follow (IEC 61851-1).

    Args:
        shares: what each will have, amperes per phase.
        bounds: what all together must keep, in the meantime as well.
        drawn_a: what each draws.
        offered_a: what each is offered now.
        least_a: what one that has a share gets of it at once, amperes.
    """
    falling = {evse_id: drawn_a[evse_id] for evse_id in shares if drawn_a[evse_id] > shares[evse_id] + _CLASS_A}
    patient = dict(shares)
    for bound in bounds if falling else ():
        flows = [bound.weights.get(evse_id, 0.0) * current_a for evse_id, current_a in {**shares, **falling}.items()]
        excess = sum(flows) - bound.capacity
        for evse_id, current_a in shares.items():
            weight = bound.weights.get(evse_id, 0.0)
            if weight > 0.0 and excess > 0.0 and evse_id not in falling:
                held_a = max(drawn_a[evse_id], offered_a[evse_id], min(least_a, current_a))
                patient[evse_id] = min(patient[evse_id], max(held_a, current_a - excess / weight))
    return patient


def share_conductor(
    capacity_a: float, wanted_a: Mapping[int, float], order: Sequence[int], policy: Policy = Policy.FAIR
) -> dict[int, float]:
    """What `share` says of one conductor that all load: for schedules, which ask hundreds of times."""
    shares = dict.fromkeys(order, 0.0)
    left_a = capacity_a
    served: list[int] = []
    for evse_id in order:
        if left_a < MINIMUM_CURRENT_A - _NOTHING:
            break
        if wanted_a.get(evse_id, 0.0) >= MINIMUM_CURRENT_A:
            shares[evse_id] = MINIMUM_CURRENT_A
            left_a -= MINIMUM_CURRENT_A
            served.append(evse_id)
    fair = policy is Policy.FAIR
    if fair:
        served.sort(key=wanted_a.__getitem__)  # those that want least leave the rest to the others
    waiting = len(served)
    for evse_id in served:
        more_a = min(wanted_a[evse_id] - MINIMUM_CURRENT_A, left_a / waiting if fair else left_a)
        waiting -= 1
        if more_a > 0.0:
            shares[evse_id] += more_a
            left_a -= more_a
    return shares


def spread_remainder(
    shares: Mapping[int, float], bounds: Sequence[Bound], wanted_a: Mapping[int, float]
) -> dict[int, float]:
    """Shares, and what they leave on top, to those that are served and could use it."""
    more, left = dict(shares), [bound.capacity for bound in bounds]
    for evse_id, current_a in shares.items():
        for index, bound in enumerate(bounds):
            left[index] -= current_a * bound.weights.get(evse_id, 0.0)
    _fill(more, bounds, left, [evse_id for evse_id, current_a in shares.items() if current_a > 0.0], wanted_a)
    return more


def _fill(
    shares: dict[int, float],
    bounds: Sequence[Bound],
    left: list[float],
    group: list[int],
    wanted_a: Mapping[int, float],
) -> None:
    """Raise all of a group together until each has what it wants or meets a bound that is used up."""
    hungry = [evse_id for evse_id in group if wanted_a[evse_id] - shares[evse_id] > _NOTHING]
    while hungry:
        wishes = [wanted_a[evse_id] - shares[evse_id] for evse_id in hungry]
        more_a = min(_room_a(bounds, left, hungry), *wishes)
        _give(shares, bounds, left, hungry, max(0.0, more_a))
        hungry = [
            evse_id
            for evse_id in hungry
            if wanted_a[evse_id] - shares[evse_id] > _NOTHING and _room_a(bounds, left, [evse_id]) > _NOTHING
        ]


def _room_a(bounds: Sequence[Bound], left: Sequence[float], evse_ids: Sequence[int]) -> float:
    """By how much all of these can be raised together."""
    rooms: list[float] = []
    for bound, rest in zip(bounds, left, strict=True):
        weight = sum(bound.weights.get(evse_id, 0.0) for evse_id in evse_ids)
        if weight > 0.0:
            rooms.append(rest / weight)
    return min(rooms, default=float("inf"))


def _give(
    shares: dict[int, float], bounds: Sequence[Bound], left: list[float], evse_ids: Sequence[int], current_a: float
) -> None:
    for evse_id in evse_ids:
        shares[evse_id] += current_a
        for index, bound in enumerate(bounds):
            left[index] -= current_a * bound.weights.get(evse_id, 0.0)


@frozen
class ServiceRequest:
    """One EVSE that wants energy, as the order of service sees it."""

    evse_id: int
    served: bool
    priority: int = 0
    """the higher is served first"""
    idle: bool = False
    """its vehicle has not drawn for long: full, or asleep"""


class ServiceQueue:
    """Who is served first: by priority, then whose turn it is, then who came first; vehicles that sleep come last."""

    def __init__(self) -> None:
        self._queue: list[int] = []
        self._served_since_s: dict[int, float] = {}

    def order(self, wanting: Sequence[ServiceRequest], now_s: float) -> list[int]:
        """The EVSEs that want energy, the first served first."""
        known = {one.evse_id: one for one in wanting}
        self._queue = self._queued(known)
        for one in wanting:
            if not one.served:
                self._served_since_s.pop(one.evse_id, None)
            else:
                self._served_since_s.setdefault(one.evse_id, now_s)
        self._served_since_s = {evse_id: at_s for evse_id, at_s in self._served_since_s.items() if evse_id in known}
        self._rotate(known, now_s)
        return _by_right(self._queue, known)

    def expected_order(self, wanting: Sequence[ServiceRequest]) -> list[int]:
        """The order were these the EVSEs that want energy; it takes no turn."""
        known = {one.evse_id: one for one in wanting}
        return _by_right(self._queued(known), known)

    def _queued(self, known: Mapping[int, ServiceRequest]) -> list[int]:
        """Those that are known, newcomers last."""
        queue = [evse_id for evse_id in self._queue if evse_id in known]
        return queue + [evse_id for evse_id in known if evse_id not in queue]

    def _rotate(self, known: Mapping[int, ServiceRequest], now_s: float) -> None:
        """Whoever has been served for a turn goes behind those of the same priority that wait."""
        waiting = {one.priority for one in known.values() if not one.served and not one.idle}
        for evse_id, since_s in sorted(self._served_since_s.items(), key=lambda item: item[1]):
            if now_s - since_s >= TURN_S and known[evse_id].priority in waiting:
                self._queue.remove(evse_id)
                self._queue.append(evse_id)
                self._served_since_s[evse_id] = now_s


def _by_right(queue: Sequence[int], known: Mapping[int, ServiceRequest]) -> list[int]:
    return sorted(queue, key=lambda evse_id: (known[evse_id].idle, -known[evse_id].priority))
