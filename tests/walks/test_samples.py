"""What is sampled, when, and where it is sent (J01, J02, E06)."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.walk import Walk, walking
from tests.walks.steps import Event, charge, event, variables

REGISTER = "Energy.Active.Import.Register"


def samples(event: Event) -> list[dict[str, Any]]:
    """Return all sampled values of an event."""
    return [sample for value in event.get("meterValue", []) for sample in value["sampledValue"]]


def measurands(event: Event) -> set[str]:
    """Return the measurands of an event."""
    return {sample["measurand"] for sample in samples(event)}


def periodic(walk: Walk, trigger: str = "MeterValuePeriodic") -> list[Event]:
    """Return the events with the trigger of a sampling interval."""
    return [sent_event for sent_event in walk.events() if sent_event["triggerReason"] == trigger]


def second_of_day(text: str) -> float:
    """Return the seconds after midnight."""
    moment = datetime.fromisoformat(text)
    return moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6


async def test_samples_come_at_every_interval_with_the_configured_measurands(tmp_path: Path) -> None:
    """J02.FR.11: TxUpdatedInterval and TxUpdatedMeasurands."""
    rows = variables(
        SampledDataCtrlr__TxUpdatedInterval=20,
        SampledDataCtrlr__TxUpdatedMeasurands=f"{REGISTER},Voltage,Frequency,Current.Offered",
    )
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.advance(90)
        await walk.until(lambda: len(periodic(walk)) >= 4)
        sent_event = periodic(walk)
        times = [datetime.fromisoformat(sample_event["timestamp"]).timestamp() for sample_event in sent_event]
        assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx(
            [20.0] * (len(times) - 1), abs=0.01
        )
        for sample_event in sent_event:
            assert sample_event["eventType"] == "Updated"
            assert measurands(sample_event) == {REGISTER, "Voltage", "Frequency", "Current.Offered"}
            assert {sample["context"] for sample in samples(sample_event)} == {"Sample.Periodic"}
            assert sample_event["transactionInfo"]["chargingState"] == "Charging"
            assert sample_event["numberOfPhasesUsed"] == 3  # E02.FR.18
        offered = [sample["value"] for sample in samples(sent_event[-1]) if sample["measurand"] == "Current.Offered"]
        assert offered == [32.0]
        phases = [sample["phase"] for sample in samples(sent_event[-1]) if sample["measurand"] == "Voltage"]
        assert phases == ["L1-N", "L2-N", "L3-N"]


async def test_a_new_interval_counts_at_once_and_zero_ends_the_samples(tmp_path: Path) -> None:
    """J02.FR.11, J02.FR.12: an interval of 0 means none."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.set_variable("SampledDataCtrlr", "TxUpdatedInterval", "10")
        await walk.advance(31)
        await walk.until(lambda: len(periodic(walk)) == 3)
        await walk.set_variable("SampledDataCtrlr", "TxUpdatedInterval", "0")
        await walk.advance(200)
        assert len(periodic(walk)) == 3


async def test_the_registers_only_grow_and_end_where_the_meter_stands(tmp_path: Path) -> None:
    """E06.FR.11: what is billed is the difference of two readings of one register."""
    async with walking(tmp_path, variable=variables(SampledDataCtrlr__TxUpdatedInterval=10)) as walk:
        await charge(walk)
        await walk.advance(65)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        begin, end = (value["sampledValue"][0] for value in ended["meterValue"])  # SampledDataTxEndedInterval is 0
        assert (begin["context"], end["context"]) == ("Transaction.Begin", "Transaction.End")
        before = [
            sample["value"]
            for sent_event in walk.events()[:-1]
            for sample in samples(sent_event)
            if sample["measurand"] == REGISTER
        ]
        values = [*before, end["value"]]
        assert values == sorted(values)
        assert len(values) == 8
        assert begin["value"] == values[0]
        assert values[-1] == pytest.approx(walk.board.read_meter().energy_import_wh, abs=0.01)


