"""The record of transaction events while the station has no CSMS: nothing waits, and no bill of a CSMS is lost."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from station.core.model import EventType, TransactionEvent, TriggerReason
from station.storage.database import Database
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database


@contextlib.asynccontextmanager
async def open_outbox(path: Path, *, has_csms: bool) -> AsyncGenerator[tuple[Outbox, Database]]:
    """An outbox on a disk, as a start of the station makes it."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        outbox = Outbox(database, clock, has_csms=has_csms)
        await outbox.check()
        yield outbox, database


def started_event(name: str) -> TransactionEvent:
    """The first event of a transaction."""
    return fakes.event(name, EventType.STARTED)


def ended_event(name: str) -> TransactionEvent:
    """The last event of a transaction."""
    return fakes.event(name, EventType.ENDED, TriggerReason.STOP_AUTHORIZED)


async def deliver_all(outbox: Outbox) -> list[tuple[str, int | None]]:
    """Deliver and settle all events; returns transaction and number of each."""
    sent: list[tuple[str, int | None]] = []
    while (queued := await outbox.oldest()) is not None:
        sent.append((queued.event.transaction_id, queued.event.seq_no))
        await outbox.settle(queued)
    await outbox.flush()
    return sent


async def test_without_a_csms_nothing_waits_and_the_events_are_the_history(tmp_path: Path) -> None:
    async with open_outbox(tmp_path, has_csms=False) as (outbox, _):
        for event in (started_event("a"), fakes.event("a"), ended_event("a")):
            await outbox.append(event)
            assert await outbox.count_waiting() == outbox.waiting == 0
        assert [event.seq_no for event in await outbox.events("a")] == [0, 1, 2]
        assert await outbox.wait_delivered(within_s=0)


async def test_without_a_csms_the_events_are_deleted_as_delivered_ones_are(tmp_path: Path) -> None:
    async with open_outbox(tmp_path, has_csms=False) as (outbox, database):
        for number in range(20):
            await outbox.append(started_event(f"tx{number}"))
            await outbox.append(ended_event(f"tx{number}"))
        await outbox.prune(10)
        assert await database.rows("SELECT COUNT(*) FROM events") == [(10,)]


async def test_what_was_charged_without_a_csms_is_never_sent_to_a_later_one(tmp_path: Path) -> None:
    """Nor is the end of a transaction that was running when the CSMS was installed: it would miss its begin."""
    async with open_outbox(tmp_path, has_csms=False) as (outbox, _):
        for event in (started_event("a"), ended_event("a"), started_event("b")):
            await outbox.append(event)
    async with open_outbox(tmp_path, has_csms=True) as (outbox, _):
        assert (await outbox.append(ended_event("b"))).seq_no == 1
        await outbox.append(started_event("c"))
        assert outbox.waiting == await outbox.count_waiting() == 1
        assert await deliver_all(outbox) == [("c", 0)]


async def test_what_a_csms_is_owed_waits_on_disk_while_it_is_removed(tmp_path: Path) -> None:
    """Also the end of a transaction of which the CSMS has the begin only."""
    async with open_outbox(tmp_path, has_csms=True) as (outbox, _):
        for event in (started_event("known"), started_event("a"), ended_event("a"), started_event("b")):
            await outbox.append(event)
        queued = await outbox.oldest()
        assert queued is not None
        await outbox.settle(queued)
        await outbox.flush()
    async with open_outbox(tmp_path, has_csms=False) as (outbox, _):
        for event in (ended_event("known"), ended_event("b"), started_event("own"), ended_event("own")):
            await outbox.append(event)
        assert await outbox.count_waiting() == outbox.waiting == 0
        await outbox.prune(0)
    async with open_outbox(tmp_path, has_csms=True) as (outbox, _):
        assert outbox.waiting == 5
        assert await deliver_all(outbox) == [("a", 0), ("a", 1), ("b", 0), ("known", 1), ("b", 1)]


@pytest.mark.parametrize("counted", [True, False])
async def test_the_end_of_a_transaction_whose_begin_the_csms_refused_is_still_sent(
    tmp_path: Path, counted: bool
) -> None:
    """An event that is given up (E13) does not make the rest a transaction without a CSMS.

    Nor if a full disk did not let its attempts be counted.
    """
    async with open_outbox(tmp_path, has_csms=True) as (outbox, _):
        await outbox.append(started_event("a"))
        queued = await outbox.oldest()
        assert queued is not None
        if counted:
            await outbox.count_failed_attempt(queued)
        await outbox.settle(queued, given_up=True)
        await outbox.append(ended_event("a"))
        assert await deliver_all(outbox) == [("a", 1)]
