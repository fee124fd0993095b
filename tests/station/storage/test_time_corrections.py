"""Times given by a wrong clock are corrected once when the clock is set, wherever they are stored."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from metering.reading import RegisterReading
from metering.time_quality import TimeSource
from simulator.clock import VirtualClock
from station.charging.sampling_settings import SamplingSettings
from station.core.model import EventType, TransactionEvent
from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue
from station.storage.database import Database, StorageError
from station.storage.outbox import Outbox
from station.storage.time_corrections import TimeCorrection
from tests import fakes
from tests.databases import open_database
from tests.station.billing_fixture import BillingFixture, running_journal
from tests.station.evse_fixture import evse_fixture

LATE, EARLY = timedelta(hours=12), timedelta(hours=-12)


def at(minutes: float) -> datetime:
    """The time `minutes` after the begin of this run, by its wrong clock."""
    return fakes.NOON + timedelta(minutes=minutes)


def value(minutes: float, context: ReadingContext = ReadingContext.SAMPLE_PERIODIC) -> MeterValue:
    """A meter value of that minute."""
    return MeterValue(at(minutes), (SampledValue(1.0, Measurand.ENERGY_IMPORT_REGISTER, context, "Wh"),))


class Station:
    """An outbox, and a clock that is corrected."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.database, self.clock = database, clock
        self.outbox = Outbox(database, clock)

    def correct_clock(self, by: timedelta) -> None:
        """Correct the clock, as the CSMS or a time service does."""
        correction = TimeCorrection(0, by, fakes.NOON, self.clock.now())
        self.clock.adjust(by)
        self.outbox.correct_times(correction)

    async def sample_times(self) -> list[datetime]:
        """The times of the samples that are stored for the Ended event."""
        return [sample.taken_at for sample in await self.outbox.end_data.samples("tx")]


