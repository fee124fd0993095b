"""The composite schedule of the profiles in force, for an EVSE or the grid connection (K08)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from energy.charging_profile import RateUnit
from energy.composite_schedule import (
    MAX_EVALUATED_PERIODS,
    CompositePeriod,
    EvseForecast,
    StationForecast,
    composite_schedule,
    count_periods,
)
from energy.limit import LASTING_SOURCES
from energy.profile_store import MAX_PERIODS, ProfileRefusal
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy.controller import Demand, LoadController
    from foundation.clock import Clock
    from station.load.charging_profiles import PersistentProfiles
    from station.load.demands import Demands


class ExpectedSchedule(Frozen):
    """The composite schedule of GetCompositeSchedule: the highest draw that lasting limits allow, from `begin` on."""

    begin: datetime
    unit: RateUnit
    levels: list[CompositePeriod]
    """the periods in order; the start of each in seconds after `begin`"""


class ExpectedSchedules:
    """Computes composite schedules by the present demands, profiles and limits; changes nothing."""

    def __init__(
        self, controller: LoadController, demands: Demands, profiles: PersistentProfiles, clock: Clock
    ) -> None:
        self._controller = controller
        self._demands = demands
        self._profiles = profiles
        self._clock = clock

    def expected(
        self, evse_id: int, duration_s: int, unit: RateUnit | None, *, alternative: int | None = None
    ) -> ExpectedSchedule | ProfileRefusal:
        """The composite schedule of an EVSE, or of the grid connection for EVSE 0, starting now (K08.FR.02).

        It includes lasting limits only: profiles, external constraints, ratings, the connection. The present draw of
        the house is not included. `unit` None: the first supported one. `alternative`: the position of the schedule
        that counts of each TxProfile that has several (K15.FR.22); None: the one in force. Returns a refusal if the
        request must be rejected.
        """
        profiles = self._profiles.store.applicable()
        if alternative is not None:
            profiles = tuple(profile.with_alternative(alternative) for profile in profiles)
        demands = self._controller.with_chosen_phases(self._demands.collect())
        if evse_id != 0 and evse_id not in {demand.evse_id for demand in demands}:  # K08.FR.05
            return ProfileRefusal("UnknownEvse", f"evseId {evse_id} does not exist")
        if duration_s < 1:
            return ProfileRefusal("ValueTooLow", "duration must be at least 1 second")
        unit = unit or next((candidate for candidate in RateUnit if self._profiles.supports(candidate)), RateUnit.A)
        if not self._profiles.supports(unit):  # K08.FR.07
            return ProfileRefusal("UnsupportedRateUnit", f"chargingRateUnit {unit} is not supported")
        if count_periods(profiles, timedelta(seconds=duration_s)) > MAX_EVALUATED_PERIODS:
            return ProfileRefusal("ValueTooHigh", "the charging profiles have too many periods within this duration")
        # Profiles usually start at whole seconds: so the periods are exact.
        begin = self._clock.now().replace(microsecond=0)
        forecast = station_forecast(self._controller, demands)
        levels = composite_schedule(profiles, forecast, evse_id, begin, duration_s, unit)
        if len(levels) > MAX_PERIODS:
            reason = f"the schedule has more than {MAX_PERIODS} periods within this duration"
            return ProfileRefusal("ValueTooHigh", reason)
        return ExpectedSchedule(begin, unit, levels)


def station_forecast(controller: LoadController, demands: Sequence[Demand]) -> StationForecast:
    """The input of `composite_schedule`: EVSEs in service order, the limit that they share, and the sharing rule."""
    consumers = [
        EvseForecast(
            demand.target,
            demand.phases,
            min(limit.current_a for limit in demand.own_limits if limit.source in LASTING_SOURCES),
            demand.may_charge,
            controller.feeding_phases(demand),
        )
        for demand in controller.in_service_order(demands)
    ]
    return StationForecast(consumers, controller.grid.fixed_limit_a, controller.share)
