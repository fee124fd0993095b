"""Block J, meter values: clock-aligned and sampled (Core)."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

import pytest

from metering import ocmf
from metering.ocmf_keys import read_key
from metering.ocmf_signature import verify
from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload
from tests.conformance.station import Setup

REGISTER = "Energy.Active.Import.Register"
_MEASURANDS = f"{REGISTER},Power.Active.Import,Current.Import,Voltage"
_ALIGNED_S = 30
"""<Configured clock-aligned Meter Values interval>, and that of the end"""
_SAMPLED_S = 15
_DURATION_S = 100.0
"""<Configured transaction duration>"""
_DEVIATION_S = 1.0


async def configure_if_implemented(bench: Bench, component: str, variable: str, value: str) -> None:
    """A configuration state that is wanted of stations that have the variable."""
    status = await bench.set_variable(component, variable, value)
    assert status in {"Accepted", "UnknownComponent", "UnknownVariable"}, status


def samples(values: Iterable[Payload]) -> list[Payload]:
    """The sampled values of some meter values."""
    return [one for value in values for one in value["sampledValue"]]


def meter_values(messages: Iterable[Payload]) -> list[Payload]:
    """The meter values of some messages."""
    return [value for message in messages for value in message.get("meterValue", [])]


def by_moment(values: Iterable[Payload]) -> dict[datetime, list[Payload]]:
    """Meter values by their time: those of one interval may come in several messages, with the same time."""
    moments: dict[datetime, list[Payload]] = defaultdict(list)
    for value in values:
        moments[datetime.fromisoformat(value["timestamp"])].append(value)
    return dict(sorted(moments.items()))


def check_context(values: Sequence[Payload], context: str) -> None:
    """sampledValue[0].context."""
    assert values
    for value in values:
        assert value["sampledValue"][0].get("context", "Sample.Periodic") == context, value


def check_measurands(values: Sequence[Payload], configured: str) -> None:
    """An element per configured measurand, at each moment; the register may go unnamed."""
    assert values
    for moment, those in by_moment(values).items():
        found = {one.get("measurand", REGISTER) for one in samples(those)}
        assert found >= set(configured.split(",")), f"at {moment}: {found}"


def check_intervals(values: Sequence[Payload], interval_s: float) -> None:
    """The intervals between the times equal the configured one."""
    moments = list(by_moment(values))
    assert len(moments) >= 2, moments
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert gaps == pytest.approx([interval_s] * len(gaps), abs=_DEVIATION_S), gaps


def check_phases(values: Sequence[Payload]) -> None:
    """Errata 2025-09, 6.2.63: what a meter measures of each phase is told of each, at each moment."""
    for moment, those in by_moment(values).items():
        for measurand in ("Current.Import", "Voltage"):
            phases = {one.get("phase") for one in samples(those) if one.get("measurand") == measurand}
            assert len(phases - {None, "N"}) >= 3, f"{measurand} at {moment}: {phases}"


def check_locations(bench: Bench) -> None:
    """Errata 2025-09, 6.2.58: nothing but SoC is measured in the EV."""
    told = [one.payload for name in ("MeterValues", "TransactionEvent") for one in bench.journal.sent(name)]
    for one in samples(meter_values(told)):
        assert one.get("location") != "EV" or one["measurand"] == "SoC", one


def events(bench: Bench, trigger: str) -> list[Payload]:
    """The TransactionEvents with this trigger reason."""
    told = (one.payload for one in bench.journal.sent("TransactionEvent"))
    return [event for event in told if event["triggerReason"] == trigger]


def idle_values(bench: Bench) -> dict[int, list[Payload]]:
    """The meter values of MeterValuesRequests, by EVSE."""
    told: dict[int, list[Payload]] = defaultdict(list)
    for frame in bench.journal.sent("MeterValues"):
        told[frame.payload["evseId"]].extend(frame.payload["meterValue"])
    return told


def ended(bench: Bench) -> Payload:
    """The TransactionEvent that ended the transaction, with its MeterValue field."""
    (event,) = (one.payload for one in bench.journal.sent("TransactionEvent") if one.payload["eventType"] == "Ended")
    assert event.get("meterValue"), event
    return event


async def session_of(bench: Bench, duration_s: float) -> None:
    """EnergyTransferStarted, the transaction duration, and ParkingBayUnoccupied."""
    await states.energy_transfer_started(bench)
    await bench.advance(duration_s)
    await states.parking_bay_unoccupied(bench)


@case("Core", "M", "C-40")
@pytest.mark.parametrize("station_setup", [Setup(), Setup(evses=2)], ids=["one-evse", "two-evses"])
async def test_tc_j_01_cs(bench: Bench) -> None:
    """Clock-aligned Meter Values - No transaction ongoing"""
    await bench.configure("AlignedDataCtrlr", "Measurands", _MEASURANDS)
    await bench.configure("AlignedDataCtrlr", "Interval", str(_ALIGNED_S))
    for _ in range(3 * bench.setup.evses):
        await bench.expect("MeterValues", within_s=_ALIGNED_S + 5.0)
    told = idle_values(bench)
    assert told.keys() >= set(range(1, bench.setup.evses + 1)), told.keys()
    for values in told.values():
        check_context(values, "Sample.Clock")
        check_measurands(values, _MEASURANDS)
        check_intervals(values, _ALIGNED_S)
    check_locations(bench)


@case("Core", "M", "C-40")
async def test_tc_j_02_cs(bench: Bench) -> None:
    """Clock-aligned Meter Values - Transaction ongoing"""
    await bench.configure("AlignedDataCtrlr", "Measurands", _MEASURANDS)
    await bench.configure("AlignedDataCtrlr", "Interval", str(_ALIGNED_S))
    await configure_if_implemented(bench, "AlignedDataCtrlr", "SendDuringIdle", "false")
    await configure_if_implemented(bench, "SampledDataCtrlr", "RegisterValuesWithoutPhases", "false")
    await states.energy_transfer_started(bench)
    await bench.advance(_DURATION_S)
    await bench.settle()
    in_events = meter_values(events(bench, "MeterValueClock"))
    idle = idle_values(bench)
    assert in_events or idle.get(bench.evse_id), "no meter values of the EVSE with the transaction"
    for values in (in_events, *idle.values()):
        if values:
            check_context(values, "Sample.Clock")
            check_measurands(values, _MEASURANDS)
    for values in (in_events, *idle.values()):
        if len(by_moment(values)) > 1:
            check_intervals(values, _ALIGNED_S)
    check_intervals([*in_events, *idle.get(bench.evse_id, [])], _ALIGNED_S)
    if in_events:
        check_intervals([{"timestamp": event["timestamp"]} for event in events(bench, "MeterValueClock")], _ALIGNED_S)
    if await bench.get_variable("ChargingStation", "SupplyPhases") == "3":
        check_phases([*in_events, *idle.get(bench.evse_id, [])])
    check_locations(bench)


@case("Core", "M", "C-40")
async def test_tc_j_03_cs(bench: Bench) -> None:
    """Clock-aligned Meter Values - EventType Ended"""
    await bench.configure("AlignedDataCtrlr", "TxEndedMeasurands", _MEASURANDS)
    await bench.configure("AlignedDataCtrlr", "TxEndedInterval", str(_ALIGNED_S))
    await bench.configure("SampledDataCtrlr", "TxEndedMeasurands", "")
    await configure_if_implemented(bench, "AlignedDataCtrlr", "SendDuringIdle", "false")
    await session_of(bench, _DURATION_S)
    values = ended(bench)["meterValue"]
    check_intervals(values, _ALIGNED_S)
    check_context(values, "Sample.Clock")
    check_measurands(values, _MEASURANDS)
    check_locations(bench)


def check_signed(values: Sequence[Payload]) -> None:
    """The register of each value is signed, and the public key there is empty or one that can be read."""
    for value in values:
        (register,) = [one for one in value["sampledValue"] if one.get("measurand", REGISTER) == REGISTER]
        signed = register["signedMeterValue"]
        record = ocmf.parse(base64.b64decode(signed["signedMeterData"]))
        assert record.signature is not None
        if signed["publicKey"]:
            assert verify(record, read_key(base64.b64decode(signed["publicKey"]).decode())).valid, signed


@case("Core", "C", "C-40 and C-42")
async def test_tc_j_04_cs(bench: Bench) -> None:
    """Clock-aligned Meter Values - Signed"""
    await bench.configure("AlignedDataCtrlr", "TxEndedMeasurands", _MEASURANDS)
    await bench.configure("AlignedDataCtrlr", "TxEndedInterval", str(_ALIGNED_S))
    await bench.configure("SampledDataCtrlr", "TxEndedMeasurands", "")
    await configure_if_implemented(bench, "AlignedDataCtrlr", "SendDuringIdle", "false")
    await bench.configure("AlignedDataCtrlr", "SignReadings", "true")
    await bench.configure("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", "EveryMeterValue")
    await session_of(bench, _DURATION_S)
    values = ended(bench)["meterValue"]
    check_intervals(values, _ALIGNED_S)
    check_context(values, "Sample.Clock")
    check_measurands(values, _MEASURANDS)
    check_signed(values)
    check_locations(bench)


@case("Core", "C", "C-42")
async def test_tc_j_11_cs(bench: Bench) -> None:
    """Sampled Meter Values - Signed"""
    await bench.configure("SampledDataCtrlr", "TxEndedMeasurands", _MEASURANDS)
    await bench.configure("SampledDataCtrlr", "TxEndedInterval", str(_SAMPLED_S))
    await bench.configure("AlignedDataCtrlr", "TxEndedMeasurands", "")
    await bench.configure("SampledDataCtrlr", "SignReadings", "true")
    # With it the begin has an event of its own, which the reusable states of the session do not know.
    await configure_if_implemented(bench, "SampledDataCtrlr", "SignStartedReadings", "false")
    await session_of(bench, _DURATION_S)
    values = ended(bench)["meterValue"]
    check_signed(values)
    periodic = [value for value in values if value["sampledValue"][0]["context"] == "Sample.Periodic"]
    check_measurands(periodic, _MEASURANDS)
    check_intervals(periodic, _SAMPLED_S)
    assert values[-1]["sampledValue"][0]["context"] == "Transaction.End", values
    check_locations(bench)


@case("Core", "C", "C-28")
@setup(variables={"SampledDataCtrlr.TxUpdatedInterval": "0", "SampledDataCtrlr.TxStartedMeasurands": ""})
async def test_tc_j_06_cs(bench: Bench) -> None:
    """Clock-aligned Meter Values - No Meter Values during transaction"""
    await bench.configure("AlignedDataCtrlr", "Measurands", _MEASURANDS)
    await bench.configure("AlignedDataCtrlr", "Interval", str(_ALIGNED_S))
    await bench.configure("AlignedDataCtrlr", "SendDuringIdle", "true")
    for _ in range(2 * bench.setup.evses):
        await bench.expect("MeterValues", within_s=_ALIGNED_S + 5.0)
    before = idle_values(bench)
    await states.energy_transfer_started(bench)
    await bench.advance(_ALIGNED_S + 5.0)
    await bench.settle()
    frames = bench.journal.frames
    started = next(
        index
        for index, frame in enumerate(frames)
        if frame.from_station and frame.action == "TransactionEvent" and frame.payload["eventType"] == "Started"
    )
    during = [frame for frame in frames[started:] if frame.from_station and frame.kind == 2]
    assert [frame for frame in during if frame.action == "MeterValues"] == []
    assert [frame for frame in during if "meterValue" in frame.payload] == []
    await states.parking_bay_unoccupied(bench)
    so_far = {evse_id: len(values) for evse_id, values in idle_values(bench).items()}
    for _ in range(2 * bench.setup.evses):
        await bench.expect("MeterValues", within_s=_ALIGNED_S + 5.0)
    after = {evse_id: values[so_far[evse_id] :] for evse_id, values in idle_values(bench).items()}
    assert before.keys() == after.keys()
    for values in (*before.values(), *after.values()):
        check_context(values, "Sample.Clock")
        check_measurands(values, _MEASURANDS)
        check_intervals(values, _ALIGNED_S)
    check_locations(bench)


@case("Core", "M", "C-40")
@pytest.mark.parametrize(
    "station_setup",
    [
        Setup(variables={"TxCtrlr.TxStartPoint": point})
        for point in ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
    ],
    ids=["ev-connected", "authorized", "power-path-closed", "energy-transfer"],
)
async def test_tc_j_07_cs(bench: Bench) -> None:
    """Sampled Meter Values - EventType Started - EVSE known"""
    await bench.configure("SampledDataCtrlr", "TxStartedMeasurands", _MEASURANDS)
    await states.parking_bay_occupied(bench)
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    (event,) = (one.payload for one in bench.journal.sent("TransactionEvent") if one.payload["eventType"] == "Started")
    values = event["meterValue"]
    check_context(values, "Transaction.Begin")
    check_measurands(values, _MEASURANDS)
    check_locations(bench)


@case("Core", "M", "C-40")
async def test_tc_j_09_cs(bench: Bench) -> None:
    """Sampled Meter Values - EventType Updated"""
    await bench.configure("SampledDataCtrlr", "TxUpdatedMeasurands", _MEASURANDS)
    await bench.configure("SampledDataCtrlr", "TxUpdatedInterval", str(_SAMPLED_S))
    await states.energy_transfer_started(bench)
    await bench.advance(_DURATION_S)
    await bench.settle()
    periodic = events(bench, "MeterValuePeriodic")
    assert all(event["eventType"] == "Updated" for event in periodic)
    values = meter_values(periodic)
    check_context(values, "Sample.Periodic")
    check_measurands(values, _MEASURANDS)
    check_intervals(values, _SAMPLED_S)
    check_intervals([{"timestamp": event["timestamp"]} for event in periodic], _SAMPLED_S)
    check_locations(bench)


@case("Core", "M", "C-40")
async def test_tc_j_10_cs(bench: Bench) -> None:
    """Sampled Meter Values - EventType Ended"""
    await bench.configure("SampledDataCtrlr", "TxEndedMeasurands", _MEASURANDS)
    await bench.configure("SampledDataCtrlr", "TxEndedInterval", str(_SAMPLED_S))
    await bench.configure("AlignedDataCtrlr", "TxEndedMeasurands", "")
    await session_of(bench, _DURATION_S)
    values = ended(bench)["meterValue"]
    check_measurands(values, _MEASURANDS)
    periodic = [value for value in values if value["sampledValue"][0]["context"] != "Transaction.End"]
    check_context(periodic, "Sample.Periodic")
    check_intervals(periodic, _SAMPLED_S)
    assert any(one["context"] == "Transaction.End" for one in samples(values)), values
    check_locations(bench)
