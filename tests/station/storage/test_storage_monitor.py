"""A disk that is getting full is reported once, and again when it was better in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

from borne.composition.maintenance import space_watchers
from station.security.security_events import SecurityEvents
from station.storage.disk_space import free_bytes
from station.storage.storage_monitor import StorageMonitor
from tests import fakes
from tests.databases import open_database

MIB = 1024 * 1024


async def test_little_space_is_reported_once_until_it_was_better(tmp_path: Path) -> None:
    """MemoryExhaustion (part 2, appendix 1)."""
    clock = fakes.clock()
    measured: list[int] = []
    free = [100, 17, 15, 14, 20, 15, 33, 15, 10]

    def measure(folder: Path) -> int:
        assert folder == tmp_path
        measured.append(free[min(len(measured), len(free) - 1)])
        return measured[-1] * MIB

    async with open_database(tmp_path / "db", clock) as database:
        events = SecurityEvents(database, clock)
        watchers = space_watchers(StorageMonitor(tmp_path, clock, measure), events, fakes.RaisingCalls())
        watching = [asyncio.ensure_future(watcher()) for watcher in watchers]
        await clock.advance(600.0 * len(free))
        for task in watching:
            task.cancel()
        assert [event.info for event in await events.entries()] == ["15360 KiB are free"] * 2
        assert measured[: len(free)] == free


def test_the_space_of_a_real_disk_is_known(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
