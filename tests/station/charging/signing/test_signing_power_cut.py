"""The power fails between any two writes of a signed charge: no record is lost or made twice, no page is missing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from energy.demand import Decision
from foundation.clock import Clock
from metering import ocmf
from metering.ocmf_bill import check_bill
from metering.ocmf_keys import read_key
from metering.ocmf_signature import check_signature
from station.charging.evse_state import Authorization
from station.charging.recovery import end_open_transactions
from station.charging.sampling_settings import SamplingSettings
from station.charging.signing.signed_records import SignedRecord
from station.core.model import EventType, PilotState, StoppedReason, TransactionEvent, TriggerReason
from station.core.sampling import ReadingContext
from station.storage.database import Database, Row, Statement, StorageError, Value
from tests import fakes
from tests.databases import open_database
from tests.station.evse_fixture import EvseFixture, evse_fixture

WRITES = 11
"""of one charge"""


class Failing(Database):
    """A database that raises StorageError at each write after the first `left` ones, as after a power cut."""

    left = 10**9

    async def write(self, sql: str, values: Sequence[Value] = ()) -> int:
        """One write."""
        self._count()
        return await super().write(sql, values)

    async def write_together(self, *writes: tuple[str, Iterable[Sequence[Value]]]) -> None:
        """One write, too."""
        self._count()
        await super().write_together(*writes)

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """A query, or a write that returns something."""
        if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            self._count()
        return await super().rows(sql, values)

    async def insert_each(
        self, sql: str, rows: Sequence[Sequence[Value]], *before: Statement
    ) -> list[Row | StorageError]:
        """One write of events."""
        self._count()
        return await super().insert_each(sql, rows, *before)

    def _count(self) -> None:
        if self.left <= 0:
            raise StorageError("the power is gone")
        self.left -= 1


@contextlib.asynccontextmanager
async def evse_on_failing_disk(folder: Path) -> AsyncGenerator[tuple[EvseFixture, Failing]]:
    """An EVSE on a disk that can fail."""
    found: list[Failing] = []

    @contextlib.asynccontextmanager
    async def failing(path: Path, clock: Clock) -> AsyncGenerator[Failing]:
        async with open_database(path, fakes.clock()) as database:
            connection, reads = database._connection, database._read_connections  # pyright: ignore[reportPrivateUsage]  # the same file
            failing_disk = Failing(connection, clock, reads)
            found.append(failing_disk)
            yield failing_disk

    async with evse_fixture(folder, signed=True, opener=failing) as fixture:
        fixture.settings.sampling.override(SamplingSettings.sampled_sign_readings, True)
        yield fixture, found[0]


def set_reading(fixture: EvseFixture, energy_wh: float, current_a: float = 0.0) -> None:
    """Set the reading of the meter, at this time."""
    fixture.meter.reading = replace(fakes.reading(energy_wh, current_a), taken_at=fixture.clock.now())


async def charge_until_the_cut(fixture: EvseFixture) -> None:
    """Charge 500 Wh; the disk may fail at any write."""
    fixture.evse.apply_decision(Decision(16.0, ()))
    await fixture.observe(pilot=PilotState.B, cable_plugged=True)
    fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
    await fixture.clock.advance(1)
    await fixture.observe(pilot=PilotState.C)
    await fixture.switch_contactor()
    closed = fixture.board.observation.contactor_closed
    await fixture.clock.advance(60)
    set_reading(fixture, 1500.0 if closed else 1000.0, 16.0)
    await fixture.clock.advance(1)
    fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
    await fixture.observe(pilot=PilotState.B)
    await fixture.switch_contactor()
    await fixture.clock.advance(20)


def check(records: list[SignedRecord], events: list[TransactionEvent], spki: bytes) -> None:
    """Check one transaction after recovery: its signed records, and the signed values of its events."""
    assert [event.event_type for event in events].count(EventType.ENDED) == 1
    signed = [
        sample
        for event in events
        for value in event.meter_values
        for sample in value.samples
        if sample.signed is not None
    ]
    stored_texts = {record.text for record in records}
    assert all(sample.signed is not None and sample.signed.record in stored_texts for sample in signed)
    reasons = [record.reason for record in records]
    assert reasons in ([], ["B", "L"], ["B", "P"])
    for record in records:
        assert check_signature(ocmf.parse_record(record.text.encode()), read_key(spki.hex())).valid
    if records:
        bill = check_bill([ocmf.parse_record(record.text.encode()) for record in records])
        assert bill.objections == ()
        begin, end = events[0].register, events[-1].register
        assert begin is not None
        assert end is not None
        assert bill.register_deltas[0].energy_wh == round(end.energy_import_wh - begin.energy_import_wh)
        contexts = [sample.context for sample in signed if sample in last_samples(events)]
        assert contexts == [ReadingContext.TRANSACTION_BEGIN, ReadingContext.TRANSACTION_END]


def last_samples(events: list[TransactionEvent]) -> list[object]:
    """The samples of the Ended event."""
    return [sample for value in events[-1].meter_values for sample in value.samples]


@pytest.mark.parametrize("cut", range(WRITES + 2))
async def test_between_any_two_writes(cut: int, tmp_path: Path) -> None:
    """The signed record, the event, the samples kept for the end: whichever was the last that the disk took."""
    async with evse_on_failing_disk(tmp_path) as (fixture, disk):
        set_reading(fixture, 1000.0)
        await fixture.clock.advance(1)
        disk.left = cut
        await charge_until_the_cut(fixture)
        assert (disk.left > 0) is (cut > WRITES), "a charge makes another number of writes than are tried"
        register_wh = fixture.meter.reading.energy_import_wh if fixture.meter.reading is not None else None
        assert register_wh is not None
    for _ in range(2):  # and once more: what recovery did is not done again
        async with evse_on_failing_disk(tmp_path) as (fixture, _disk):
            set_reading(fixture, register_wh)
            await end_open_transactions(fixture.outbox, {1: fixture.assembly}, fixture.settings.sampling, fixture.clock)
            pages = [record.page for record in await fixture.records.stored_after(0, 100)]
            assert pages == list(range(1, len(pages) + 1))
            assert await fixture.outbox.open_transactions() == []
            assert fixture.assembly.signing is not None
            key = await fixture.assembly.signing.signatures.prepare()
            for identity in await fakes.transaction_ids(fixture.outbox):
                check(await fixture.records.of(identity), await fixture.outbox.events(identity), key.spki)
