"""The record of transaction events: numbered and on disk first, delivered in order, forgotten last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from station.core.model import (
    ChargingState,
    EventType,
    EvseRef,
    IdToken,
    StoppedReason,
    TransactionEvent,
    TriggerReason,
)
from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue
from station.storage.database import Database, StorageError
from station.storage.outbox import Outbox
from station.storage.queued_event import QueuedEvent
from station.storage.unreadable_rows import RowAddress
from tests import fakes
from tests.databases import open_database
from tests.patience import PATIENCE_S

VALUE = MeterValue(
    fakes.NOON,
    (SampledValue(1234.567, Measurand.ENERGY_IMPORT_REGISTER, ReadingContext.TRANSACTION_END, "Wh", None),),
)


@contextlib.asynccontextmanager
async def open_outbox(path: Path) -> AsyncGenerator[tuple[Outbox, Database]]:
    """An outbox on a disk."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        yield Outbox(database, clock), database


async def next_event(outbox: Outbox) -> QueuedEvent:
    """The event to deliver next."""
    queued = await outbox.oldest()
    assert queued is not None
    return queued


async def drain(outbox: Outbox) -> list[TransactionEvent]:
    """Deliver and settle all events; returns them."""
    delivered: list[TransactionEvent] = []
    while (queued := await outbox.oldest()) is not None:
        delivered.append(queued.event)
        await outbox.settle(queued)
    return delivered


async def test_every_field_of_an_event_comes_back_as_it_was(tmp_path: Path) -> None:
    full = TransactionEvent(
        "tx",
        2,
        EventType.ENDED,
        TriggerReason.STOP_AUTHORIZED,
        fakes.NOON + timedelta(microseconds=123_000),
        offline=True,
        charging_state=ChargingState.SUSPENDED_EV,
        stopped_reason=StoppedReason.LOCAL,
        id_token=IdToken("ABC", "ISO14443", (("contract", "eMAID"),)),
        evse=EvseRef(2, 1),
        remote_start_id=7,
        reservation_id=8,
        phases_used=3,
        cable_max_a=32.0,
        time_spent_charging_s=99,
        meter_values=(VALUE,),
    )
    async with open_outbox(tmp_path) as (outbox, _):
        assert await outbox.append(full) == replace(full, seq_no=0)
    async with open_outbox(tmp_path) as (outbox, _):
        (read,) = await outbox.events("tx")
        assert read == replace(full, seq_no=0)
        assert read.id_token is not None
        assert read.id_token.additional_info == (("contract", "eMAID"),)


async def test_events_that_are_appended_at_once_are_numbered_without_gap_or_double(tmp_path: Path) -> None:
    """E01.FR.07: seqNo counts from 0 in each transaction."""
    async with open_outbox(tmp_path) as (outbox, _):
        events = [fakes.event(f"tx{index % 3}") for index in range(150)]
        recorded = await asyncio.gather(*map(outbox.append, events))
        for name in ("tx0", "tx1", "tx2"):
            assert [event.seq_no for event in recorded if event.transaction_id == name] == list(range(50))
            assert [event.seq_no for event in await outbox.events(name)] == list(range(50))


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    for start in range(3):
        async with open_outbox(tmp_path) as (outbox, _):
            assert (await outbox.append(fakes.event())).seq_no == start


