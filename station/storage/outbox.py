"""The stored transaction events, which are also the queue to the CSMS: an event is on disk before it is sent.

One table: unsettled rows are the queue, settled rows the history. The seqNo of an event is assigned by the statement
that stores it, so it cannot be assigned twice.

Events that several EVSEs record at the same time share one commit (`GroupCommit`), and so do the responses of the CSMS
that came meanwhile. The oldest rows of the queue are also held in memory (`ReadAhead`), each only after its commit.

An unreadable row stays where it is, unsettled and with its seqNo, while later events are delivered. Each start retries
to read it. If that succeeds, it is the oldest in the queue again and is sent first, as an offline event with its own
time and seqNo. Later events of its transaction, and even its end, may have been delivered by then: the CSMS has seen
the gap in seqNo, which shows "if all messages of a transaction have been received" (TransactionEventRequest), and this
event closes it. Delivered events are never sent again or renumbered.

Without a CSMS nothing waits: the events of a transaction that begins then are stored as settled, and never sent. The
first event of a transaction decides for all of its events, also if a CSMS is installed or removed before its end, so
that no CSMS receives a part of it. Events that wait when the CSMS is removed stay on disk until there is one again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.supervision import contained_call
from foundation.waiting import Flag
from station.core.model import SAMPLE_TRIGGERS, EventType, TransactionEvent
from station.storage import payloads
from station.storage.corrected_records import CorrectedRecords, CorrectedTransaction
from station.storage.database import Database, StorageError
from station.storage.group_commit import GroupCommit
from station.storage.queued_event import QueuedEvent
from station.storage.read_ahead import MAX_CHARS, MAX_ROWS, ReadAhead
from station.storage.stored_events import EVENT_COLUMNS, StoredEvents
from station.storage.time_corrections import ClockCorrections, TimeCorrection
from station.storage.transaction_end_data import TransactionEndData
from station.storage.unreadable_rows import RowAddress, describe_error, select_unreadable
from station.storage.waiting_rows import WaitingRows

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.sql import Row, Value

_ROW_ID = re.compile("[0-9]{1,18}")
_SETTLED_AT_ONCE = 64
"""responses stored in one write; a power cut before it causes at most this many events to be sent again"""
_CHECK_AFTER = 64
"""number of events between two checks of the queue length"""
_NEVER_SENT = 2
"""`given_up` of the events of a transaction that began without a CSMS; 1: given up after attempts to send it"""
_INSERT = f"""
    INSERT INTO events
    (transaction_id, seq_no, evse_id, event_type, occurred_at, offline, payload, settled_at, given_up)
    SELECT ?1, seq_no, ?2, ?3, ?4, ?5, ?6, CASE WHEN never_sent THEN ?7 END, never_sent * {_NEVER_SENT} FROM (SELECT
        (SELECT COALESCE(MAX(seq_no) + 1, 0) FROM events WHERE transaction_id = ?1) AS seq_no,
        COALESCE((SELECT given_up = {_NEVER_SENT} FROM events WHERE transaction_id = ?1 AND seq_no = 0), ?8)
        AS never_sent)
    RETURNING settled_at IS NULL, {EVENT_COLUMNS}
"""
_SETTLE = "UPDATE events SET settled_at = ?, given_up = ? WHERE id = ?"
_UNREADABLE = select_unreadable("events")
_UNSENT = "events.unsent"
"""the source of events in the list of unreadable rows that can be read, and not sent"""
_PRUNE = f"""
    DELETE FROM events WHERE settled_at IS NOT NULL AND id NOT IN ({_UNREADABLE})
    AND id <= (SELECT COALESCE(MAX(id), 0) - ? FROM events)
    AND transaction_id IN (SELECT transaction_id FROM events WHERE event_type = 'Ended' AND settled_at IS NOT NULL)
"""
_SAMPLE_TRIGGER_WORDS = ", ".join(f"'{trigger}'" for trigger in sorted(SAMPLE_TRIGGERS))
_THIN_OUT = f"""
    DELETE FROM events WHERE id IN (
        SELECT id FROM (
            SELECT id, ROW_NUMBER() OVER (PARTITION BY transaction_id ORDER BY id) AS place
            FROM events
            WHERE settled_at IS NULL AND id > ? AND event_type = 'Updated' AND id NOT IN ({_UNREADABLE})
            AND json_extract({payloads.READABLE}, '$.trigger') IN ({_SAMPLE_TRIGGER_WORDS})
        ) WHERE place % 2 = 1
    ) RETURNING id
