"""An idle station: it decides seldom, and still each limit begins and ends on time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from energy.controller import SharedLimit
from energy.limit import LimitSource
from tests.walk import Walk, walking
from tests.walks.house import GRID, House


def record_decisions(walk: Walk) -> list[float]:
    """Return a list to which the time of each later decision of load management is appended."""
    times: list[float] = []
    walk.parts.load.decisions.after_decision.subscribe(lambda _: times.append(walk.application.clock.monotonic()))
    return times


def limit_sources(walk: Walk) -> set[LimitSource]:
    return {limit.source for limit in walk.evse.limits}


async def idle(walk: Walk) -> None:
    await walk.accepted()
    await walk.advance(30)


async def test_an_idle_station_decides_every_minute_and_reads_its_meter_every_second(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        read: list[object] = []
        walk.evse.meter.reading_taken.subscribe(read.append)
        decided = record_decisions(walk)
        await walk.advance(600)
        assert 598 <= len(read) <= 602
        assert 9 <= len(decided) <= 11
        assert not walk.parts.load.decisions.waiting.overdue


async def test_from_the_plug_to_the_end_of_the_charge_it_decides_every_second(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        decided = record_decisions(walk)
        await walk.plug()
        assert len(decided) == 1  # at once, for the limits of the cable
        await walk.present()
        await walk.charging()
        decided.clear()
        await walk.advance(30)
        assert 28 <= len(decided) <= 34
        await walk.present()
        await walk.until(lambda: walk.evse.state.transaction is None)
        await walk.advance(15)
        decided.clear()
        await walk.advance(40)
        assert len(decided) <= 1


async def test_a_profile_begins_and_ends_on_time_while_the_station_is_idle(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        now = walk.application.clock.now()
        schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 7.0, 3),), now + timedelta(seconds=33.5), 21)
        profile = ChargingProfile(1, 0, 0, Purpose.STATION_MAX, Kind.ABSOLUTE, schedule)
        await walk.parts.load.profiles.install(profile)
        await walk.advance(33.4)
        assert LimitSource.CHARGING_PROFILE not in limit_sources(walk)
        await walk.advance(0.2)
        assert LimitSource.CHARGING_PROFILE in limit_sources(walk)
        await walk.advance(20.8)
        assert LimitSource.CHARGING_PROFILE in limit_sources(walk)
        await walk.advance(0.2)
        assert LimitSource.CHARGING_PROFILE not in limit_sources(walk)


async def test_a_shared_limit_ends_on_time_while_the_station_is_idle(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        until = walk.application.clock.now() + timedelta(seconds=17.3)
        limit = SharedLimit(LimitSource.OPERATOR, 6.0, until=until)
        walk.parts.load.limits.set_shared("operator", limit)
        await walk.settle()
        assert LimitSource.OPERATOR in limit_sources(walk)  # at once
        await walk.advance(17.2)
        assert LimitSource.OPERATOR in limit_sources(walk)
        await walk.advance(0.2)
        assert LimitSource.OPERATOR not in limit_sources(walk)


async def test_a_corrected_clock_moves_the_profiles_at_once(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        start = walk.application.clock.now() + timedelta(hours=1)
        schedule = Schedule(1, RateUnit.A, (SchedulePeriod(0, 7.0, 3),), start)
        profile = ChargingProfile(1, 0, 0, Purpose.STATION_MAX, Kind.ABSOLUTE, schedule)
        await walk.parts.load.profiles.install(profile)
        await walk.settle()
        walk.application.clock.adjust(timedelta(hours=2))
        await walk.settle()
        assert LimitSource.CHARGING_PROFILE in limit_sources(walk)


async def test_the_silence_of_the_grid_meter_is_noticed_within_a_second_while_the_station_is_idle(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path, grid=GRID) as walk:
        await idle(walk)
        await House(walk).live(5)
        decided = record_decisions(walk)
        await walk.advance(3.9)  # the last sample is 4.9 s old
        assert (len(decided), walk.parts.load.grid.meter_silent) == (0, False)
        await walk.advance(0.2)
        assert walk.parts.load.grid.meter_silent
        decided.clear()
        await walk.advance(10)
        assert 9 <= len(decided) <= 11  # the limits fall with time


async def test_another_start_point_applies_with_the_next_reading_although_that_changes_nothing_else(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        assert not walk.evse.state.energy_starts_transaction
        await walk.set_variable("TxCtrlr", "TxStartPoint", "EnergyTransfer")
        await walk.advance(1.1)
        assert walk.evse.state.energy_starts_transaction


async def test_the_temperature_limits_at_once_while_the_station_is_idle(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        walk.board.set_temperature(55.0)
        await walk.settle()
        assert LimitSource.TEMPERATURE in limit_sources(walk)
        walk.board.set_temperature(20.0)
        await walk.settle()
        assert LimitSource.TEMPERATURE not in limit_sources(walk)


async def test_a_burst_of_profiles_is_decided_together(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        decided = record_decisions(walk)
        for limit_a in range(10, 20):
            period = {"startPeriod": 0, "limit": limit_a}
            schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
            profile = {
                "id": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": [schedule],
            }
            answer = await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
            assert answer["status"] == "Accepted"
        await walk.settle()
        assert len(decided) == 1  # the first at once
        await walk.advance(0.1)
        assert len(decided) == 2
        assert 19.0 in {limit.current_a for limit in walk.evse.limits}
        cleared = await walk.csms.call("ClearChargingProfile", {"chargingProfileId": 1})
        assert cleared["status"] == "Accepted"
        await walk.advance(0.1)
        assert LimitSource.CHARGING_PROFILE not in limit_sources(walk)


async def test_the_chart_shows_the_end_of_a_charge_when_it_was(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await idle(walk)
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.advance(25)
        await walk.present()
        await walk.until(lambda: walk.evse.state.transaction is None)
        ended_s = walk.application.clock.now().timestamp()
        await walk.advance(70)
        rows = walk.parts.history.samples_since(ended_s)
        assert rows[0].at_s - ended_s < 11.0
        assert rows[0].car_a == (0.0, 0.0, 0.0)
