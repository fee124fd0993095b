"""Stores of bills: both count each event once; the one on disk is shared and survives."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from simulator.csms.bill_store import BillStore, BillStoreError, MemoryBillStore, SharedBillStore
from simulator.csms.billed_transactions import ReceivedEvent
from station.storage.read_connections import ReadConnections
from tests import fakes
from tests.patience import PATIENCE_S

EVENTS = [
    ReceivedEvent(
        station=f"S{number % 3}",
        transaction_id=f"t{number}",
        seq_no=seq_no,
        begin_wh=1000.0 if seq_no == 0 else None,
        end_wh=1000.0 + number if seq_no == 3 else None,
        ended=seq_no == 3,
    )
    for number in range(12)
    for seq_no in range(4)
]


@asynccontextmanager
async def open_store(file: Path) -> AsyncGenerator[SharedBillStore]:
    """An open store."""
    store = SharedBillStore(file, ReadConnections(fakes.clock()))
    try:
        yield store
    finally:
        await store.close()


async def stored_transactions(
    store: BillStore, station: str | None = None
) -> list[tuple[str, str, float | None, int, bool]]:
    """The transactions of a store: station, id, energy, count of events, ended."""
    return [
        (
            transaction.station,
            transaction.id,
            transaction.energy_wh,
            len(transaction.sequence_numbers),
            transaction.ended,
        )
        for transaction in await store.transactions(station)
    ]


EXPECTED = sorted((f"S{number % 3}", f"t{number}", float(number), 4, True) for number in range(12))


async def test_every_event_counts_once_in_both_stores_in_any_order_and_at_the_same_time(tmp_path: Path) -> None:
    async with open_store(tmp_path / "bills") as on_disk:
        for store in (MemoryBillStore(), on_disk):
            delivered = EVENTS * 2
            random.Random(1).shuffle(delivered)
            await asyncio.gather(*(store.record(event) for event in delivered))
            assert await stored_transactions(store) == EXPECTED
            assert await stored_transactions(store, "S1") == [
                transaction for transaction in EXPECTED if transaction[0] == "S1"
            ]
            assert sum(transaction.repeated for transaction in await store.transactions()) == len(EVENTS)


async def test_more_bills_than_one_page_are_read_in_order_while_events_are_stored(tmp_path: Path) -> None:
    async with open_store(tmp_path / "bills") as store, asyncio.timeout(PATIENCE_S):
        early = [
            ReceivedEvent(station=f"S{index % 3}", transaction_id=f"t{index:03}", seq_no=0) for index in range(601)
        ]
        await asyncio.gather(*map(store.record, early))
        late_events = [
            ReceivedEvent(station=f"S{index % 3}", transaction_id=f"u{index:03}", seq_no=0) for index in range(300)
        ]
        async with asyncio.TaskGroup() as group:
            for event in late_events:
                group.create_task(store.record(event))
            read = group.create_task(store.transactions())
        keys = [(transaction.station, transaction.id) for transaction in read.result()]
        assert keys == sorted(set(keys))
        assert {(event.station, event.transaction_id) for event in early} <= set(keys)
        ids_of_station = [transaction.id for transaction in await store.transactions("S1")]
        assert ids_of_station == sorted(
            event.transaction_id for event in (*early, *late_events) if event.station == "S1"
        )


async def test_two_stores_of_one_file_share_a_transaction_whose_station_changes_between_them(tmp_path: Path) -> None:
    async with open_store(tmp_path / "bills") as first, open_store(tmp_path / "bills") as second:
        records = [(first, second)[index % 2].record(event) for index, event in enumerate(EVENTS)]
        repeated = [(second, first)[index % 2].record(event) for index, event in enumerate(EVENTS)]
        await asyncio.gather(*records, *repeated)
        assert await stored_transactions(first) == await stored_transactions(second) == EXPECTED


async def test_a_recorded_event_is_on_disk_before_it_is_acknowledged_and_found_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "bills"
    async with open_store(file) as store:
        for event in EVENTS:
            await store.record(event)
        with sqlite3.connect(file) as reader:  # another process would see the same
            assert reader.execute("SELECT COUNT(*) FROM billed_transaction").fetchone() == (12,)
        reader.close()
    async with open_store(file) as again:
        await again.record(EVENTS[0])
        assert await stored_transactions(again) == EXPECTED


async def test_an_event_whose_sender_is_gone_delays_no_other(tmp_path: Path) -> None:
    async with open_store(tmp_path / "bills") as store:
        cancelled = asyncio.create_task(store.record(EVENTS[0]))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(*(store.record(event) for event in EVENTS[1:]))
        assert len(await stored_transactions(store)) == 12


async def test_an_event_that_cannot_be_stored_is_not_acknowledged(tmp_path: Path) -> None:
    file = tmp_path / "bills"
    async with open_store(file) as store:
        with sqlite3.connect(file) as database:
            database.execute("DROP TABLE billed_transaction")
        database.close()
        with pytest.raises(BillStoreError, match="no such table"):
            await store.record(EVENTS[0])
        with pytest.raises(BillStoreError, match="no such table"):
            await store.transactions()


def test_a_file_that_is_no_database_or_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 100, encoding="utf-8")
    with pytest.raises(BillStoreError, match="not a database"):
        SharedBillStore.create(tmp_path / "text")
    database = sqlite3.connect(tmp_path / "newer")
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(BillStoreError, match="newer version"):
        SharedBillStore.create(tmp_path / "newer")


async def test_memory_is_bounded_and_what_does_not_fit_is_not_acknowledged() -> None:
    store = MemoryBillStore(most=2)
    for event in EVENTS[:8]:
        await store.record(event)
    with pytest.raises(BillStoreError, match="--storage"):
        await store.record(EVENTS[8])
    await store.record(EVENTS[7])


async def test_an_event_that_cannot_be_stored_does_not_keep_later_ones_out(tmp_path: Path) -> None:
    async with open_store(tmp_path / "bills") as store:
        half_a_pair = ReceivedEvent(station="S1", transaction_id="\ud800", seq_no=0)
        with pytest.raises(BillStoreError, match=r"^bills cannot be stored: "):
            await store.record(half_a_pair)
        await asyncio.gather(*(store.record(event) for event in EVENTS))
        assert await stored_transactions(store) == EXPECTED
