"""Limits for all EVSEs together: how long they hold, and what a pause does to them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from energy.station_limits import StationLimits
from simulator.clock import VirtualClock
from station.load.shared_limits import LimitRequest, LimitSetter, SharedLimits, parse_limit_request
from station.storage.fact_store import FactStore
from tests.databases import open_database

DAY_S = 86_400.0


async def test_a_limit_that_lasts_and_a_pause_hold_until_they_are_ended(tmp_path: Path) -> None:
    """One with a duration ends after it, also behind a pause."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts, in_force = FactStore(database, "limit"), StationLimits(clock)
        limits = SharedLimits(in_force, facts, clock, lambda: None)
        await limits.set_limit(LimitSetter.USER, LimitRequest(current_a=10.0, for_s=None))
        await limits.set_limit(LimitSetter.OPERATOR, LimitRequest(current_a=20.0, for_s=60.0))
        await clock.advance(30 * DAY_S)
        limits.process_timeouts()
        assert [limit.current_a for limit in in_force.shared.values()] == [10.0]
        await limits.pause()
        await clock.advance(30 * DAY_S)
        limits.process_timeouts()
        reloaded = SharedLimits(StationLimits(clock), facts, clock, lambda: None)
        await reloaded.load()
        for shared in (limits, reloaded):
            assert shared.paused
            await shared.resume()
            assert not shared.paused
        assert in_force.shared["user"].current_a == 10.0
        await limits.set_limit(LimitSetter.USER, LimitRequest(current_a=12.0, for_s=DAY_S))
        await limits.pause()
        await clock.advance(DAY_S + 1)
        limits.process_timeouts()
        assert limits.paused
        await limits.resume()
        assert in_force.shared == {}


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=20_000)])
async def test_a_limit_applies_again_when_a_clock_that_started_ahead_is_corrected(
    tmp_path: Path, ahead: timedelta
) -> None:
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "limit")
        before = SharedLimits(StationLimits(clock), facts, clock, lambda: None)
        await before.set_limit(LimitSetter.OPERATOR, LimitRequest(current_a=10.0, for_s=900.0))
        await clock.advance(60)
        clock.adjust(ahead)
        in_force = StationLimits(clock)
        after = SharedLimits(in_force, facts, clock, lambda: None)
        await after.load()
        after.process_timeouts()
        assert in_force.shared == {}
        await clock.advance(60)
        clock.adjust(-ahead)
        after.process_timeouts()
        assert in_force.shared["operator"].current_a == 10.0
        await clock.advance(779)
        after.process_timeouts()
        assert in_force.shared["operator"].current_a == 10.0
        await clock.advance(2)
        after.process_timeouts()
        assert in_force.shared == {}


async def test_a_limit_that_is_over_does_not_come_back_with_a_later_correction_or_after_it_was_cleared(
    tmp_path: Path,
) -> None:
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "limit")
        in_force = StationLimits(clock)
        before = SharedLimits(in_force, facts, clock, lambda: None)
        for setter in LimitSetter:
            await before.set_limit(setter, LimitRequest(current_a=10.0, for_s=900.0))
        clock.adjust(timedelta(days=2))
        in_force = StationLimits(clock)
        after = SharedLimits(in_force, facts, clock, lambda: None)
        await after.load()
        await after.clear_limit(LimitSetter.USER)
        await clock.advance(901)
        after.process_timeouts()
        clock.adjust(timedelta(days=-2))
        after.process_timeouts()
        assert in_force.shared == {}


async def test_the_end_of_a_pause_ends_a_limit_of_nothing_too(tmp_path: Path) -> None:
    """Whoever set it: the switch of a pause shows it as one."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        in_force = StationLimits(clock)
        limits = SharedLimits(in_force, FactStore(database, "limit"), clock, lambda: None)
        await limits.set_limit(LimitSetter.USER, LimitRequest(current_a=0.0))
        assert limits.paused
        await limits.resume()
        assert in_force.shared == {}


@pytest.mark.parametrize(
    ("given", "for_s"),
    [({}, 900.0), ({"for_s": 60}, 60.0), ({"lasting": True}, None), ({"lasting": False, "for_s": 60}, 60.0)],
)
def test_a_wish_says_how_long_it_holds(given: dict[str, object], for_s: float | None) -> None:
    assert parse_limit_request({"current_a": 10} | given).for_s == for_s


@pytest.mark.parametrize("given", [{"lasting": 1}, {"lasting": []}, {"lasting": True, "for_s": 60}, {"for_s": 0}])
def test_a_duration_that_makes_no_sense_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"lasting|for_s"):
        parse_limit_request({"current_a": 10} | given)
