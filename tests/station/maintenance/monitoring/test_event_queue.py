"""Events wait in order; beyond the bound the least serious are dropped; a full disk loses none of the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from station.maintenance.monitoring.event_queue import MAX_WAITING, MAX_WAITING_BYTES, EventQueue, ReportedEvent
from station.maintenance.monitoring.monitor import (
    EventNotificationType,
    EventTrigger,
    MonitoringEvent,
    MonitorState,
    VariableAddress,
)
from station.maintenance.monitoring.monitor_store import EVENTS, MonitorStore
from station.storage.database import StorageError
from tests import fakes
from tests.databases import open_database

EVENT = MonitoringEvent(
    1,
    datetime(2026, 1, 1, tzinfo=UTC),
    EventTrigger.ALERTING,
    EventNotificationType.CUSTOM_MONITOR,
    VariableAddress("EVSE", "Power", evse_id=1),
    "12.5",
    5,
    10_000,
    cleared=False,
)
QUIET, LOUD = MonitorState(), MonitorState(exceeded=True)


class FullDisk(MonitorStore):
    """A monitor store whose writes fail while the disk is full."""

    full = False

    async def save_events(
        self,
        events: Mapping[int, MonitoringEvent],
        removed: Collection[int],
        states: Mapping[int, MonitorState],
        dropped: int | None,
    ) -> None:
        if self.full:
            raise StorageError("disk full")
        await super().save_events(events, removed, states, dropped)


async def save_all(queue: EventQueue) -> None:
    for _ in range(MAX_WAITING):
        await queue.save()


async def test_events_are_stored_as_they_are_and_settled_ones_are_gone(tmp_path: Path) -> None:
    full = replace(EVENT, id=7, cause=1, tech_code="c", tech_info="i", transaction_id="t", value="é", monitor_id=None)
    clock = fakes.clock()
    async with open_database(tmp_path / "d.sqlite", clock) as database:
        queue = EventQueue(MonitorStore(database), clock)
        for number, event in enumerate((EVENT, full, EVENT)):
            queue.add(ReportedEvent(event, number, QUIET, LOUD), keep=True)
        await queue.save()
        queue.settle(queue.oldest(1, 10_000))
        await queue.save()
        reloaded = EventQueue(MonitorStore(database), clock)
        await reloaded.load(0)
        assert [queued.event for queued in reloaded.oldest(10, 10_000)] == [full, EVENT]
        assert await MonitorStore(database).load_states() == {0: LOUD, 1: LOUD, 2: LOUD}
        reloaded.add(ReportedEvent(EVENT, 4, QUIET, QUIET), keep=True)
        await reloaded.save()
        assert len(await MonitorStore(database).load_events()) == 3


async def test_an_event_that_was_answered_while_it_was_written_is_deleted(tmp_path: Path) -> None:
    clock = fakes.clock()

    class SettlingStore(MonitorStore):
        """Settles all queued events before `save_events` returns, as if the CSMS had answered them meanwhile."""

        async def save_events(
            self,
            events: Mapping[int, MonitoringEvent],
            removed: Collection[int],
            states: Mapping[int, MonitorState],
            dropped: int | None,
        ) -> None:
            await super().save_events(events, removed, states, dropped)
            queue.settle(queue.oldest(10, 10_000))

    async with open_database(tmp_path / "d.sqlite", clock) as database:
        queue = EventQueue(SettlingStore(database), clock)
        queue.add(ReportedEvent(EVENT, 1, QUIET, QUIET), keep=True)
        await queue.save()
        await queue.save()
        assert await MonitorStore(database).load_events() == {}


async def test_beyond_the_bound_the_highest_severity_number_is_dropped_first_and_counted(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "d.sqlite", clock) as database:
        queue = EventQueue(MonitorStore(database), clock)
        dropped: list[None] = []
        queue.dropped_changed.subscribe(dropped.append)
        for number in range(MAX_WAITING):
            queue.add(ReportedEvent(replace(EVENT, id=number, severity=number % 3), number, QUIET, QUIET), keep=True)
        for number in range(10):
            queue.add(ReportedEvent(replace(EVENT, id=MAX_WAITING + number, severity=0), 1, QUIET, QUIET), keep=True)
        assert len(queue) == MAX_WAITING
        left = [queued.event for queued in queue.oldest(2 * MAX_WAITING, 2**40)]
        assert next(event.id for event in left if event.severity == 2) == 32  # ten older ones are gone
        assert sum(event.severity < 2 for event in left) == MAX_WAITING - MAX_WAITING // 3 + 10
        assert [event.id for event in left] == sorted(event.id for event in left)
        assert (queue.dropped, len(dropped)) == (10, 0)
        await save_all(queue)
        assert len(await MonitorStore(database).load_events()) == MAX_WAITING
        assert (await MonitorStore(database).load_facts()).dropped_events == 10
        queue.settle(queue.oldest(1, 10_000))
        queue.settle(queue.oldest(1, 10_000))
        assert len(dropped) == 1, "reported once there is room for an event"


async def test_long_values_are_bounded_in_bytes(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "d.sqlite", clock) as database:
        queue = EventQueue(MonitorStore(database), clock)
        for number in range(MAX_WAITING):
            queue.add(ReportedEvent(replace(EVENT, value="x" * 2_500), number, QUIET, QUIET), keep=False)
        assert sum(queued.size for queued in queue.oldest(MAX_WAITING, 2**40)) <= MAX_WAITING_BYTES
        assert len(queue.oldest(50, 6_000)) == 2
        assert len(queue.oldest(50, 10)) == 1


async def test_a_full_disk_loses_no_event_and_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "d.sqlite", clock) as database:
        store = FullDisk(database)
        queue = EventQueue(store, clock)
        store.full = True
        queue.add(ReportedEvent(EVENT, 1, QUIET, LOUD), keep=True)
        await queue.save()
        assert "not stored yet" in caplog.text
        assert len(queue.oldest(10, 10_000)) == 1
        store.full = False
        due_s = queue.save_due_s
        assert due_s is not None
        await clock.advance(due_s - clock.monotonic())
        await queue.save()
        assert len(await MonitorStore(database).load_events()) == 1
        assert queue.save_due_s is None


async def test_a_reference_value_is_written_once_a_minute_at_most(tmp_path: Path) -> None:
    """A numeric value that changes every second does not wear out the disk."""
    clock = fakes.clock()
    async with open_database(tmp_path / "d.sqlite", clock) as database:
        store = MonitorStore(database)
        queue = EventQueue(store, clock)
        written: list[str | None] = []
        for number in range(120):
            before, after = MonitorState(reference=str(number)), MonitorState(reference=str(number + 1))
            queue.add(ReportedEvent(EVENT, 1, before, after), keep=False)
            queue.settle(queue.oldest(1, 10_000))
            await queue.save()
            stored = (await store.load_states()).get(1)
            written.append(stored.reference if stored is not None else None)
            await clock.advance(1.0)
        assert len(set(written)) <= 3


async def test_an_unreadable_event_stays_on_disk_and_hinders_no_other(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "d.sqlite", clock) as database:
        await database.write("INSERT INTO monitoring_events (number, event) VALUES (4, '{}')")
        impossible = EVENTS.to_text(replace(EVENT, severity=10))
        await database.write("INSERT INTO monitoring_events (number, event) VALUES (5, ?)", (impossible,))
        await database.write("INSERT INTO monitors (id, monitor) VALUES (20000, 'nonsense')")
        await database.write("INSERT INTO facts (name, value) VALUES ('monitoring/level', 'high')")
        store = MonitorStore(database)
        queue = EventQueue(store, clock)
        await queue.load(0)
        assert len(queue) == 0
        queue.add(ReportedEvent(EVENT, 1, QUIET, QUIET), keep=True)
        await queue.save()
        assert list(await store.load_events()) == [6]
        assert await store.load_monitors() == []
        assert (await store.load_facts()).level is None
        assert len(database.unreadable.all()) == 4
