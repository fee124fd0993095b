"""Events recorded at the same time share one commit: each has its own seqNo and result, none is sent before it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from foundation.clock import Clock
from station.core.model import EventType, TransactionEvent
from station.storage import database as databases
from station.storage.database import Database, DatabaseConnection, StorageError
from station.storage.database_thread import DatabaseThread
from station.storage.outbox import Outbox
from station.storage.read_connections import ReadConnections
from station.storage.sql import Row, Statement, Value
from tests import fakes
from tests.patience import PATIENCE_S
from tests.station.storage.test_outbox import drain, next_event

BAD = (
    "CREATE TRIGGER refuses BEFORE INSERT ON events WHEN NEW.transaction_id = 'bad' BEGIN SELECT RAISE(ABORT, ''); END"
)


class ObservedDatabase(Database):
    """Counts the writes and reads of the queue, and can hold a write back after its commit."""

    def __init__(self, connection: DatabaseConnection, clock: Clock, read_connections: ReadConnections) -> None:
        super().__init__(connection, clock, read_connections)
        self.groups: list[int] = []
        """the number of events of each write"""
        self.settled_writes = 0
        self.queue_reads = 0
        self.committed = asyncio.Event()
        """set after each commit of events"""
        self.may_return = asyncio.Event()
        self.may_return.set()

    async def insert_each(
        self, sql: str, rows: Sequence[Sequence[Value]], *before: Statement
    ) -> list[Row | StorageError]:
        """Execute and count the write; it returns when it is released."""
        self.groups.append(len(rows))
        results = await super().insert_each(sql, rows, *before)
        self.committed.set()
        await self.may_return.wait()
        return results

    async def first_rows(self, sql: str, values: Sequence[Value], *, max_chars: int) -> tuple[list[Row], bool]:
        """Execute and count the query."""
        self.queue_reads += 1
        return await super().first_rows(sql, values, max_chars=max_chars)

    async def write_together(self, *writes: Statement) -> None:
        """Execute the write; counted if it settles events."""
        self.settled_writes += "settled_at" in writes[0][0]
        await super().write_together(*writes)


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[tuple[Outbox, ObservedDatabase]]:
    """An outbox on a disk whose writes and reads are counted."""
    clock, file = fakes.clock(), path / "db"
    with DatabaseThread() as thread:
        async with databases.open_database(file, clock, thread, ReadConnections(clock)):
            connection = DatabaseConnection(file, thread)
            await connection.open()
            try:
                database = ObservedDatabase(connection, clock, ReadConnections(clock))
                yield Outbox(database, clock), database
            finally:
                await connection.close()


def numbers(events: Sequence[TransactionEvent]) -> list[tuple[str, int | None]]:
    """Transaction and number of events."""
    return [(event.transaction_id, event.seq_no) for event in events]


async def test_five_producers_cost_one_commit_for_five_events(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):

        async def produce(name: str) -> None:
            for _ in range(20):
                await outbox.append(fakes.event(name))

        await asyncio.gather(*map(produce, "abcde"))
        assert sum(database.groups) == 100
        assert len(database.groups) <= 25
        for name in "abcde":
            assert numbers(await outbox.events(name)) == [(name, number) for number in range(20)]


async def test_events_of_one_transaction_in_one_commit_are_numbered_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        recorded = await asyncio.gather(*(outbox.append(fakes.event("tx")) for _ in range(10)))
        assert database.groups == [10]
        assert [event.seq_no for event in recorded] == list(range(10))


async def test_each_event_is_published_after_the_commit_and_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        published: list[TransactionEvent] = []
        outbox.appended.subscribe(published.append)
        database.committed.clear()
        database.may_return.clear()
        appending = asyncio.gather(*(outbox.append(fakes.event(name)) for name in "abcde"))
        await database.committed.wait()
        assert published == []
        database.may_return.set()
        assert await appending == published
        assert [event.transaction_id for event in published] == list("abcde")


@pytest.mark.parametrize("refusal", ["ABORT", "ROLLBACK"])
async def test_no_other_task_reads_an_event_before_it_is_published(tmp_path: Path, refusal: str) -> None:
    """Billing remembers the tariff period of a begin when it is published; the journal stores it after reading."""
    async with opened(tmp_path) as (outbox, database):
        await database.write(BAD.replace("ABORT", refusal))
        published: set[str] = set()
        outbox.appended.subscribe(lambda event: published.add(event.transaction_id))
        appending = asyncio.gather(
            *(outbox.append(fakes.event(name, EventType.STARTED)) for name in ("a", "b", "bad", "c", "d")),
            return_exceptions=True,
        )
        while not appending.done():
            read = {event.transaction_id for _, event in await outbox.begins_and_ends(0, 10)}
            assert read <= published
        assert published == set("abcd")


async def test_an_event_whose_caller_is_cancelled_during_the_commit_is_published(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        published: list[TransactionEvent] = []
        outbox.appended.subscribe(published.append)
        database.may_return.clear()
        appending = asyncio.create_task(outbox.append(fakes.event("tx")))
        await database.committed.wait()
        appending.cancel()
        await asyncio.wait([appending])
        database.may_return.set()
        assert [event.transaction_id for event in await drain(outbox)] == ["tx"]
        assert published == await outbox.events("tx")


async def test_an_event_is_not_handed_out_before_its_commit_has_returned(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("first"))
        sent = await next_event(outbox)
        database.committed.clear()
        database.may_return.clear()
        appending = asyncio.gather(*(outbox.append(fakes.event(name)) for name in "abc"))
        await database.committed.wait()
        await outbox.settle(sent)
        assert await outbox.oldest() is None
        assert outbox.waiting == 0
        database.may_return.set()
        await appending
        assert [event.transaction_id for event in await drain(outbox)] == list("abc")


async def test_an_event_that_cannot_be_stored_fails_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await database.write(BAD)
        appending = [outbox.append(fakes.event(name)) for name in ("a", "bad", "b")]
        a, bad, b = await asyncio.gather(*appending, return_exceptions=True)
        assert isinstance(bad, StorageError)
        assert isinstance(a, TransactionEvent)
        assert isinstance(b, TransactionEvent)
        assert database.groups == [3]
        assert outbox.waiting == await outbox.count_waiting() == 2
        await database.write("DROP TRIGGER refuses")
        assert (await outbox.append(fakes.event("bad"))).seq_no == 0
        assert numbers(await drain(outbox)) == [("a", 0), ("b", 0), ("bad", 0)]


async def test_an_event_that_cannot_be_written_as_json_fails_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, _):
        appending = [outbox.append(fakes.event(name)) for name in ("a", "\ud800", "b")]
        a, bad, b = await asyncio.gather(*appending, return_exceptions=True)
        assert isinstance(bad, UnicodeEncodeError)
        assert await drain(outbox) == [a, b]


async def test_a_subscriber_that_fails_loses_no_event_of_the_queue(tmp_path: Path) -> None:
    """Its error reaches the recorder of that event, and no other."""
    async with opened(tmp_path) as (outbox, _):

        def fail(event: TransactionEvent) -> None:
            if event.transaction_id == "b":
                raise LookupError(event.transaction_id)

        assert await outbox.oldest() is None
        outbox.appended.subscribe(fail)
        appending = [outbox.append(fakes.event(name)) for name in "abc"]
        outcomes = await asyncio.gather(*appending, return_exceptions=True)
        assert [isinstance(outcome, LookupError) for outcome in outcomes] == [False, True, False]
        assert [event.transaction_id for event in await drain(outbox)] == list("abc")


async def test_if_an_error_undoes_the_whole_write_each_event_is_tried_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await database.write(BAD.replace("ABORT", "ROLLBACK"))
        appending = [outbox.append(fakes.event(name)) for name in ("a", "bad", "b")]
        outcomes = await asyncio.gather(*appending, return_exceptions=True)
        assert [isinstance(outcome, StorageError) for outcome in outcomes] == [False, True, False]
        assert database.groups == [3, 1, 1, 1]
        assert numbers(await drain(outbox)) == [("a", 0), ("b", 0)]


async def test_on_a_full_disk_the_events_that_fit_are_stored_and_the_others_fail(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        ((pages,),) = await database.rows("PRAGMA page_count")
        await database.rows(f"PRAGMA max_page_count={int(str(pages)) + 2}")
        appending = [outbox.append(fakes.event(f"tx{number}")) for number in range(60)]
        outcomes = await asyncio.gather(*appending, return_exceptions=True)
        stored = [outcome for outcome in outcomes if isinstance(outcome, TransactionEvent)]
        assert 0 < len(stored) < 60
        assert all(isinstance(outcome, StorageError) for outcome in outcomes if outcome not in stored)
        await database.rows("PRAGMA max_page_count=1000000")
        assert await drain(outbox) == stored


async def test_responses_are_stored_with_the_next_event(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("a"))
        await outbox.append(fakes.event("b"))
        await outbox.settle(await next_event(outbox))
        await outbox.settle(await next_event(outbox))
        await outbox.append(fakes.event("c"))
        assert await database.rows("SELECT transaction_id FROM events WHERE settled_at IS NULL") == [("c",)]
        assert database.settled_writes == 0


async def test_an_empty_queue_stores_the_responses_unless_an_event_is_about_to(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("a"))
        await outbox.settle(await next_event(outbox))
        appending = asyncio.create_task(outbox.append(fakes.event("b")))
        await asyncio.sleep(0)
        assert await outbox.oldest() is None
        assert database.settled_writes == 0
        await appending
        await outbox.settle(await next_event(outbox))
        assert await outbox.oldest() is None
        assert database.settled_writes == 1
        assert await database.rows("SELECT 1 FROM events WHERE settled_at IS NULL") == []


async def test_responses_are_kept_if_the_write_of_the_event_fails(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("a"))
        await outbox.settle(await next_event(outbox))
        await database.rows("PRAGMA query_only=1")
        with pytest.raises(StorageError):
            await outbox.append(fakes.event("b"))
        await database.rows("PRAGMA query_only=0")
        await outbox.flush()
        assert await database.rows("SELECT 1 FROM events WHERE settled_at IS NULL") == []


async def test_an_event_that_could_not_be_stored_does_not_wake_the_delivery(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        assert await outbox.oldest() is None
        waiting = asyncio.create_task(outbox.wait())
        await database.rows("PRAGMA query_only=1")
        with pytest.raises(StorageError):
            await outbox.append(fakes.event("a"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await database.rows("PRAGMA query_only=0")
        await outbox.append(fakes.event("a"))
        await asyncio.wait_for(waiting, PATIENCE_S)


async def test_events_that_wait_for_the_disk_when_the_link_ends_are_marked_as_offline(tmp_path: Path) -> None:
    """E11.FR.07: whether they belong to the commit under way or to the next."""
    async with opened(tmp_path) as (outbox, database):
        database.may_return.clear()
        appending = [asyncio.create_task(outbox.append(fakes.event("under way")))]
        await database.committed.wait()
        appending.append(asyncio.create_task(outbox.append(fakes.event("waiting"))))
        await asyncio.sleep(0)
        marking = asyncio.create_task(outbox.mark_offline())
        await asyncio.sleep(0)
        database.may_return.set()
        await marking
        assert [(await append).offline for append in appending] == [False, True]
        await outbox.append(fakes.event("later"))
        assert [(event.transaction_id, event.offline) for event in await drain(outbox)] == [
            ("under way", True),
            ("waiting", True),
            ("later", False),
        ]


@pytest.mark.parametrize("turns", range(12))
async def test_a_recorder_that_is_cancelled_leaves_the_events_of_the_others_alone(tmp_path: Path, turns: int) -> None:
    async with opened(tmp_path) as (outbox, _):
        appending = [asyncio.create_task(outbox.append(fakes.event(name))) for name in "abc"]
        for _ in range(turns):
            await asyncio.sleep(0)
        appending[0].cancel()
        assert numbers([await appending[1], await appending[2]]) == [("b", 0), ("c", 0)]
        await asyncio.wait(appending)
        stored = await outbox.events("a")
        assert stored == [] or numbers(stored) == [("a", 0)]
        assert outbox.waiting == await outbox.count_waiting() == 2 + len(stored)
        assert [event.transaction_id for event in await drain(outbox)][-2:] == ["b", "c"]


async def test_a_queue_is_read_64_events_at_a_time_and_new_events_not_at_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as (outbox, database):
        for _ in range(3):
            await asyncio.gather(*(outbox.append(fakes.event("tx")) for _ in range(64)))
        assert len(await drain(outbox)) == 192
        assert database.queue_reads <= 4  # the last one finds it empty
        reads = database.queue_reads
        for number in range(192, 250):
            await outbox.append(fakes.event("tx"))
            assert numbers(await drain(outbox)) == [("tx", number)]
        assert database.queue_reads == reads
