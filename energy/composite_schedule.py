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
    shared = station_limits_over(profiles, begin, length)
    # A layer of nothing but the whole span, so that every moment of it is in a slice.
    layers: list[Sequence[Piece]] = [[(0, whole, 0.0)], shared]
    layers += [limits_over(profiles, consumer.charge, begin, length) for consumer in asked]
    exact: list[Piece] = []
    for since, until, (_, capacity_a, *own) in slices(layers):
        known = [limit for limit in (capacity_a, site.local_a) if limit is not None]
        wanted_a = {
            consumer.charge.evse_id: min(consumer.local_a, limit if limit is not None else consumer.local_a)
            for consumer, limit in zip(asked, own, strict=True)
        }
        exact.append((since, until, _expected(site, asked, evse_id, min(known, default=None), wanted_a, unit)))
    phases = max(consumer.phases for consumer in asked if evse_id in {0, consumer.charge.evse_id})
    return [Level(since, limit, phases) for since, _, limit in in_whole_seconds(exact)]


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
