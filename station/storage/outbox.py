"""The record of transaction events, which is the queue to the CSMS: on disk before anything is sent.

One table. Rows that the CSMS has not settled are the queue, the others are the history. The number of an
event in its transaction is given by the same statement that records it, so it cannot be given twice.

A row that cannot be read stays in its place, unsettled and with its number, while those after it are delivered. Each
start tries it again. If it can be read then, it is the oldest in the queue once more and is sent first, as an offline
event with its own time and seqNo. Later events of its transaction, and even its end, may have been delivered by then:
the CSMS has seen the gap in seqNo, which tells "if all messages of a transaction have been received"
(TransactionEventRequest), and this closes it. Nothing that was delivered is sent again or given another number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import frozen
from station.core.model import SAMPLE_TRIGGERS, EventType, TransactionEvent
from station.storage import payloads
from station.storage.database import Database, StorageError
from station.storage.time_corrections import ClockCorrections, TimeCorrection
from station.storage.transaction_end_data import TransactionEndData
from station.storage.unreadable_rows import event_place, select_unreadable

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from station.storage.sql import Row, Statement

_SETTLED_AT_ONCE = 64
"""answers that are noted in one write; a power cut before it only means that as many are sent again"""
_BOUND_AFTER = 64
"""events after which the length of the queue is looked at again"""
_COLUMNS = "id, transaction_id, seq_no, offline, attempts, payload"
_UNREADABLE = select_unreadable("events")
_SAMPLES = ", ".join(f"'{trigger}'" for trigger in sorted(SAMPLE_TRIGGERS))
_THIN_OUT = f"""
    DELETE FROM events WHERE id IN (
        SELECT id FROM (
            SELECT id, ROW_NUMBER() OVER (PARTITION BY transaction_id ORDER BY id) AS place
            FROM events
            WHERE settled_at IS NULL AND id > ? AND event_type = 'Updated' AND id NOT IN ({_UNREADABLE})
            AND json_extract({payloads.READABLE}, '$.trigger') IN ({_SAMPLES})
        ) WHERE place % 2 = 1
    ) RETURNING id
