"""Plans of vehicles beside the schedules that they were offered, also the longest ones and in any order."""

from __future__ import annotations

import time

import pytest

from station.core.vehicle_link import PowerPeriod, ScheduleTuple
from station.vehicle.schedule_offer import in_order, is_within, power_at

OFFERED = ScheduleTuple(1, (PowerPeriod(0, 11_000.0), PowerPeriod(600, 4_000.0)), 3_600)


@pytest.mark.parametrize(
    ("at_s", "power_w"), [(-1, 0.0), (0, 11_000.0), (599, 11_000.0), (600, 4_000.0), (9_999, 4_000.0)]
)
def test_the_power_of_a_schedule_is_that_of_its_last_period_begun(at_s: float, power_w: float) -> None:
    assert power_at(OFFERED.periods, at_s) == power_w


@pytest.mark.parametrize("turned", [False, True])
def test_a_plan_above_the_schedule_is_found_in_whatever_order_its_periods_come(turned: bool) -> None:
    within = (PowerPeriod(0, 11_000.0), PowerPeriod(600, 4_000.0))
    above = (PowerPeriod(0, 11_000.0), PowerPeriod(601, 4_000.0))
    assert is_within(in_order(within[::-1] if turned else within), OFFERED)
    assert not is_within(in_order(above[::-1] if turned else above), OFFERED)


def test_the_longest_plan_and_schedule_are_compared_in_less_than_20_ms() -> None:
    plan = tuple(PowerPeriod(2 * position, 100.0) for position in range(1024))
    offered = ScheduleTuple(1, tuple(PowerPeriod(2 * position, 200.0) for position in range(1024)), 3_600)
    before_s = time.thread_time()
    assert is_within(plan, offered)
    assert time.thread_time() - before_s < 0.020
