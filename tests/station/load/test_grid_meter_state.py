"""What the grid meter has reported, and how long it has been silent, outlive a start, with few writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from energy.connection import ConnectionMonitor
from energy.grid import GridSample
from energy.grid_connection import GridConnection
from energy.meter_limits import ReportedLimits, StoredMeterState
from metering.reading import Phases
from simulator.clock import VirtualClock
from station.load.grid_meter_state import LONGEST_S, GridMeterStateStore
from station.storage.database import Database
from station.storage.fact_store import FactStore
from tests import fakes
from tests.databases import open_database


class _CountingFacts(FactStore):
    """A fact store that counts its writes."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "grid-meter")
        self.writes = 0

    async def save(self, name: str, text: str) -> None:
        self.writes += 1
        await super().save(name, text)


class Run:
    """One run of a station with a grid meter."""

    def __init__(self, clock: VirtualClock, facts: _CountingFacts, source: str = "p1") -> None:
        self.clock, self.facts = clock, facts
        self.store = GridMeterStateStore(facts, source, clock)
        self.left = StoredMeterState()
        """the state that the previous run stored"""

    async def run_for(self, seconds: int, sample: GridSample | None = None) -> None:
        """Run from the stored state, receiving a copy of `sample` each second; None: the meter is silent."""
        self.left = await self.store.load()
        monitor = ConnectionMonitor(self.clock, GridConnection(3, 16.0, 32.0), self.left)
        writing = asyncio.create_task(self.store.run())
        for _ in range(seconds):
            await self.clock.advance(1)
            if sample is not None:
                monitor.process_sample(
                    GridSample(
                        self.clock.now(), Phases(1.0, 1.0, 1.0), fuse_a=sample.fuse_a, cut_off_va=sample.cut_off_va
                    )
                )
            self.store.update(monitor)
        await self.clock.advance(0)
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing


@contextlib.asynccontextmanager
async def stored(path: Path) -> AsyncGenerator[tuple[VirtualClock, _CountingFacts]]:
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        yield clock, _CountingFacts(database)


def sample_with_limits(fuse_a: float | None = None, cut_off_va: float | None = None) -> GridSample:
    return GridSample(fakes.NOON, fuse_a=fuse_a, cut_off_va=cut_off_va)


async def stored_state(clock: VirtualClock, facts: _CountingFacts, source: str = "p1") -> StoredMeterState:
    return await GridMeterStateStore(facts, source, clock).load()


async def test_a_first_start_remembers_nothing(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        assert await stored_state(clock, facts) == StoredMeterState()


async def test_a_fuse_and_a_cut_off_power_are_known_after_a_start(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        await Run(clock, facts).run_for(2, sample_with_limits(10.0, 9000.0))
        assert await stored_state(clock, facts) == StoredMeterState(ReportedLimits(fuse_a=10.0, cut_off_va=9000.0))


async def test_what_a_meter_of_another_type_has_left_does_not_limit(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        await Run(clock, facts).run_for(20, sample_with_limits(10.0))
        await Run(clock, facts).run_for(20)
        assert await stored_state(clock, facts, "linky") == StoredMeterState()


async def test_a_meter_that_reports_until_the_end_is_not_silent_at_the_next_start(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        await Run(clock, facts).run_for(20)
        await Run(clock, facts).run_for(70, sample_with_limits())
        await clock.advance(36_000)
        assert (await stored_state(clock, facts)).silent_s == 0.0


async def test_repeated_starts_beside_a_silent_meter_add_up(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        for _ in range(40):
            await Run(clock, facts).run_for(20)
            await clock.advance(5)
        assert (await stored_state(clock, facts)).silent_s >= 40 * 25 - 10


async def test_repeated_starts_add_up_also_with_a_clock_that_starts_at_the_same_time_again(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        for _ in range(150):
            await Run(clock, facts).run_for(8)
            clock.adjust(fakes.NOON - clock.now())
        assert (await stored_state(clock, facts)).silent_s >= 600.0


@pytest.mark.parametrize("correction", [timedelta(days=20_000), timedelta(days=-20_000), timedelta(days=2)])
async def test_a_correction_of_the_clock_neither_ends_a_silence_nor_makes_it_long(
    tmp_path: Path, correction: timedelta
) -> None:
    async with stored(tmp_path) as (clock, facts):
        await Run(clock, facts).run_for(100)
        clock.adjust(correction)
        assert 60.0 <= (await stored_state(clock, facts)).silent_s <= 110.0


async def test_a_day_of_silence_and_a_meter_that_comes_and_goes_are_written_seldom(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        await Run(clock, facts).run_for(20_000)
        assert facts.writes <= 60
        assert (await stored_state(clock, facts)).silent_s >= 18_000.0
        facts.writes = 0
        for second in range(300):
            await Run(clock, facts).run_for(1, sample_with_limits(10.0 if second % 2 else None))
        assert facts.writes <= 700
    assert LONGEST_S >= 20_000.0


async def test_a_fuse_that_changes_with_each_telegram_is_written_twice_a_minute_at_most(tmp_path: Path) -> None:
    async with stored(tmp_path) as (clock, facts):
        store = GridMeterStateStore(facts, "p1", clock)
        monitor = ConnectionMonitor(clock, GridConnection(3, 16.0, 32.0), await store.load())
        writing = asyncio.create_task(store.run())
        for second in range(600):
            await clock.advance(1)
            monitor.process_sample(GridSample(clock.now(), Phases(1.0, 1.0, 1.0), fuse_a=10.0 if second % 2 else 20.0))
            store.update(monitor)
        writing.cancel()
        assert facts.writes <= 21
        assert (await stored_state(clock, facts)).limits.fuse_a in {10.0, 20.0}


@pytest.mark.parametrize("silence", ["[]", '{"source": "p1", "silent_s": 60, "at": "2026-01-01T00:00:00"}'])
async def test_what_cannot_be_read_is_ignored_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, silence: str
) -> None:
    async with stored(tmp_path) as (clock, facts):
        await facts.save("limits", '{"source": "p1", "fuse_a": -1}')
        await facts.save("silence", silence)
        assert await stored_state(clock, facts) == StoredMeterState()
    assert "the stored fact limits of the grid meter cannot be read and is ignored" in caplog.text
