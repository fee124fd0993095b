"""Follows the grid operator's orders and records them in a hash-chained log.

The operator of the installation must be able to prove for two years that orders were carried out (BK6-22-300). Entries
are appended to one file, each synced to disk before the next; none is ever deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import hashlib
import io
import json
import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import asdict, replace

from energy.grid import GridOrder, GridOrderSource, OrderReason
from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.json_values import integer_of, number_or_none, parse_object

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_RECORD_INTERVAL_S: Final = 900.0
"""longest time between two recorded powers while an order lasts: the grid's billing interval"""
_SETTLING_TIME_S: Final = 60.0
"""time after a change at which the power is recorded again: vehicles have followed by then"""
_FIRST_PREVIOUS_HASH: Final = "0" * 64


class OrderEvent(StrEnum):
    """Kind of an entry in the log of the grid operator's orders."""

    BEGIN = "begin"
    CHANGE = "change"
    """limit or reason changed while an order lasts"""
    RESUME = "resume"
    """the order is still in force after a restart"""
    POWER = "power"
    END = "end"
    ENDED_UNSEEN = "ended-unseen"
    """the order is no longer in force after a restart"""


class PowerSnapshot(Frozen):
    """The powers of house connection and EVSEs at a moment, recorded with an order, in watts; None: not known."""

    grid_w: float | None
    """of the house connection; negative when it exports"""
    devices_w: float | None
    """of the station's EVSEs together"""


class PowerMeters(Protocol):
    """Source of the powers that are recorded with an order: the grid meter and the meters of the EVSEs."""

    @property
    def powers(self) -> PowerSnapshot:
        """The powers at present."""
        ...


class NewOrderEntry(Frozen):
    """The content of an entry that is not in the log yet: `GridOrderLog` adds its number and hashes."""

    at: datetime
    event: OrderEvent
    order: GridOrder | None
    """None: no order is in force"""
    powers: PowerSnapshot


