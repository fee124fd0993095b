"""The composite schedule: the highest expected draw of an EVSE or of the station over a span of time (K08). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, cast

from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, Kind, RateUnit, Recurrency
from energy.composite import RECURRENCE, LimitSpan, ProfileTarget, limits_over, phases_over, slices, station_limits_over
from energy.sharing import Bound, alone_a, equal_share_a
from foundation.constants import MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen

MAX_EVALUATED_PERIODS = 20_000
"""highest number of periods to evaluate for one response, some 20 ms of work; a longer request is rejected"""
_MIN_SHARE_A = MINIMUM_CURRENT_A - 1e-9
"""the smallest share that a pilot can offer; watts converted to amperes may be a trifle less than 6 A"""
_MICROSECONDS_PER_SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)


class EvseForecast(Frozen):
    """An EVSE as input of `composite_schedule`: what its profiles are matched against, and what it could draw."""

    target: ProfileTarget
    phases: int
    local_a: float
    """limit of its hardware and cable, amperes per phase"""
    may_charge: bool
    """a vehicle is there and may charge"""
    grid_phases: frozenset[int] = frozenset({0, 1, 2})
    """the grid conductors, 0 to 2, that may feed it"""


class CompositePeriod(Frozen):
    """A period of a composite schedule: at most `limit`, in the requested unit, from `start_s` seconds on."""

    start_s: int
    limit: float
    phases: int


class ShareFunction(Protocol):
    """Divides limited capacity among EVSEs, as `sharing.share`."""

    def __call__(
        self, bounds: Sequence[Bound], demand_a: Mapping[int, float], order: Sequence[int], /
    ) -> Mapping[int, float]:
        """The share of each EVSE, amperes per phase."""
        ...


class StationForecast(Frozen):
    """Input of `composite_schedule` for a station: its EVSEs, the limit that they share, and how it is divided."""

    evses: Sequence[EvseForecast]
    """in order of service, first served first"""
    local_a: float | None
    """limit of the station's own connection for all EVSEs together, amperes per phase; None: no such limit"""
    share: ShareFunction


def count_periods(profiles: Iterable[ChargingProfile], length: timedelta) -> int:
    """Count the periods that a composite schedule over this span may evaluate at most: to reject long requests."""
    total = 0
    for profile in profiles:
        recurs = profile.kind is Kind.RECURRING
        turns = length // RECURRENCE[profile.recurrency or Recurrency.DAILY] + 2 if recurs else 1
        total += turns * len(profile.schedule.periods)
    return total


def composite_schedule(
    profiles: Sequence[ChargingProfile],
    station: StationForecast,
    evse_id: int,
    begin: datetime,
    duration_s: int,
    unit: RateUnit,
) -> list[CompositePeriod]:
    """Compute the expected draw of an EVSE, or of all (EVSE 0), for `duration_s` seconds (K08.FR.02, K08.FR.03).

    Shared limits are divided as the station divides them now, with the limits of each EVSE for its vehicle. An EVSE
    without a transaction counts as if one had just begun on it (K08.FR.06). The schedule never exceeds a limit in force
    at any moment (K08.FR.04): within a second the lowest holds. For EVSE 0 it is the sum of what the EVSEs may draw
    (nothing for those that may have less than 6 A), with the connected vehicles or with a vehicle at each EVSE,
    whichever is more.
    """
    length = timedelta(seconds=duration_s)
    forecasts = [
        consumer
        if consumer.may_charge or consumer.target.transaction_id is not None
        else replace(consumer, target=replace(consumer.target, started_at=begin))
        for consumer in station.evses
        if evse_id == 0 or consumer.may_charge or consumer.target.evse_id == evse_id
    ]
    switching = [consumer for consumer in forecasts if consumer.target.phases is not None]
    length_us = length // _MICROSECOND
    layers: list[Sequence[LimitSpan]] = [
        _fill_gaps(consumer.local_a, limits_over(profiles, consumer.target, begin, length), length_us)
        for consumer in forecasts
    ]
    layers += [phases_over(profiles, consumer.target, begin, length) for consumer in switching]
    currents, powers = station_limits_over(profiles, begin, length)
    # A layer over the whole span, so that `slices` covers every moment of it.
    layers += [currents if station.local_a is None else _fill_gaps(station.local_a, currents, length_us), powers]
    layers += [[(0, length_us, 0.0)]]
    evse_ids = [consumer.target.evse_id for consumer in forecasts]
    expected = _ExpectedDraw(station.share, _conductors(forecasts), evse_id, unit is RateUnit.W)
    exact: list[LimitSpan] = []
    counts: list[LimitSpan] = []
    now: Sequence[EvseForecast] = forecasts
    # The first values, those of the EVSEs, are never None.
    for since, until, values in cast("Iterable[tuple[int, int, Sequence[float]]]", slices(layers)):
        demand_a = dict(zip(evse_ids, values))  # noqa: B905 - an argument would cost 0.15 µs
        if switching:
            now = _with_ordered_phases(forecasts, switching, values[len(forecasts) : -3])
            counts.append((since, until, float(_most_phases(now, evse_id))))
        exact.append((since, until, expected.at(now, demand_a, values[-3], values[-2])))
    if not switching:
        phases = _most_phases(forecasts, evse_id)
        return [CompositePeriod(since, limit, phases) for since, _, limit in in_whole_seconds(exact)]
    return _to_periods(exact, counts)