async def test_the_samples_for_the_end_come_with_the_end_only(tmp_path: Path) -> None:
    """J02.FR.03, E06.FR.11: TxEndedInterval samples are kept for the Ended event."""
    rows = variables(SampledDataCtrlr__TxUpdatedInterval=0, SampledDataCtrlr__TxEndedInterval=15)
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.advance(62)
        assert periodic(walk) == []
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        contexts = [value["sampledValue"][0]["context"] for value in ended["meterValue"]]
        assert contexts == ["Sample.Periodic"] * 4 + ["Transaction.End"]
        values = [value["sampledValue"][0]["value"] for value in ended["meterValue"]]
        assert values == sorted(values)
        times = [value["timestamp"] for value in ended["meterValue"]]
        assert times == sorted(times)


async def test_aligned_samples_of_a_transaction_come_at_whole_intervals_of_the_day(tmp_path: Path) -> None:
    """J01, AlignedDataInterval, trigger MeterValueClock, context Sample.Clock."""
    rows = variables(
        SampledDataCtrlr__TxUpdatedInterval=0,
        AlignedDataCtrlr__Interval=30,
        AlignedDataCtrlr__Measurands=f"{REGISTER},Power.Active.Import",
    )
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        count_before = len(walk.csms.received("MeterValues"))
        await walk.advance(125)
        await walk.until(lambda: len(periodic(walk, "MeterValueClock")) >= 4)
        for sent_event in periodic(walk, "MeterValueClock"):
            assert second_of_day(sent_event["timestamp"]) % 30 == pytest.approx(0.0, abs=0.05)
            assert measurands(sent_event) == {REGISTER, "Power.Active.Import"}
            assert {sample["context"] for sample in samples(sent_event)} == {"Sample.Clock"}
        assert len(walk.csms.received("MeterValues")) == count_before


async def test_aligned_samples_without_a_transaction_are_meter_values(tmp_path: Path) -> None:
    """J01.FR.14, J01.FR.02: MeterValues of the EVSE at whole intervals, context Sample.Clock."""
    async with walking(tmp_path, variable=variables(AlignedDataCtrlr__Interval=60)) as walk:
        await walk.accepted()
        await walk.advance(185)
        await walk.until(lambda: len(walk.csms.received("MeterValues")) >= 3)
        for message in walk.csms.received("MeterValues"):
            assert message["evseId"] == 1
            (value,) = message["meterValue"]
            assert second_of_day(value["timestamp"]) % 60 == pytest.approx(0.0, abs=0.05)
            assert value["sampledValue"][0]["measurand"] == REGISTER
            assert value["sampledValue"][0]["context"] == "Sample.Clock"
        assert walk.events() == []


async def test_every_evse_of_a_large_station_sends_its_aligned_samples(tmp_path: Path) -> None:
    """J01.FR.14: all of them at the same moment."""
    evses = [{"id": number} for number in range(1, 9)]
    async with walking(tmp_path, evse=evses, variable=variables(AlignedDataCtrlr__Interval=30)) as walk:
        await walk.accepted()
        await walk.until(
            lambda: {message["evseId"] for message in walk.csms.received("MeterValues")} == set(range(1, 9))
        )


async def test_send_during_idle_keeps_aligned_samples_out_of_a_transaction(tmp_path: Path) -> None:
    """J01.FR.19: idle EVSEs only; afterwards they come again."""
    rows = variables(AlignedDataCtrlr__Interval=30, AlignedDataCtrlr__SendDuringIdle=True)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.advance(35)
        await walk.until(lambda: walk.csms.received("MeterValues"))
        await charge(walk)
        count_before = len(walk.csms.received("MeterValues"))
        await walk.advance(100)
        assert len(walk.csms.received("MeterValues")) == count_before
        assert periodic(walk, "MeterValueClock") == []
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")
        await walk.unplug()
        await walk.advance(65)
        await walk.until(lambda: len(walk.csms.received("MeterValues")) > count_before)


