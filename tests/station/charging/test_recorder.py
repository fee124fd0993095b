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
    """An EVSE that offers nothing."""

    offered = Phases[float].all(0.0)


class RecorderWithFakes:
    """A recorder at work, and what it works with."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.database, self.clock = database, clock
        self.meter = fakes.FakeMeter(fakes.reading(1000.0))
        self.settings = fakes.evse_settings()
        self.outbox = Outbox(database, clock)
        self.watch = MeterPoller("meter", self.meter, clock)
        self.csms = fakes.FakeCsms()
        recording, self.queue = fakes.recording(self.outbox, self.csms), UnrecordedEvents()
        self.recorder = EventRecorder(Offering(), self.queue, self.watch, recording, None, self.settings, clock)
        self.recorded: list[TransactionEvent] = []
        self.failures: list[bool] = []
        self.recorder.recorded.subscribe(self.recorded.append)
        self.recorder.disk_failed.subscribe(self.failures.append)

    async def break_disk(self, broken: bool = True) -> None:
        """The disk becomes read-only, or is well again."""
        await self.database.rows(f"PRAGMA query_only={int(broken)}")

    async def on_disk(self, transaction_id: str = "tx") -> list[TransactionEvent]:
        """What is recorded."""
        return await self.outbox.events(transaction_id)

    def kept(self, register_wh: float, minute: int) -> MeterValue:
        """A sample as the sampler keeps it for the end."""
        taken = SampledValue(register_wh, Measurand.ENERGY_IMPORT_REGISTER, ReadingContext.SAMPLE_PERIODIC, "Wh")
        return MeterValue(fakes.NOON + timedelta(minutes=minute), (taken,))


@contextlib.asynccontextmanager
async def desk(path: Path) -> AsyncGenerator[RecorderWithFakes]:
    """A recorder at work."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        made = RecorderWithFakes(database, clock)
        running = asyncio.create_task(made.recorder.run())
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.wait({running})


def registers(event: TransactionEvent) -> list[tuple[float, ReadingContext]]:
    """The import registers that an event carries."""
    return [
        (taken.value, taken.context)
        for value in event.meter_values
        for taken in value.samples
        if taken.measurand is Measurand.ENERGY_IMPORT_REGISTER
    ]