def _fill_gaps(most_a: float, limits: Iterable[LimitSpan], length_us: int) -> list[LimitSpan]:
    """Fill the gaps of limits over a span of `length_us` microseconds with `most_a`, which no limit exceeds either."""
    spans: list[LimitSpan] = []
    reached = 0
    for since, until, limit_a in limits:
        if since > reached:
            spans.append((reached, since, most_a))
        spans.append((since, until, limit_a if limit_a < most_a else most_a))
        reached = until
    if reached < length_us:
        spans.append((reached, length_us, most_a))
    return spans


class _ExpectedDraw(Frozen):
    """The expected draw of an EVSE, or of all EVSEs together, in the requested unit."""

    share: ShareFunction
    conductors: Sequence[Mapping[int, float]]
    """per conductor the EVSEs on it, as the weights of a `Bound`"""
    evse_id: int
    in_watts: bool
    """else in amperes"""

    def at(
        self,
        forecasts: Sequence[EvseForecast],
        demand_a: Mapping[int, float],
        current_a: float | None,
        power_w: float | None,
    ) -> float:
        """The expected draw under shared limits of `current_a` per conductor and `power_w` in total; None: no limit."""
        if power_w is not None or current_a is None or len(self.conductors) > 1 or len(demand_a) == 1:
            shares_a = self._shares(forecasts, demand_a, current_a, power_w)
        elif sum(demand_a.values()) <= current_a:  # the usual case, in short: one conductor loads all EVSEs, weight 1
            shares_a = demand_a
        else:
            shares_a = self.share([Bound(current_a, self.conductors[0])], demand_a, list(demand_a))
        if self.evse_id != 0 and not self.in_watts:  # each EVSE loads a conductor, with weight 1
            return shares_a[self.evse_id]
        expected = self._total_draw(forecasts, shares_a)
        if self.evse_id != 0:
            return expected
        requesting_a = {
            forecast.target.evse_id: demand_a[forecast.target.evse_id] for forecast in forecasts if forecast.may_charge
        }
        if len(requesting_a) in {0, len(forecasts)}:
            return expected
        # The connected vehicles may draw more as long as no further one is connected.
        return max(expected, self._total_draw(forecasts, self._shares(forecasts, requesting_a, current_a, power_w)))

    def _total_draw(self, forecasts: Sequence[EvseForecast], shares_a: Mapping[int, float]) -> float:
        """The draw of the EVSE (0: of all) with these shares: watts, or amperes on the most loaded conductor.

        For all, a share below 6 A counts nothing: no pilot can offer it, so no vehicle draws it (K08.FR.03).
        """
        if self.evse_id != 0:
            shares_a = {self.evse_id: shares_a[self.evse_id]}
        elif min(shares_a.values()) < _MIN_SHARE_A:
            shares_a = {evse_id: share_a for evse_id, share_a in shares_a.items() if share_a >= _MIN_SHARE_A}
        if self.in_watts:
            return sum(
                shares_a.get(forecast.target.evse_id, 0.0) * NOMINAL_VOLTAGE_V * forecast.phases
                for forecast in forecasts
            )
        return max(sum(shares_a.get(evse_id, 0.0) for evse_id in conductor) for conductor in self.conductors)

    def _shares(
        self,
        forecasts: Sequence[EvseForecast],
        demand_a: Mapping[int, float],
        current_a: float | None,
        power_w: float | None,
    ) -> Mapping[int, float]:
        """Divide the shared limits, the tightest first; returns the expected current of each EVSE.

        The schedule of EVSE 0 is the sum of these (K08.FR.03): a remainder below 6 A, too little to charge with, is not
        counted.
        """
        limits = [[Bound(current_a, weights) for weights in self.conductors]] if current_a is not None else []
        if power_w is not None:
            limits.append(
                [
                    Bound(
                        power_w,
                        {forecast.target.evse_id: NOMINAL_VOLTAGE_V * forecast.phases for forecast in forecasts},
                    )
                ]
            )
            limits.sort(key=lambda bounds: equal_share_a(bounds, demand_a))
        for bounds in limits:
            if len(demand_a) == 1:
                demand_a = {evse_id: min(most_a, alone_a(bounds, evse_id)) for evse_id, most_a in demand_a.items()}
            elif any(_weighted_demand(demand_a, bound) > bound.capacity for bound in bounds):
                demand_a = self.share(bounds, demand_a, list(demand_a))
        return demand_a


