"""Limits that others than the CSMS set for the whole station: the grid operator, an energy management system (K11–K13)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from energy.charging_profile import ChargingLimitSource, ChargingProfile, Period, RateUnit, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metering.clock import Clock
    from station.profiles import Profiles

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 60.0


class ExternalLimits:
    """Sets and releases them, and ends those whose time is over."""

    def __init__(self, profiles: Profiles, changed: Callable[[], None], clock: Clock) -> None:
        self._profiles = profiles
        self._changed = changed
        self._clock = clock

    def all(self) -> dict[ChargingLimitSource, ChargingProfile]:
        """The limits in force, by who has set them."""
        return self._profiles.external()

    async def impose(
        self,
        source: ChargingLimitSource,
        periods: Sequence[Period],
        unit: RateUnit,
        *,
        lasts: timedelta | None = None,
        grid_critical: bool | None = None,
    ) -> None:
        """From now on all EVSEs together draw no more than this, for so long or until it is released.

        Args:
            source: who says so; it replaces what the same source has said before.
            periods: their limits are amperes per phase or watts over all phases, counted from now.
            lasts: None: until it is released.

        Raises:
            ValueError: `source` is the CSO, whose limits come as charging profiles (K11.FR.05, K12.FR.04).
        """
        if source is ChargingLimitSource.CSO:
            raise ValueError("limits of the CSO come through the CSMS")
        duration_s = round(lasts.total_seconds()) if lasts is not None else None
        schedule = Schedule(1, unit, tuple(periods), self._clock.now(), duration_s)
        await self._profiles.impose(source, schedule, grid_critical=grid_critical)
        _log.info("%s limits the station to %s %s", source, periods[0].limit, unit)
        self._changed()

    async def release(self, source: ChargingLimitSource) -> bool:
        """Its limit does not hold any more; returns whether there was one."""
        released = await self._profiles.release(source)
        if released:
            _log.info("%s limits the station no more", source)
            self._changed()
        return released

    async def run(self) -> None:
        """End what is over, until cancelled. It limits nothing from its last second on, whenever this looks."""
        while True:
            now = self._clock.now()
            for source, profile in self.all().items():
                over_at = _over_at(profile)
                if over_at is not None and over_at <= now:
                    await self.release(source)
            waits_s = [(at - now).total_seconds() for one in self.all().values() if (at := _over_at(one)) is not None]
            await self._profiles.external_changed.wait_at_most(self._clock, min([*waits_s, _LOOK_EVERY_S]))


def _over_at(profile: ChargingProfile) -> datetime | None:
    """When a limit ends by itself; None: never."""
    starts_at, duration_s = profile.schedule.starts_at, profile.schedule.duration_s
    return starts_at + timedelta(seconds=duration_s) if starts_at is not None and duration_s is not None else None
