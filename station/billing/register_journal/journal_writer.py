"""Writes the register journal of the billing meters, from the stored events and from notifications.

Begin and end of each transaction are written from the stored events, each exactly once: an entry contains the number of
its event, so that the writer resumes there after a power cut.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from foundation.frozen import Frozen
from foundation.supervision import run_together
from foundation.waiting import Flag
from metering.journal import JournalError
from metering.journal_entry import JournalEvent, JournalNote
from metering.reading import exact_wh
from station.billing.register_journal.fault_episodes import QUIET_S, FaultEpisodes
from station.billing.register_journal.small_corrections import SmallCorrections
from station.billing.register_journal.time_quality import UNSET_SOURCES
from station.billing.transaction_rows import price_list_text
from station.charging.evse_state import all_faults, blocking_faults
from station.core.model import EventType, Fault, TransactionEvent
from station.storage.time_corrections import TimeCorrection

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from metering.journal import RegisterJournal
    from metering.journal_entry import Details
    from station.billing.billing import Billing
    from station.billing.price import Bill, PriceList
    from station.billing.prices import Prices
    from station.billing.register_journal.time_quality import ClockCorrection, TimeQualityMonitor
    from station.billing.transaction_log import TransactionLog
    from station.charging.billing_meters import BillingMeters
    from station.charging.evse import Evse
    from station.charging.journal_notice import JournalNotice
    from station.charging.signing.signed_records import SignedRecords
    from station.storage.corrected_records import CorrectedTransaction
    from station.storage.outbox import Outbox

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_AT_ONCE = 50
_MAX_NOTES = 2_000
"""notes kept in memory while the disk refuses; beyond that the oldest is dropped"""
_VERIFY_EVERY_S = 86_400.0
# Faults that concern the register itself are written each time, without episodes; METER is set only after seconds of
# silence.
_WATCHED = {Fault.METER: (JournalEvent.METER_FAULT, JournalEvent.METER_RESTORED), Fault.TAMPER: (JournalEvent.TAMPER,)}


class JournalSources(Frozen):
    """The parts whose events and values the journal writer notes, besides the transaction events."""

    log: TransactionLog
    billing: Billing
    evses: Mapping[int, Evse]
    prices: Prices
    time: TimeQualityMonitor
    meters: BillingMeters
    signed: SignedRecords


class JournalWriter:
    """Queues entries for events of the station, and writes them to the register journal, in order."""

    def __init__(self, journal: RegisterJournal, outbox: Outbox, sources: JournalSources, clock: Clock) -> None:
        self.journal = journal
        self.damage: str | None = None
        """damage found in the journal, as a sentence; None: none found"""
        self._log = sources.log
        self._outbox = outbox
        self._billing = sources.billing
        self._evses = sources.evses
        self._prices = sources.prices
        self._time_quality = sources.time
        self._meters = sources.meters
        self._signed = sources.signed
        self._clock = clock
        self._booted_s, self._booted_at = clock.monotonic(), clock.now()
        self._notes: deque[JournalNote] = deque(maxlen=_MAX_NOTES)
        self._last_written: JournalNote | None = None
        """the newest note in the journal, which a stop may have left in the queue"""
        self._due = Flag()
        self._cursor = 0
        """number of the newest stored event in the journal"""
        self._unconfirmed: tuple[JournalNote, int] | None = None
        """a note and event number whose write is not confirmed: it may already be in the journal"""
        self._newest_before_start = 0
        """number of the newest event from before this start"""
        self._small_corrections = SmallCorrections(clock, lambda details: self.note(JournalEvent.CLOCK, details))
        self._opened = False
        self._versions: dict[str, str] = {}
        self._boot_reason = ""

    async def load(self, versions: Mapping[str, str], reason: str) -> None:
        """Open the journal and write the boot entry. If the disk refuses, the station starts and `run` retries.

        `versions`: version of each software by its name. `reason`: why the station booted.

        Raises:
            StorageError: the records cannot be read.
        """
        self._versions, self._boot_reason = dict(versions), reason
        self._newest_before_start = await self._outbox.newest_row_id()
        try:
            await self._open()
        except JournalError as error:
            _log.error("the register journal cannot be opened and is retried: %s", error)

    async def _open(self) -> None:
        if self._opened:
            return
        cursor, versions_before = await self._in_thread(self._load_journal)
        last_entry = self.journal.last
        self._time_quality.begin(last_entry.note.at if last_entry is not None else None)
        self._cursor = self._newest_before_start if cursor is None else cursor
        if self._cursor > self._newest_before_start:
            self.note(JournalEvent.RECORDS_REPLACED, {"before": self._cursor})
            self._cursor = 0
        self.note(JournalEvent.BOOT, {**self._versions, "reason": self._boot_reason, "event": self._cursor})
        if versions_before is not None and versions_before != self._versions:
            former_versions = {f"before_{name}": value for name, value in versions_before.items()}
            self.note(JournalEvent.SOFTWARE, {**self._versions, **former_versions})
        await self._prices.publish_if_changed()  # the installation file may have new prices
        if self.journal.damaged is not None:
            self._report_damage(self.journal.damaged)
        self._opened = True
        await self._write_notes()

    def note(self, event: JournalEvent, details: Details, evse: int | None = None) -> None:
        """Queue a journal entry with the present time for `run` to write. `evse` None: it concerns the station."""
        self._notes.append(self._make_note(event, details, evse, self._clock.now()))
        self._due.set()

    async def entries(self, after: int, most: int) -> list[dict[str, object]]:
        """Read at most `most` entries with a number above `after`, newest first, as JSON objects.

        Raises:
            JournalError: the journal cannot be read.
        """
        found = await self._in_thread(lambda: list(islice(self.journal.entries(after), most)))
        return [entry.to_json() for entry in found]

    def add_notice(self, notice: JournalNotice) -> None:
        """Queue an entry for a notice of a meter or a signing key."""
        self.note(notice.event, notice.details, notice.evse_id)

    def add_prices(self, prices: PriceList | None) -> None:
        """Queue an entry with the prices that are in force from now on; None: no prices."""
        self.note(JournalEvent.PRICES, _price_details(prices))

    def add_refused_reading(self, evse_id: int, reason: str) -> None:
        """Queue an entry for a reading of an EVSE's billing meter that was rejected, with the reason."""
        self.note(JournalEvent.METER_REFUSED, {"reason": reason}, evse_id)

    async def run(self) -> None:
        """Write queued entries, and begins and ends of transactions, to the journal until cancelled; verify it daily.

        Also queues entries for faults of the EVSEs, and stores registers when the tariff period changes.

        Raises:
            JournalError, StorageError: the disk refuses; nothing is lost, the caller retries later.
        """
        await self._write_tariff_changes()
        await self._open()
        watching = {f"books-{evse.id}": self._watch_evse(evse) for evse in self._evses.values()}
        await run_together({**watching, "journal-proof": self._verify_daily(), "bookkeeping": self._write_when_due()})

    async def close(self) -> None:
        """Write all pending entries after `run` has ended, so that an orderly stop leaves the journal complete.

        Raises:
            JournalError, StorageError: the disk refuses; the next start writes them.
        """
        self._small_corrections.flush()
        await self._open()
        await self._write_notes()
        await self._write_transaction_events()

    def event_recorded(self, event: TransactionEvent) -> None:
        """Wake `run`, which writes the begin or the end of a transaction from the stored event; ignore other events."""
        if event.event_type is not EventType.UPDATED:
            self._small_corrections.flush()  # counted corrections come before it
            self._due.set()

    def request_tariff_entry(self) -> None:
        """Wake `run` if the tariff period has changed, to store registers and write an entry per transaction."""
        if self._billing.period_changed:
            self._due.set()

    # The journal

    async def _write_when_due(self) -> None:
        while True:
            self._due.clear()
            await self._write_tariff_changes()
            await self._write_notes()
            await self._correct_times()
            await self._write_transaction_events()
            await self._due.wait()

    async def _write_notes(self) -> None:
        if (unconfirmed := self._unconfirmed) is not None:
            # Same note first: the journal recognizes its last entry and does not write it twice.
            await self._in_thread(lambda: self._write_event(*unconfirmed))
        while self._notes:
            note = self._notes[0]
            if note is not self._last_written:
                await self._in_thread(lambda note=note: self._write(note))
            if self._notes and self._notes[0] is note:
                self._notes.popleft()

    def _write(self, note: JournalNote) -> None:
        self.journal.append(note)
        self._last_written = note

    async def _write_transaction_events(self) -> None:
        """Write the begins and ends of transactions that are stored after the cursor."""
        while events := await self._outbox.begins_and_ends(self._cursor, _AT_ONCE):
            for number, event in events:
                details = await (
                    self._begin_details(event) if event.event_type is EventType.STARTED else self._end_details(event)
                )
                kind = JournalEvent.BEGIN if event.event_type is EventType.STARTED else JournalEvent.END
                # Without the id token: journal entries can never be erased.
                entry_details: Details = {"event": number, "transaction": event.transaction_id, **details}
                note = self._make_note(kind, entry_details, event.evse_id, event.occurred_at)
                await self._in_thread(lambda note=note, number=number: self._write_event(note, number))

    def _write_event(self, note: JournalNote, number: int) -> None:
        """Write the entry of an event and move the cursor; both in the thread, so that both are done or none."""
        self._unconfirmed = note, number
        self.journal.append(note)
        self._unconfirmed, self._cursor = None, number

    async def _begin_details(self, event: TransactionEvent) -> Details:
        serial = self._serial(event.evse_id)
        await self._log.store_meter_serial(event.transaction_id, serial)
        await self._billing.record_begin(event)
        return {**_register_details(event), "meter": serial}

    async def _end_details(self, event: TransactionEvent) -> Details:
        cost = await self._billing.create_bill(event)
        transaction = await self._log.get(event.transaction_id)
        energy_wh = transaction.energy_wh if transaction is not None else None
        return {
            **_register_details(event),
            "reason": event.stopped_reason.value if event.stopped_reason is not None else None,
            "energy_wh": str(energy_wh) if energy_wh is not None else None,
            "pages": await self._record_pages(event.transaction_id),
            **_bill_details(cost),
        }

    async def _record_pages(self, transaction_id: str) -> str | None:
        """The signed records of a transaction, such as T7,T8; None if there are none."""
        return ",".join(f"{record.context}{record.page}" for record in await self._signed.of(transaction_id)) or None

    async def _write_tariff_changes(self) -> None:
        """Read and store the registers at a tariff change, also if the journal fails: later is too late."""
        async for evse_id, transaction_id, reading in self._billing.follow_tariff():
            register_wh = exact_wh(reading.energy_wh)
            details: Details = {
                "transaction": transaction_id,
                "period": reading.period,
                "register_wh": str(register_wh) if register_wh is not None else None,
            }
            self.note(JournalEvent.TARIFF, details, evse_id)

    async def _watch_evse(self, evse: Evse) -> None:
        """Write faults, tampering, and the identity of the meter of an EVSE."""
        faults_before: frozenset[Fault] = frozenset()
        episodes = FaultEpisodes()
        while True:
            change_count = evse.changed.count
            faults = all_faults(evse.state) & _WATCHED.keys()
            for fault in sorted(faults ^ faults_before):
                events = _WATCHED[fault]
                if fault in faults:
                    self.note(events[0], {"reason": evse.meter.error if fault is Fault.METER else None}, evse.id)
                elif len(events) > 1:
                    self.note(events[1], {}, evse.id)
            faults_before = faults
            for event, details in episodes.update(
                blocking_faults(evse.state) - _WATCHED.keys(), self._clock.monotonic()
            ):
                self.note(event, details, evse.id)
            if (serial := self._serial(evse.id)) is not None:
                await self._meters.record_serial(evse.id, serial)
            await self._meters.check_meter(evse)
            await evse.changed.wait_for(change_count, self._clock, QUIET_S)

    async def _verify_daily(self) -> None:
        """Verify the whole journal once a day."""
        while True:
            verdict = await self._in_thread(self.journal.verify)
            if verdict.broken is not None:
                where = f"line {verdict.line}: " if verdict.line is not None else ""
                self._report_damage(f"{where}{verdict.broken}")
            await self._clock.sleep(_VERIFY_EVERY_S)

    def _report_damage(self, damage: str) -> None:
        if self.damage is None:
            self.damage = damage
            _log.error("the register journal is damaged: %s", damage)

    # Time

    def add_clock_correction(self, change: ClockCorrection) -> None:
        """Queue an entry for a clock correction; a small one may be counted for a later entry.

        If the time was unset before, it also has the outbox correct the times recorded since the boot.
        """
        now, correction, before = self._clock.now(), change.by, change.before
        details: Details = {
            "old": (now - correction).isoformat(),
            "new": now.isoformat(),
            "correction_s": round(correction.total_seconds(), 3),
            "status_before": before.status.value,
        }
        was_unset = before.source in UNSET_SOURCES
        if (
            was_unset
            or before != self._time_quality.quality
            or not self._small_corrections.defer(correction.total_seconds())
        ):
            self._small_corrections.flush()
            self.note(JournalEvent.CLOCK, details)
        if was_unset:
            wrong = TimeCorrection(
                self._newest_before_start, by=correction, since=self._booted_at, until=now - correction
            )
            self._outbox.correct_times(wrong)
        self._booted_at += correction

    async def _correct_times(self) -> None:
        """Correct the times recorded since the boot before the clock was set, also in the transaction log."""
        await self._outbox.apply_time_corrections()
        await self._write_notes()

    def add_corrected_times(self, corrected: CorrectedTransaction) -> None:
        """Queue an entry for the corrected times of a transaction."""
        seconds = round(corrected.correction.by.total_seconds(), 3)
        self.note(JournalEvent.TIME_CORRECTED, {"transaction": corrected.transaction_id, "correction_s": seconds})

    # Helpers

    def _serial(self, evse_id: int) -> str | None:
        evse = self._evses.get(evse_id)
        return evse.meter.serial_number if evse is not None else None

    def _make_note(self, event: JournalEvent, details: Details, evse: int | None, at: datetime) -> JournalNote:
        since_boot_s = self._clock.monotonic() - self._booted_s
        return JournalNote(event, at, self._time_quality.quality, details, evse, since_boot_s)

    def _load_journal(self) -> tuple[int | None, dict[str, str] | None]:
        """Load the journal; returns the newest event number in it, and the software versions at the last boot."""
        self.journal.load()
        cursor: int | None = None
        for entry in self.journal.entries():
            details = entry.note.details
            if cursor is None and "event" in details:
                cursor = int(str(details["event"]))
            if entry.note.event is JournalEvent.BOOT:
                names = details.keys() - {"event", "reason"}
                return cursor, {name: str(details[name]) for name in sorted(names)}
        return cursor, None

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            with self._clock.outside_wait():
                return await asyncio.shield(task)
        except asyncio.CancelledError:
            # The thread continues: wait, so that no other thread uses the file.
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            raise


def _register_details(event: TransactionEvent) -> Details:
    register = event.register
    if register is None:
        return {"register_wh": None}
    return {
        "register_wh": str(exact_wh(register.energy_import_wh)),
        "read_at": register.taken_at.isoformat(),
        "substitute": register.substitute,
    }


def _bill_details(bill: Bill | None) -> Details:
    """The amount to be billed for a transaction, or why it must not be billed."""
    if bill is None:
        return {}
    return {"cost": f"{bill.total} {bill.currency}"} if bill.objection is None else {"objection": bill.objection}


def _price_details(prices: PriceList | None) -> Details:
    return {"prices": price_list_text(prices) if prices is not None else None}