def _weighted_demand(demand_a: Mapping[int, float], bound: Bound) -> float:
    total = 0.0
    for evse_id, weight in bound.weights.items():
        total += demand_a.get(evse_id, 0.0) * weight
    return total


def _conductors(forecasts: Sequence[EvseForecast]) -> list[Mapping[int, float]]:
    """The groups of EVSEs that share a conductor, without those contained in a larger one: often a single group."""
    loading = {
        frozenset(forecast.target.evse_id for forecast in forecasts if phase in forecast.grid_phases)
        for phase in range(3)
    }
    return [dict.fromkeys(evse_ids, 1.0) for evse_ids in loading if not any(evse_ids < larger for larger in loading)]


def _most_phases(forecasts: Sequence[EvseForecast], evse_id: int) -> int:
    return max(consumer.phases for consumer in forecasts if evse_id in {0, consumer.target.evse_id})


def _with_ordered_phases(
    forecasts: Sequence[EvseForecast], switching: Sequence[EvseForecast], on: Sequence[float | None]
) -> Sequence[EvseForecast]:
    """The EVSEs with the number of phases that profiles order, for those whose boards can switch."""
    ordered = {
        forecast.target.evse_id: phases for forecast, phases in zip(switching, on, strict=True) if phases is not None
    }
    return [
        replace(forecast, phases=int(ordered.get(forecast.target.evse_id, forecast.phases))) for forecast in forecasts
    ]


def _to_periods(exact: Sequence[LimitSpan], counts: Sequence[LimitSpan]) -> list[CompositePeriod]:
    """Combine limits and phase counts, in whole seconds; a period ends where one of them changes."""
    both = slices([in_whole_seconds(exact), in_whole_seconds(counts)])
    return [CompositePeriod(since, limit or 0.0, int(phases or 0.0)) for since, _, (limit, phases) in both]


def in_whole_seconds(exact: Iterable[LimitSpan]) -> list[LimitSpan]:
    """Convert spans from microseconds to whole seconds: the lowest limit within a second applies; equal ones merge."""
    rounded: list[LimitSpan] = []
    for since, until, limit in exact:
        first, last = since // _MICROSECONDS_PER_SECOND, -(-until // _MICROSECONDS_PER_SECOND)
        if rounded and rounded[-1][1] > first:  # two within one second
            first = _lower_last_second(rounded, first, limit)
        if first >= last:
            continue
        if rounded and rounded[-1][2] == limit:
            first = rounded.pop()[0]
        rounded.append((first, last, limit))
    return rounded


def _lower_last_second(rounded: list[LimitSpan], first: int, limit: float) -> int:
    """Lower the last spans to a limit from second `first` on; return the second at which its own span begins."""
    while rounded and rounded[-1][1] > first and limit < rounded[-1][2]:
        begun, _, before = rounded.pop()
        if begun < first:
            rounded.append((begun, first, before))
            break
    return max(first, rounded[-1][1]) if rounded else first
