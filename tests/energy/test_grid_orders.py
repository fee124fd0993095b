"""The record of the grid operator's orders: what is noted, that it is whole, and that nothing waits for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from energy.grid import GridOrder, OrderReason
from energy.grid_orders import (
    GridOrderLog,
    NewOrderEntry,
    OrderEntry,
    OrderEvent,
    PowerSnapshot,
    RecordedGridOrders,
    as_csv,
    first_broken,
    order_duration,
)
from tests.examples import examples
from tests.fakes import NOON, clock

ORDER = GridOrder(4200.0, NOON)
UNREAD = GridOrder(4200.0, NOON, OrderReason.NOT_READ_YET)


class Source:
    """A source whose orders the test gives."""

    def __init__(self) -> None:
        self.order: GridOrder | None = UNREAD
        self._queue: asyncio.Queue[GridOrder | None] = asyncio.Queue()

    def give(self, order: GridOrder | None) -> None:
        self.order = order
        self._queue.put_nowait(order)

    async def orders(self) -> AsyncGenerator[GridOrder | None]:
        yield self.order
        while True:
            yield await self._queue.get()


class Bench:
    """A source, its record, meters and time."""

    def __init__(self, file: Path) -> None:
        self.time = clock()
        self.source = Source()
        self.record = GridOrderLog(file, self.time)
        self.powers = PowerSnapshot(11_000.0, 9_000.0)
        self.orders = RecordedGridOrders(self.source, self.record, self, self.time)
        self.carried: list[GridOrder | None] = []

    async def follow(self) -> None:
        async for order in self.orders.orders():
            self.carried.append(order)

    async def advance(self, seconds: float) -> None:
        await self.time.advance(seconds)
        await self.time.settle()

    @property
    def events(self) -> list[str]:
        return [entry.event.value for entry in self.record.entries]


@contextlib.asynccontextmanager
async def running_bench(file: Path) -> AsyncGenerator[Bench]:
    harness = Bench(file)
    await harness.record.load()
    tasks = [asyncio.create_task(harness.follow()), asyncio.create_task(harness.orders.run())]
    await harness.advance(0.0)
    try:
        yield harness
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_an_order_is_carried_at_once_and_recorded_with_the_power_before_during_and_after(tmp_path: Path) -> None:
    async with running_bench(tmp_path / "orders") as harness:
        assert harness.carried == [UNREAD]
        harness.source.give(None)
        await harness.advance(1)
        assert harness.events == [], "that nobody ordered anything is no order"
        harness.source.give(ORDER)
        await harness.advance(1)
        assert harness.carried[-1] == ORDER
        assert harness.events == ["begin"]
        harness.powers = PowerSnapshot(6_000.0, 4_100.0)
        await harness.advance(60)
        await harness.advance(900)
        harness.source.give(None)
        await harness.advance(1)
        harness.powers = PowerSnapshot(12_000.0, 9_500.0)
        await harness.advance(60)
        await harness.advance(5000)
    assert harness.events == ["begin", "power", "power", "end", "power"]
    begin, settled, during, end, after = harness.record.entries
    assert (begin.limit_w, begin.reason, begin.grid_w, begin.devices_w) == (4200.0, "ordered", 11_000.0, 9_000.0)
    assert (settled.devices_w, during.devices_w, after.devices_w) == (4_100.0, 4_100.0, 9_500.0)
    assert during.at - begin.at >= timedelta(minutes=15)
    assert (end.limit_w, end.devices_w) == (None, 4_100.0)
    assert first_broken(harness.record.entries) is None


async def test_an_order_that_outlasts_a_restart_goes_on_in_the_record(tmp_path: Path) -> None:
    file = tmp_path / "orders"
    async with running_bench(file) as harness:
        harness.source.give(ORDER)
        await harness.advance(1)
    async with running_bench(file) as again:
        again.source.give(ORDER)
        await again.advance(1)
        assert again.events == ["begin", "resume"]
    async with running_bench(file) as later:
        later.source.give(None)
        await later.advance(1)
        assert later.events == ["begin", "resume", "ended-unseen"]
        later.source.give(ORDER)
        await later.advance(1)
        broken = replace(ORDER, reason=OrderReason.WIRE_BROKEN)
        later.source.give(broken)
        await later.advance(1)
    assert later.events == ["begin", "resume", "ended-unseen", "begin", "change"]
    reloaded = GridOrderLog(file, clock())
    await reloaded.load()
    assert reloaded.entries == later.record.entries
    assert reloaded.has_open_order
    assert not reloaded.damaged


async def test_a_full_disk_delays_the_record_and_never_the_order(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "orders").mkdir()  # so that no file can be opened there
    harness = Bench(folder / "orders")
    following = asyncio.create_task(harness.follow())
    await harness.advance(0)
    harness.source.give(ORDER)
    await harness.advance(0)
    with pytest.raises(OSError, match="orders"):
        await harness.orders.run()
    harness.source.give(None)
    await harness.advance(0)
    assert harness.carried == [UNREAD, ORDER, None]
    (folder / "orders").rmdir()
    running = asyncio.create_task(harness.orders.run())
    await harness.advance(1)
    assert harness.events == ["begin", "end"]
    assert harness.record.entries[0].at == NOON
    for task in (following, running):
        task.cancel()
    await asyncio.wait([following, running])


@pytest.mark.parametrize("line", ['{"number":1e999,', '{"a":' * 100_000, "[]", '{"number":NaN,', "1e999", "null"])
async def test_a_spoilt_line_is_ignored_and_ends_no_start(tmp_path: Path, line: str) -> None:
    file = tmp_path / "orders"
    record = GridOrderLog(file, clock())
    await record.append(NewOrderEntry(NOON, OrderEvent.BEGIN, ORDER, PowerSnapshot(1.0, 2.0)))
    good = file.read_text(encoding="utf-8")
    spoilt = good.replace('{"number":1,', line) if line.endswith(",") else f"{line}\n"
    file.write_text(good + spoilt, encoding="utf-8")
    reloaded = GridOrderLog(file, clock())
    await reloaded.load()
    assert [entry.number for entry in reloaded.entries] == [1]


async def test_a_line_that_a_power_cut_left_half_spoils_nothing(tmp_path: Path) -> None:
    file = tmp_path / "orders"
    record = GridOrderLog(file, clock())
    await record.append(NewOrderEntry(NOON, OrderEvent.BEGIN, ORDER, PowerSnapshot(1.0, 2.0)))
    file.write_bytes(file.read_bytes() + b'{"number":2,"at":"20')
    torn = GridOrderLog(file, clock())
    await torn.load()
    assert not torn.damaged
    await torn.append(NewOrderEntry(NOON, OrderEvent.END, None, PowerSnapshot(1.0, 2.0)))
    reloaded = GridOrderLog(file, clock())
    await reloaded.load()
    assert [entry.event for entry in reloaded.entries] == [OrderEvent.BEGIN, OrderEvent.END]
    assert not reloaded.damaged


async def filled(file: Path, count: int) -> GridOrderLog:
    record = GridOrderLog(file, clock())
    for number in range(count):
        event = OrderEvent.END if number % 2 else OrderEvent.BEGIN
        await record.append(
            NewOrderEntry(NOON + timedelta(minutes=number), event, ORDER, PowerSnapshot(float(number), None))
        )
    return record


@examples(40)
@given(data=st.data())
def test_whoever_changes_drops_or_swaps_an_entry_is_found_out(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("record") / "orders"
    asyncio.run(filled(file, 6))
    lines = file.read_text().splitlines()
    at = data.draw(st.integers(0, 4))
    match data.draw(st.sampled_from(["drop", "swap", "change", "forge"])):
        case "drop":
            del lines[at]
        case "swap":
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        case "change":
            lines[at] = lines[at].replace("4200.0", "9900.0")
        case _:
            forged = replace(OrderEntry.parse(lines[at]), limit_w=9900.0)
            lines[at] = forged.with_hash().to_line()  # with a right hash of its own: the next entry knows better
    file.write_text("\n".join(lines) + "\n")
    record = GridOrderLog(file, clock())
    asyncio.run(record.load())
    assert record.damaged


async def test_the_record_as_a_table_has_a_heading_and_every_entry(tmp_path: Path) -> None:
    record = await filled(tmp_path / "orders", 3)
    heading, *rows = csv.reader(io.StringIO(as_csv(record.entries)))
    assert heading == [
        "number", "at", "event", "reason", "limit_w", "grid_w", "devices_w", "previous", "hash"
    ]  # fmt: skip
    assert [row[:6] for row in rows] == [
        ["1", "2026-01-15T12:00:00+00:00", "begin", "ordered", "4200.0", "0.0"],
        ["2", "2026-01-15T12:01:00+00:00", "end", "ordered", "4200.0", "1.0"],
        ["3", "2026-01-15T12:02:00+00:00", "begin", "ordered", "4200.0", "2.0"],
    ]
    json.dumps([entry.to_json() for entry in record.entries])


@pytest.mark.parametrize(
    ("since_min", "until_min", "minutes"), [(0, 60, 60 - 2 + 1), (0, 1, 1), (1, 2, 0), (-100, 0, 0), (2, 3, 1)]
)
async def test_the_minutes_of_a_span_under_an_order(
    tmp_path: Path, since_min: int, until_min: int, minutes: int
) -> None:
    record = await filled(tmp_path / "orders", 3)  # from 0 to 1, and from 2 on
    span: tuple[Any, Any] = (NOON + timedelta(minutes=since_min), NOON + timedelta(minutes=until_min))
    assert order_duration(record.entries, *span) == timedelta(minutes=minutes)