class OrderEntry(Frozen):
    """One line of the log of the grid operator's orders: an event, the order and the powers at that moment."""

    number: int
    at: datetime
    """UTC"""
    event: OrderEvent
    reason: OrderReason | None
    """of the order; None: no order is in force"""
    limit_w: float | None
    grid_w: float | None
    devices_w: float | None
    previous: str
    """the hash of the entry before"""
    hash: str = ""
    """SHA-256 of this entry's text without this field, in hex"""

    def with_hash(self) -> OrderEntry:
        """Return the entry with its hash computed."""
        return replace(self, hash=hashlib.sha256(self._text_of_fields().encode()).hexdigest())

    @property
    def is_unaltered(self) -> bool:
        """Whether the hash matches the entry's text."""
        return self.hash == self.with_hash().hash

    def to_line(self) -> str:
        """Convert the entry to a line of the file, without the line feed."""
        return json.dumps(self.to_json(), separators=(",", ":"))

    def to_json(self) -> dict[str, object]:
        """Convert the entry to plain JSON values."""
        fields: dict[str, object] = asdict(self)
        fields["at"] = self.at.isoformat()
        return fields

    def _text_of_fields(self) -> str:
        fields = self.to_json()
        del fields["hash"]
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def parse(cls, line: str) -> OrderEntry:
        """Parse a line of the file.

        Raises:
            ValueError: the line is not an entry.
        """
        try:
            fields = parse_object(line)
            reason = fields["reason"]
            return cls(
                number=integer_of(fields["number"]),
                at=datetime.fromisoformat(str(fields["at"])),
                event=OrderEvent(str(fields["event"])),
                reason=OrderReason(str(reason)) if reason is not None else None,
                limit_w=number_or_none(fields["limit_w"]),
                grid_w=number_or_none(fields["grid_w"]),
                devices_w=number_or_none(fields["devices_w"]),
                previous=str(fields["previous"]),
                hash=str(fields["hash"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an entry of the grid order log: {error}") from error


def first_broken(entries: Sequence[OrderEntry]) -> int | None:
    """The number of the first entry that was altered or that follows a missing one; None: the log is intact."""
    previous, number = _FIRST_PREVIOUS_HASH, 1
    for entry in entries:
        if entry.number != number or entry.previous != previous or not entry.is_unaltered:
            return entry.number
        previous, number = entry.hash, number + 1
    return None


def as_csv(entries: Iterable[OrderEntry]) -> str:
    """Convert entries to CSV text with a header row."""
    text = io.StringIO()
    names = OrderEntry.__struct_fields__
    table = csv.writer(text)
    table.writerow(names)
    table.writerows([entry.to_json()[name] for name in names] for entry in entries)
    return text.getvalue()


def order_duration(entries: Iterable[OrderEntry], since: datetime, until: datetime) -> timedelta:
    """The total time between two moments in which orders were in force; the preventive phase allows two hours a day."""
    total, began = timedelta(0), None
    for entry in entries:
        if entry.event in {OrderEvent.BEGIN, OrderEvent.RESUME} and began is None:
            began = entry.at
        elif entry.event in {OrderEvent.END, OrderEvent.ENDED_UNSEEN} and began is not None:
            total += _overlap(began, entry.at, since, until)
            began = None
    return total if began is None else total + _overlap(began, until, since, until)


def _overlap(began: datetime, ended: datetime, since: datetime, until: datetime) -> timedelta:
    return max(timedelta(0), min(ended, until) - max(began, since))


class GridOrderLog:
    """The log of the grid operator's orders: an append-only, hash-chained file, and its entries in memory."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self.entries: list[OrderEntry] = []
        self.damaged = False
        """whether an entry was altered or is missing"""
        self._append_lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the file to `entries`, check the hash chain, and set `damaged`; a missing file is an empty log.

        Raises:
            OSError: the file cannot be read.
        """
        self.entries.clear()
        for line in await asyncio.to_thread(self._read_lines):
            with contextlib.suppress(ValueError):  # a line torn by a power cut; a missing entry breaks the chain
                self.entries.append(OrderEntry.parse(line))
        self.damaged = first_broken(self.entries) is not None
        if self.damaged:
            _log.warning("the log of the grid operator's orders is damaged: an entry was altered or is missing")

    @property
    def has_open_order(self) -> bool:
        """Whether the last recorded order has no end yet."""
        changes = [entry.event for entry in self.entries if entry.event is not OrderEvent.POWER]
        return bool(changes) and changes[-1] not in {OrderEvent.END, OrderEvent.ENDED_UNSEEN}

    async def append(self, new_entry: NewOrderEntry) -> None:
        """Append an entry and sync it to disk.

        Raises:
            OSError: it cannot be written.
        """
        async with self._append_lock:
            entry = self._make_entry(new_entry)
            writing = asyncio.ensure_future(asyncio.to_thread(self._write_line, entry.to_line()))
            try:
                with self._clock.outside_wait():
                    await asyncio.shield(writing)
            except asyncio.CancelledError:
                # The thread continues: if it writes the entry, the next one must follow it.
                if (await asyncio.wait([writing]))[0] and writing.exception() is None:
                    self.entries.append(entry)
                raise
            self.entries.append(entry)

    def _make_entry(self, new_entry: NewOrderEntry) -> OrderEntry:
        order, powers = new_entry.order, new_entry.powers
        last = self.entries[-1] if self.entries else None
        return OrderEntry(
            number=1 if last is None else last.number + 1,
            at=new_entry.at,
            event=new_entry.event,
            reason=order.reason if order is not None else None,
            limit_w=order.limit_w if order is not None else None,
            grid_w=powers.grid_w,
            devices_w=powers.devices_w,
            previous=_FIRST_PREVIOUS_HASH if last is None else last.hash,
        ).with_hash()

    def _read_lines(self) -> list[str]:
        try:
            return [line for line in self._file.read_text(encoding="utf-8").split("\n") if line]
        except FileNotFoundError:
            return []

    def _write_line(self, line: str) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a+b") as file:
            # A line torn by a power cut must not spoil the next one.
            torn = file.tell() > 0 and not _ends_a_line(file)
            file.write((b"\n" if torn else b"") + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _ends_a_line(file: io.BufferedRandom) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


class RecordedGridOrders:
    """Passes on the orders of another source, and records their changes in a `GridOrderLog`.

    Passing on never waits for the disk: `run`, a task of its own, writes the entries.
    """

    def __init__(self, source: GridOrderSource, record: GridOrderLog, meters: PowerMeters, clock: Clock) -> None:
        self.record = record
        self._meters = meters
        self._source = source
        self._clock = clock
        self._last_order: GridOrder | None = None
        self._before_first_order = True
        self._queued_entries: deque[NewOrderEntry] = deque()
        self._due = ChangeSignal()
        self._power_due_s: float | None = None

    @property
    def order(self) -> GridOrder | None:
        """The order in force."""
        return self._source.order

    async def orders(self) -> AsyncGenerator[GridOrder | None]:
        """Yield the order in force, then each change, after queuing an entry with the power just before it."""
        async with contextlib.aclosing(self._source.orders()) as orders:
            async for order in orders:
                if order is None or order.reason is not OrderReason.NOT_READ_YET:  # not an order of the operator
                    self._queue_entry(order)
                yield order

    async def run(self) -> None:
        """Write queued entries to disk, and the power while an order lasts, until cancelled.

        Raises:
            OSError: an entry cannot be written; it stays queued, so the caller retries later.
        """
        while True:
            count_before = self._due.count
            while self._queued_entries:
                await self.record.append(self._queued_entries[0])
                self._queued_entries.popleft()
            now_s = self._clock.monotonic()
            if self._power_due_s is not None and self._power_due_s <= now_s:
                self._power_due_s = now_s + _RECORD_INTERVAL_S if self._last_order is not None else None
                self._queued_entries.append(
                    NewOrderEntry(self._clock.now(), OrderEvent.POWER, self._last_order, self._meters.powers)
                )
                continue
            if self._power_due_s is None:
                await self._due.wait(count_before)
            else:
                await self._due.wait_for(count_before, self._clock, self._power_due_s - now_s)

    def _queue_entry(self, order: GridOrder | None) -> None:
        first, self._before_first_order = self._before_first_order, False
        before, self._last_order = self._last_order, order
        event = self._order_event(order, before, first=first)
        if event is None:
            return
        if order is None:
            _log.info("the grid operator's order has ended")
        else:
            _log.info("the grid operator limits the power to %.0f W: %s", order.limit_w, order.reason)
        self._queued_entries.append(NewOrderEntry(self._clock.now(), event, order, self._meters.powers))
        self._power_due_s = self._clock.monotonic() + _SETTLING_TIME_S  # vehicles have followed by then
        self._due.notify()

    def _order_event(self, order: GridOrder | None, before: GridOrder | None, *, first: bool) -> OrderEvent | None:
        if first and self.record.has_open_order:
            return OrderEvent.ENDED_UNSEEN if order is None else OrderEvent.RESUME
        if order is None:
            return OrderEvent.END if before is not None else None
        return OrderEvent.BEGIN if before is None else OrderEvent.CHANGE