@contextlib.asynccontextmanager
async def station(path: Path) -> AsyncGenerator[Station]:
    """An outbox, ten minutes after the begin of the run."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        await clock.advance(600)
        yield Station(database, clock)


@pytest.mark.parametrize(
    ("minutes", "by", "moved"),
    [
        (0, LATE, True),
        (10, LATE, True),
        (-1, LATE, False),  # of an earlier run
        (-1, EARLY, False),
        (11, LATE, False),
        (12 * 60 + 11, LATE, False),  # of the clock that is right
        (5, EARLY, True),
        (10 - 12 * 60, EARLY, False),
        (8, timedelta(minutes=-4), False),  # of the right clock, which has shown it since
        (9.9, timedelta(minutes=-4), True),  # that has not come to it yet
        (5, timedelta(minutes=-4), True),
    ],
)
def test_a_time_is_moved_that_only_the_wrong_clock_has_shown(minutes: float, by: timedelta, moved: bool) -> None:
    correction = TimeCorrection(0, by, at(0), until=at(10))
    now = at(10) + by + timedelta(minutes=3)
    assert correction.correct_moment(at(minutes), now) == (at(minutes) + by if moved else at(minutes))


@pytest.mark.parametrize("by", [LATE, EARLY, timedelta(minutes=-4), timedelta(minutes=4)])
async def test_samples_stored_for_the_end_are_moved_once(tmp_path: Path, by: timedelta) -> None:
    async with station(tmp_path) as fixture:
        await fixture.outbox.append(fakes.event("tx", EventType.STARTED))
        for minutes in (-1, 0, 5):
            await fixture.outbox.end_data.store_sample("tx", value(minutes))
        await fixture.outbox.end_data.store_end(replace(fakes.event("tx", EventType.ENDED), occurred_at=at(9)))
        fixture.correct_clock(by)
        assert await fixture.outbox.apply_time_corrections() == {"tx": True}
        assert await fixture.outbox.apply_time_corrections() == {}
        await fixture.outbox.end_data.store_sample("tx", MeterValue(fixture.clock.now(), value(0).samples))
        assert await fixture.sample_times() == [at(-1), at(0) + by, at(5) + by, fixture.clock.now()]
        awaited = await fixture.outbox.end_data.find_end("tx")
        assert awaited is not None
        assert awaited.occurred_at == at(9) + by


async def test_a_disk_that_refuses_a_part_of_it_gets_all_of_it_later_and_once(tmp_path: Path) -> None:
    async with station(tmp_path) as fixture:
        await fixture.outbox.append(replace(fakes.event("tx", EventType.STARTED), occurred_at=at(1)))
        await fixture.outbox.end_data.store_sample("tx", value(1))
        await fixture.database.write(
            "CREATE TRIGGER refuses BEFORE UPDATE ON ended_samples BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        fixture.correct_clock(EARLY)
        with pytest.raises(StorageError):
            await fixture.outbox.apply_time_corrections()
        await fixture.database.write("DROP TRIGGER refuses")
        await fixture.outbox.apply_time_corrections()
        assert [event.occurred_at for event in await fixture.outbox.events("tx")] == [at(1) + EARLY]
        assert await fixture.sample_times() == [at(1) + EARLY]


@pytest.mark.parametrize("by", [LATE, EARLY, timedelta(minutes=4), timedelta(minutes=-4)])
async def test_what_is_stored_late_is_moved_and_what_was_stored_before_is_not_moved_again(
    tmp_path: Path, by: timedelta
) -> None:
    """As an end does that waited for its meter: it happened before, and its register was read after."""
    async with station(tmp_path) as fixture:
        await fixture.outbox.append(fakes.event("tx", EventType.STARTED))
        await fixture.outbox.end_data.store_sample("tx", value(1))
        in_memory = replace(fakes.event("tx", EventType.ENDED), occurred_at=at(9))
        fixture.correct_clock(by)
        await fixture.outbox.apply_time_corrections()
        await fixture.clock.advance(30)
        await fixture.outbox.end_data.store_sample("tx", value(9, ReadingContext.OTHER))
        last = MeterValue(fixture.clock.now(), value(0, ReadingContext.TRANSACTION_END).samples)
        end = replace(
            in_memory,
            meter_values=(*await fixture.outbox.end_data.samples("tx"), last),
            register=RegisterReading(1.0, fixture.clock.now()),
        )
        recorded = await fixture.outbox.append(end)
        assert recorded == (await fixture.outbox.events("tx"))[-1]
        assert recorded.occurred_at == at(9) + by
        assert [value.taken_at for value in recorded.meter_values] == [at(1) + by, at(9) + by, fixture.clock.now()]
        assert recorded.register is not None
        assert recorded.register.taken_at == fixture.clock.now()


def _times(event: TransactionEvent) -> list[tuple[datetime, ReadingContext]]:
    return [(value.taken_at, value.samples[0].context) for value in event.meter_values]


@pytest.mark.parametrize("by", [LATE, EARLY, timedelta(seconds=-30)])
@pytest.mark.parametrize("signed", [False, True])
async def test_a_charge_during_which_the_clock_is_set_ends_with_times_that_follow_each_other(
    tmp_path: Path, by: timedelta, signed: bool
) -> None:
    """The begin in the Ended event is the begin of the Started event; signed readings keep only their own time."""
    async with (
        evse_fixture(tmp_path, signed=True) as fixture,
        running_journal(BillingFixture(fixture, tmp_path)) as billing,
    ):
        fixture.meter.clock = fixture.clock
        fixture.settings.sampling.override(SamplingSettings.sampled_sign_readings, signed)
        await fixture.clock.advance(1)
        await fixture.charge()
        await fixture.clock.advance(100)
        fixture.clock.adjust(by)
        billing.time_quality.note_time_set(TimeSource.CSMS, by)
        await fixture.clock.advance(100)
        identity, signing = fixture.evse.transaction_id, fixture.assembly.signing
        assert identity is not None
        assert signing is not None
        divided_at = fixture.clock.now()
        await signing.sign_tariff_change(identity, replace(fakes.reading(1400.0, 16.0), taken_at=divided_at))
        await billing.stop_charge(2000.0)
        events = await fixture.outbox.events(identity)
        begins = {taken_at for event in events for taken_at, context in _times(event) if "Begin" in context}
        assert len(begins) == 1
        began = begins.pop()
        assert fakes.NOON + by < began < fakes.NOON + by + timedelta(seconds=10)
        first, *divided, last = _times(events[-1])
        assert first == (began, ReadingContext.TRANSACTION_BEGIN)
        assert divided == ([(divided_at, ReadingContext.OTHER)] if signed else [])
        assert last[1] is ReadingContext.TRANSACTION_END
        assert divided_at <= last[0] <= fixture.clock.now()
