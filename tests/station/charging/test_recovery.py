"""After a power cut every open transaction is ended once, with what its meter shows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from metering.reading import Phases, Reading
from simulator.clock import VirtualClock
from station.charging.evse_assembly import EvseHardware, assemble_evse
from station.charging.meter_polling import MeterPoller
from station.charging.recording import RunningTransactions
from station.charging.recovery import end_open_transactions, record_ends
from station.charging.sampling_settings import SamplingSettings
from station.core.evse_layout import EvseLayout
from station.core.model import EventType, StoppedReason, TransactionEvent, TriggerReason
from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue
from station.core.setting_kinds import Setting
from station.storage.database import Database
from station.storage.outbox import Outbox
from station.storage.recorded_register import last_register, lowest_register
from tests import fakes
from tests.databases import open_database


def value(register_wh: float, minute: int) -> MeterValue:
    """A sample of the import register."""
    sample = SampledValue(register_wh, Measurand.ENERGY_IMPORT_REGISTER, ReadingContext.SAMPLE_PERIODIC, "Wh")
    return MeterValue(fakes.NOON + timedelta(minutes=minute), (sample,))


class RestartedStation:
    """A station that restarts after a power cut."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.clock, self.database = clock, database
        self.outbox = Outbox(database, clock)
        self.meter = fakes.FakeMeter(fakes.reading(5000.0))
        self.settings = settings = fakes.evse_settings()
        poller = MeterPoller("meter", self.meter, clock)
        recording = fakes.recording(self.outbox)
        hardware = EvseHardware(EvseLayout(1), fakes.FakeBoard(), poller)
        self.evses = {1: assemble_evse(hardware, recording, RunningTransactions(), settings, clock)}

    async def leave_open(self, transaction_id: str = "tx", *, evse_id: int = 1) -> None:
        """Record a transaction that a power cut leaves open."""
        started = fakes.event(transaction_id, EventType.STARTED, TriggerReason.AUTHORIZED, evse_id=evse_id)
        await self.outbox.append(replace(started, meter_values=(value(1000.0, 0),)))
        sampled = fakes.event(transaction_id, evse_id=evse_id)
        await self.outbox.append(replace(sampled, meter_values=(value(2000.0, 1),)))

    async def end(self) -> list[TransactionEvent]:
        """End the open transactions."""
        return await end_open_transactions(self.outbox, self.evses, self.settings.sampling, self.clock)


@contextlib.asynccontextmanager
async def restarted_station(path: Path) -> AsyncGenerator[RestartedStation]:
    """A station that restarts after a power cut."""
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        yield RestartedStation(database, clock)


async def test_an_open_transaction_ends_with_what_the_meter_shows_now(tmp_path: Path) -> None:
    async with restarted_station(tmp_path) as start:
        await start.leave_open()
        assert await start.end() == []
        ended = (await start.outbox.events("tx"))[-1]
        assert (ended.event_type, ended.seq_no, ended.offline) == (EventType.ENDED, 2, True)
        assert (ended.trigger, ended.stopped_reason) == (TriggerReason.ABNORMAL_CONDITION, StoppedReason.POWER_LOSS)
        ((sample,),) = [meter_value.samples for meter_value in ended.meter_values]
        assert (sample.value, sample.context) == (5000.0, ReadingContext.TRANSACTION_END)


async def test_it_is_ended_once_however_often_the_station_starts(tmp_path: Path) -> None:
    for _ in range(3):
        async with restarted_station(tmp_path) as start:
            if not await fakes.transaction_ids(start.outbox):
                await start.leave_open()
            await start.end()
            kinds = [event.event_type for event in await start.outbox.events("tx")]
            assert kinds == [EventType.STARTED, EventType.UPDATED, EventType.ENDED]


async def test_a_meter_that_is_gone_is_represented_by_its_last_reading_on_record(tmp_path: Path) -> None:
    async with restarted_station(tmp_path) as start:
        await start.leave_open(evse_id=7)
        await start.end()
        ended = (await start.outbox.events("tx"))[-1]
        assert [meter_value.samples[0].value for meter_value in ended.meter_values] == [2000.0]
        assert ended.meter_values[0].taken_at == fakes.NOON + timedelta(minutes=1)


async def test_a_silent_meter_is_represented_by_the_newest_of_what_is_kept_for_the_end_too(tmp_path: Path) -> None:
    """Otherwise the register would go back within one event, and a CSMS would bill less than was reported before."""
    async with restarted_station(tmp_path) as start:
        await start.leave_open(evse_id=7)
        await start.outbox.end_data.store_sample("tx", value(2500.0, 2))
        await start.end()
        ended = (await start.outbox.events("tx"))[-1]
        assert [meter_value.samples[0].value for meter_value in ended.meter_values] == [2500.0, 2500.0]
        assert ended.register is not None
        assert (ended.register.energy_import_wh, ended.register.substitute) == (2500.0, True)


@pytest.mark.parametrize(("spoilt", "left"), [("seq_no = 0", ["Updated", "Ended"]), ("TRUE", ["Ended"])])
async def test_an_event_that_flash_memory_has_spoilt_keeps_no_station_from_starting(
    tmp_path: Path, spoilt: str, left: list[str]
) -> None:
    async with restarted_station(tmp_path) as start:
        await start.leave_open()
        await start.database.write(f"UPDATE events SET payload = '{{' || payload WHERE {spoilt}")
        await start.end()
        assert [event.event_type for event in await start.outbox.events("tx")] == left


