"""The schedules of one EVSE for its vehicle: what is offered, what was chosen, and when to negotiate anew (K15–K17)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from energy.charging_profile import Purpose, RateUnit
from energy.composite_schedule import CompositePeriod
from energy.profile_store import ProfileRefusal
from station.charging.evse_state import allowed_a
from station.core.vehicle_link import MAX_SCHEDULES, ScheduleTuple
from station.vehicle.schedule_offer import (
    OfferedSchedules,
    has_changed,
    in_order,
    is_within,
    power_periods,
    vehicle_schedule,
)

if TYPE_CHECKING:
    from datetime import datetime

    from energy.charging_profile import ChargingProfile, Schedule
    from foundation.clock import Clock
    from foundation.events import Event
    from station.charging.evse import Evse
    from station.core.vehicle_link import ChargingNeeds, ScheduleSelected
    from station.load.charging_profiles import PersistentProfiles
    from station.load.expected_schedule import ExpectedSchedules

_log = logging.getLogger(__name__)

_LONGEST_S: Final = 86_400
"""length of the schedules if the vehicle does not say when it leaves, and the longest"""
_SHORTEST_S: Final = 900


class VehicleSchedules:
    """Makes the schedules that the vehicle of one EVSE may choose from; none exceeds its composite schedule."""

    def __init__(self, evse: Evse, schedules: ExpectedSchedules, profiles: PersistentProfiles, clock: Clock) -> None:
        self._evse = evse
        self._schedules = schedules
        self._profiles = profiles
        self._clock = clock
        self._offered: OfferedSchedules | None = None
        self._needs: ChargingNeeds | None = None

    @property
    def profiles_changed(self) -> Event[None]:
        """Published after each change of the charging profiles, which may lead to new schedules."""
        return self._profiles.store.changed

    def forget(self) -> None:
        """Forget what was offered: the session has ended."""
        self._offered = self._needs = None

    def transaction_profiles(self) -> tuple[ChargingProfile, ...]:
        """The TxProfiles of the running transaction, the highest stack level first."""
        transaction_id = self._evse.transaction_id
        found = [
            profile
            for profile in self._profiles.store.all()
            if profile.purpose is Purpose.TX and transaction_id is not None and profile.transaction_id == transaction_id
        ]
        return tuple(sorted(found, key=lambda profile: -profile.stack_level))

    async def offer(self, needs: ChargingNeeds) -> OfferedSchedules:
        """Make the schedules for the needs of the vehicle, and remember them as offered."""
        offered = await self._make(needs)
        self._needs, self._offered = needs, offered
        return offered

    def select(self, selected: ScheduleSelected) -> tuple[datetime, Schedule] | None:
        """Put the schedule in force that the vehicle has chosen (K15.FR.10, K15.FR.19).

        Returns its plan for the CSMS, and from when its periods count; None: it has chosen one that was not offered.
        """
        offered = self._offered
        chosen = offered.find(selected.tuple_id) if offered is not None else None
        if chosen is None or self._needs is None or offered is None:
            evse_id, tuple_id = self._evse.id, selected.tuple_id
            _log.warning("EVSE %d: the vehicle has chosen schedule %d, which it was not offered", evse_id, tuple_id)
            return None
        position = offered.tuples.index(chosen)
        if (transaction_id := self._evse.transaction_id) is not None:
            self._profiles.select_schedule(transaction_id, position)
        plan = in_order(selected.plan)
        if not is_within(plan, chosen):  # the limit holds whatever the vehicle plans
            _log.warning("EVSE %d: the vehicle plans to draw more than the schedule that it has chosen", self._evse.id)
        schedule = self._schedule_of_csms()
        unit = schedule.unit if schedule is not None else self._usual_unit()
        schedule_id = schedule.id if schedule is not None else chosen.id
        return offered.begin, vehicle_schedule(plan, chosen, schedule_id, unit, self._phases(self._needs))

    async def changed_since_offer(self) -> bool:
        """Return whether the schedules that would be offered now differ from those that were (K16.FR.02)."""
        offered, needs = self._offered, self._needs
        if offered is None or needs is None:
            return False
        present = await self._make(needs)
        return offered is self._offered and has_changed(offered, present)

    async def _make(self, needs: ChargingNeeds) -> OfferedSchedules:
        """Make the schedules; between them others have their turn: each may take some milliseconds."""
        count = max([len(profile.alternatives) for profile in self.transaction_profiles()], default=0) or 1
        stay_s = _LONGEST_S if needs.departs_in_s is None else needs.departs_in_s
        length_s = min(max(stay_s, _SHORTEST_S), _LONGEST_S)
        begin, tuples = self._clock.now().replace(microsecond=0), list[ScheduleTuple]()
        for position in range(min(count, MAX_SCHEDULES)):
            levels, unit = self._levels(length_s, position if count > 1 else None)
            await asyncio.sleep(0)
            tariff = self._sales_tariff(position)
            tuples.append(ScheduleTuple(position + 1, power_periods(levels, unit, needs), length_s, tariff))
        return OfferedSchedules(begin, tuple(tuples))

    def _levels(self, length_s: int, position: int | None) -> tuple[list[CompositePeriod], RateUnit]:
        """The composite schedule (K15.FR.22); if it is too long to compute, the current that is allowed now."""
        unit = self._usual_unit()
        expected = self._schedules.expected(self._evse.id, length_s, unit, alternative=position)
        if isinstance(expected, ProfileRefusal):
            _log.warning("EVSE %d: no composite schedule for the vehicle: %s", self._evse.id, expected.sentence)
            return [CompositePeriod(0, allowed_a(self._evse.state), self._evse.layout.phases)], RateUnit.A
        return expected.levels, expected.unit

    def _usual_unit(self) -> RateUnit:
        """Amperes, if the station supports them."""
        return RateUnit.A if self._profiles.supports(RateUnit.A) else RateUnit.W

    def _schedule_of_csms(self) -> Schedule | None:
        """The charging schedule of the CSMS from which the chosen one is made; None: there is none."""
        profiles = self.transaction_profiles()
        if profiles:
            return profiles[0].schedule
        defaults = [
            profile
            for profile in self._profiles.store.applicable()
            if profile.purpose is Purpose.TX_DEFAULT and profile.evse_id in {0, self._evse.id}
        ]
        defaults.sort(key=lambda profile: -profile.stack_level)
        return defaults[0].schedule if defaults else None

    def _sales_tariff(self, position: int) -> str | None:
        for profile in self.transaction_profiles():
            return profile.with_alternative(position).schedule.sales_tariff
        return None

    def _phases(self, needs: ChargingNeeds) -> int:
        return min(needs.mode.phases, self._evse.layout.phases)