async def test_events_are_delivered_in_the_order_in_which_they_were_appended(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        appended = [await outbox.append(fakes.event(f"tx{index % 4}")) for index in range(40)]
        assert await drain(outbox) == appended
        assert await outbox.count_waiting() == 0


async def test_what_is_not_settled_stays_the_oldest(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("first"))
        await outbox.append(fakes.event("second"))
        for attempts in range(3):
            queued = await next_event(outbox)
            assert (queued.event.transaction_id, queued.attempts) == ("first", attempts)
            await outbox.count_failed_attempt(queued)
        await outbox.settle(await next_event(outbox))
        queued = await next_event(outbox)
        assert (queued.event.transaction_id, queued.attempts) == ("second", 0)


async def test_what_was_settled_is_not_sent_again_after_a_restart_once_it_is_flushed(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        for name in ("one", "two", "three"):
            await outbox.append(fakes.event(name))
        await outbox.settle(await next_event(outbox))
        await outbox.settle(await next_event(outbox))
        await outbox.flush()
    async with open_outbox(tmp_path) as (outbox, _):
        assert [event.transaction_id for event in await drain(outbox)] == ["three"]


async def test_a_power_cut_before_the_flush_sends_again_and_loses_nothing(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("one"))
        await outbox.append(fakes.event("two"))
        await outbox.settle(await next_event(outbox))
    async with open_outbox(tmp_path) as (outbox, _):
        assert [event.transaction_id for event in await drain(outbox)] == ["one", "two"]


async def test_an_event_that_is_given_up_is_noted_at_once_and_stays_in_the_history(tmp_path: Path) -> None:
    """E13: the CSMS will never accept it."""
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("bad"))
        await outbox.settle(await next_event(outbox), given_up=True)
    async with open_outbox(tmp_path) as (outbox, _):
        assert await outbox.oldest() is None
        assert len(await outbox.events("bad")) == 1


@pytest.mark.parametrize("spoilt", ["payload = '{' || payload", "payload = ''", "seq_no = ''"])
async def test_an_event_that_flash_memory_has_spoilt_holds_no_other_up_and_stays_on_record(
    tmp_path: Path, spoilt: str
) -> None:
    async with open_outbox(tmp_path) as (outbox, database):
        for name in ("one", "two", "three"):
            await outbox.append(fakes.event(name))
            await outbox.end_data.store_sample(name, VALUE)
        await database.write(f"UPDATE events SET {spoilt} WHERE transaction_id = 'two'")
        await database.write("UPDATE ended_samples SET payload = '{' || payload WHERE transaction_id = 'two'")
        assert [event.transaction_id for event in await outbox.latest_events(1, 10)] == ["one", "three"]
        waiting = [await outbox.count_waiting(name) for name in ("one", "two", "three")]
        assert waiting == [1, 0, 1]
        assert await outbox.count_waiting() == outbox.waiting == sum(waiting)
        assert [await outbox.end_data.samples(name) for name in ("one", "two")] == [[VALUE], []]
        assert [event.transaction_id for event in await drain(outbox)] == ["one", "three"]
        unsettled = await database.rows("SELECT transaction_id, given_up FROM events WHERE settled_at IS NULL")
        assert unsettled == [("two", 0)]
        assert await outbox.count_waiting() == await outbox.count_waiting("two") == 0


async def test_counting_beside_a_spoilt_list_of_unreadable_events_fails_not_and_announces_no_change(
    tmp_path: Path,
) -> None:
    async with open_outbox(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("one"))
        for key in ("", "x", "-1", "9" * 30, "7"):
            database.unreadable.add(RowAddress("events", key), "a problem")
        changes: list[None] = []
        outbox.waiting_changed.subscribe(changes.append)
        assert await outbox.count_waiting() == await outbox.count_waiting("one") == 1
        assert changes == []


async def test_a_spoilt_list_of_unreadable_events_prevents_no_start_and_is_cleared(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("one"))
        for key in ("", "x", "-1", "9" * 30, "7"):
            for source in ("events", "events.unsent"):
                database.unreadable.add(RowAddress(source, key), "a problem")
        await outbox.requeue_set_aside()
        await database.unreadable.save()
    async with open_outbox(tmp_path) as (outbox, database):
        await outbox.check()
        assert [event.transaction_id for event in await drain(outbox)] == ["one"]
        assert [row.address for row in database.unreadable.of("events")] == []


async def test_flushes_at_the_same_time_note_every_answer_once(tmp_path: Path) -> None:
    """Whoever counts what waits flushes too; he must not forget an answer that came meanwhile."""
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("one"))
        await outbox.append(fakes.event("two"))
        await outbox.settle(await next_event(outbox))

        async def deliver() -> None:
            await outbox.settle(await next_event(outbox))

        await asyncio.gather(outbox.count_waiting(), deliver(), outbox.count_waiting())
        assert await outbox.count_waiting() == 0
    async with open_outbox(tmp_path) as (outbox, _):
        assert await drain(outbox) == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_flush_that_is_cancelled_is_made_up_for_by_the_next(tmp_path: Path, turns: int) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event())
        await outbox.settle(await next_event(outbox))
        flushing = asyncio.create_task(outbox.flush())
        for _ in range(turns):
            await asyncio.sleep(0)
        flushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flushing
        await outbox.flush()
    async with open_outbox(tmp_path) as (outbox, _):
        assert await outbox.oldest() is None


async def test_a_lost_link_marks_what_waits_and_not_what_was_answered(tmp_path: Path) -> None:
    """E11.FR.07"""
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("answered"))
        await outbox.append(fakes.event("waiting"))
        await outbox.settle(await next_event(outbox))
        await outbox.mark_offline()
        assert not (await outbox.events("answered"))[0].offline
        assert (await outbox.events("waiting"))[0].offline
        assert (await next_event(outbox)).event.offline
        assert not (await outbox.append(fakes.event("later"))).offline


