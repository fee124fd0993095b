"""Schedules for vehicles: power over time from composite schedules, and comparison of schedules. Pure (K15 to K17)."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from energy.charging_profile import RateUnit, Schedule, SchedulePeriod
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.frozen import Frozen
from station.core.vehicle_link import ChargingNeeds, EnergyTransferMode, PowerPeriod, ScheduleTuple

if TYPE_CHECKING:
    from energy.composite_schedule import CompositePeriod

_TOLERANCE_W: Final = 1.0
"""differences below it come from rounding"""


class OfferedSchedules(Frozen):
    """The schedules that a vehicle was offered, and when: their periods count from then."""

    begin: datetime
    tuples: tuple[ScheduleTuple, ...]

    def find(self, tuple_id: int) -> ScheduleTuple | None:
        """The schedule with this id; None: it was not offered."""
        return next((offered for offered in self.tuples if offered.id == tuple_id), None)


def supported_modes(phases: int) -> tuple[EnergyTransferMode, ...]:
    """The energy transfer modes of an EVSE with this number of phases, the fastest first."""
    if phases == 1:
        return (EnergyTransferMode.AC_SINGLE_PHASE,)
    return (EnergyTransferMode.AC_THREE_PHASE, EnergyTransferMode.AC_SINGLE_PHASE)


def power_periods(levels: Iterable[CompositePeriod], unit: RateUnit, needs: ChargingNeeds) -> tuple[PowerPeriod, ...]:
    """Convert a composite schedule to the powers that a vehicle may draw, in no more periods than it can read.

    Rounded down to whole watts; where periods are joined, the lowest power of them holds.
    """
    periods: list[PowerPeriod] = []
    for level in levels:
        phases = min(level.phases, needs.mode.phases)
        power_w = level.limit if unit is RateUnit.W else level.limit * NOMINAL_VOLTAGE_V * phases
        power_w = float(math.floor(power_w + 1e-6))
        if not periods or periods[-1].power_w != power_w:
            periods.append(PowerPeriod(level.start_s, power_w))
    most = needs.max_periods or len(periods)
    if len(periods) > most:
        lowest_w = min(period.power_w for period in periods[most - 1 :])
        periods[most - 1 :] = [PowerPeriod(periods[most - 1].start_s, lowest_w)]
    return tuple(periods)


def is_within(plan: Sequence[PowerPeriod], offered: ScheduleTuple) -> bool:
    """Return whether the plan of a vehicle stays within the schedule that it has chosen (K15.FR.09, K16.FR.04).

    `plan`: its periods in order.
    """
    starts = sorted({period.start_s for period in (*plan, *offered.periods)})
    return all(
        power_at(plan, start_s) <= power_at(offered.periods, start_s) + _TOLERANCE_W
        for start_s in starts
        if start_s < offered.duration_s
    )


def in_order(plan: Sequence[PowerPeriod]) -> tuple[PowerPeriod, ...]:
    """The plan of a vehicle, which may send its periods in any order, from its begin on."""
    periods = sorted({period.start_s: period for period in plan}.values(), key=lambda period: period.start_s)
    if periods and periods[0].start_s > 0:
        periods.insert(0, PowerPeriod(0, 0.0))
    return tuple(periods)


def power_at(periods: Sequence[PowerPeriod], at_s: float) -> float:
    """The power at a time after the begin of a schedule, in W; 0 before its first period. `periods` are in order."""
    position = bisect.bisect_right(periods, at_s, key=lambda period: period.start_s)
    return periods[position - 1].power_w if position else 0.0


def has_changed(offered: OfferedSchedules, present: OfferedSchedules) -> bool:
    """Return whether present schedules differ from those that the vehicle has, from the begin of the present ones on.

    The end of the schedules is not compared: time alone moves it. Schedules that have ended have changed.
    """
    passed_s = (present.begin - offered.begin) / timedelta(seconds=1)
    if any(passed_s >= each.duration_s for each in offered.tuples):
        return True
    if [each.id for each in offered.tuples] != [each.id for each in present.tuples]:
        return True
    for old, new in zip(offered.tuples, present.tuples, strict=True):
        until_s = min(old.duration_s - passed_s, float(new.duration_s))
        starts = {0.0, *(float(period.start_s) for period in new.periods)}
        starts |= {period.start_s - passed_s for period in old.periods}
        for start_s in sorted(start_s for start_s in starts if 0.0 <= start_s < until_s - 1.0):
            # A second later: the begin of a period may be rounded in one of them.
            old_w, new_w = power_at(old.periods, start_s + 1.0 + passed_s), power_at(new.periods, start_s + 1.0)
            if abs(old_w - new_w) > _TOLERANCE_W:
                return True
    return False


def vehicle_schedule(
    plan: Sequence[PowerPeriod], chosen: ScheduleTuple, schedule_id: int, unit: RateUnit, phases: int
) -> Schedule:
    """The plan of a vehicle as a charging schedule (NotifyEVChargingSchedule), as the vehicle has sent it (K15.FR.10).

    Without a plan it is the chosen schedule (K15.FR.19). `plan`: its periods in order. Limits are rounded down: to
    0.1 A or whole watts.
    """
    periods = tuple(
        SchedulePeriod(period.start_s, _limit(period.power_w, unit, phases)) for period in plan or chosen.periods
    )
    return Schedule(schedule_id, unit, periods, duration_s=chosen.duration_s)


def _limit(power_w: float, unit: RateUnit, phases: int) -> float:
    if unit is RateUnit.W:
        return float(math.floor(power_w))
    return math.floor(power_w / (NOMINAL_VOLTAGE_V * phases) * 10.0 + 1e-6) / 10.0
