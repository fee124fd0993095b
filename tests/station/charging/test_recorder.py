"""Events come to the record in their order, with their meter values, and none is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from metering.reading import Phases, Reading
from simulator.clock import VirtualClock
from station.charging.meter_polling import MeterPoller
from station.charging.recorder import EventRecorder
from station.charging.sampling_settings import SamplingSettings
from station.charging.unrecorded_events import UnrecordedEvents
from station.core.model import ChargingState, EventType, TransactionEvent, TriggerReason
from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue
from station.storage.database import Database
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database

STARTED = fakes.event("tx", EventType.STARTED, TriggerReason.CABLE_PLUGGED_IN)
ENDED = fakes.event("tx", EventType.ENDED, TriggerReason.STOP_AUTHORIZED)


class Offering:
    """An EVSE that offers no current."""

    offered = Phases[float].all(0.0)
    soc: float | None = None


class RecorderWithFakes:
    """An event recorder with its fake collaborators."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.database, self.clock = database, clock
        self.meter = fakes.FakeMeter(fakes.reading(1000.0))
        self.settings = fakes.evse_settings()
        self.outbox = Outbox(database, clock)
        self.poller = MeterPoller("meter", self.meter, clock)
        self.csms = fakes.FakeCsms()
        recording, self.queue = fakes.recording(self.outbox, self.csms), UnrecordedEvents()
        self.recorder = EventRecorder(Offering(), self.queue, self.poller, recording, None, self.settings, clock)
        self.recorded: list[TransactionEvent] = []
        self.failures: list[bool] = []
        self.recorder.recorded.subscribe(self.recorded.append)
        self.recorder.disk_failed.subscribe(self.failures.append)

    async def break_disk(self, broken: bool = True) -> None:
        """Make the database read-only, or writable again."""
        await self.database.rows(f"PRAGMA query_only={int(broken)}")

    async def on_disk(self, transaction_id: str = "tx") -> list[TransactionEvent]:
        """The events of the transaction in the outbox."""
        return await self.outbox.events(transaction_id)

    def periodic_sample(self, register_wh: float, minute: int) -> MeterValue:
        """A periodic sample of the import register, as stored for the Ended event."""
        sample = SampledValue(register_wh, Measurand.ENERGY_IMPORT_REGISTER, ReadingContext.SAMPLE_PERIODIC, "Wh")
        return MeterValue(fakes.NOON + timedelta(minutes=minute), (sample,))


