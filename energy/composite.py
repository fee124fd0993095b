"""Evaluates charging profiles: the limits that they set at a moment or over a span of time. Pure.

Times are exact here: within a span they are whole microseconds after its beginning; only the schedule that is
reported is rounded to whole seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import TypeAlias

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Recurrency, SchedulePeriod
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen

ALL_PHASES = 3

RECURRENCE = {Recurrency.DAILY: timedelta(days=1), Recurrency.WEEKLY: timedelta(weeks=1)}
_SEARCH_HORIZON = timedelta(weeks=1)
"""how far ahead a change of a limit is searched"""
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_SECOND = 1_000_000
_START_S = attrgetter("start_s")

LimitSpan: TypeAlias = tuple[int, int, float]
"""from, until (microseconds after the beginning of a span of time), limit (amperes per phase unless stated)"""


class ProfileTarget(Frozen):
    """An EVSE and the transaction that runs on it, for selecting the profiles that apply."""

    evse_id: int
    transaction_id: str | None = None
    started_at: datetime | None = None
    """when energy was first available to the vehicle: the start of Relative schedules (K01.FR.42)"""
    phases: int | None = None
    """phases in use if the board can switch phases; None: all that are wired"""


STATION_TARGET = ProfileTarget(0)
"""target of profiles for the whole station"""


# At one moment


def limit_a(profiles: Iterable[ChargingProfile], target: ProfileTarget, now: datetime) -> float | None:
    """The current limit of a transaction from its profiles now, amperes per phase; None if no profile applies.

    TxProfile goes before TxDefaultProfile, the higher stack level before the lower (K01.FR.17, K02.FR.04); a profile
    whose schedule is over or has not begun is skipped (K01.FR.13, K01.FR.30, K02.FR.08).
    """
    found = _first_active_period(ranked(profiles, target), target, now)
    return amperes(*found) if found is not None else None


def station_period(profiles: Iterable[ChargingProfile], now: datetime) -> tuple[SchedulePeriod, RateUnit] | None:
    """The period of ChargingStationMaxProfile in force now, with its unit (K04.FR.05); None: no limit for all EVSEs."""
    return _first_active_period(_station_max_profiles(profiles), STATION_TARGET, now)


def station_limit_a(profiles: Iterable[ChargingProfile], now: datetime) -> float | None:
    """The limit of ChargingStationMaxProfile for all EVSEs together, amperes per phase; None: no limit."""
    found = station_period(profiles, now)
    return amperes(*found) if found is not None else None


def single_phase_period(
    profiles: Sequence[ChargingProfile], target: ProfileTarget, now: datetime
) -> SchedulePeriod | None:
    """The period in force, of this EVSE or the station, that allows fewer than three phases; None: none does.

    One with phaseToUse is preferred.
    """
    periods_in_force = (_first_active_period(ranked(profiles, target), target, now), station_period(profiles, now))
    singles = [found[0] for found in periods_in_force if found is not None and found[0].phase_count < ALL_PHASES]
    return max(singles, key=lambda period: period.phase_to_use is not None, default=None)


def amperes(period: SchedulePeriod, unit: RateUnit) -> float:
    """Convert the limit of a period to amperes per phase (K01.FR.50, K01.FR.51).

    Watts are divided by the `numberPhases` of the period, however many phases the vehicle or the board uses (errata
    2025-09, 2.40): a limit for three phases never becomes three times the current on one.
    """
    if unit is RateUnit.A:
        return period.limit
    return period.limit / (NOMINAL_VOLTAGE_V * period.phase_count)


def phases_used(period: SchedulePeriod, connected: int | None) -> int:
    """The number of phases a transaction uses during a period: a board that switches has one or all (K01.FR.43)."""
    if connected is None:
        return period.phase_count
    return connected if period.phase_count >= ALL_PHASES else 1


def next_change(profiles: Iterable[ChargingProfile], target: ProfileTarget, now: datetime) -> datetime | None:
    """Next time at which `limit_a` may change: a period ends, or a profile of higher rank begins.

    None if not within a week.
    """
    return _next_change(ranked(profiles, target), target, now)


def next_station_change(profiles: Iterable[ChargingProfile], now: datetime) -> datetime | None:
    """Next time at which `station_period` may change; None if not within a week."""
    return _next_change(_station_max_profiles(profiles), STATION_TARGET, now)


def _next_change(ordered: Iterable[ChargingProfile], target: ProfileTarget, now: datetime) -> datetime | None:
    latest = _SEARCH_HORIZON // _MICROSECOND
    soonest = latest
    for profile in ordered:
        since, until, _ = next(_profile_spans(profile, target, now, 0, latest), (latest, latest, None))
        soonest = min(soonest, since or until)
        if since == 0:
            break
    return now + soonest * _MICROSECOND if soonest < latest else None


def active_period(profile: ChargingProfile, target: ProfileTarget, now: datetime) -> SchedulePeriod | None:
    """The period of a profile's schedule in force now; None before its start and after its end."""
    if not _is_valid(profile, now) or (start := _run_start(profile, target, now)) is None or now < start:
        return None
    elapsed_s = (now - start).total_seconds()
    schedule = profile.schedule
    if schedule.duration_s is not None and elapsed_s >= schedule.duration_s:  # K01.FR.11
        return None
    begun = [period for period in schedule.periods if period.start_s <= elapsed_s]  # K01.FR.12
    return begun[-1] if begun else None