"""


@frozen
class QueuedEvent:
    """An event on disk that waits for its answer."""

    id: int
    event: TransactionEvent
    attempts: int
    """how often it was sent without being accepted"""


@frozen
class CorrectedTransaction:
    """A transaction of which times were corrected, and how."""

    transaction_id: str
    correction: TimeCorrection


class CorrectedRecords(Protocol):
    """Other records of transactions, whose times are corrected in the same write as those of the events."""

    async def correcting(
        self, transaction_id: str, correction: TimeCorrection, now: datetime, *, begun: bool
    ) -> list[Statement]:
        """The statements that correct the records of a transaction.

        Args:
            transaction_id: the transaction.
            correction: how wrong its times are.
            now: what the clock that is right shows.
            begun: whether the time of its begin was wrong too.

        Raises:
            StorageError: the disk cannot be read.
        """
        ...


class Outbox:
    """Appends events, gives the oldest one, notes what became of it."""

    def __init__(self, database: Database, clock: Clock, others: Sequence[CorrectedRecords] = ()) -> None:
        """`others` are the other records of transactions, which are corrected together with the events."""
        self._database = database
        self._others = tuple(others)
        self._clock = clock
        self._corrections = ClockCorrections(clock)
        self.end_data = TransactionEndData(database, self._corrections)
        self._settled: list[tuple[str, int, int]] = []
        self._last_id = 0
        self._since_bound = 0
        self._arrived = asyncio.Event()
        self._progress = ChangeSignal()
        self._handed_out = 0
        """the newest event that may have been sent in this life"""
        self._corrected: dict[str, bool] = {}
        self.appended = Event[TransactionEvent]()
        """each event once it is on disk"""
        self.times_corrected = Event[CorrectedTransaction]()
        """each transaction of which times were corrected, once that is on disk"""

    async def check(self) -> None:
        """See that the record can be read, before anybody counts on it.

        Without power there was no link: what waited then is offline for the CSMS (E11.FR.07).

        Raises:
            StorageError: it cannot.
        """
        await self._database.rows("SELECT id FROM events ORDER BY id DESC LIMIT 1")
        await self._try_unreadable_again()
        with contextlib.suppress(StorageError):  # a full disk is no reason not to start
            await self._database.unreadable.save()
            await self.mark_offline()

    async def _try_unreadable_again(self) -> None:
        """Read the events anew that an earlier start could not read: this version of the program may know them."""
        for row in self._database.unreadable.of("events"):
            stored = await self._database.rows(f"SELECT {_COLUMNS} FROM events WHERE id = ?", (int(row.place.key),))
            if stored:
                self._readable(stored)
            else:
                self._database.unreadable.remove(row.place)

    async def append(self, event: TransactionEvent) -> TransactionEvent:
        """Record an event for good; returns it with its number (E02.FR.07, E11.FR.01).

        Raises:
            StorageError: it is not on disk. The caller must not go on as if it were.
        """
        insert = """
            INSERT INTO events (transaction_id, seq_no, evse_id, event_type, occurred_at, offline, payload)
            SELECT ?1, (SELECT COALESCE(MAX(seq_no) + 1, 0) FROM events WHERE transaction_id = ?1), ?2, ?3, ?4, ?5, ?6
            RETURNING seq_no
        """
        async with self._corrections.turn:
            event = self._corrections.event(event)
            rows = await self._database.rows(
                insert,
                (
                    event.transaction_id,
                    event.evse_id,
                    event.event_type.value,
                    event.occurred_at.isoformat(),
                    int(event.offline),
                    payloads.event_to_text(event),
                ),
            )
        recorded = replace(event, seq_no=int(str(rows[0][0])))
        self._since_bound += 1
        self._arrived.set()
        self.appended.publish(recorded)
        return recorded

    async def oldest(self) -> QueuedEvent | None:
        """The event to deliver next; None when all are settled.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._arrived.clear()
        async with self._corrections.turn:
            await self._apply_corrections()
            while rows := await self._database.rows(
                f"SELECT {_COLUMNS} FROM events WHERE settled_at IS NULL AND id > ? ORDER BY id LIMIT 1",
                (self._last_id,),
            ):
                self._handed_out = int(str(rows[0][0]))
                if queued := self._readable(rows):
                    return queued[0]
                await self._pass_over(self._handed_out)
        await self.flush()
        return None

    async def limit_queue(self, most: int) -> int:
        """Keep the queue to `most` events: of each transaction the 1st, 3rd, 5th … sample goes (E04.FR.07, E04.FR.08).

        Starts, ends and what happened in between stay, however many they are, and the event that is being sent: its
        number would be given once more (E01.FR.07). Looks at the queue now and then only. Returns how many events went.

        Raises:
            StorageError: as `append`.
        """
        if self._since_bound < _BOUND_AFTER:
            return 0
        self._since_bound = 0
        if await self.count_waiting() <= most:  # which has saved the list of events that cannot be read
            return 0
        return len(await self._database.rows(_THIN_OUT, (max(self._last_id, self._handed_out),)))

    async def wait(self) -> None:
        """Wait until an event may have come since `oldest` was last asked."""
        await self._arrived.wait()

    async def delivered(self, *, within_s: float) -> bool:
        """Wait until nothing waits for delivery, `within_s` seconds at the most; returns whether it came to that."""
        given_up_s = self._clock.monotonic() + within_s
        seen = self._progress.count
        while await self.count_waiting():
            left_s = given_up_s - self._clock.monotonic()
            if left_s <= 0.0:
                return False
            await self._progress.wait_for(seen, self._clock, left_s)
            seen = self._progress.count
        return True

    async def settle(self, queued: QueuedEvent, *, given_up: bool = False) -> None:
        """The CSMS has answered, or will never accept it: go on to the next.

        Raises:
            StorageError: it is not noted on disk (it is noted in memory and with the next flush).
        """
        self._note_settled(queued.id, given_up=given_up)
        if given_up or len(self._settled) >= _SETTLED_AT_ONCE:
            await self.flush()

    def _note_settled(self, number: int, *, given_up: bool) -> None:
        self._last_id = number
        self._progress.notify()
        self._settled.append((self._clock.now().isoformat(), int(given_up), number))

    async def _pass_over(self, number: int) -> None:
        """Go on to the event after one that cannot be read, which stays in its place until the next start."""
        self._last_id = number
        self._progress.notify()
        with contextlib.suppress(StorageError):  # the list in memory has it, and the row is found again at the start
            await self._database.unreadable.save()

    async def note_failure(self, queued: QueuedEvent) -> None:
        """The CSMS did not accept it this time (E13).

        Raises:
            StorageError: as `append`.
        """
        await self._database.write("UPDATE events SET attempts = attempts + 1 WHERE id = ?", (queued.id,))

    async def flush(self) -> None:
        """Note on disk what was settled since the last time.

        Raises:
            StorageError: nothing is lost; they are kept for the next flush.
        """
        if self._settled:
            noted, self._settled = self._settled, []
            try:
                await self._database.write_many("UPDATE events SET settled_at = ?, given_up = ? WHERE id = ?", noted)
            except BaseException:
                self._settled = noted + self._settled
                raise

    async def mark_offline(self) -> None:
        """The link is gone: what is still in the queue happened offline for the CSMS (E11.FR.07).

        Raises:
            StorageError: as `append`.
        """
        await self.flush()
        await self._database.write("UPDATE events SET offline = 1 WHERE settled_at IS NULL AND offline = 0")

    async def count_waiting(self, transaction_id: str | None = None) -> int:
        """How many events wait for delivery, of one transaction or of all (E14).

        One that cannot be read waits for another version of the program, and is not among them.
        """
        with contextlib.suppress(StorageError):  # a full disk can still be read
            await self.flush()
            await self._database.unreadable.save()
        where = f" AND id NOT IN ({_UNREADABLE})" + (" AND transaction_id = ?" if transaction_id is not None else "")
        values = (self._last_id, transaction_id) if transaction_id is not None else (self._last_id,)
        rows = await self._database.rows(
            f"SELECT COUNT(*) FROM events WHERE settled_at IS NULL AND id > ?{where}", values
        )
        return int(str(rows[0][0]))

    async def events(self, transaction_id: str) -> list[TransactionEvent]:
        """Everything that is recorded of a transaction, in order."""
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM events WHERE transaction_id = ? ORDER BY seq_no",
            (transaction_id,),
        )
        return [queued.event for queued in self._readable(rows)]

    async def evse_of(self, transaction_id: str) -> int | None:
        """The EVSE of a transaction, also if none of its events can be read; None if it is not on record.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT evse_id FROM events WHERE transaction_id = ? ORDER BY seq_no LIMIT 1", (transaction_id,)
        )
        return int(str(rows[0][0])) if rows else None

    async def open_transactions(self) -> list[str]:
        """Transactions that were started and never ended, the oldest first."""
        rows = await self._database.rows(
            "SELECT transaction_id FROM events AS s WHERE event_type = 'Started' AND NOT EXISTS"
            " (SELECT 1 FROM events AS e WHERE e.event_type = 'Ended' AND e.transaction_id = s.transaction_id)"
            " ORDER BY id"
        )
        return [str(row[0]) for row in rows]

    async def newest(self) -> int:
        """The number of the newest event that there ever was, which only grows; 0 before the first."""
        rows = await self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return int(str(rows[0][0])) if rows else 0

    async def begins_and_ends(self, after: int, most: int) -> list[tuple[int, TransactionEvent]]:
        """The begins and ends of transactions that were recorded after the event of a number, with their numbers.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM events WHERE id > ? AND event_type IN ('Started', 'Ended') ORDER BY id LIMIT ?",
            (after, most),
        )
        return [(queued.id, queued.event) for queued in self._readable(rows)]

    def correct_times(self, correction: TimeCorrection) -> None:
        """The clock was wrong: so move what it gave its times to, here and in what is kept for the end.

        What was sent already stays as the CSMS has it. What is to be sent is corrected before.
        """
        self._corrections.due.append(correction)

    async def corrected_transactions(self) -> dict[str, bool]:
        """The transactions of which something was recorded with a wrong time, and whether it is their begin too.

        Raises:
            StorageError: nothing is corrected yet; ask again.
        """
        async with self._corrections.turn:
            await self._apply_corrections()
        found, self._corrected = self._corrected, {}
        return found

    async def _apply_corrections(self) -> None:
        while self._corrections.due:
            due, now = self._corrections.due[0], self._clock.now()
            rows = await self._database.rows(
                f"SELECT {_COLUMNS} FROM events WHERE id > ? AND occurred_at <= ?",
                (due.after_event, due.until.isoformat()),
            )
            both = [(one.id, one.event, due.event(one.event, now)) for one in self._readable(rows)]
            moved = [(number, event) for number, before, event in both if event != before]
            found: dict[str, bool] = {}
            for _, event in moved:
                begun = event.event_type is EventType.STARTED
                found[event.transaction_id] = begun or found.get(event.transaction_id, False)
            besides = [
                await other.correcting(identity, due, now, begun=begun)
                for identity, begun in found.items()
                for other in self._others
            ]
            await self._database.write_together(
                (
                    "UPDATE events SET occurred_at = ?, payload = ? WHERE id = ?",
                    [
                        (event.occurred_at.isoformat(), payloads.event_to_text(event), number)
                        for number, event in moved
                        if number > self._handed_out
                    ],
                ),
                *await self.end_data.correction_statements(due, now),
                *(statement for statements in besides for statement in statements),
            )
            self._corrections.applied()
            for identity, begun in found.items():
                self._corrected[identity] = begun or self._corrected.get(identity, False)
                self.times_corrected.publish(CorrectedTransaction(identity, due))

    async def latest_events(self, evse_id: int, most: int = 50, *, after: int = 0) -> list[TransactionEvent]:
        """The newest events of an EVSE, in order, of those that were recorded after the event of a number."""
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM events WHERE evse_id = ? AND id > ? ORDER BY id DESC LIMIT ?",
            (evse_id, after, most),
        )
        return [queued.event for queued in self._readable(reversed(rows))]

    async def recorded_between(
        self, oldest: datetime | None, latest: datetime | None, most: int
    ) -> list[TransactionEvent]:
        """The events of a span of time, in order; of more than `most` the newest.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM events WHERE occurred_at >= ? AND occurred_at <= ? ORDER BY id DESC LIMIT ?",
            (oldest.isoformat() if oldest is not None else "", latest.isoformat() if latest is not None else "~", most),
        )
        return [queued.event for queued in self._readable(reversed(rows))]

    async def prune(self, keep_settled: int) -> None:
        """Forget settled events of ended transactions beyond the newest `keep_settled` events."""
        await self._database.unreadable.save()
        await self._database.write(
            f"DELETE FROM events WHERE settled_at IS NOT NULL AND id NOT IN ({_UNREADABLE})"
            " AND id <= (SELECT COALESCE(MAX(id), 0) - ? FROM events) AND transaction_id IN"
            " (SELECT transaction_id FROM events WHERE event_type = 'Ended' AND settled_at IS NOT NULL)",
            (keep_settled,),
        )
        await self.end_data.prune()

    def _readable(self, rows: Iterable[Row]) -> list[QueuedEvent]:
        """The events of these rows; those that cannot be read are set aside."""
        read = self._database.unreadable.read
        return [queued for row in rows if (queued := read(_queued, row, event_place(*row[:3]))) is not None]


def _queued(row: Row) -> QueuedEvent:
    identity, _, seq_no, offline, attempts, payload = row
    event = payloads.event_from_text(payload)
    recorded = replace(event, seq_no=int(str(seq_no)), offline=bool(offline))
    return QueuedEvent(int(str(identity)), recorded, int(str(attempts)))