async def test_send_during_idle_of_the_station_counts_for_all_its_evses(tmp_path: Path) -> None:
    """J01.FR.20: a transaction on one EVSE stops the clock aligned values of all."""
    rows = variables(AlignedDataCtrlr__Interval=30, AlignedDataCtrlr__SendDuringIdle=True)
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], variable=rows) as walk:
        await walk.accepted()
        await walk.advance(35)
        await walk.until(lambda: {message["evseId"] for message in walk.csms.received("MeterValues")} == {1, 2})
        await charge(walk)
        count_before = len(walk.csms.received("MeterValues"))
        await walk.advance(100)
        assert len(walk.csms.received("MeterValues")) == count_before


async def test_aligned_samples_for_the_end_come_with_the_end(tmp_path: Path) -> None:
    """J01, AlignedDataTxEndedInterval and AlignedDataTxEndedMeasurands."""
    rows = variables(
        SampledDataCtrlr__TxUpdatedInterval=0,
        AlignedDataCtrlr__TxEndedInterval=30,
        AlignedDataCtrlr__TxEndedMeasurands=REGISTER,
    )
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.advance(95)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        contexts = [value["sampledValue"][0]["context"] for value in ended["meterValue"]]
        assert contexts == ["Transaction.Begin", *["Sample.Clock"] * (len(contexts) - 2), "Transaction.End"]
        moments = [second_of_day(value["timestamp"]) for value in ended["meterValue"][1:-1]]
        assert len(moments) in {3, 4}  # 95 seconds that begin anywhere
        assert [moment % 30 for moment in moments] == pytest.approx([0.0] * len(moments), abs=0.05)


async def test_the_time_spent_charging_counts_only_charging(tmp_path: Path) -> None:
    """TransactionType.timeSpentCharging: seconds in which energy flowed; a pause does not count."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.advance(60)
        assert walk.board.vehicle is not None
        walk.board.vehicle.suspend()
        await walk.advance(100)
        walk.board.vehicle.resume()
        await walk.charging()
        await walk.advance(30)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["timeSpentCharging"] == pytest.approx(91, abs=3)
        assert "timeSpentCharging" not in walk.events()[0]["transactionInfo"]


async def test_a_one_phase_vehicle_is_reported_as_one_phase(tmp_path: Path) -> None:
    """E02.FR.18: numberOfPhasesUsed is what carries current."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.present()
        await walk.plug(phases=1)
        await walk.charging()
        await walk.advance(65)
        await walk.until(lambda: periodic(walk))
        sampled = periodic(walk)[-1]
        assert sampled["numberOfPhasesUsed"] == 1
        currents = {
            sample["phase"]: sample["value"] for sample in samples(sampled) if sample["measurand"] == "Current.Import"
        }
        assert currents == {"L1": 32.0, "L2": 0.0, "L3": 0.0}


async def test_a_silent_meter_leaves_values_out_and_invents_none(tmp_path: Path) -> None:
    """Silence is not zero: no sample without a reading, and the samples come again with the meter."""
    async with walking(tmp_path, variable=variables(SampledDataCtrlr__TxUpdatedInterval=5)) as walk:
        await charge(walk)
        await walk.advance(6)
        await walk.until(lambda: periodic(walk))
        walk.world.fail_meter(1, True)
        await walk.advance(1)
        count_before = len(periodic(walk))
        await walk.advance(8)
        assert len(periodic(walk)) == count_before
        walk.world.fail_meter(1, False)
        await walk.advance(10)
        await walk.until(lambda: len(periodic(walk)) > count_before)
        registers = [sample["value"] for sample in samples(periodic(walk)[-1]) if sample["measurand"] == REGISTER]
        assert registers
        assert min(registers) > 0


async def test_the_registers_of_the_phases_come_where_they_are_wanted(tmp_path: Path) -> None:
    """SampledDataCtrlr.RegisterValuesWithoutPhases = false; the total stays the sum of them."""
    rows = variables(SampledDataCtrlr__RegisterValuesWithoutPhases=False, SampledDataCtrlr__TxUpdatedInterval=10)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.present()
        await walk.plug(phases=1)
        await walk.charging()
        await walk.advance(31)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        for sent_event in (*periodic(walk), ended):
            registers = {
                sample.get("phase"): sample["value"]
                for sample in samples(sent_event)
                if sample["measurand"] == REGISTER
            }
            assert registers.keys() == {None, "L1", "L2", "L3"}
            assert (registers["L2"], registers["L3"]) == (0, 0)
            assert registers[None] == pytest.approx(registers["L1"], abs=0.002)
        assert ended["meterValue"][-1]["sampledValue"][0]["value"] > 0