def ranked(profiles: Iterable[ChargingProfile], target: ProfileTarget) -> list[ChargingProfile]:
    """The TxProfiles and TxDefaultProfiles of a target, highest rank first, whether or not valid now."""
    of_target = [
        profile
        for profile in profiles
        if profile.evse_id in {0, target.evse_id}
        and (
            profile.purpose is Purpose.TX_DEFAULT
            or (profile.purpose is Purpose.TX and _is_for_transaction(profile, target))
        )
    ]
    return sorted(of_target, key=lambda profile: (profile.purpose is Purpose.TX, profile.stack_level), reverse=True)


def _station_max_profiles(profiles: Iterable[ChargingProfile]) -> list[ChargingProfile]:
    """The ChargingStationMaxProfiles, highest stack level first."""
    found = [profile for profile in profiles if profile.purpose is Purpose.STATION_MAX]
    return sorted(found, key=lambda profile: profile.stack_level, reverse=True)


def _first_active_period(
    profiles: Iterable[ChargingProfile], target: ProfileTarget, now: datetime
) -> tuple[SchedulePeriod, RateUnit] | None:
    for profile in profiles:
        if (period := active_period(profile, target, now)) is not None:
            return period, profile.schedule.unit
    return None


def _is_for_transaction(profile: ChargingProfile, target: ProfileTarget) -> bool:
    return target.transaction_id is not None and profile.transaction_id == target.transaction_id


def _is_valid(profile: ChargingProfile, now: datetime) -> bool:
    if profile.valid_from is not None and now < profile.valid_from:  # K01.FR.36
        return False
    return profile.valid_to is None or now < profile.valid_to  # K01.FR.37


