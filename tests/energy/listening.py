"""Listening to a grid source in a test: what it said so far, and a clock that makes it say more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta

from energy.failsafe import STALE_AFTER_S
from energy.freshness import Freshness
from energy.grid import GridSample, GridSource, SourceError
from energy.sources.grid_source_config import GridSourceConfig
from foundation.clock import Clock, SystemClock, TimerHandle
from foundation.table import Table
from tests.patience import PATIENCE_S


class _Sources(Table):
    source: GridSourceConfig


def configured(settings: Mapping[str, object]) -> GridSourceConfig:
    """The configuration of a source, as the installation file makes it."""
    return _Sources.from_tree({"source": settings}).source


class FastClock(Clock):
    """Time that runs faster than the machine's."""

    def __init__(self, rate: float = 20.0) -> None:
        super().__init__()
        self._system = SystemClock()
        self._rate = rate
        self._waits_outside = False
        self._epoch = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC) - timedelta(seconds=self.monotonic())

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return self._system.monotonic() * self._rate

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        return self._system.call_later(delay_s / (1.0 if self._waits_outside else self._rate), callback)

    @contextlib.contextmanager
    def outside_wait(self, patience_s: float = 5.0) -> Generator[None]:
        """A wire of this machine is dialled in real time, however busy the machine is."""
        del patience_s
        self._waits_outside = True
        try:
            yield
        finally:
            self._waits_outside = False

    def _move_wall_time(self, correction: timedelta) -> None:
        self._epoch += correction


class Listener:
    """Collects the samples of a source."""

    def __init__(self, source: GridSource, clock: Clock, *, reopens: bool = False) -> None:
        self.samples: list[GridSample] = []
        self.freshness = Freshness()
        self._source = source
        self._clock = clock
        self._sample_received = asyncio.Event()
        self._reopens = reopens

    async def run(self) -> None:
        """Listen; with `reopens` after an error again, as the station does."""
        while True:
            try:
                await self._listen()
            except SourceError:
                if not self._reopens:
                    raise
                await self._clock.sleep(1.0)

    async def _listen(self) -> None:
        async for sample in self._source.samples():
            self.samples.append(sample)
            self.freshness = self.freshness.after(sample, self._clock.monotonic())
            self._sample_received.set()

    async def next_samples(self, count: int = 1) -> list[GridSample]:
        """The next `count` samples; on a busy machine more of them may have come meanwhile."""
        before = len(self.samples)
        async with asyncio.timeout(PATIENCE_S):
            while len(self.samples) < before + count:
                self._sample_received.clear()
                await self._sample_received.wait()
        return self.samples[before : before + count]

    @property
    def stale(self) -> bool:
        """Whether the last word that was new is too old to act on, or there was none."""
        age_s = self.freshness.age_s(self._clock.monotonic())
        return age_s is None or age_s > STALE_AFTER_S


@contextlib.asynccontextmanager
async def listening(source: GridSource, clock: Clock, *, reopens: bool = False) -> AsyncGenerator[Listener]:
    listener = Listener(source, clock, reopens=reopens)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
