"""Clips the limits of charging profiles to the bounds of currents and powers. Pure.

Many CSMSs send the highest number of their language for "no limit": the profile is accepted, reported as given, and
used clipped. Its dates and durations need no clipping: they are only compared and subtracted, which any date and any
integer of 32 bits allows.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from energy.charging_profile import ChargingProfile, RateUnit, Schedule
from foundation.bounds import CURRENT_A, POWER_W

_HIGHEST_LIMITS: Final = {RateUnit.A: CURRENT_A.highest, RateUnit.W: POWER_W.highest}
_LIMIT_OF_PERIOD: Final = attrgetter("limit")


def within_bounds(profile: ChargingProfile) -> ChargingProfile:
    """Return a profile whose limits can be calculated with; the profile itself if all of them can."""
    schedule = _clipped(profile.schedule)
    alternatives = tuple(map(_clipped, profile.alternatives))
    if schedule is profile.schedule and alternatives == profile.alternatives:
        return profile
    return replace(profile, schedule=schedule, alternatives=alternatives)


def _clipped(schedule: Schedule) -> Schedule:
    """A schedule with limits within the bounds; itself if they are."""
    highest = _HIGHEST_LIMITS[schedule.unit]
    if max(map(_LIMIT_OF_PERIOD, schedule.periods), default=0.0) <= highest:
        return schedule
    periods = tuple(
        period if period.limit <= highest else replace(period, limit=highest) for period in schedule.periods
    )
    return replace(schedule, periods=periods)
