"""Divides a shared capacity among EVSEs. Pure.

A capacity consists of bounds: each conductor of the connection is one (amperes), a power for all EVSEs together is
another (watts). The weight of an EVSE on a bound is what one ampere of it uses there: 1 on each conductor that its
vehicle loads, volts times phases on a power.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen

TURN_S = 900.0
"""time of service after which an EVSE goes behind those that wait"""
_EPSILON = 1e-9
_MIN_SHARE_A = MINIMUM_CURRENT_A - _EPSILON
_DRAW_TOLERANCE_A = 0.5
"""tolerance by which meters and pilots differ: a draw above its share by more is still falling"""


class Policy(StrEnum):
    """Rule that divides the current that remains when each EVSE that fits has 6 A."""

    FAIR = "fair"
    """equally, up to what each can use"""
    FIRST_COME = "first-come"
    """all that the first can use, then the second, …; higher priorities first"""


_FAIR: Final = Policy.FAIR  # looked up in a third of the time


class Bound(Frozen):
    """An upper bound: the sum over EVSEs of current times weight is at most `capacity`; missing EVSEs have weight 0.

    `capacity` is in amperes if the weights are 1 (a conductor), in watts if they are volts times phases (a power).
    """

    capacity: float
    weights: Mapping[int, float]

    def weight_of(self, evse_ids: Iterable[int]) -> float:
        """The sum of the weights of these EVSEs."""
        return sum(self.weights.get(evse_id, 0.0) for evse_id in evse_ids)


def share(
    bounds: Sequence[Bound], demand_a: Mapping[int, float], order: Sequence[int], policy: Policy = Policy.FAIR
) -> dict[int, float]:
    """Divide a capacity: first 6 A each to as many EVSEs as fit, in `order`, then the rest by policy.

    Args:
        bounds: the limits on all EVSEs together.
        demand_a: per EVSE that wants energy the highest current that it can use, amperes per phase.
        order: the EVSEs in order of service.
        policy: how the rest is divided.

    Returns: amperes per phase for each EVSE of `order`; 0 for one that must wait.
    """
    shares = dict.fromkeys(order, 0.0)
    left = [bound.capacity for bound in bounds]
    served: list[int] = []
    for evse_id in order:
        fits = _room_a(bounds, left, [evse_id]) >= MINIMUM_CURRENT_A - _EPSILON
        if fits and demand_a.get(evse_id, 0.0) >= MINIMUM_CURRENT_A:
            _add_to_shares(shares, bounds, left, [evse_id], MINIMUM_CURRENT_A)
            served.append(evse_id)
    for group in [served] if policy is Policy.FAIR else [[evse_id] for evse_id in served]:
        _fill_group(shares, bounds, left, group, demand_a)
    return shares


def alone_a(bounds: Sequence[Bound], evse_id: int) -> float:
    """The current that an EVSE alone could have, amperes per phase; infinite if no bound concerns it."""
    return min(
        (max(0.0, bound.capacity) / weight for bound in bounds if (weight := bound.weights.get(evse_id, 0.0)) > 0.0),
        default=math.inf,
    )


def equal_share_a(bounds: Sequence[Bound], evse_ids: Iterable[int]) -> float:
    """The current of each of these EVSEs if all had the same, in A: used to order limits, the tightest first."""
    among = list(evse_ids)
    weighed = [(bound.capacity, sum(bound.weights.get(evse_id, 0.0) for evse_id in among)) for bound in bounds]
    return min((capacity / weight for capacity, weight in weighed if weight > 0.0), default=math.inf)


def bounds_after_draw(bounds: Sequence[Bound], drawn_a: Mapping[int, float]) -> list[Bound]:
    """Return the bounds with what is left for others: less the draw of the EVSEs in `drawn_a` (A, by id) by weight."""
    drawn = [sum(bound.weights.get(evse_id, 0.0) * drawn_a[evse_id] for evse_id in drawn_a) for bound in bounds]
    return [Bound(bound.capacity - used, bound.weights) for bound, used in zip(bounds, drawn, strict=True)]


def raise_after_others(
    shares: Mapping[int, float],
    bounds: Sequence[Bound],
    drawn_a: Mapping[int, float],
    offered_a: Mapping[int, float],
    least_a: float = 0.0,
) -> dict[int, float]:
    """Return the shares that may be offered now: one rises only as the draw of the others falls.

    A vehicle may take 5 s to follow its pilot (IEC 61851-1).

    Args:
        shares: the final share of each EVSE, amperes per phase.
        bounds: the limits on all EVSEs together, to keep meanwhile too.
        drawn_a: the present draw of each EVSE.
        offered_a: the present offer to each EVSE.
        least_a: the part of its share that an EVSE gets at once, amperes.
    """
    falling = {
        evse_id: drawn_a[evse_id] for evse_id in shares if drawn_a[evse_id] > shares[evse_id] + _DRAW_TOLERANCE_A
    }
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
    capacity_a: float, demand_a: Mapping[int, float], order: Sequence[int], policy: Policy = Policy.FAIR
) -> dict[int, float]:
    """`share` for a single conductor that all EVSEs load, faster: schedules call it hundreds of times."""
    shares: dict[int, float] = {}
    left_a = capacity_a
    served: list[int] = []
    for evse_id in order:
        if left_a >= _MIN_SHARE_A and demand_a.get(evse_id, 0.0) >= MINIMUM_CURRENT_A:
            shares[evse_id] = MINIMUM_CURRENT_A
            left_a -= MINIMUM_CURRENT_A
            served.append(evse_id)
        else:
            shares[evse_id] = 0.0
    fair = policy is _FAIR
    if fair:  # those that want less leave more to the others
        if len(served) > 2:
            served.sort(key=demand_a.__getitem__)
        elif len(served) == 2 and demand_a[served[1]] < demand_a[served[0]]:
            served.reverse()
    waiting = len(served)
    for evse_id in served:
        more_a, most_a = demand_a[evse_id] - MINIMUM_CURRENT_A, left_a / waiting if fair else left_a
        waiting -= 1
        if most_a < more_a:
            more_a = most_a
        if more_a > 0.0:
            shares[evse_id] += more_a
            left_a -= more_a
    return shares


def spread_remainder(
    shares: Mapping[int, float], bounds: Sequence[Bound], demand_a: Mapping[int, float]
) -> dict[int, float]:
    """Return higher shares: what these leave unused goes to the EVSEs that have a share and could use more."""
    more, left = dict(shares), [bound.capacity for bound in bounds]
    for evse_id, current_a in shares.items():
        for index, bound in enumerate(bounds):
            left[index] -= current_a * bound.weights.get(evse_id, 0.0)
    _fill_group(more, bounds, left, [evse_id for evse_id, current_a in shares.items() if current_a > 0.0], demand_a)
    return more


def _fill_group(
    shares: dict[int, float],
    bounds: Sequence[Bound],
    left: list[float],
    group: list[int],
    demand_a: Mapping[int, float],
) -> None:
    """Raise the shares of a group together until each has what it wants or meets an exhausted bound."""
    unsatisfied = [evse_id for evse_id in group if demand_a[evse_id] - shares[evse_id] > _EPSILON]
    while unsatisfied:
        wishes = [demand_a[evse_id] - shares[evse_id] for evse_id in unsatisfied]
        more_a = min(_room_a(bounds, left, unsatisfied), *wishes)
        _add_to_shares(shares, bounds, left, unsatisfied, max(0.0, more_a))
        unsatisfied = [
            evse_id
            for evse_id in unsatisfied
            if demand_a[evse_id] - shares[evse_id] > _EPSILON and _room_a(bounds, left, [evse_id]) > _EPSILON
        ]


def _room_a(bounds: Sequence[Bound], left: Sequence[float], evse_ids: Sequence[int]) -> float:
    """The highest amount by which all of these EVSEs can be raised together."""
    rooms: list[float] = []
    for bound, rest in zip(bounds, left, strict=True):
        weight = sum(bound.weights.get(evse_id, 0.0) for evse_id in evse_ids)
        if weight > 0.0:
            rooms.append(rest / weight)
    return min(rooms, default=float("inf"))


def _add_to_shares(
    shares: dict[int, float], bounds: Sequence[Bound], left: list[float], evse_ids: Sequence[int], current_a: float
) -> None:
    for evse_id in evse_ids:
        shares[evse_id] += current_a
        for index, bound in enumerate(bounds):
            left[index] -= current_a * bound.weights.get(evse_id, 0.0)


class ServiceRequest(Frozen):
    """An EVSE that wants energy, as input of the service queue."""

    evse_id: int
    served: bool
    """the last decision gave it current"""
    priority: int = 0
    """higher is served first"""
    idle: bool = False
    """its vehicle has not drawn for a long time: full, or asleep"""


class ServiceQueue:
    """Keeps the order in which EVSEs that want energy are served: by priority, then turn, then arrival.

    EVSEs with idle vehicles come last. One that was served for `TURN_S` goes behind waiting ones of its priority.
    """

    def __init__(self) -> None:
        self._queue: list[int] = []
        self._served_since_s: dict[int, float] = {}

    def update_order(self, wanting: Sequence[ServiceRequest], now_s: float) -> list[int]:
        """Update the queue by the EVSEs that want energy now (monotonic time); returns them in order of service."""
        known = {request.evse_id: request for request in wanting}
        self._queue = self._queued_ids(known)
        for request in wanting:
            if not request.served:
                self._served_since_s.pop(request.evse_id, None)
            else:
                self._served_since_s.setdefault(request.evse_id, now_s)
        self._served_since_s = {evse_id: at_s for evse_id, at_s in self._served_since_s.items() if evse_id in known}
        self._rotate_served(known, now_s)
        return _sort_for_service(self._queue, known)

    def expected_order(self, wanting: Sequence[ServiceRequest]) -> list[int]:
        """The order of service if these EVSEs wanted energy, without changing the queue."""
        known = {request.evse_id: request for request in wanting}
        return _sort_for_service(self._queued_ids(known), known)

    def _queued_ids(self, known: Mapping[int, ServiceRequest]) -> list[int]:
        """The queue restricted to these EVSEs, newcomers last."""
        queue = [evse_id for evse_id in self._queue if evse_id in known]
        return queue + [evse_id for evse_id in known if evse_id not in queue]

    def _rotate_served(self, known: Mapping[int, ServiceRequest], now_s: float) -> None:
        """Move each EVSE that has been served for a turn behind waiting ones of the same priority."""
        waiting = {request.priority for request in known.values() if not request.served and not request.idle}
        for evse_id, since_s in sorted(self._served_since_s.items(), key=lambda item: item[1]):
            if now_s - since_s >= TURN_S and known[evse_id].priority in waiting:
                self._queue.remove(evse_id)
                self._queue.append(evse_id)
                self._served_since_s[evse_id] = now_s


def _sort_for_service(queue: Sequence[int], known: Mapping[int, ServiceRequest]) -> list[int]:
    return sorted(queue, key=lambda evse_id: (known[evse_id].idle, -known[evse_id].priority))
