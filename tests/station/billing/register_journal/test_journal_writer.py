"""The books: each begin and end once in the journal, tariff periods with their registers, bills, and right times."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from metering.journal import JournalError, RegisterJournal
from metering.journal_entry import JournalEntry, JournalEvent, JournalNote
from metering.time_quality import TimeSource
from station.billing.register_journal.fault_episodes import QUIET_S
from station.billing.transaction_log import TransactionQuery
from station.core.model import Fault, PilotState, TransactionEvent
from tests import fakes
from tests.station.billing_fixture import LINKY, VERSIONS, BillingFixture, billing_fixture, running_journal
from tests.station.evse_fixture import evse_fixture

_ALL = TransactionQuery()


async def test_a_begin_and_an_end_are_in_the_journal_with_their_registers_and_without_the_card(tmp_path: Path) -> None:
    async with billing_fixture(tmp_path) as billing:
        await billing.evse_fixture.charge()
        await billing.evse_fixture.clock.advance(60)
        await billing.stop_charge(3000.5)
        begin, end = billing.entries(JournalEvent.BEGIN, JournalEvent.END)
        transaction = await billing.only_transaction()
        assert begin.note.details["transaction"] == end.note.details["transaction"] == transaction.transaction_id
        assert (begin.note.details["register_wh"], end.note.details["register_wh"]) == ("1000.000", "3000.500")
        assert (end.note.details["energy_wh"], end.note.details["reason"]) == ("2000.500", "Local")
        assert "cost" not in end.note.details, "nothing had a price"
        assert billing.billed == []
        assert fakes.CARD.value not in (tmp_path / "register-journal.jsonl").read_text()
        assert billing.journal_writer.journal.verify().broken is None


async def test_an_event_in_the_middle_of_a_charge_is_no_reason_to_read_the_records(tmp_path: Path) -> None:
    async with billing_fixture(tmp_path) as billing:
        outbox, reads = billing.evse_fixture.outbox, list[int]()
        await billing.evse_fixture.charge()
        await billing.evse_fixture.clock.advance(1)
        read = outbox.begins_and_ends

        async def counted(after: int, max_count: int) -> list[tuple[int, TransactionEvent]]:
            reads.append(after)
            return await read(after, max_count)

        outbox.begins_and_ends = counted
        for _ in range(10):
            await outbox.append(fakes.event((await billing.only_transaction()).transaction_id))
            await billing.evse_fixture.clock.advance(1)
        assert reads == []
        await billing.stop_charge(3000.0)
        assert reads != []
        assert len(billing.entries(JournalEvent.END)) == 1


async def test_each_tariff_period_is_closed_with_a_register_of_its_own(tmp_path: Path) -> None:
    async with billing_fixture(tmp_path) as billing:
        await billing.prices.load(LINKY)
        billing.period = "HP"
        await billing.evse_fixture.charge()
        await billing.change_tariff_period("HC", 2000.0)
        await billing.change_tariff_period("HC", 2500.0)
        running = await billing.billing.bill_so_far(billing.evse_fixture.evse)
        assert running is not None
        assert [(line.what, str(line.amount)) for line in running.lines] == [
            ("energy", "0.30"),
            ("energy", "0.10"),
            ("time", "0.00"),
        ]
        await billing.evse_fixture.clock.advance(1800 - 3)
        await billing.stop_charge(4000.0)
        ((transaction, bill),) = billing.billed
        found = await billing.only_transaction()
        assert found.transaction_id == transaction
        assert found.bill == bill
        assert [(line.what, line.period, str(line.quantity), str(line.amount)) for line in bill.lines] == [
            ("energy", "HP", "1.000", "0.30"),
            ("energy", "HC", "2.000", "0.40"),
            ("time", None, "0.5000", "0.50"),
        ]
        assert (bill.total, bill.objection) == (Decimal("1.20"), None)
        (change,) = billing.entries(JournalEvent.TARIFF)
        assert (change.note.details["period"], change.note.details["register_wh"]) == ("HC", "2000.000")
        (end,) = billing.entries(JournalEvent.END)
        assert end.note.details["cost"] == "1.20 EUR"
        assert await billing.billing.bill_so_far(billing.evse_fixture.evse) is None


async def test_a_meter_that_is_silent_where_the_period_changes_makes_a_bill_that_nobody_is_asked_for(
    tmp_path: Path,
) -> None:
    async with billing_fixture(tmp_path) as billing:
        await billing.prices.load(LINKY)
        billing.period = "HP"
        await billing.evse_fixture.charge()
        billing.evse_fixture.meter.reading = None
        billing.period = "HC"
        billing.journal_writer.request_tariff_entry()
        await billing.evse_fixture.clock.advance(1)
        await billing.stop_charge(3000.0)
        ((_, bill),) = billing.billed
        assert bill.objection == "the register was not read where the tariff period changed"
        assert [
            period.energy_wh for period in await billing.log.periods((await billing.only_transaction()).transaction_id)
        ] == [1000.0, None]


async def test_a_power_cut_between_the_record_and_the_journal_loses_nothing_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    """The next run continues where the journal says that the last one was."""
    async with evse_fixture(tmp_path) as fixture:
        without_journal = BillingFixture(fixture, tmp_path)
        await without_journal.prices.load(LINKY)
        await fixture.charge()  # recorded while no journal is written
        await without_journal.stop_charge(2000.0)
        async with running_journal(BillingFixture(fixture, tmp_path)) as first:
            # Only what is recorded from the first boot of a journal on is in it.
            assert first.entries(JournalEvent.BEGIN, JournalEvent.END) == []
        await fixture.charge()
        fixture.meter.reading = fakes.reading(3000.0)
        await without_journal.stop_charge(3000.0)
        for _ in range(2):
            async with running_journal(BillingFixture(fixture, tmp_path)) as billing:
                kinds = [entry.note.event for entry in billing.entries(JournalEvent.BEGIN, JournalEvent.END)]
                assert kinds == [JournalEvent.BEGIN, JournalEvent.END]
        (newest, _) = (await without_journal.log.find(_ALL)).transactions
        assert newest.bill is not None
        assert newest.bill.lines[0].quantity == newest.energy_wh / 1000 if newest.energy_wh else False


class InterruptedJournal(RegisterJournal):
    """A journal whose writer is stopped just when the end of a transaction is on the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.loop = asyncio.get_running_loop()
        self.stop: asyncio.Task[None] | None = None

    def append(self, note: JournalNote) -> JournalEntry:
        """Append in the thread of the writer; at the end of a transaction cancel the task `stop` before returning."""
        entry = super().append(note)
        if note.event is JournalEvent.END and self.stop is not None:
            stopped = threading.Event()
            self.loop.call_soon_threadsafe(self._interrupt, self.stop, stopped)
            stopped.wait()
        return entry

    def _interrupt(self, task: asyncio.Task[None], stopped: threading.Event) -> None:
        self.stop = None
        task.cancel()
        self.loop.call_soon(stopped.set)