async def test_it_counts_what_waits_of_one_transaction_and_of_all(tmp_path: Path) -> None:
    """E14"""
    async with open_outbox(tmp_path) as (outbox, _):
        for name in ("a", "b", "a", "a"):
            await outbox.append(fakes.event(name))
        assert (await outbox.count_waiting(), await outbox.count_waiting("a"), await outbox.count_waiting("none")) == (
            4,
            3,
            0,
        )
        await outbox.settle(await next_event(outbox))
        assert (await outbox.count_waiting(), await outbox.count_waiting("a"), await outbox.count_waiting("b")) == (
            3,
            2,
            1,
        )


async def test_whoever_waits_is_woken_by_an_append(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        assert await outbox.oldest() is None
        waiting = asyncio.create_task(outbox.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        await outbox.append(fakes.event())
        await asyncio.wait_for(waiting, PATIENCE_S)
        assert await outbox.oldest() is not None


async def test_an_append_between_the_question_and_the_wait_is_not_slept_through(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        asking = asyncio.create_task(outbox.oldest())
        await asyncio.sleep(0)
        await outbox.append(fakes.event())
        assert await asking is None
        await asyncio.wait_for(outbox.wait(), PATIENCE_S)
        assert await outbox.oldest() is not None


async def test_each_event_that_is_on_disk_is_published(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        published: list[TransactionEvent] = []
        outbox.appended.subscribe(published.append)
        recorded = [await outbox.append(fakes.event()) for _ in range(3)]
        assert published == recorded


async def test_open_transactions_are_those_that_started_and_did_not_end(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        for name in ("one", "two", "three"):
            await outbox.append(fakes.event(name, EventType.STARTED))
        await outbox.append(fakes.event("one"))
        await outbox.append(fakes.event("two", EventType.ENDED))
        assert await outbox.open_transactions() == ["one", "three"]


async def test_the_latest_events_of_an_evse_come_in_order(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        for index in range(6):
            await outbox.append(fakes.event(f"tx{index}", evse_id=1 + index % 2))
        assert [event.transaction_id for event in await outbox.latest_events(1, max_count=2)] == ["tx2", "tx4"]
        assert await outbox.latest_events(9) == []


async def store_transaction(outbox: Outbox, name: str) -> None:
    """Store the Started and Ended events of a transaction, and a sample for its end."""
    await outbox.append(fakes.event(name, EventType.STARTED))
    await outbox.end_data.store_sample(name, VALUE)
    await outbox.append(fakes.event(name, EventType.ENDED))


async def test_pruning_forgets_old_settled_transactions_and_their_samples_only(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, database):
        await store_transaction(outbox, "old")
        await outbox.append(fakes.event("open", EventType.STARTED))
        await store_transaction(outbox, "new")
        await drain(outbox)
        await store_transaction(outbox, "waiting")
        await outbox.flush()
        await outbox.prune(keep_settled=4)
        assert await outbox.events("old") == []
        assert [len(await outbox.events(name)) for name in ("open", "new", "waiting")] == [1, 2, 2]
        assert await database.rows("SELECT DISTINCT transaction_id FROM ended_samples ORDER BY 1") == [
            ("new",),
            ("waiting",),
        ]
        assert await outbox.open_transactions() == ["open"]


async def test_pruning_never_takes_what_waits_or_is_open(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("open", EventType.STARTED))
        await store_transaction(outbox, "waiting")
        await outbox.settle(await next_event(outbox))
        await outbox.flush()
        await outbox.prune(keep_settled=0)
        assert [len(await outbox.events(name)) for name in ("open", "waiting")] == [1, 2]


async def test_no_id_is_given_twice_after_everything_was_pruned(tmp_path: Path) -> None:
    """`oldest` skips what was settled by its id: a new event must never have an old one's."""
    async with open_outbox(tmp_path) as (outbox, _):
        await store_transaction(outbox, "old")
        await drain(outbox)
        await outbox.prune(keep_settled=0)
        assert await outbox.events("old") == []
        await outbox.append(fakes.event("new"))
        assert (await next_event(outbox)).event.transaction_id == "new"


async def test_a_full_disk_fails_the_append_and_neither_records_nor_numbers_nor_publishes(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, database):
        published: list[TransactionEvent] = []
        outbox.appended.subscribe(published.append)
        ((pages,),) = await database.rows("PRAGMA page_count")
        await database.rows(f"PRAGMA max_page_count={int(str(pages)) + 2}")
        await asyncio.gather(*(outbox.append(fakes.event()) for _ in range(50)), return_exceptions=True)
        with pytest.raises(StorageError):
            await outbox.append(fakes.event())
        stored_count = len(published)
        assert 0 < stored_count < 50
        assert [event.seq_no for event in await outbox.events("tx")] == list(range(stored_count))
        await database.rows("PRAGMA max_page_count=1000000")
        assert (await outbox.append(fakes.event())).seq_no == stored_count


async def test_an_answer_that_could_not_be_noted_is_noted_with_the_next_flush(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, database):
        await outbox.append(fakes.event("one"))
        await outbox.append(fakes.event("two"))
        await database.rows("PRAGMA query_only=1")  # a disk that is read-only for a while
        with pytest.raises(StorageError):
            await outbox.settle(await next_event(outbox), given_up=True)
        assert (await next_event(outbox)).event.transaction_id == "two"
        await outbox.settle(await next_event(outbox))
        await database.rows("PRAGMA query_only=0")
        await outbox.flush()
    async with open_outbox(tmp_path) as (outbox, _):
        assert await outbox.oldest() is None


async def test_a_long_absence_of_the_csms_thins_out_samples_and_nothing_else(tmp_path: Path) -> None:
    """E04.FR.07, E04.FR.08: of each transaction the 1st, 3rd, 5th … sample goes; all other events stay."""
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("tx", EventType.STARTED, TriggerReason.CABLE_PLUGGED_IN))
        for number in range(200):
            await outbox.append(fakes.event("tx"))
            if number % 50 == 0:
                await outbox.append(fakes.event("tx", trigger=TriggerReason.CHARGING_STATE_CHANGED))
        await outbox.append(fakes.event("tx", EventType.ENDED, TriggerReason.STOP_AUTHORIZED))
        assert await outbox.limit_queue(1000) == 0
        for _ in range(64):
            await outbox.append(fakes.event("next"))
        assert await outbox.limit_queue(100) == 100 + 32
        left = await outbox.events("tx")
        assert [event.event_type for event in (left[0], left[-1])] == [EventType.STARTED, EventType.ENDED]
        assert sum(event.trigger is TriggerReason.CHARGING_STATE_CHANGED for event in left) == 4
        assert sum(event.trigger is TriggerReason.METER_VALUE_PERIODIC for event in left) == 100
        assert await outbox.limit_queue(100) == 0, "it looks again only after some more events"
        assert [event.seq_no for event in await drain(outbox)][:3] == [0, 2, 3], "a gap tells the CSMS of it"


async def test_the_number_of_a_sample_that_is_being_sent_is_not_given_to_another_event(tmp_path: Path) -> None:
    """E01.FR.07: a CSMS takes the second event of that number for a repetition, though it were the end."""
    async with open_outbox(tmp_path) as (outbox, _):
        await outbox.append(fakes.event("slow"))
        sent = (await next_event(outbox)).event
        for _ in range(200):
            await outbox.append(fakes.event("fast"))
        assert await outbox.limit_queue(100) == 100
        assert (await outbox.append(fakes.event("slow", EventType.ENDED))).seq_no != sent.seq_no


async def test_an_event_that_flash_memory_has_spoilt_does_not_end_the_thinning_out(tmp_path: Path) -> None:
    async with open_outbox(tmp_path) as (outbox, database):
        for _ in range(200):
            await outbox.append(fakes.event("tx"))
        await database.write("UPDATE events SET payload = '{' || payload WHERE seq_no = 7")
        assert await outbox.limit_queue(100) == 100


class SettlingOutbox(Outbox):
    """An outbox in which an event is settled while the queue is counted."""

    answered: QueuedEvent | None = None

    async def count_waiting(self, transaction_id: str | None = None) -> int:
        """Count, then settle the event whose answer arrives meanwhile."""
        count = await super().count_waiting(transaction_id)
        if (queued := self.answered) is not None:
            self.answered = None
            await self.settle(queued)
        return count


async def test_the_last_answer_ends_the_wait_also_when_it_comes_while_the_queue_is_counted(tmp_path: Path) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        outbox = SettlingOutbox(database, clock)
        await outbox.append(fakes.event())
        outbox.answered = await next_event(outbox)
        delivered = asyncio.create_task(outbox.wait_delivered(within_s=60.0))
        await clock.settle()
        assert delivered.done(), "it waits for an answer that has come"
        assert await delivered is True
