"""The head of the queue is held in memory: bounded, and dropped before anything changes the rows on disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.clock import VirtualClock
from station.core.model import EventType, TransactionEvent, TriggerReason
from station.storage.database import Database
from station.storage.outbox import Outbox
from station.storage.read_ahead import MAX_CHARS, MAX_ROWS, ReadAhead
from station.storage.sql import Row
from station.storage.time_corrections import TimeCorrection
from tests import fakes
from tests.databases import open_database
from tests.station.storage.test_outbox import drain, next_event


def row(number: int, chars: int = 10) -> Row:
    """A row of the queue."""
    return number, "tx", number, 0, 0, "x" * chars


def take_all(ahead: ReadAhead) -> list[int]:
    """Take all rows out of memory; returns their ids."""
    found: list[int] = []
    while (oldest := ahead.oldest()) is not None:
        number = int(str(oldest[0]))
        found.append(number)
        ahead.drop_oldest(number)
    return found


def test_at_first_the_disk_must_be_read_and_once_the_queue_is_known_to_be_empty_it_need_not() -> None:
    ahead = ReadAhead()
    assert ahead.must_read
    ahead.add(row(1))
    assert ahead.oldest() is None, "older rows may be on disk"
    ahead.fill([], complete=True)
    assert not ahead.must_read
    ahead.add(row(2))
    assert take_all(ahead) == [2]
    assert not ahead.must_read


def test_a_row_that_does_not_follow_those_held_is_not_held() -> None:
    ahead = ReadAhead()
    ahead.fill([row(1), row(2)], complete=False)
    ahead.add(row(9))
    assert take_all(ahead) == [1, 2]
    assert ahead.must_read


@pytest.mark.parametrize(("chars", "most"), [(10, MAX_ROWS), (MAX_CHARS // 4, 4), (MAX_CHARS, 1), (MAX_CHARS + 1, 0)])
def test_no_more_rows_are_held_than_there_is_room_for_and_none_after_a_gap(chars: int, most: int) -> None:
    ahead = ReadAhead()
    ahead.fill([], complete=True)
    for number in range(MAX_ROWS + 5):
        ahead.add(row(number, chars))
    ahead.drop_oldest(0)
    ahead.add(row(99, 1))
    assert take_all(ahead) == list(range(1, most))
    assert ahead.must_read


def test_dropped_rows_make_room_again() -> None:
    ahead = ReadAhead()
    ahead.fill([], complete=True)
    for number in range(10 * MAX_ROWS):
        ahead.add(row(number, MAX_CHARS // 2))
        assert take_all(ahead) == [number]


def test_only_the_oldest_row_is_dropped_and_only_if_it_is_meant() -> None:
    ahead = ReadAhead()
    ahead.fill([row(4), row(5)], complete=True)
    ahead.drop_oldest(3)
    ahead.drop_oldest(5)
    assert take_all(ahead) == [4, 5]


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[tuple[Outbox, Database, VirtualClock]]:
    """An outbox on a disk."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        yield Outbox(database, clock), database, clock


async def send_first(outbox: Outbox, name: str = "first") -> None:
    """Send the first event; the others are held in memory then."""
    queued = await next_event(outbox)
    assert queued.event.transaction_id == name
    await outbox.settle(queued)