async def test_a_stop_while_an_end_is_being_written_does_not_write_it_twice(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        journal = billing.journal_writer.journal = InterruptedJournal(tmp_path)
        await billing.journal_writer.load(VERSIONS, "PowerUp")
        await fixture.charge()
        journal.stop = asyncio.create_task(billing.journal_writer.run())
        running = journal.stop
        await billing.stop_charge(2000.0)
        await asyncio.wait({running})
        assert running.cancelled()
        await fixture.clock.advance(7)
        await billing.journal_writer.close()
        kinds = [entry.note.event for entry in billing.entries(JournalEvent.BEGIN, JournalEvent.END)]
        assert kinds == [JournalEvent.BEGIN, JournalEvent.END]


async def test_an_end_whose_sync_failed_is_on_the_disk_and_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is in the file, the disk has not confirmed it, and other things happen before the next attempt."""
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        await billing.journal_writer.load(VERSIONS, "PowerUp")
        running = asyncio.create_task(billing.journal_writer.run())
        await fixture.charge()

        def failing_fsync(handle: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", failing_fsync)
            await billing.stop_charge(2000.0)
            await asyncio.wait({running})
        assert isinstance(running.exception(), ExceptionGroup)
        billing.journal_writer.note(JournalEvent.TAMPER, {}, 1)
        await fixture.clock.advance(7)
        await billing.journal_writer.close()
        kinds = [entry.note.event for entry in billing.entries()]
        assert kinds == [JournalEvent.BOOT, JournalEvent.BEGIN, JournalEvent.END, JournalEvent.TAMPER]
        assert billing.journal_writer.journal.verify().broken is None


async def test_a_journal_on_a_disk_that_refuses_is_no_reason_not_to_charge_and_is_caught_up_with(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "register-journal.jsonl"
    blocked.mkdir()
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        await billing.journal_writer.load(VERSIONS, "PowerUp")
        with pytest.raises(JournalError):
            await billing.journal_writer.run()
        await fixture.charge()
        blocked.rmdir()
        running = asyncio.create_task(billing.journal_writer.run())
        await fixture.clock.advance(1)
        assert [entry.note.event for entry in billing.entries()][:2] == [JournalEvent.BOOT, JournalEvent.BEGIN]
        running.cancel()
        await asyncio.wait({running})


async def test_a_journal_that_refuses_leaves_each_tariff_period_its_own_register_and_price(tmp_path: Path) -> None:
    """On a full disk the database often takes what the journal cannot: the bill is that of the hours that were."""
    blocked = tmp_path / "register-journal.jsonl"
    blocked.mkdir()
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        await billing.prices.load(LINKY)
        await billing.journal_writer.load(VERSIONS, "PowerUp")
        billing.period = "HC"
        await fixture.charge()
        await billing.change_tariff_period("HP", 2000.0)
        with pytest.raises(JournalError):
            await billing.journal_writer.run()
        await billing.change_tariff_period("HC", 3000.0)
        blocked.rmdir()
        running = asyncio.create_task(billing.journal_writer.run())
        await fixture.clock.advance(1)
        await billing.stop_charge(5000.0)
        ((_, bill),) = billing.billed
        energy = [(line.period, str(line.quantity)) for line in bill.lines if line.what == "energy"]
        assert energy == [("HC", "1.000"), ("HP", "1.000"), ("HC", "2.000")]
        assert [entry.note.details["period"] for entry in billing.entries(JournalEvent.TARIFF)] == ["HP", "HC"]
        running.cancel()
        await asyncio.wait({running})


async def test_a_bill_that_was_made_stays_where_the_books_go_through_old_events_again(tmp_path: Path) -> None:
    """As they do beside another database: events of the charge are pruned by then, and with them how long it idled."""
    async with billing_fixture(tmp_path) as billing:
        await billing.prices.load(replace(LINKY, idle_per_hour=Decimal(6)))
        await billing.evse_fixture.charge()
        await billing.evse_fixture.observe(pilot=PilotState.B)
        await billing.evse_fixture.switch_contactor()
        await billing.evse_fixture.clock.advance(3600)
        await billing.stop_charge(3000.0)
        ((_, bill),) = billing.billed
        assert [line.what for line in bill.lines] == ["energy", "time", "idle"]
        await billing.evse_fixture.database.write("DELETE FROM events WHERE event_type = 'Updated'")
        assert await billing.billing.create_bill(billing.evse_fixture.recorded[-1]) == bill
        assert (await billing.only_transaction()).bill == bill


async def test_prices_software_faults_and_tampering_are_noted(tmp_path: Path) -> None:
    async with billing_fixture(tmp_path) as billing:
        await billing.prices.change(LINKY)
        billing.evse_fixture.evse.report_fault(Fault.TAMPER, True)
        billing.evse_fixture.evse.report_fault(Fault.METER, True)
        await billing.evse_fixture.clock.advance(1)
        billing.evse_fixture.evse.report_fault(Fault.METER, False)
        billing.evse_fixture.evse.report_fault(Fault.TAMPER, False)
        await billing.evse_fixture.clock.advance(1)
        assert [entry.note.event for entry in billing.entries()] == [
            JournalEvent.BOOT,
            JournalEvent.PRICES,
            JournalEvent.METER_FAULT,
            JournalEvent.TAMPER,
            JournalEvent.METER_RESTORED,
        ]
        assert "0.30" in str(billing.entries(JournalEvent.PRICES)[0].note.details["prices"])
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        await billing.journal_writer.load({**VERSIONS, "program": "2"}, "PowerUp")
        (software,) = billing.entries(JournalEvent.SOFTWARE)
        assert (software.note.details["before_program"], software.note.details["program"]) == ("1", "2")


async def test_a_fault_that_forbids_energy_is_noted_once_however_often_it_comes_and_when_it_has_stayed_away(
    tmp_path: Path,
) -> None:
    async with billing_fixture(tmp_path) as billing:
        evse, clock = billing.evse_fixture.evse, billing.evse_fixture.clock
        evse.report_fault(Fault.READER, True)
        for _ in range(100):
            evse.report_fault(Fault.CONTACTOR_WELDED, True)
            await clock.advance(1)
            evse.report_fault(Fault.CONTACTOR_WELDED, False)
            await clock.advance(1)
        evse.report_fault(Fault.OVER_CURRENT, True)
        await clock.advance(2 * QUIET_S)
        assert [(entry.note.event, dict(entry.note.details)) for entry in billing.entries()[1:]] == [
            (JournalEvent.FAULT, {"fault": "contactor-welded"}),
            (JournalEvent.FAULT, {"fault": "over-current"}),
            (JournalEvent.FAULT_CLEARED, {"fault": "contactor-welded", "times": 100, "gone_s": 3601}),
        ]


@pytest.mark.parametrize("source", [TimeSource.CSMS, TimeSource.NTP])
async def test_a_transaction_that_began_before_the_clock_was_set_is_corrected_and_says_so(
    tmp_path: Path, source: TimeSource
) -> None:
    async with billing_fixture(tmp_path) as billing:
        await billing.evse_fixture.charge()
        correction = timedelta(days=40, hours=3)
        billing.evse_fixture.clock.adjust(correction)
        billing.time_quality.note_time_set(source, correction)
        await billing.evse_fixture.clock.advance(10)
        await billing.stop_charge(2000.0)
        found = await billing.only_transaction()
        assert found.began_at == fakes.NOON + correction
        assert found.begin.read_at == fakes.NOON + correction
        assert found.corrected_s == correction.total_seconds()
        assert found.duration is not None
        assert timedelta(seconds=10) <= found.duration < timedelta(seconds=15)
        assert [period.at for period in await billing.log.periods(found.transaction_id)] == [found.began_at]
        events = await billing.evse_fixture.outbox.events(found.transaction_id)
        assert events[0].occurred_at == found.began_at
        assert all(event.occurred_at >= found.began_at for event in events)
        (corrected,) = billing.entries(JournalEvent.TIME_CORRECTED)
        assert corrected.note.details["correction_s"] == correction.total_seconds()


async def test_a_clock_that_somebody_had_set_moves_no_transaction(tmp_path: Path) -> None:
    async with billing_fixture(tmp_path) as billing:
        billing.time_quality.note_time_set(TimeSource.CSMS, timedelta(0))
        await billing.evse_fixture.charge()
        billing.evse_fixture.clock.adjust(timedelta(seconds=5))
        billing.time_quality.note_time_set(TimeSource.CSMS, timedelta(seconds=5))
        await billing.evse_fixture.clock.advance(1)
        found = await billing.only_transaction()
        assert (found.began_at, found.corrected_s) == (fakes.NOON, None)
        assert len(billing.entries(JournalEvent.CLOCK)) == 1


async def set_clock(billing: BillingFixture, seconds: float) -> None:
    """The CSMS moves the clock by `seconds`, and one heartbeat interval passes."""
    billing.evse_fixture.clock.adjust(timedelta(seconds=seconds))
    billing.time_quality.note_time_set(TimeSource.CSMS, timedelta(seconds=seconds))
    await billing.evse_fixture.clock.advance(300)


async def test_a_csms_whose_clock_flaps_has_an_entry_an_hour_with_all_of_its_corrections(tmp_path: Path) -> None:
    async with billing_fixture(tmp_path) as billing:
        billing.time_quality.note_time_set(TimeSource.CSMS, timedelta(0))
        for heartbeat in range(12 * 4 + 1):
            await set_clock(billing, -4.0 if heartbeat % 2 else 4.0)
        await billing.evse_fixture.clock.advance(3600)
        first, *later_entries = [entry.note.details for entry in billing.entries(JournalEvent.CLOCK)]
        assert (first["correction_s"], "old" in first, "new" in first) == (4.0, True, True)
        assert len(later_entries) in {4, 5}
        assert sum(int(str(entry["corrections"])) for entry in later_entries) == 12 * 4
        assert sum(float(str(entry["correction_s"])) for entry in later_entries) == 0.0
        assert {abs(float(str(entry["largest_s"]))) for entry in later_entries} == {4.0}


async def test_corrections_that_are_not_small_alone_or_in_sum_are_noted_at_once(tmp_path: Path) -> None:
    async with billing_fixture(tmp_path) as billing:
        billing.time_quality.note_time_set(TimeSource.CSMS, timedelta(0))
        for seconds in (1.0, 2.0, 10.0, 6.0, 6.0):
            await set_clock(billing, seconds)
        corrections_s = [entry.note.details["correction_s"] for entry in billing.entries(JournalEvent.CLOCK)]
        assert corrections_s == [1.0, 2.0, 10.0, 12.0]


async def test_corrections_that_were_counted_are_noted_before_a_transaction_begins_or_ends_and_at_a_stop(
    tmp_path: Path,
) -> None:
    async with evse_fixture(tmp_path) as outside:
        async with running_journal(BillingFixture(outside, tmp_path)) as billing:
            billing.time_quality.note_time_set(TimeSource.CSMS, timedelta(0))
            for seconds in (1.0, 2.0):
                await set_clock(billing, seconds)
            await billing.evse_fixture.charge()
            await set_clock(billing, 3.0)
            await billing.stop_charge(2000.0)
            await set_clock(billing, 4.0)
        await billing.journal_writer.close()
    entries = billing.entries(JournalEvent.CLOCK, JournalEvent.BEGIN, JournalEvent.END)
    assert [entry.note.details.get("correction_s", entry.note.event) for entry in entries] == [
        1.0,
        2.0,
        JournalEvent.BEGIN,
        3.0,
        JournalEvent.END,
        4.0,
    ]


async def test_a_disk_that_refuses_the_right_times_gets_them_later_in_the_log_too(tmp_path: Path) -> None:
    """Two corrections: first the machine's clock is set, then the CSMS sets the time."""
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        await billing.journal_writer.load(VERSIONS, "PowerUp")
        await fixture.charge()
        await fixture.database.write(
            "CREATE TRIGGER refuses BEFORE UPDATE OF began_at ON transactions BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        for source, days in ((TimeSource.MACHINE, 50), (TimeSource.CSMS, 30)):
            fixture.clock.adjust(timedelta(days=days))
            billing.time_quality.note_time_set(source, timedelta(days=days))
        with pytest.raises(ExceptionGroup):
            await billing.journal_writer.run()
        assert (await billing.only_transaction()).began_at == fakes.NOON
        assert (await fixture.outbox.events((await billing.only_transaction()).transaction_id))[
            0
        ].occurred_at == fakes.NOON
        await fixture.database.write("DROP TRIGGER refuses")
        running = asyncio.create_task(billing.journal_writer.run())
        await fixture.clock.advance(1)
        found = await billing.only_transaction()
        assert (found.began_at, found.corrected_s) == (fakes.NOON + timedelta(days=80), 80 * 86_400.0)
        assert (await fixture.outbox.events(found.transaction_id))[0].occurred_at == found.began_at
        assert len(billing.entries(JournalEvent.TIME_CORRECTED)) == 2
        running.cancel()
        await asyncio.wait({running})


@pytest.mark.parametrize("ahead", [timedelta(days=40), timedelta(minutes=4)])
async def test_an_end_that_the_right_clock_has_timed_stays_where_the_wrong_one_was_ahead(
    tmp_path: Path, ahead: timedelta
) -> None:
    """It comes to the disk before the correction does."""
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        await billing.journal_writer.load(VERSIONS, "PowerUp")
        await fixture.charge()
        await fixture.clock.advance(3600)
        fixture.clock.adjust(-ahead)
        billing.time_quality.note_time_set(TimeSource.CSMS, -ahead)
        await billing.stop_charge(2000.0)
        ended_at = fixture.recorded[-1].occurred_at
        running = asyncio.create_task(billing.journal_writer.run())
        await fixture.clock.advance(1)
        found = await billing.only_transaction()
        assert (found.began_at, found.ended_at) == (fakes.NOON - ahead, ended_at)
        running.cancel()
        await asyncio.wait({running})


async def test_prices_that_the_installation_file_asks_are_noted_once_and_again_when_it_asks_others(
    tmp_path: Path,
) -> None:
    noted: list[str] = []
    for installed in (None, LINKY, LINKY, replace(LINKY, time_per_hour=Decimal(2)), None):
        async with evse_fixture(tmp_path) as fixture:
            billing = BillingFixture(fixture, tmp_path)
            await billing.prices.load(installed)
            async with running_journal(billing):
                noted.append(
                    ",".join(str(entry.note.details["prices"]) for entry in billing.entries(JournalEvent.PRICES))
                )
    before, first, second, after_change, after_removal = noted
    assert before == ""
    assert first == second
    assert '"time_per_hour":"1.00"' in first
    assert after_change.startswith(first)
    assert '"time_per_hour":"2"' in after_change
    assert after_removal == f"{after_change},None"


async def test_a_disk_that_refuses_to_store_which_prices_were_noted_stops_nobody(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        billing = BillingFixture(fixture, tmp_path)
        await billing.prices.load(LINKY)
        await fixture.database.rows("PRAGMA query_only=1")
        await billing.journal_writer.load(VERSIONS, "PowerUp")
        await fixture.database.rows("PRAGMA query_only=0")
        assert len(billing.entries(JournalEvent.PRICES)) == 1
