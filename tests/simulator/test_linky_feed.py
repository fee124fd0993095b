"""A simulated Linky whose clock outruns real time: its frames go through memory, and show what the line would show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from msgspec.structs import replace

from energy.grid import GridSample
from energy.sources.byte_feed import ByteFeed
from energy.sources.linky import LinkyConfig
from energy.sources.source_context import SourceContext
from energy.sources.tic import TicMode
from metering.reading import Phases
from simulator.clock import VirtualClock
from simulator.house import HouseReading
from simulator.linky import SimulatedLinky
from tests.patience import PATIENCE_S

CHANGES_S = 12.0
TWO_FRAMES_S = 3.2
"""in historique mode: a frame that shows the house before the change, and the next one"""
HOUSE = HouseReading(Phases(12.0, None, None), subscribed_va=9000)


class LinkyReader:
    """A Linky, its reader, and the samples that the reader has yielded, with their virtual times."""

    def __init__(self, mode: TicMode) -> None:
        self.clock = VirtualClock(start=datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC))
        self.house = HOUSE
        self.feed = ByteFeed()
        self.meter = SimulatedLinky(lambda: self.house, self.clock, mode, feed=self.feed)
        self.samples: list[tuple[float, GridSample]] = []
        self._arrived = asyncio.Event()

    async def read(self) -> None:
        config = LinkyConfig(device=self.meter.device)
        async for sample in config.open(self.clock, SourceContext(1, feed=self.feed)).samples():
            self.samples.append((self.clock.monotonic(), sample))
            self._arrived.set()

    async def wait_for_more_than(self, count: int) -> None:
        """Wait in real time until there are more samples than these."""
        while len(self.samples) <= count:
            self._arrived.clear()
            await self._arrived.wait()

    async def run_for(self, seconds: float) -> None:
        """Let time pass at once."""
        await self.clock.advance(seconds)

    def changes(self) -> list[tuple[float, float | None]]:
        """The times at which the current changed, with the new currents."""
        currents = [(at_s, sample.currents_a.l1) for at_s, sample in self.samples]
        return [currents[0], *(after for before, after in pairwise(currents) if after[1] != before[1])]


@contextlib.asynccontextmanager
async def reading_linky(mode: TicMode) -> AsyncGenerator[LinkyReader]:
    reader = LinkyReader(mode)
    async with reader.meter:
        reading = asyncio.create_task(reader.read())
        yield reader
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


async def _change_loads(reader: LinkyReader) -> None:
    for current_a in (12.0, 3.0, 31.0, 47.0, 2.0):
        reader.house = replace(reader.house, currents_a=Phases(current_a, None, None))
        await reader.run_for(CHANGES_S)


@pytest.mark.parametrize("mode", TicMode)
async def test_the_reader_sees_each_change_with_the_frame_in_which_the_line_would_bring_it(mode: TicMode) -> None:
    async with reading_linky(mode) as reader:
        await _change_loads(reader)
        changes = reader.changes()
    assert [current_a for _, current_a in changes] == [12.0, 3.0, 31.0, 47.0, 2.0]
    for number, (arrived_s, _) in enumerate(changes[1:], start=1):
        assert number * CHANGES_S < arrived_s <= number * CHANGES_S + TWO_FRAMES_S


@pytest.mark.parametrize("mode", TicMode)
async def test_a_meter_whose_values_stay_is_never_silent_for_longer_than_five_seconds(mode: TicMode) -> None:
    async with reading_linky(mode) as reader:
        await reader.run_for(600)
        times = [at_s for at_s, _ in reader.samples]
    assert max(after - before for before, after in pairwise(times)) <= 5.0
    assert 120 <= len(times) <= 220  # not one for each of the frames


async def _make_silent(reader: LinkyReader) -> None:
    reader.meter.silent = True


async def _restart_meter(reader: LinkyReader) -> None:
    reader.meter.restart(outage_s=20.0)


async def _make_noisy(reader: LinkyReader) -> None:
    reader.meter.flips_per_byte = 0.2


@pytest.mark.parametrize("fault", [_make_silent, _restart_meter, _make_noisy])
async def test_faults_of_the_meter_show_through_memory_too(fault: Callable[[LinkyReader], Awaitable[None]]) -> None:
    async with reading_linky(TicMode.HISTORIQUE) as reader:
        await reader.run_for(30)
        await fault(reader)
        await reader.run_for(2)
        reader.samples.clear()
        await reader.run_for(15)
        assert reader.samples == []


async def test_while_nobody_reads_nothing_is_kept() -> None:
    feed = ByteFeed()
    feed.send(b"lost")
    assert feed.take() == b""


async def test_after_the_advance_the_line_is_used_again() -> None:
    """In real time the bytes pass through the pseudo-terminal, in their own time."""
    async with reading_linky(TicMode.STANDARD) as reader:
        await reader.run_for(30)
        reader.clock.set_rate(1.0)
        before = len(reader.samples)
        async with asyncio.timeout(PATIENCE_S):
            await reader.wait_for_more_than(before + 1)
        reader.clock.set_rate(0.0)