async def test_events_are_recorded_and_told_in_the_order_in_which_they_were_put(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        for number in range(30):
            it.queue.put(fakes.event(f"tx{number}"))
        await it.queue.wait_recorded()
        await it.clock.settle()
        assert [event.transaction_id for event in it.recorded] == [f"tx{number}" for number in range(30)]
        assert all(event.seq_no == 0 for event in it.recorded)
        assert it.failures == []


async def test_the_start_and_the_end_carry_the_register_of_their_moment(tmp_path: Path) -> None:
    """E01.FR.09, E06.FR.11"""
    async with desk(tmp_path) as it:
        it.queue.put(STARTED)
        await it.queue.wait_recorded()
        it.meter.shows = fakes.reading(4321.0)
        it.queue.put(ENDED)
        await it.queue.wait_recorded()
        started, ended = await it.on_disk()
        assert registers(started) == [(1000.0, ReadingContext.TRANSACTION_BEGIN)]
        assert registers(ended) == [
            (1000.0, ReadingContext.TRANSACTION_BEGIN),
            (4321.0, ReadingContext.TRANSACTION_END),
        ]


async def test_a_power_cut_right_after_the_start_leaves_the_value_of_the_begin_for_the_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        cut, append = asyncio.Event(), it.outbox.append

        async def append_and_die(event: TransactionEvent) -> TransactionEvent:
            await append(event)
            cut.set()
            return await asyncio.get_running_loop().create_future()

        it.outbox.append = append_and_die
        it.queue.put(STARTED)
        await cut.wait()
        (kept,) = await it.outbox.end_data.samples("tx")
        assert kept.samples[0].context is ReadingContext.TRANSACTION_BEGIN


async def test_where_samples_are_kept_for_the_end_they_begin_one_interval_after_the_start(tmp_path: Path) -> None:
    """SampledDataTxEndedInterval; TC_J_10_CS wants nothing but periodic samples before the end."""
    async with desk(tmp_path) as it:
        it.settings.sampling.override(SamplingSettings.sampled_tx_ended_interval_s, 60)
        it.queue.put(STARTED)
        it.queue.put(ENDED)
        await it.queue.wait_recorded()
        assert registers((await it.on_disk())[-1]) == [(1000.0, ReadingContext.TRANSACTION_END)]


async def test_where_nothing_is_wanted_at_the_end_the_start_is_not_either(tmp_path: Path) -> None:
    """SampledDataTxEndedMeasurands: left empty, none are put into the end (TC_J_03_CS)."""
    async with desk(tmp_path) as it:
        it.settings.sampling.override(SamplingSettings.sampled_tx_ended_measurands, ())
        it.queue.put(STARTED)
        it.queue.put(ENDED)
        await it.queue.wait_recorded()
        assert (await it.on_disk())[-1].meter_values == ()


async def test_a_silent_meter_leaves_the_start_empty_and_the_end_with_the_last_it_showed(tmp_path: Path) -> None:
    """Nothing is invented: the contactor is open at the end, so the register stands where it stood."""
    async with desk(tmp_path) as it:
        it.meter.shows = None
        it.queue.put(STARTED)
        await it.queue.wait_recorded()
        it.meter.shows = fakes.reading(2000.0)
        await it.watch.read_now()
        it.meter.shows = None
        it.queue.put(ENDED)
        await it.clock.advance(it.settings.transactions.end_register_wait_s)
        started, ended = await it.on_disk()
        assert started.meter_values == ()
        assert registers(ended) == [(2000.0, ReadingContext.TRANSACTION_END)]


async def test_the_end_carries_the_samples_that_were_kept_for_it_thinned_out_but_for_the_ends(tmp_path: Path) -> None:
    """E06.FR.13"""
    async with desk(tmp_path) as it:
        for minute in range(300):
            await it.outbox.end_data.store_sample("tx", it.kept(float(minute), minute))
        it.queue.put(ENDED)
        await it.queue.wait_recorded()
        (ended,) = await it.on_disk()
        assert 100 <= len(ended.meter_values) <= 200
        assert registers(ended)[0] == (0.0, ReadingContext.SAMPLE_PERIODIC)
        assert registers(ended)[-1] == (1000.0, ReadingContext.TRANSACTION_END)
        values = [value for value, _ in registers(ended)[:-1]]
        assert values == sorted(values)


async def test_a_sample_while_charging_tells_the_phases_that_carry_current(tmp_path: Path) -> None:
    """E02.FR.18"""
    async with desk(tmp_path) as it:
        shown: Reading = fakes.reading(1.0, 16.0)
        it.meter.shows = replace(shown, currents_a=replace(shown.currents_a, l2=0.2, l3=None))
        await it.watch.read_now()
        sampled = replace(fakes.event(), meter_values=(it.kept(1.0, 0),))
        it.queue.put(replace(sampled, charging_state=ChargingState.CHARGING))
        it.queue.put(replace(sampled, charging_state=ChargingState.SUSPENDED_EV))
        await it.queue.wait_recorded()
        assert [event.phases_used for event in await it.on_disk()] == [1, None]
        begins = fakes.event("next", trigger=TriggerReason.CHARGING_STATE_CHANGED)
        it.queue.put(replace(begins, charging_state=ChargingState.CHARGING))
        it.meter.shows = None
        await it.queue.wait_recorded()
        it.queue.put(replace(begins, charging_state=ChargingState.CHARGING))
        await it.queue.wait_recorded()
        assert [event.phases_used for event in await it.on_disk("next")] == [None, None], "a silent meter tells nothing"
        it.meter.shows = fakes.reading(1.0, 16.0)
        it.queue.put(replace(begins, charging_state=ChargingState.CHARGING))
        await it.queue.wait_recorded()
        assert (await it.on_disk("next"))[-1].phases_used == 3


async def test_a_disk_that_refuses_is_tried_again_for_ever_and_told_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        await it.break_disk()
        for number in range(5):
            it.queue.put(fakes.event(f"tx{number}"))
        await it.clock.advance(3600)
        assert it.recorded == []
        assert it.failures == [True]
        await it.break_disk(False)
        await it.clock.advance(10)
        await it.queue.wait_recorded()
        assert [event.transaction_id for event in it.recorded] == [f"tx{number}" for number in range(5)]
        assert it.failures == [True, False]
        assert (await it.on_disk("tx0"))[0].occurred_at == fakes.NOON


async def test_while_the_disk_refuses_samples_are_thinned_out_and_nothing_else(tmp_path: Path) -> None:
    """E04.FR.07, E04.FR.08: memory stays bounded; the 1st, 3rd, 5th … sample goes, not the first or the last ones."""
    async with desk(tmp_path) as it:
        await it.break_disk()
        it.queue.put(STARTED)
        await it.clock.advance(0)
        for minute in range(2000):
            sampled = replace(fakes.event(), occurred_at=fakes.NOON + timedelta(minutes=minute))
            it.queue.put(sampled)
            if minute % 100 == 0:
                it.queue.put(replace(sampled, trigger=TriggerReason.CHARGING_STATE_CHANGED))
            assert it.queue.count() < 530
        it.queue.put(ENDED)
        assert it.queue.count("tx") == it.queue.count()
        assert it.queue.count("other") == 0
        await it.break_disk(False)
        await it.clock.advance(10)
        await it.queue.wait_recorded()
        recorded = await it.on_disk()
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
    async with desk(tmp_path) as it:
        await it.break_disk()
        it.queue.put(STARTED)
        await it.clock.advance(0.5)
        it.csms.online = False
        await it.break_disk(False)
        await it.clock.advance(5)
        await it.queue.wait_recorded()
        assert [event.offline for event in await it.on_disk()] == [True]