@pytest.fixture(params=["read from disk", "held since it was stored"])
async def queue(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncGenerator[tuple[Outbox, Database, VirtualClock]]:
    """An outbox that holds ten events of transaction "tx" in memory."""
    async with opened(tmp_path) as (outbox, database, clock):
        if request.param == "held since it was stored":
            assert await outbox.oldest() is None
        await outbox.append(fakes.event("first"))
        for _ in range(10):
            await outbox.append(fakes.event("tx"))
        await send_first(outbox)
        yield outbox, database, clock


Queue = tuple[Outbox, Database, VirtualClock]


async def test_events_held_in_memory_have_their_times_corrected(queue: Queue) -> None:
    outbox, _, clock = queue
    being_sent = await next_event(outbox)
    wrong = TimeCorrection(0, timedelta(hours=1), clock.now() - timedelta(hours=1), clock.now())
    clock.adjust(timedelta(hours=1))
    outbox.correct_times(wrong)
    assert await outbox.apply_time_corrections() == {"first": False, "tx": False}
    await outbox.settle(being_sent)
    delivered = [being_sent.event, *await drain(outbox)]
    assert delivered == await outbox.events("tx"), "what was sent is what is on record"
    assert [event.occurred_at - fakes.NOON for event in delivered] == [timedelta(0)] + [timedelta(hours=1)] * 9


async def test_a_correction_is_applied_before_the_next_event_is_handed_out(queue: Queue) -> None:
    outbox, _, clock = queue
    wrong = TimeCorrection(0, timedelta(hours=1), clock.now() - timedelta(hours=1), clock.now())
    clock.adjust(timedelta(hours=1))
    outbox.correct_times(wrong)
    assert {event.occurred_at for event in await drain(outbox)} == {fakes.NOON + timedelta(hours=1)}


async def test_no_event_is_handed_out_while_a_correction_is_written(queue: Queue) -> None:
    outbox, _, clock = queue
    wrong = TimeCorrection(0, timedelta(hours=1), clock.now() - timedelta(hours=1), clock.now())
    clock.adjust(timedelta(hours=1))
    outbox.correct_times(wrong)
    correcting = asyncio.create_task(outbox.apply_time_corrections())
    await asyncio.sleep(0)
    assert (await next_event(outbox)).event.occurred_at == fakes.NOON + timedelta(hours=1)
    assert correcting.done()


async def test_events_held_in_memory_are_marked_as_offline(queue: Queue) -> None:
    """E11.FR.07"""
    outbox, _, _ = queue
    await outbox.mark_offline()
    await outbox.append(fakes.event("later"))
    assert [event.offline for event in await drain(outbox)] == [True] * 10 + [False]


async def test_events_stored_while_the_link_ends_are_as_on_disk(queue: Queue) -> None:
    """E11.FR.07: neither is handed out before it is marked."""
    outbox, _, _ = queue
    appending = [asyncio.create_task(outbox.append(fakes.event("tx"))) for _ in range(3)]
    await asyncio.gather(outbox.mark_offline(), *appending)
    delivered = await drain(outbox)
    assert delivered == await outbox.events("tx")
    assert all(event.offline for event in delivered[:10])


async def test_samples_that_are_thinned_out_are_not_sent_from_memory(tmp_path: Path) -> None:
    """E04.FR.07"""
    async with opened(tmp_path) as (outbox, _, _):
        await outbox.append(fakes.event("first"))
        for _ in range(70):
            await outbox.append(fakes.event("tx"))
        await send_first(outbox)
        being_sent = await next_event(outbox)
        assert await outbox.limit_queue(10) == 35
        await outbox.settle(being_sent)
        delivered = [being_sent.event, *await drain(outbox)]
        assert [event.seq_no for event in delivered] == [0, *range(2, 70, 2)]
        assert delivered == await outbox.events("tx")


async def test_a_sample_is_not_thinned_out_while_it_is_handed_out(tmp_path: Path) -> None:
    """E01.FR.07: its number would be given to another event."""
    async with opened(tmp_path) as (outbox, _, _):
        for _ in range(70):
            await outbox.append(fakes.event("tx"))
        thinning = asyncio.create_task(outbox.limit_queue(10))
        found: list[TransactionEvent] = []
        while (queued := await outbox.oldest()) is not None:
            found.append(queued.event)
            await outbox.settle(queued)
        await thinning
        assert found == await outbox.events("tx")


async def test_failed_attempts_are_counted_of_an_event_in_memory(queue: Queue) -> None:
    """E13"""
    outbox, _, _ = queue
    for attempts in range(3):
        queued = await next_event(outbox)
        assert (queued.event.seq_no, queued.attempts) == (0, attempts)
        await outbox.count_failed_attempt(queued)


async def test_an_unreadable_row_in_memory_is_passed_over_when_its_turn_comes(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database, _):
        for number in range(5):
            await outbox.append(fakes.event(f"tx{number}"))
        await database.write("UPDATE events SET payload = '{' || payload WHERE transaction_id = 'tx2'")
        await send_first(outbox, "tx0")
        assert database.unreadable.all() == []
        assert [event.transaction_id for event in await drain(outbox)] == ["tx1", "tx3", "tx4"]
        assert [listed.address.transaction_id for listed in database.unreadable.all()] == ["tx2"]
        assert outbox.waiting == 0


async def test_an_event_that_was_unreadable_at_the_start_never_waited(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database, _):
        for number in range(4):
            await outbox.append(fakes.event(f"tx{number}"))
        await database.write("UPDATE events SET payload = '{' || payload WHERE transaction_id = 'tx1'")
        assert len(await drain(outbox)) == 3
        await database.write("UPDATE events SET settled_at = NULL")
    async with opened(tmp_path) as (outbox, _, _):
        await outbox.check()
        assert outbox.waiting == 3
        while (queued := await outbox.oldest()) is not None:
            assert outbox.waiting == await outbox.count_waiting()
            await outbox.settle(queued)
        assert outbox.waiting == 0


async def test_after_a_restart_everything_that_was_only_in_memory_is_read_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, _, _):
        for number in range(5):
            await outbox.append(fakes.event(f"tx{number}"))
        await send_first(outbox, "tx0")
        await outbox.flush()
        await send_first(outbox, "tx1")  # its response is lost
    async with opened(tmp_path) as (outbox, _, _):
        assert [event.transaction_id for event in await drain(outbox)] == ["tx1", "tx2", "tx3", "tx4"]


async def test_large_events_are_read_a_few_at_a_time_and_all_of_them_are_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database, _):
        for number in range(20):
            kind = EventType.STARTED if number == 0 else EventType.UPDATED
            await outbox.append(fakes.event("tx", kind, TriggerReason.TRIGGER))
        spaces = f"UPDATE events SET payload = payload || printf('%{MAX_CHARS // 3}s', '')"
        await database.write(spaces)
        read, complete = await database.first_rows("SELECT payload FROM events", (), max_chars=MAX_CHARS)
        assert (len(read), complete) == (3, False)
        assert [event.seq_no for event in await drain(outbox)] == list(range(20))