async def test_sampled_and_aligned_data_can_be_switched_off_and_on(tmp_path: Path) -> None:
    """SampledDataCtrlr.Enabled, AlignedDataCtrlr.Enabled."""
    rows = variables(
        SampledDataCtrlr__TxUpdatedInterval=10,
        SampledDataCtrlr__Enabled=False,
        AlignedDataCtrlr__Interval=10,
        AlignedDataCtrlr__Enabled=False,
    )
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.advance(60)
        assert walk.csms.received("MeterValues") == []
        assert [sent_event for sent_event in walk.events() if "meterValue" in sent_event] == []
        await walk.set_variable("AlignedDataCtrlr", "Enabled", "true")
        await walk.advance(25)
        assert len(periodic(walk, "MeterValueClock")) in {2, 3}
        assert periodic(walk) == []
        await walk.set_variable("SampledDataCtrlr", "Enabled", "true")
        await walk.advance(25)
        assert len(periodic(walk)) == 2
        await walk.set_variable("SampledDataCtrlr", "Enabled", "false")
        await walk.present()
        assert "meterValue" not in await event(walk, "Ended", "StopAuthorized")


async def test_send_during_idle_keeps_aligned_samples_out_of_the_end_too(tmp_path: Path) -> None:
    """J01.FR.20: no clock-aligned values of a transaction, not even with its end."""
    rows = variables(
        AlignedDataCtrlr__TxEndedInterval=10,
        AlignedDataCtrlr__SendDuringIdle=True,
        SampledDataCtrlr__TxEndedMeasurands="",
    )
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.advance(45)
        await walk.present()
        assert "meterValue" not in await event(walk, "Ended", "StopAuthorized")


async def test_without_measurands_for_the_end_only_aligned_samples_come_with_it(tmp_path: Path) -> None:
    """TC_J_03_CS: what is aligned with the clock has no sample of the end."""
    rows = variables(AlignedDataCtrlr__TxEndedInterval=10, SampledDataCtrlr__TxEndedMeasurands="")
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        await walk.advance(45)
        await walk.present()
        ended = await event(walk, "Ended", "StopAuthorized")
        assert {sample["context"] for sample in samples(ended)} == {"Sample.Clock"}


async def test_a_corrected_clock_moves_the_aligned_moments_and_samples_none_in_between(tmp_path: Path) -> None:
    """AlignedDataInterval counts from midnight of the time that the CSMS tells."""
    following = {"follow_csms_time": True}
    async with walking(tmp_path, variable=variables(AlignedDataCtrlr__Interval=60), simulation=following) as walk:
        await walk.accepted()
        clock = walk.application.clock
        # Corrections come at whole tens of seconds: none ends within the second after an aligned moment, which counts.
        await walk.advance(60 - clock.now().timestamp() % 60)
        await walk.set_variable("OCPPCommCtrlr", "HeartbeatInterval", "10")
        start = clock.now() - timedelta(seconds=clock.monotonic())
        ahead_s = 0.0
        for step_s in (7.0, 95.0, -40.0, 3000.5):
            ahead_s += step_s
            count_before = len(walk.csms.received("MeterValues"))
            walk.csms.now = lambda: start + timedelta(seconds=clock.monotonic() + ahead_s)  # noqa: B023  # used in this turn
            await walk.until(lambda: abs((clock.now() - walk.csms.now()).total_seconds()) < 0.5)
            await walk.advance(185)
            new = walk.csms.received("MeterValues")[count_before:]
            assert len(new) in {3, 4}
            for message in new:
                moment = second_of_day(message["meterValue"][0]["timestamp"]) % 60
                assert min(moment, 60 - moment) == pytest.approx(0.0, abs=0.05)