"""


class _Insertion(Frozen):
    """An event as it is about to be stored."""

    event: TransactionEvent
    values: Sequence[Value]
    """the parameters of `_INSERT`"""


class Outbox(StoredEvents):
    """The transaction events on disk: the queue to the CSMS and the history of delivered events.

    An event is settled once the CSMS has answered it, or once it is given up: without a CSMS, as it is stored. One
    outbox for all EVSEs of a station.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        corrected_records: Sequence[CorrectedRecords] = (),
        *,
        has_csms: bool = True,
    ) -> None:
        """Create the outbox; it reads nothing yet.

        Args:
            database: where the events are stored.
            clock: the station's clock.
            corrected_records: other tables with times of transactions, corrected in the same write as the events.
            has_csms: whether the station has a CSMS now; without one nothing waits, and new transactions are not sent.
        """
        super().__init__(database)
        self._has_csms = has_csms
        self._corrected_records = tuple(corrected_records)
        self._clock = clock
        self._corrections = ClockCorrections(clock)
        self.end_data = TransactionEndData(database, self._corrections)
        self._settled: list[tuple[str, int, int]] = []
        """settled events that are not marked on disk yet: time, `given_up`, row id"""
        self._group_commit = GroupCommit(self._store_group)
        self._offline_marks = 0
        """number of calls of `mark_offline`; events that wait for the disk then are marked when they are stored"""
        self._oldest_rows = ReadAhead()
        self._last_id = 0
        """the row id of the newest event that has left the queue"""
        self._added_since_check = 0
        self._row_added = Flag()
        self._queue_progress = ChangeSignal()
        self._handed_out = 0
        """the newest event that may have been sent since the start"""
        self._corrected_transactions: dict[str, bool] = {}
        """transactions corrected since the last `apply_time_corrections`, by id; True: their begin was wrong"""
        self._waiting = WaitingRows()
        """the events that wait for the CSMS, without those that cannot be read or sent; none without a CSMS"""
        self.appended: Event[TransactionEvent] = Event()
        """each event once it is stored, before another task can read it; also if its caller was cancelled meanwhile"""
        self.times_corrected: Event[CorrectedTransaction] = Event()
        """each transaction with corrected times, once the correction is stored"""

    async def check(self) -> None:
        """At startup, test that events can be read, retry unreadable ones, and mark waiting ones offline (E11.FR.07).

        Raises:
            StorageError: the events cannot be read.
        """
        newest = await self._database.rows("SELECT id FROM events ORDER BY id DESC LIMIT 1")
        await self._retry_unreadable()
        with contextlib.suppress(StorageError):  # a full disk must not prevent the start
            await self._database.unreadable.save()
            if newest:
                await self.mark_offline()
        if self._has_csms:
            rows = await self._database.rows("SELECT id FROM events WHERE settled_at IS NULL ORDER BY id")
            unreadable = {row.address.key for row in self._database.unreadable.of("events")}
            self._waiting.set(int(str(row[0])) for row in rows if str(row[0]) not in unreadable)

    @property
    def waiting(self) -> int:
        """How many stored events wait for the CSMS, without unreadable ones; 0 without a CSMS."""
        return len(self._waiting)

    @property
    def waiting_changed(self) -> Event[None]:
        """Published when `waiting` has changed."""
        return self._waiting.changed

    async def _retry_unreadable(self) -> None:
        """Retry events that could not be read or sent at an earlier start: this version of the program may do it."""
        self._forget_unsent()
        for row in self._database.unreadable.of("events"):
            stored = (
                await self._database.rows(f"SELECT {EVENT_COLUMNS} FROM events WHERE id = ?", (int(row.address.key),))
                if _ROW_ID.fullmatch(row.address.key)
                else []
            )
            if stored:
                self._parse_readable(stored)
            else:
                self._database.unreadable.remove(row.address)

    def _listed_ids(self, source: str) -> set[int]:
        """The ids of events in the list of unreadable rows, without spoilt keys."""
        keys = (row.address.key for row in self._database.unreadable.of(source))
        return {int(key) for key in keys if _ROW_ID.fullmatch(key)}

    def _forget_unsent(self) -> None:
        """Remove the events that could not be sent from the list of unreadable rows."""
        for row in self._database.unreadable.of(_UNSENT):
            self._database.unreadable.remove(row.address)

    async def append(self, event: TransactionEvent) -> TransactionEvent:
        """Store an event on disk and publish it as `appended`; returns it with its seqNo (E02.FR.07, E11.FR.01).

        Raises:
            StorageError: the event is not stored; the caller must retry.
        """
        return await self._group_commit.add((event, self._offline_marks))

    async def _store_group(self, events: Sequence[tuple[TransactionEvent, int]]) -> list[TransactionEvent | Exception]:
        """Store events, and what was settled before, with one commit; returns each event with its seqNo, or its error.

        If the disk refuses the whole write, each event is tried alone: a smaller one may fit.
        """
        async with self._corrections.lock:
            prepared = [contained_call(partial(self._prepare, event, offline_marks)) for event, offline_marks in events]
            outcomes = iter(await self._insert([item for item in prepared if not isinstance(item, Exception)]))
            return [item if isinstance(item, Exception) else next(outcomes) for item in prepared]

    def _prepare(self, event: TransactionEvent, offline_marks: int) -> _Insertion:
        """Correct the times of an event, and mark it as offline if the others were since it was to be stored."""
        corrected = self._corrections.correct_event(event)
        if offline_marks != self._offline_marks:
            corrected = replace(corrected, offline=True)
        return _Insertion(corrected, (*_to_values(corrected), self._clock.now().isoformat(), int(not self._has_csms)))

    async def _insert(self, insertions: Sequence[_Insertion]) -> list[TransactionEvent | Exception]:
        values = [insertion.values for insertion in insertions]
        try:
            with self._settlements_to_write() as settled:
                rows = await self._database.insert_each(_INSERT, values, (_SETTLE, settled))
        except StorageError:
            return [await self._insert_alone(insertion) for insertion in insertions]
        return self._note_inserted(insertions, rows)

    async def _insert_alone(self, insertion: _Insertion) -> TransactionEvent | Exception:
        try:
            rows = await self._database.insert_each(_INSERT, [insertion.values])
        except StorageError as error:
            return error
        (outcome,) = self._note_inserted([insertion], rows)
        return outcome

    def _note_inserted(
        self, insertions: Sequence[_Insertion], rows: Sequence[Row | StorageError]
    ) -> list[TransactionEvent | Exception]:
        """Queue the rows that are on disk now for delivery, and publish their events, before anybody can read them."""
        queued = [row[1:] for row in rows if not isinstance(row, StorageError) and row[0]]
        for row in queued:
            self._oldest_rows.add(row)
        if queued:
            self._added_since_check += len(queued)
            self._row_added.set()
            if self._has_csms:
                self._waiting.add([int(str(row[0])) for row in queued])
        return [
            row if isinstance(row, StorageError) else contained_call(partial(self._publish, insertion.event, row[1:]))
            for insertion, row in zip(insertions, rows, strict=True)
        ]

    def _publish(self, event: TransactionEvent, row: Row) -> TransactionEvent:
        """Publish an event as `appended`, with its seqNo from the row; returns it."""
        recorded = replace(event, seq_no=int(str(row[2])))
        self.appended.publish(recorded)
        return recorded

    async def oldest(self) -> QueuedEvent | None:
        """Read the oldest unsettled event, the next to send; None if there is none.

        The same event is returned until `settle` is called. Applies pending time corrections before; an unreadable
        event is skipped until the next start.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._row_added.clear()
        while True:
            if self._oldest_rows.must_read or self._corrections.due:
                async with self._corrections.lock:
                    await self._apply_corrections()
                    await self._read_ahead()
            if (row := self._oldest_rows.oldest()) is None:
                break
            self._handed_out = int(str(row[0]))
            if queued := self._parse_readable([row]):
                return queued[0]
            await self._skip(self._handed_out)
        if not self._group_commit.storing:  # otherwise these responses are stored with a later event
            await self.flush()
        return None

    async def _read_ahead(self) -> None:
        """Read the oldest rows of the queue, unless some are held."""
        if self._oldest_rows.must_read:
            rows, complete = await self._database.first_rows(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE settled_at IS NULL AND id > ? ORDER BY id LIMIT {MAX_ROWS}",
                (self._last_id,),
                max_chars=MAX_CHARS,
            )
            self._oldest_rows.fill(rows, complete=complete and len(rows) < MAX_ROWS)

    async def limit_queue(self, max_count: int) -> int:
        """Above `max_count` waiting events, drop the 1st, 3rd, 5th … sample of each transaction (E04.FR.07, E04.FR.08).

        Other events are never dropped, nor the one being sent, whose seqNo would be assigned again (E01.FR.07). Checks
        only after every 64 events. Returns the number of dropped events.

        Raises:
            StorageError: as `append`.
        """
        if self._added_since_check < _CHECK_AFTER:
            return 0
        self._added_since_check = 0
        if await self.count_waiting() <= max_count:  # also saves the list of unreadable events
            return 0
        async with self._corrections.lock:
            self._oldest_rows.clear()
            dropped = await self._database.rows(_THIN_OUT, (max(self._last_id, self._handed_out),))
        self._waiting.remove([int(str(row[0])) for row in dropped])
        return len(dropped)

    async def wait(self) -> None:
        """Wait until an event has been appended since the last call of `oldest`."""
        await self._row_added.wait()

    async def wait_delivered(self, *, within_s: float) -> bool:
        """Wait at most `within_s` seconds until no event waits for the CSMS; returns whether that was reached.

        Sends nothing itself.
        """
        deadline_s = self._clock.monotonic() + within_s
        count_before = self._queue_progress.count
        while await self.count_waiting():
            left_s = deadline_s - self._clock.monotonic()
            if left_s <= 0.0:
                return False
            await self._queue_progress.wait_for(count_before, self._clock, left_s)
            count_before = self._queue_progress.count
        return True

    async def settle(self, queued: QueuedEvent, *, given_up: bool = False) -> None:
        """Take an event out of the queue: the CSMS has answered it, or sending is `given_up`. It stays in the history.

        Written to disk by the next `flush`: at once if given up, else after 64 events or earlier.

        Raises:
            StorageError: this is not stored yet (it is kept in memory and stored with the next flush).
        """
        self._note_settled(queued.id, given_up=given_up)
        if given_up or len(self._settled) >= _SETTLED_AT_ONCE:
            await self.flush()

    def _note_settled(self, number: int, *, given_up: bool) -> None:
        self._last_id = number
        self._oldest_rows.drop_oldest(number)
        self._queue_progress.notify()
        self._waiting.remove([number])
        self._database.unreadable.remove(RowAddress(_UNSENT, str(number)))
        self._settled.append((self._clock.now().isoformat(), int(given_up), number))

    async def set_aside(self, queued: QueuedEvent, error: Exception) -> None:
        """Remove an event from the queue until `requeue_set_aside`: an error of this program prevents sending it.

        It is listed with the unreadable rows, and stays on disk unsettled.
        """
        address = RowAddress(_UNSENT, str(queued.id), queued.event.transaction_id, queued.event.seq_no)
        self._database.unreadable.add(address, describe_error(error))
        await self._skip(queued.id)

    async def requeue_set_aside(self) -> None:
        """Put the events of `set_aside` back to their places in the queue, to be tried again; they stay listed.

        Raises:
            StorageError: they stay set aside.
        """
        numbers = self._listed_ids(_UNSENT)
        if not numbers:
            return
        async with self._corrections.lock:
            await self.flush()  # otherwise events settled since then would be read again
            self._oldest_rows.clear()
            self._last_id = min(self._last_id, min(numbers) - 1)
        if self._has_csms:
            self._waiting.add(numbers)
        self._row_added.set()

    async def _skip(self, number: int) -> None:
        """Skip an event that cannot be read or sent; it stays on disk unsettled."""
        self._last_id = number
        self._oldest_rows.drop_oldest(number)
        self._queue_progress.notify()
        self._waiting.remove([number])
        with contextlib.suppress(StorageError):  # it is listed in memory, and found again at the next start
            await self._database.unreadable.save()

    async def count_failed_attempt(self, queued: QueuedEvent) -> None:
        """Store one more failed attempt to send an event (E13); the event stays in the queue.

        Raises:
            StorageError: as `append`.
        """
        async with self._corrections.lock:
            self._oldest_rows.clear()
            await self._database.write("UPDATE events SET attempts = attempts + 1 WHERE id = ?", (queued.id,))

    async def flush(self) -> None:
        """Write to disk which events were settled since the last flush.

        Raises:
            StorageError: not stored; kept in memory for the next flush.
        """
        if self._settled:
            with self._settlements_to_write() as settled:
                await self._database.write_many(_SETTLE, settled)

    @contextlib.contextmanager
    def _settlements_to_write(self) -> Generator[list[tuple[str, int, int]]]:
        """Take the settlements that the block writes to disk; they are kept for the next write if the block fails."""
        settlements, self._settled = self._settled, []
        try:
            yield settlements
        except BaseException:
            self._settled = settlements + self._settled
            raise

    async def mark_offline(self) -> None:
        """Set the offline flag of all unsettled events, since the CSMS is not connected (E11.FR.07).

        Also of those passed to `append` before, even if they are stored later.

        Raises:
            StorageError: as `append`; those on disk are not marked.
        """
        self._offline_marks += 1
        async with self._corrections.lock:
            self._oldest_rows.clear()
            await self.flush()
            await self._database.write("UPDATE events SET offline = 1 WHERE settled_at IS NULL AND offline = 0")

    async def count_waiting(self, transaction_id: str | None = None) -> int:
        """Return the number of stored events that wait for the CSMS, of one transaction or of all for None (E14).

        Unreadable events are not counted; 0 without a CSMS. Also writes settled and unreadable events to disk, if
        possible.
        """
        with contextlib.suppress(StorageError):  # a full disk can still be read
            await self.flush()
            await self._database.unreadable.save()
        found = [row_id for row_id in self._listed_ids("events") if row_id in self._waiting]
        if found:  # by whoever read the history
            self._waiting.remove(found)
        if transaction_id is None or not self._has_csms:
            return self.waiting
        rows = await self._database.rows(
            "SELECT COUNT(*) FROM events WHERE settled_at IS NULL AND id > ?"
            f" AND id NOT IN ({_UNREADABLE}) AND transaction_id = ?",
            (self._last_id, transaction_id),
        )
        return int(str(rows[0][0]))

    def correct_times(self, correction: TimeCorrection) -> None:
        """Queue a correction of times recorded by a wrong clock; writes nothing, the next call of `oldest` does.

        It concerns events, data stored for the end and `corrected_records`.

        Events already sent are not changed.
        """
        self._corrections.due.append(correction)

    async def apply_time_corrections(self) -> dict[str, bool]:
        """Write pending time corrections to disk, and publish each transaction concerned as `times_corrected`.

        Returns the transactions corrected since the last call, by id: True if the time of their begin was wrong.

        Raises:
            StorageError: nothing is corrected yet; call again.
        """
        async with self._corrections.lock:
            await self._apply_corrections()
        corrected, self._corrected_transactions = self._corrected_transactions, {}
        return corrected

    async def _apply_corrections(self) -> None:
        while self._corrections.due:
            self._oldest_rows.clear()
            due, now = self._corrections.due[0], self._clock.now()
            rows = await self._database.rows(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE id > ? AND occurred_at <= ?",
                (due.after_event, due.until.isoformat()),
            )
            candidates = [
                (queued.id, queued.event, due.correct_event(queued.event, now)) for queued in self._parse_readable(rows)
            ]
            changed = [(number, event) for number, recorded, event in candidates if event != recorded]
            begin_wrong_by_id: dict[str, bool] = {}
            for _, event in changed:
                begin_is_wrong = event.event_type is EventType.STARTED
                begin_wrong_by_id[event.transaction_id] = begin_is_wrong or begin_wrong_by_id.get(
                    event.transaction_id, False
                )
            other_statements = [
                await records.correcting(identity, due, now, begin_is_wrong=begin_is_wrong)
                for identity, begin_is_wrong in begin_wrong_by_id.items()
                for records in self._corrected_records
            ]
            await self._database.write_together(
                (
                    "UPDATE events SET occurred_at = ?, payload = ? WHERE id = ?",
                    [
                        (event.occurred_at.isoformat(), payloads.event_to_text(event), number)
                        for number, event in changed
                        if number > self._handed_out
                    ],
                ),
                *await self.end_data.correction_statements(due, now),
                *(statement for statements in other_statements for statement in statements),
            )
            self._corrections.mark_applied()
            for identity, begin_is_wrong in begin_wrong_by_id.items():
                self._corrected_transactions[identity] = begin_is_wrong or self._corrected_transactions.get(
                    identity, False
                )
                self.times_corrected.publish(CorrectedTransaction(identity, due))

    async def prune(self, keep_settled: int) -> None:
        """Delete events of ended and delivered transactions that are not among the newest `keep_settled` stored events.

        Unreadable events are kept; also deletes data for the end of transactions that are not stored any more.
        """
        await self._database.unreadable.save()
        if await self._database.rows("SELECT id FROM events LIMIT 1"):
            await self._database.write_together((_PRUNE, [(keep_settled,)]), *self.end_data.prune_statements())


def _to_values(event: TransactionEvent) -> Sequence[Value]:
    """The values of `_INSERT` that the event contains."""
    return (
        event.transaction_id,
        event.evse_id,
        event.event_type.value,
        event.occurred_at.isoformat(),
        int(event.offline),
        payloads.event_to_text(event),
    )