@contextlib.asynccontextmanager
async def running_recorder(path: Path) -> AsyncGenerator[RecorderWithFakes]:
    """A recorder whose task runs."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        fixture = RecorderWithFakes(database, clock)
        running = asyncio.create_task(fixture.recorder.run())
        try:
            yield fixture
        finally:
            running.cancel()
            await asyncio.wait({running})


def registers(event: TransactionEvent) -> list[tuple[float, ReadingContext]]:
    """The import registers that an event carries."""
    return [
        (sample.value, sample.context)
        for value in event.meter_values
        for sample in value.samples
        if sample.measurand is Measurand.ENERGY_IMPORT_REGISTER
    ]


async def test_events_are_recorded_and_published_in_the_order_in_which_they_were_put(tmp_path: Path) -> None:
    async with running_recorder(tmp_path) as fixture:
        for number in range(30):
            fixture.queue.put(fakes.event(f"tx{number}"))
        await fixture.queue.wait_recorded()
        await fixture.clock.settle()
        assert [event.transaction_id for event in fixture.recorded] == [f"tx{number}" for number in range(30)]
        assert all(event.seq_no == 0 for event in fixture.recorded)
        assert fixture.failures == []


async def test_the_start_and_the_end_carry_the_register_of_their_moment(tmp_path: Path) -> None:
    """E01.FR.09, E06.FR.11"""
    async with running_recorder(tmp_path) as fixture:
        fixture.queue.put(STARTED)
        await fixture.queue.wait_recorded()
        fixture.meter.reading = fakes.reading(4321.0)
        fixture.queue.put(ENDED)
        await fixture.queue.wait_recorded()
        started, ended = await fixture.on_disk()
        assert registers(started) == [(1000.0, ReadingContext.TRANSACTION_BEGIN)]
        assert registers(ended) == [
            (1000.0, ReadingContext.TRANSACTION_BEGIN),
            (4321.0, ReadingContext.TRANSACTION_END),
        ]


async def test_a_power_cut_right_after_the_start_leaves_the_value_of_the_begin_for_the_end(tmp_path: Path) -> None:
    async with running_recorder(tmp_path) as fixture:
        cut, append = asyncio.Event(), fixture.outbox.append

        async def append_then_hang(event: TransactionEvent) -> TransactionEvent:
            await append(event)
            cut.set()
            return await asyncio.get_running_loop().create_future()

        fixture.outbox.append = append_then_hang
        fixture.queue.put(STARTED)
        await cut.wait()
        (retained,) = await fixture.outbox.end_data.samples("tx")
        assert retained.samples[0].context is ReadingContext.TRANSACTION_BEGIN


async def test_where_samples_are_kept_for_the_end_they_begin_one_interval_after_the_start(tmp_path: Path) -> None:
    """SampledDataTxEndedInterval; TC_J_10_CS wants nothing but periodic samples before the end."""
    async with running_recorder(tmp_path) as fixture:
        fixture.settings.sampling.override(SamplingSettings.sampled_tx_ended_interval_s, 60)
        fixture.queue.put(STARTED)
        fixture.queue.put(ENDED)
        await fixture.queue.wait_recorded()
        assert registers((await fixture.on_disk())[-1]) == [(1000.0, ReadingContext.TRANSACTION_END)]


async def test_where_nothing_is_wanted_at_the_end_the_start_is_not_either(tmp_path: Path) -> None:
    """SampledDataTxEndedMeasurands: left empty, none are put into the end (TC_J_03_CS)."""
    async with running_recorder(tmp_path) as fixture:
        fixture.settings.sampling.override(SamplingSettings.sampled_tx_ended_measurands, ())
        fixture.queue.put(STARTED)
        fixture.queue.put(ENDED)
        await fixture.queue.wait_recorded()
        assert (await fixture.on_disk())[-1].meter_values == ()


async def test_a_silent_meter_leaves_the_start_empty_and_the_end_with_the_last_it_showed(tmp_path: Path) -> None:
    """Nothing is invented: the contactor is open at the end, so the register stands where it stood."""
    async with running_recorder(tmp_path) as fixture:
        fixture.meter.reading = None
        fixture.queue.put(STARTED)
        await fixture.queue.wait_recorded()
        fixture.meter.reading = fakes.reading(2000.0)
        await fixture.poller.read_now()
        fixture.meter.reading = None
        fixture.queue.put(ENDED)
        await fixture.clock.advance(fixture.settings.transactions.end_register_wait_s)
        started, ended = await fixture.on_disk()
        assert started.meter_values == ()
        assert registers(ended) == [(2000.0, ReadingContext.TRANSACTION_END)]


async def test_the_end_carries_the_samples_that_were_kept_for_it_thinned_out_but_for_the_ends(tmp_path: Path) -> None:
    """E06.FR.13"""
    async with running_recorder(tmp_path) as fixture:
        for minute in range(300):
            await fixture.outbox.end_data.store_sample("tx", fixture.periodic_sample(float(minute), minute))
        fixture.queue.put(ENDED)
        await fixture.queue.wait_recorded()
        (ended,) = await fixture.on_disk()
        assert 100 <= len(ended.meter_values) <= 200
        assert registers(ended)[0] == (0.0, ReadingContext.SAMPLE_PERIODIC)
        assert registers(ended)[-1] == (1000.0, ReadingContext.TRANSACTION_END)
        values = [value for value, _ in registers(ended)[:-1]]
        assert values == sorted(values)


async def test_a_sample_while_charging_names_the_phases_that_carry_current(tmp_path: Path) -> None:
    """E02.FR.18"""
    async with running_recorder(tmp_path) as fixture:
        reading: Reading = fakes.reading(1.0, 16.0)
        fixture.meter.reading = replace(reading, currents_a=replace(reading.currents_a, l2=0.2, l3=None))
        await fixture.poller.read_now()
        sampled = replace(fakes.event(), meter_values=(fixture.periodic_sample(1.0, 0),))
        fixture.queue.put(replace(sampled, charging_state=ChargingState.CHARGING))
        fixture.queue.put(replace(sampled, charging_state=ChargingState.SUSPENDED_EV))
        await fixture.queue.wait_recorded()
        assert [event.phases_used for event in await fixture.on_disk()] == [1, None]
        begins = fakes.event("next", trigger=TriggerReason.CHARGING_STATE_CHANGED)
        fixture.queue.put(replace(begins, charging_state=ChargingState.CHARGING))
        fixture.meter.reading = None
        await fixture.queue.wait_recorded()
        fixture.queue.put(replace(begins, charging_state=ChargingState.CHARGING))
        await fixture.queue.wait_recorded()
        assert [event.phases_used for event in await fixture.on_disk("next")] == [None, None], (
            "a silent meter tells nothing"
        )
        fixture.meter.reading = fakes.reading(1.0, 16.0)
        fixture.queue.put(replace(begins, charging_state=ChargingState.CHARGING))
        await fixture.queue.wait_recorded()
        assert (await fixture.on_disk("next"))[-1].phases_used == 3


async def test_a_disk_that_refuses_is_retried_for_ever_and_reported_once(tmp_path: Path) -> None:
    async with running_recorder(tmp_path) as fixture:
        await fixture.break_disk()
        for number in range(5):
            fixture.queue.put(fakes.event(f"tx{number}"))
        await fixture.clock.advance(3600)
        assert fixture.recorded == []
        assert fixture.failures == [True]
        await fixture.break_disk(False)
        await fixture.clock.advance(10)
        await fixture.queue.wait_recorded()
        assert [event.transaction_id for event in fixture.recorded] == [f"tx{number}" for number in range(5)]
        assert fixture.failures == [True, False]
        assert (await fixture.on_disk("tx0"))[0].occurred_at == fakes.NOON


async def test_while_the_disk_refuses_samples_are_thinned_out_and_nothing_else(tmp_path: Path) -> None:
    """E04.FR.07, E04.FR.08: memory stays bounded; the 1st, 3rd, 5th … sample goes, not the first or the last ones."""
    async with running_recorder(tmp_path) as fixture:
        await fixture.break_disk()
        fixture.queue.put(STARTED)
        await fixture.clock.advance(0)
        for minute in range(2000):
            sampled = replace(fakes.event(), occurred_at=fakes.NOON + timedelta(minutes=minute))
            fixture.queue.put(sampled)
            if minute % 100 == 0:
                fixture.queue.put(replace(sampled, trigger=TriggerReason.CHARGING_STATE_CHANGED))
            assert fixture.queue.count() < 530
        fixture.queue.put(ENDED)
        assert fixture.queue.count("tx") == fixture.queue.count()
        assert fixture.queue.count("other") == 0
        await fixture.break_disk(False)
        await fixture.clock.advance(10)
        await fixture.queue.wait_recorded()
        recorded = await fixture.on_disk()
        assert recorded[0].event_type is EventType.STARTED
        assert recorded[-1].event_type is EventType.ENDED
        assert sum(event.trigger is TriggerReason.CHARGING_STATE_CHANGED for event in recorded) == 20
        minutes = [
            (event.occurred_at - fakes.NOON).total_seconds() / 60.0
            for event in recorded
            if event.trigger is TriggerReason.METER_VALUE_PERIODIC
        ]
        assert 200 < len(minutes) < 500
        assert minutes == sorted(minutes)
        assert minutes[0] < 200.0
        assert minutes[-1] == 1999.0
        assert [event.seq_no for event in recorded] == list(range(len(recorded)))


async def test_an_event_that_gets_to_the_disk_after_the_link_went_is_an_offline_one(tmp_path: Path) -> None:
    """E11.FR.07: it happened online, but waited for the meter or the disk when the queue was marked."""
    async with running_recorder(tmp_path) as fixture:
        await fixture.break_disk()
        fixture.queue.put(STARTED)
        await fixture.clock.advance(0.5)
        fixture.csms.online = False
        await fixture.break_disk(False)
        await fixture.clock.advance(5)
        await fixture.queue.wait_recorded()
        assert [event.offline for event in await fixture.on_disk()] == [True]
