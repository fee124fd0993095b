"""Limits by charging profiles at one moment, to find out whether a change of profiles lowers one. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from energy.charging_profile import ChargingProfile, SchedulePeriod
from energy.composite import ProfileTarget, limit_a, single_phase_period, station_limit_a
from foundation.frozen import Frozen


class ProfileLimits(Frozen):
    """The limits that profiles set at one moment, amperes per phase; infinite where no profile applies."""

    station_a: float
    evses_a: tuple[float, ...]
    """of each target, in their order"""
    phase_orders: tuple[SchedulePeriod | None, ...]
    """of each target whose board can switch phases, in their order: the period that allows fewer than three phases"""

    def restricts_more_than(self, before: ProfileLimits) -> bool:
        """Return whether a limit is lower than before, or the number of phases may differ."""
        return (
            self.station_a < before.station_a
            or len(self.evses_a) != len(before.evses_a)
            or any(now_a < before_a for now_a, before_a in zip(self.evses_a, before.evses_a, strict=True))
            or self.phase_orders != before.phase_orders
        )


def profile_limits(
    profiles: Sequence[ChargingProfile],
    targets: Sequence[ProfileTarget],
    switching: Sequence[ProfileTarget],
    now: datetime,
) -> ProfileLimits:
    """Evaluate profiles now, for all EVSEs (`targets`), and for those whose boards can switch phases (`switching`)."""
    return ProfileLimits(
        _or_infinite(station_limit_a(profiles, now)),
        tuple(_or_infinite(limit_a(profiles, target, now)) for target in targets),
        tuple(single_phase_period(profiles, target, now) for target in switching),
    )


def _or_infinite(current_a: float | None) -> float:
    return math.inf if current_a is None else current_a
