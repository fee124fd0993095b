"""Numbers of events are reserved on disk before they are used up."""

from __future__ import annotations

from pathlib import Path

from station.maintenance.monitoring.event_ids import EventIds
from station.maintenance.monitoring.monitor_store import MonitorStore
from station.storage.database import StorageError
from tests import fakes
from tests.databases import open_database


class FullDisk(MonitorStore):
    """A monitor store whose writes fail while the disk is full."""

    full = True
    attempts = 0

    async def reserve_event_ids(self, last: int) -> None:
        self.attempts += 1
        if self.full:
            raise StorageError("disk full")
        await super().reserve_event_ids(last)


async def test_a_reservation_that_failed_is_tried_again_soon_but_not_at_each_event(tmp_path: Path) -> None:
    async with open_database(tmp_path / "d.sqlite", fakes.clock()) as database:
        store = FullDisk(database)
        ids = EventIds(store)
        ids.load(0)
        for _ in range(10):
            await ids.reserve()
            ids.next()
        assert store.attempts == 1
        store.full = False
        for _ in range(100):
            await ids.reserve()
            ids.next()
        assert (await store.load_facts()).reserved_event_ids > 110
        assert store.attempts == 2