async def test_the_samples_that_were_kept_for_the_end_come_with_it(tmp_path: Path) -> None:
    async with restarted_station(tmp_path) as start:
        await start.leave_open()
        await start.outbox.end_data.store_sample("tx", value(1500.0, 2))
        await start.end()
        ended = (await start.outbox.events("tx"))[-1]
        assert [meter_value.samples[0].value for meter_value in ended.meter_values] == [1500.0, 5000.0]


@pytest.mark.parametrize(
    ("setting", "empty"),
    [
        (SamplingSettings.sampled_tx_ended_measurands, ()),
        (SamplingSettings.sampled_data_enabled, False),
    ],
)
async def test_where_the_csms_wants_nothing_with_the_end_the_books_have_the_register_all_the_same(
    tmp_path: Path, setting: Setting[object], empty: object
) -> None:
    """SampledDataCtrlr.TxEndedMeasurands: "when left empty, no sampled measurands SHALL be put into" it."""
    async with restarted_station(tmp_path) as start:
        await start.leave_open()
        start.settings.sampling.override(setting, empty)
        await start.end()
        ended = (await start.outbox.events("tx"))[-1]
        assert ended.meter_values == ()
        assert ended.register is not None
        assert (ended.register.energy_import_wh, ended.register.substitute) == (5000.0, False)


async def test_the_end_has_the_measurands_that_are_configured(tmp_path: Path) -> None:
    """E06.FR.11"""
    async with restarted_station(tmp_path) as start:
        await start.leave_open()
        start.settings.sampling.override(
            SamplingSettings.sampled_tx_ended_measurands, ("Voltage", "Energy.Active.Import.Register")
        )
        start.settings.sampling.override(SamplingSettings.register_values_without_phases, False)
        by_phase = Phases[float | None](3000.0, 2000.0, 0.0)
        start.meter.reading = replace(
            fakes.reading(5000.0), energies_import_wh=by_phase, voltages_v=Phases[float | None].all(230.0)
        )
        await start.end()
        (last,) = (await start.outbox.events("tx"))[-1].meter_values
        samples = [(sample.measurand, sample.phase, sample.value) for sample in last.samples if sample.value]
        register = Measurand.ENERGY_IMPORT_REGISTER
        assert samples[-3:] == [(register, None, 5000.0), (register, "L1", 3000.0), (register, "L2", 2000.0)]
        assert [phase for measurand, phase, _ in samples if measurand is Measurand.VOLTAGE] == ["L1-N", "L2-N", "L3-N"]


async def test_every_open_transaction_is_ended_and_no_other_is_touched(tmp_path: Path) -> None:
    async with restarted_station(tmp_path) as start:
        await start.outbox.append(fakes.event("done", EventType.STARTED))
        await start.outbox.append(fakes.event("done", EventType.ENDED))
        await start.leave_open("one")
        await start.leave_open("two", evse_id=2)
        await start.end()
        assert await start.outbox.open_transactions() == []
        assert [len(await start.outbox.events(name)) for name in ("done", "one", "two")] == [2, 3, 3]


async def test_a_disk_that_refuses_gets_the_ends_later_as_they_were(tmp_path: Path) -> None:
    """The register counts on with the next charge: the reading of the end must not be delayed."""
    async with restarted_station(tmp_path) as start:
        await start.leave_open()
        await start.database.rows("PRAGMA query_only=1")
        ends = await start.end()
        assert [end.transaction_id for end in ends] == ["tx"]
        start.meter.reading = fakes.reading(9000.0)
        await start.database.rows("PRAGMA query_only=0")
        await record_ends(ends, start.outbox, start.clock)
        ended = (await start.outbox.events("tx"))[-1]
        assert ended.meter_values[0].samples[0].value == 5000.0


def test_the_last_register_on_record_is_the_newest_and_none_is_invented() -> None:
    events = [replace(fakes.event(), meter_values=(value(float(minute), minute),)) for minute in range(3)]
    voltage = SampledValue(230.0, Measurand.VOLTAGE, ReadingContext.SAMPLE_PERIODIC, "V", "L1-N")
    events.append(replace(fakes.event(), meter_values=(MeterValue(fakes.NOON, (voltage,)),)))
    assert last_register(events) == Reading(fakes.NOON + timedelta(minutes=2), energy_import_wh=2.0)
    assert last_register([fakes.event()]) is None
    assert lowest_register([fakes.event()]) is None


@pytest.mark.parametrize("true_wh", [1234.0, 1234.0004, 1234.0005, 1234.0006, 1234.9999])
def test_a_meter_never_seems_to_run_backwards_because_a_record_was_rounded(true_wh: float) -> None:
    recorded = replace(fakes.event(), meter_values=(value(round(true_wh, 3), 0),))
    least = lowest_register([recorded])
    assert least is not None
    assert least.energy_import_wh is not None
    assert true_wh - 0.002 < least.energy_import_wh <= true_wh
