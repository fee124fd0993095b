"""The composite schedule: what an EVSE or the station is expected to draw at the most over a time (K08). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from energy.charging_profile import ChargingProfile, Kind, RateUnit, Recurrency
from energy.composite import (
    LINE_VOLTAGE_V,
    RECURRENCE,
    Charge,
    Piece,
    limits_over,
    phases_over,
    slices,
    station_limits_over,
)
from metering.frozen import frozen

MOST_PIECES = 20_000
"""periods that are looked at for one answer: some 20 ms of work; whoever asks for more asks for less time"""
_SECOND = 1_000_000


@frozen
class Consumer:
    """An EVSE, as far as a forecast of its draw needs it."""

    charge: Charge
    phases: int
    local_a: float
    """what its hardware and its cable allow, amperes per phase"""
    wants: bool
    """a vehicle is there and may charge"""


@frozen
class Level:
    """From `start_s` after the start of the schedule at most `limit`, in the unit that was asked for."""

    start_s: int
    limit: float
    phases: int


class Divide(Protocol):
    """Divides amperes per phase among EVSEs that want some."""

    def __call__(self, capacity_a: float, wanted_a: Mapping[int, float]) -> Mapping[int, float]:
        """What each may have."""
        ...


@frozen
class Site:
    """The EVSEs of a station, and what they share."""

    consumers: Sequence[Consumer]
    local_a: float | None
    """what the station's own connection carries for all of them together, amperes per phase; None: no such limit"""
    divide: Divide


def work(profiles: Iterable[ChargingProfile], length: timedelta) -> int:
    """How many periods a composite schedule over this span may have to look at."""
    total = 0
    for profile in profiles:
        recurs = profile.kind is Kind.RECURRING
        turns = length // RECURRENCE[profile.recurrency or Recurrency.DAILY] + 2 if recurs else 1
        total += turns * len(profile.schedule.periods)
    return total


def composite_schedule(
    profiles: Sequence[ChargingProfile], site: Site, evse_id: int, begin: datetime, duration_s: int, unit: RateUnit
) -> list[Level]:
    """The expected schedule of an EVSE, or with EVSE 0 of the grid connection, from `begin` on (K08.FR.02, K08.FR.03).

    An EVSE without a transaction counts as if one had just begun on it (K08.FR.06). It is never above any limit that
    holds at a moment (K08.FR.04): a level begins and ends on the careful side of its exact moments.
    """
    length = timedelta(seconds=duration_s)
    whole = length // timedelta(microseconds=1)
    asked = [
        consumer if consumer.wants else replace(consumer, charge=replace(consumer.charge, started_at=begin))
        for consumer in site.consumers
        if evse_id == 0 or consumer.wants or consumer.charge.evse_id == evse_id
    ]
    all_on = {consumer.charge.phases for consumer in asked}
    shared = station_limits_over(profiles, begin, length, all_on.pop() if len(all_on) == 1 else None)
    # A layer of nothing but the whole span, so that every moment of it is in a slice.
    layers: list[Sequence[Piece]] = [[(0, whole, 0.0)], shared]
    layers += [limits_over(profiles, consumer.charge, begin, length) for consumer in asked]
    switching = [consumer for consumer in asked if consumer.charge.phases is not None]
    layers += [phases_over(profiles, consumer.charge, begin, length) for consumer in switching]
    exact: list[Piece] = []
    counts: list[Piece] = []
    for since, until, (_, capacity_a, *told) in slices(layers):
        own, on = told[: len(asked)], told[len(asked) :]
        known = [limit for limit in (capacity_a, site.local_a) if limit is not None]
        wanted_a = {
            consumer.charge.evse_id: min(consumer.local_a, limit if limit is not None else consumer.local_a)
            for consumer, limit in zip(asked, own, strict=True)
        }
        now = _on(asked, switching, on) if switching else asked
        exact.append((since, until, _expected(site, now, evse_id, min(known, default=None), wanted_a, unit)))
        if switching:
            counts.append((since, until, float(_most_phases(now, evse_id))))
    if not switching:
        phases = _most_phases(asked, evse_id)
        return [Level(since, limit, phases) for since, _, limit in in_whole_seconds(exact)]
    return _levels(exact, counts)


def _most_phases(asked: Sequence[Consumer], evse_id: int) -> int:
    return max(consumer.phases for consumer in asked if evse_id in {0, consumer.charge.evse_id})


def _on(asked: Sequence[Consumer], switching: Sequence[Consumer], on: Sequence[float | None]) -> Sequence[Consumer]:
    """The EVSEs with the phases that profiles order of those whose boards can switch."""
    told = {one.charge.evse_id: phases for one, phases in zip(switching, on, strict=True) if phases is not None}
    return [replace(one, phases=int(told.get(one.charge.evse_id, one.phases))) for one in asked]


def _levels(exact: Sequence[Piece], counts: Sequence[Piece]) -> list[Level]:
    """Limits and phases in whole seconds; a level ends where one of them changes."""
    both = slices([in_whole_seconds(exact), in_whole_seconds(counts)])
    return [Level(since, limit or 0.0, int(phases or 0.0)) for since, _, (limit, phases) in both]


def _expected(
    site: Site,
    asked: Sequence[Consumer],
    evse_id: int,
    capacity_a: float | None,
    wanted_a: Mapping[int, float],
    unit: RateUnit,
) -> float:
    """What is expected at one moment, in the unit asked for."""
    if evse_id == 0:
        total = sum(_in_unit(wanted_a[one.charge.evse_id], one.phases, unit) for one in asked)
        if capacity_a is None:
            return total
        return min(total, _in_unit(capacity_a, max(consumer.phases for consumer in asked), unit))
    mine_a = wanted_a[evse_id]
    if capacity_a is not None:
        alone = len(wanted_a) == 1
        mine_a = min(mine_a, capacity_a if alone else site.divide(capacity_a, wanted_a)[evse_id])
    phases = next(consumer.phases for consumer in asked if consumer.charge.evse_id == evse_id)
    return _in_unit(mine_a, phases, unit)


def _in_unit(current_a: float, phases: int, unit: RateUnit) -> float:
    """Amperes per phase in a unit; watts are of all phases in use (K01.FR.50)."""
    if unit is RateUnit.A:
        return current_a
    return current_a * LINE_VOLTAGE_V * phases


def in_whole_seconds(exact: Iterable[Piece]) -> list[Piece]:
    """Pieces with whole seconds: in a second that has several limits the lowest holds; equal neighbours are one."""
    rounded: list[Piece] = []
    for since, until, limit in exact:
        first, last = since // _SECOND, -(-until // _SECOND)
        while rounded and rounded[-1][1] > first and limit < rounded[-1][2]:
            begun, _, before = rounded.pop()
            if begun < first:
                rounded.append((begun, first, before))
                break
        if rounded:
            first = max(first, rounded[-1][1])
        if first >= last:
            continue
        if rounded and rounded[-1][2] == limit:
            first = rounded.pop()[0]
        rounded.append((first, last, limit))
    return rounded
