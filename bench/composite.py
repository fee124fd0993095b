"""Measures the computation of a 24 h composite schedule from twenty stacked profiles (`python -m bench.composite`)."""

from __future__ import annotations

import random
import statistics
import time
from datetime import UTC, datetime, timedelta

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Recurrency, Schedule, SchedulePeriod
from energy.composite import ProfileTarget, station_limit_a
from energy.composite_schedule import EvseForecast, StationForecast, composite_schedule
from energy.sharing import Policy
from energy.vehicle_use import VehicleUses

AIM_MS = 0.8
_DAY_S = 86_400
_BEGIN = datetime(2026, 1, 12, 7, 30, tzinfo=UTC)
_QUARTER_S = 900


def profiles(count: int, seed: int = 1) -> list[ChargingProfile]:
    """Create `count` profiles of all purposes and kinds; higher ones are shorter, so that each of them takes effect."""
    dice = random.Random(seed)
    purposes = [Purpose.TX_DEFAULT] * 5 + [Purpose.TX] * 3 + [Purpose.STATION_MAX] * 2
    stacked: list[ChargingProfile] = []
    for number in range(count):
        lasts_s = _DAY_S * (count - number) // count
        periods = tuple(
            SchedulePeriod(start_s, dice.uniform(6.0, 32.0), 3) for start_s in range(0, lasts_s, _QUARTER_S)
        )
        begins = _BEGIN + timedelta(seconds=dice.randrange(-_DAY_S // 2, _DAY_S // 2))
        purpose = purposes[number % len(purposes)]
        stacked.append(
            ChargingProfile(
                number + 1,
                0,
                number,
                purpose,
                Kind.RECURRING if number % 2 else Kind.ABSOLUTE,
                Schedule(number, RateUnit.A, periods, begins, lasts_s),
                Recurrency.DAILY,
                transaction_id="tx" if purpose is Purpose.TX else None,
            )
        )
    return stacked


def milliseconds(count: int = 20, runs: int = 200, evses: int = 1, policy: Policy = Policy.FAIR) -> tuple[float, int]:
    """The median time of a composite schedule of one EVSE while `evses` charge, and its number of periods."""
    installed, order = profiles(count), range(1, evses + 1)
    consumers = [
        EvseForecast(ProfileTarget(number, "tx" if number == 1 else None, _BEGIN), 3, 32.0, True) for number in order
    ]
    site = StationForecast(consumers, 32.0, VehicleUses(policy).share)
    times_ms: list[float] = []
    levels = 0
    for _ in range(runs):
        began_s = time.perf_counter()
        levels = len(composite_schedule(installed, site, 1, _BEGIN, _DAY_S, RateUnit.A))
        times_ms.append((time.perf_counter() - began_s) * 1000.0)
    return statistics.median(times_ms), levels


def moment_us(count: int = 20, runs: int = 2000) -> float:
    """The median time to compute the present limit of the station, as done each second."""
    installed = profiles(count)
    times_us: list[float] = []
    for number in range(runs):
        now = _BEGIN + timedelta(seconds=number)
        began_s = time.perf_counter()
        station_limit_a(installed, now)
        times_us.append((time.perf_counter() - began_s) * 1e6)
    return statistics.median(times_us)


def main() -> None:
    """Measure and print the results."""
    for evses, policy in ((1, Policy.FAIR), (2, Policy.FAIR), (2, Policy.FIRST_COME)):
        median_ms, levels = milliseconds(evses=evses, policy=policy)
        verdict = "met" if median_ms <= AIM_MS else "NOT MET"
        title = f"composite schedule of 24 h, 20 stacked profiles, {evses} EVSE(s), {policy}, {levels} periods, ms"
        print(f"{title:88} {median_ms:9.2f}   aim ≤ {AIM_MS}: {verdict}")
    print(f"{'  the limit of the station at one moment, µs':88} {moment_us():9.1f}")


if __name__ == "__main__":
    main()