def _run_start(profile: ChargingProfile, target: ProfileTarget, now: datetime) -> datetime | None:
    """The start of the schedule's current run; None if not known yet."""
    first = _first_start(profile, target, now)
    if (
        profile.kind is Kind.RELATIVE
        or first is None
        or profile.kind is Kind.ABSOLUTE
        or profile.recurrency is None
        or now < first
    ):
        return first
    every = RECURRENCE[profile.recurrency]
    return first + every * ((now - first) // every)


def _first_start(profile: ChargingProfile, target: ProfileTarget, now: datetime) -> datetime | None:
    """The first start of the schedule, as known `now`."""
    if profile.kind is Kind.RELATIVE:
        return target.started_at
    starts_at = profile.schedule.starts_at
    return min(starts_at, now) if profile.from_arrival and starts_at is not None else starts_at


# Over a span of time


def limits_over(
    profiles: Iterable[ChargingProfile], target: ProfileTarget, begin: datetime, length: timedelta
) -> list[LimitSpan]:
    """`limit_a` over a span of time: spans in order, without overlaps, with gaps where no profile applies."""
    return _merge_by_rank(ranked(profiles, target), target, begin, length)


def phases_over(
    profiles: Sequence[ChargingProfile], target: ProfileTarget, begin: datetime, length: timedelta
) -> list[LimitSpan]:
    """The number of phases in use over a span, where a profile applies; empty if the board cannot switch phases."""
    if target.phases is None:
        return []

    def used(period: SchedulePeriod, _: RateUnit) -> float:
        return float(phases_used(period, target.phases))

    stacks = (ranked(profiles, target), _station_max_profiles(profiles))
    return merge_lowest([_merge_by_rank(stack, target, begin, length, used) for stack in stacks])


def station_limits_over(
    profiles: Sequence[ChargingProfile], begin: datetime, length: timedelta
) -> tuple[list[LimitSpan], list[LimitSpan]]:
    """The limits of all EVSEs together over a span: amperes on each conductor, and watts; empty where nothing limits.

    ChargingStationMaxProfile applies to each conductor, so its watts are converted to amperes (K01.FR.50). An external
    constraint in watts limits power. All external constraints apply, whoever has set them (SC.01).
    """
    stacks = [[profile] for profile in profiles if profile.purpose is Purpose.EXTERNAL_CONSTRAINTS]
    currents = [_merge_by_rank(_station_max_profiles(profiles), STATION_TARGET, begin, length)]
    currents += [_merge_by_rank(stack, STATION_TARGET, begin, length, _limit_in_amperes) for stack in stacks]
    powers = [_merge_by_rank(stack, STATION_TARGET, begin, length, _limit_in_watts) for stack in stacks]
    return _finite_limits(currents), _finite_limits(powers)


def _finite_limits(layers: Sequence[Sequence[LimitSpan]]) -> list[LimitSpan]:
    return [piece for piece in merge_lowest(layers) if math.isfinite(piece[2])]


def _limit_in_amperes(period: SchedulePeriod, unit: RateUnit) -> float:
    """The limit of a period in amperes; infinite if it is in watts."""
    return period.limit if unit is RateUnit.A else math.inf


def _limit_in_watts(period: SchedulePeriod, unit: RateUnit) -> float:
    """The limit of a period in watts; infinite if it is in amperes."""
    return period.limit if unit is RateUnit.W else math.inf


def _merge_by_rank(
    ordered: Iterable[ChargingProfile],
    target: ProfileTarget,
    begin: datetime,
    length: timedelta,
    limit_of: Callable[[SchedulePeriod, RateUnit], float] = amperes,
) -> list[LimitSpan]:
    """Merge profiles of descending rank over a span: each one fills the gaps left by those before it."""
    gaps = [(0, length // _MICROSECOND)]
    filled: list[LimitSpan] = []
    for profile in ordered:
        left: list[tuple[int, int]] = []
        for gap_begins, gap_ends in gaps:
            reached = gap_begins
            for since, until, period in _profile_spans(profile, target, begin, gap_begins, gap_ends):
                if since > reached:
                    left.append((reached, since))
                filled.append((since, until, limit_of(period, profile.schedule.unit)))
                reached = until
            if reached < gap_ends:
                left.append((reached, gap_ends))
        gaps = left
        if not gaps:
            break
    return sorted(filled)


def _profile_spans(
    profile: ChargingProfile, target: ProfileTarget, begin: datetime, earliest: int, latest: int
) -> Iterator[tuple[int, int, SchedulePeriod]]:
    """Yield the periods of a profile between two moments, cut to them."""
    if profile.valid_from is not None:
        earliest = max(earliest, (profile.valid_from - begin) // _MICROSECOND)
    if profile.valid_to is not None:
        latest = min(latest, (profile.valid_to - begin) // _MICROSECOND)
    periods = profile.schedule.periods
    for origin, over in _schedule_runs(profile, target, begin, earliest, latest):
        over = min(over, latest)
        index = max(0, bisect_right(periods, (earliest - origin) // _MICROSECONDS_PER_SECOND, key=_START_S) - 1)
        since = origin + periods[index].start_s * _MICROSECONDS_PER_SECOND if periods else over
        while since < over:
            following = (
                origin + periods[index + 1].start_s * _MICROSECONDS_PER_SECOND if index + 1 < len(periods) else over
            )
            until = following if following < over else over
            if since < earliest:
                since = earliest
            if until > since:
                yield since, until, periods[index]
            index += 1
            since = following


def _schedule_runs(
    profile: ChargingProfile, target: ProfileTarget, begin: datetime, earliest: int, latest: int
) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of the schedule between two moments."""
    start = _first_start(profile, target, begin)
    if start is None or earliest >= latest:
        return
    origin, duration_s = (start - begin) // _MICROSECOND, profile.schedule.duration_s
    lasts = duration_s * _MICROSECONDS_PER_SECOND if duration_s is not None else None  # K01.FR.11
    if profile.kind is not Kind.RECURRING or profile.recurrency is None:
        yield origin, origin + lasts if lasts is not None else latest
        return
    every = RECURRENCE[profile.recurrency] // _MICROSECOND
    lasts = min(lasts, every) if lasts is not None else every
    if origin < earliest:
        origin += (earliest - origin) // every * every
    while origin < latest:
        yield origin, origin + lasts
        origin += every


def merge_lowest(layers: Sequence[Sequence[LimitSpan]]) -> list[LimitSpan]:
    """Merge layers into one with the lowest value at each moment; gaps only where all layers have one."""
    filled_layers = [layer for layer in layers if layer]
    if len(filled_layers) <= 1:
        return list(chain.from_iterable(filled_layers))
    pieces: list[LimitSpan] = []
    for since, until, values in slices(filled_layers):
        defined_values = [value for value in values if value is not None]
        if defined_values:
            pieces.append((since, until, min(defined_values)))
    return pieces


def slices(layers: Sequence[Sequence[LimitSpan]]) -> Iterator[tuple[int, int, tuple[float | None, ...]]]:
    """Cut layers at every moment at which one changes; yield from, until, and each layer's value (None in a gap)."""
    moments: set[int] = set()
    parts: list[tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = []
    for layer in layers:
        starts, ends, values = zip(*layer, strict=True) if layer else ((), (), ())
        moments.update(starts)
        moments.update(ends)
        parts.append((starts, ends, values))
    boundaries = sorted(moments)
    index = dict(zip(boundaries, range(len(boundaries)), strict=True))
    columns: list[list[float | None]] = []
    for starts, ends, values in parts:
        column: list[float | None] = [None] * len(boundaries)
        for since, until, value in zip(starts, ends, values, strict=True):
            first, last = index[since], index[until]
            column[first] = value
            if last > first + 1:
                column[first:last] = [value] * (last - first)
        columns.append(column)
    return zip(boundaries, boundaries[1:], zip(*columns, strict=True), strict=False)
