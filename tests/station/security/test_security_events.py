"""The security log: on disk at once, rolling, and a queue of what the CSMS must learn (A04)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from foundation.clock import Clock
from station.security.security_events import MAX_LOG_ENTRIES, MAX_UNSENT, SecurityEvents, SecurityEventType
from station.storage.database import Database, StorageError
from station.storage.sql import Statement, Value
from tests import fakes
from tests.databases import open_database
from tests.patience import PATIENCE_S

CRITICAL = SecurityEventType.STARTUP_OF_THE_DEVICE
NOT_CRITICAL = SecurityEventType.INVALID_MESSAGES
_PAGE_BYTES = 4096
"""of the database file"""


class FullDiskDatabase(Database):
    """A database whose writes fail while `full` is set."""

    full = False

    async def write(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Raise while the disk is full, else write."""
        if self.full:
            raise StorageError("disk full")
        return await super().write(sql, values)

    async def write_together(self, *writes: Statement) -> None:
        """Raise while the disk is full, else write."""
        if self.full:
            raise StorageError("disk full")
        await super().write_together(*writes)


def full_disk_database(database: Database, clock: Clock) -> FullDiskDatabase:
    """The same file, on a disk that can be full."""
    connection, reads = database._connection, database._read_connections  # pyright: ignore[reportPrivateUsage]
    return FullDiskDatabase(connection, clock, reads)


async def test_every_event_is_logged_and_only_critical_ones_wait_for_the_csms(tmp_path: Path) -> None:
    """A04.FR.01, A04.FR.04."""
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        events = SecurityEvents(database, fakes.clock())
        await events.report(NOT_CRITICAL, "why")
        await events.report(CRITICAL)
        assert [(event.type, event.info, event.to_tell) for event in await events.entries()] == [
            ("InvalidMessages", "why", False),
            ("StartupOfTheDevice", "", True),
        ]
        oldest = await events.oldest()
        assert oldest is not None
        assert oldest.type == CRITICAL
        await events.settle(oldest)
        assert await events.oldest() is None
        assert len(await events.entries()) == 2


async def test_what_waits_survives_a_power_cut_in_its_order(tmp_path: Path) -> None:
    """A04.FR.02."""
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        for kind in (CRITICAL, SecurityEventType.TAMPER_DETECTION_ACTIVATED):
            await SecurityEvents(database, clock).report(kind)
    async with open_database(tmp_path / "db", clock) as database:
        events = SecurityEvents(database, clock)
        sent: list[str] = []
        while (oldest := await events.oldest()) is not None:
            sent.append(oldest.type)
            await events.settle(oldest)
    assert sent == ["StartupOfTheDevice", "TamperDetectionActivated"]


async def test_events_are_stored_while_old_ones_cannot_be_deleted(tmp_path: Path) -> None:
    """A page of the table is damaged, so that no statement can read all events."""
    path, clock = tmp_path / "db", fakes.clock()
    async with open_database(path, clock) as database:
        await database.write_many(
            "INSERT INTO security_events (type, occurred_at, info, to_tell) VALUES ('InvalidMessages', '2026', ?, 0)",
            [(f"of the past {number:4}",) for number in range(500)],
        )
    content = bytearray(path.read_bytes())
    begin = content.index(b"of the past  250") // _PAGE_BYTES * _PAGE_BYTES
    content[begin : begin + _PAGE_BYTES] = bytes(_PAGE_BYTES)
    path.write_bytes(content)
    async with open_database(path, clock) as database:
        with pytest.raises(StorageError, match="malformed"):
            await database.rows("SELECT info FROM security_events")
        await SecurityEvents(database, clock).report(NOT_CRITICAL, "new")
        assert await database.rows("SELECT info FROM security_events ORDER BY id DESC LIMIT 1") == [("new",)]


async def test_a_report_never_fails_and_what_the_disk_refuses_is_saved_later(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as opened:
        database = full_disk_database(opened, clock)
        events = SecurityEvents(database, clock)
        database.full = True
        await events.report(CRITICAL, "while full")
        assert await events.entries() == []
        database.full = False
        await clock.advance(60)
        await events.report(NOT_CRITICAL)
        assert [event.info for event in await events.entries()] == ["while full", ""]
        assert (await events.entries())[0].occurred_at == fakes.NOON


async def store_events(database: Database, count: int) -> None:
    """Store so many events that are not critical, without the deletion of old ones that a report makes."""
    values = (NOT_CRITICAL.value, fakes.NOON.isoformat(timespec="microseconds"), "stored", 0)
    insert = "INSERT INTO security_events (type, occurred_at, info, to_tell) VALUES (?, ?, ?, ?)"
    await database.write_many(insert, [values] * count)


async def test_the_log_rolls_and_what_waits_stays_longer(tmp_path: Path) -> None:
    """A04.FR.04: recommended to be rolling."""
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        events = SecurityEvents(database, fakes.clock())
        await events.report(CRITICAL)
        await store_events(database, MAX_LOG_ENTRIES)
        for number in range(10):
            await events.report(NOT_CRITICAL, str(number))
        stored = [event.info for event in await events.entries(max_count=2 * MAX_LOG_ENTRIES)]
        assert stored == ["", *["stored"] * (MAX_LOG_ENTRIES - 10), *map(str, range(10))]
        await store_events(database, MAX_UNSENT - MAX_LOG_ENTRIES - 12)
        await events.report(NOT_CRITICAL)
        assert await events.oldest() is not None
        await events.report(NOT_CRITICAL)
        assert await events.oldest() is None


async def test_the_log_is_read_between_two_moments(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        events = SecurityEvents(database, clock)
        for number in range(4):
            await events.report(NOT_CRITICAL, str(number))
            await clock.advance(60)
        minute = timedelta(minutes=1)
        found = await events.entries(oldest=fakes.NOON + minute, latest=fakes.NOON + 2 * minute)
        assert [event.info for event in found] == ["1", "2"]
        assert [event.info for event in await events.entries(max_count=1)] == ["3"]


async def test_a_waiting_task_is_woken_by_a_new_event(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        events = SecurityEvents(database, fakes.clock())
        assert await events.oldest() is None
        waiting = asyncio.create_task(events.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        await events.report(CRITICAL)
        await asyncio.wait_for(waiting, PATIENCE_S)


async def test_an_event_whose_answer_the_disk_does_not_note_keeps_no_other_waiting(tmp_path: Path) -> None:
    """Nor is it sent again; it is noted with the next one."""
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        disk = full_disk_database(database, clock)
        events = SecurityEvents(disk, clock)
        for kind in (CRITICAL, SecurityEventType.TAMPER_DETECTION_ACTIVATED):
            await events.report(kind)
        first = await events.oldest()
        assert first is not None
        disk.full = True
        with pytest.raises(StorageError):
            await events.settle(first)
        second = await events.oldest()
        assert second is not None
        assert second.type == SecurityEventType.TAMPER_DETECTION_ACTIVATED
        disk.full = False
        await events.settle(second)
        assert await SecurityEvents(database, clock).oldest() is None
