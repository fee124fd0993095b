"""Block J, meter values: clock-aligned and sampled (Core)."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload
from tests.conformance.station_under_test import Setup

REGISTER = "Energy.Active.Import.Register"
_MEASURANDS = f"{REGISTER},Power.Active.Import,Current.Import,Voltage"
_ALIGNED_S = 30
"""<Configured clock-aligned Meter Values interval>, and that of the end"""
_SAMPLED_S = 15
_DURATION_S = 100.0
"""<Configured transaction duration>"""
_DEVIATION_S = 1.0

EVSES = pytest.mark.parametrize("station_setup", [Setup(), Setup(evses=2)], ids=["one-evse", "two-evses"])
"""a case that speaks of the EVSE of the transaction and of idle ones"""


async def configure_if_implemented(bench: Bench, component: str, variable: str, value: str) -> None:
    """A configuration state that is wanted of stations that have the variable."""
    status = await bench.set_variable(component, variable, value)
    assert status in {"Accepted", "UnknownComponent", "UnknownVariable"}, status


def samples(values: Iterable[Payload]) -> list[Payload]:
    """The sampled values of some meter values."""
    return [sample for value in values for sample in value["sampledValue"]]


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
    """sampledValue[0].context; the others of the same moment have no other one."""
    assert values
    for value in values:
        assert {sample.get("context", "Sample.Periodic") for sample in value["sampledValue"]} == {context}, value


def check_measurands(values: Sequence[Payload], configured: str) -> None:
    """An element per configured measurand, at each moment; the register may go unnamed."""
    assert values
    for moment, values_then in by_moment(values).items():
        found = {sample.get("measurand", REGISTER) for sample in samples(values_then)}
        assert found >= set(configured.split(",")), f"at {moment}: {found}"


def check_intervals(values: Sequence[Payload], interval_s: float) -> None:
    """The intervals between the times equal the configured one."""
    moments = list(by_moment(values))
    assert len(moments) >= 2, moments
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert gaps == pytest.approx([interval_s] * len(gaps), abs=_DEVIATION_S), gaps


def check_phases(values: Sequence[Payload]) -> None:
    """Errata 2025-09, 6.2.63: what a meter measures of each phase is reported of each, at each moment."""
    for moment, values_then in by_moment(values).items():
        for measurand in ("Current.Import", "Voltage"):
            phases = {sample.get("phase") for sample in samples(values_then) if sample.get("measurand") == measurand}
            assert len(phases - {None, "N"}) >= 3, f"{measurand} at {moment}: {phases}"


def check_locations(bench: Bench) -> None:
    """Errata 2025-09, 6.2.58: nothing but SoC is measured in the EV."""
    payloads = [frame.payload for name in ("MeterValues", "TransactionEvent") for frame in bench.journal.sent(name)]
    for sample in samples(meter_values(payloads)):
        assert sample.get("location") != "EV" or sample["measurand"] == "SoC", sample


def events(bench: Bench, trigger: str) -> list[Payload]:
    """The TransactionEvents with this trigger reason."""
    payloads = (frame.payload for frame in bench.journal.sent("TransactionEvent"))
    return [event for event in payloads if event["triggerReason"] == trigger]


def idle_values(bench: Bench) -> dict[int, list[Payload]]:
    """The meter values of MeterValuesRequests, by EVSE."""
    values_by_evse: dict[int, list[Payload]] = defaultdict(list)
    for frame in bench.journal.sent("MeterValues"):
        values_by_evse[frame.payload["evseId"]].extend(frame.payload["meterValue"])
    return values_by_evse


def ended(bench: Bench) -> Payload:
    """The TransactionEvent that ended the transaction, with its MeterValue field."""
    (event,) = (
        frame.payload for frame in bench.journal.sent("TransactionEvent") if frame.payload["eventType"] == "Ended"
    )
    assert event.get("meterValue"), event
    return event


def check_ended(values: Sequence[Payload], interval_s: float) -> None:
    """The Ended event of a sampled transaction has a value per interval, and the one of its end."""
    *periodic, last = values
    check_context(periodic, "Sample.Periodic")
    check_intervals(periodic, interval_s)
    check_context([last], "Transaction.End")
    check_measurands(values, _MEASURANDS)


async def session_of(bench: Bench, duration_s: float) -> None:
    """EnergyTransferStarted, the transaction duration, and ParkingBayUnoccupied."""
    await states.energy_transfer_started(bench)
    await bench.advance(duration_s)
    await states.parking_bay_unoccupied(bench)


@case("Core", "M", "C-40")
@EVSES
async def test_tc_j_01_cs(bench: Bench) -> None:
    """Clock-aligned Meter Values - No transaction ongoing"""
    await bench.configure("AlignedDataCtrlr", "Measurands", _MEASURANDS)
    await bench.configure("AlignedDataCtrlr", "Interval", str(_ALIGNED_S))
    for _ in range(3 * bench.setup.evses):
        await bench.expect("MeterValues", within_s=_ALIGNED_S + 5.0)
    values_by_evse = idle_values(bench)
    assert values_by_evse.keys() >= set(range(1, bench.setup.evses + 1)), values_by_evse.keys()
    for values in values_by_evse.values():
        check_context(values, "Sample.Clock")
        check_measurands(values, _MEASURANDS)
        check_intervals(values, _ALIGNED_S)
    check_intervals(
        [value for values in values_by_evse.values() for value in values], _ALIGNED_S
    )  # at the same moments
    assert bench.journal.sent("TransactionEvent") == []
    check_locations(bench)


@case("Core", "M", "C-40")
@EVSES
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
        check_intervals(events(bench, "MeterValueClock"), _ALIGNED_S)
    everywhere = [*in_events, *(value for values in idle.values() for value in values)]
    check_intervals(everywhere, _ALIGNED_S)  # at the same moments
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


PUBLIC_KEY_MODES = pytest.mark.parametrize("public_key_mode", ["Never", "OncePerTransaction", "EveryMeterValue"])
"""OCPPCommCtrlr.PublicKeyWithSignedMeterValue, on which a validation depends"""


def check_signed(values: Sequence[Payload], public_key_mode: str) -> None:
    """The register of each value is signed; the public key is there as often as it was asked for, and fits."""
    keys: list[str] = []
    for value in values:
        (register,) = [sample for sample in value["sampledValue"] if sample.get("measurand", REGISTER) == REGISTER]
        signed = register["signedMeterValue"]
        assert signed["encodingMethod"] == "OCMF", signed
        keys.append(signed["publicKey"])
    assert len(keys) >= 2
    shows = [bool(key) for key in keys]
    match public_key_mode:
        case "Never":
            assert not any(shows), keys
        case "OncePerTransaction":
            assert shows.count(True) == 1, keys
        case _:
            assert all(shows), keys
    for key in filter(None, keys):
        for value in values:
            check_signature(value, key)


def check_signature(value: Payload, key: str) -> None:
    """Read with nothing but a library for cryptography: OCMF (header, payload and signature), key as DER in hex.

    Raises:
        InvalidSignature: it is not of this key.
    """
    (signed,) = [sample["signedMeterValue"] for sample in value["sampledValue"] if "signedMeterValue" in sample]
    header, payload, signature = base64.b64decode(signed["signedMeterData"]).decode().split("|")
    assert header == "OCMF", header
    ocmf_signature = json.loads(signature)
    assert ocmf_signature["SA"] == "ECDSA-secp256r1-SHA256", ocmf_signature
    public = serialization.load_der_public_key(bytes.fromhex(base64.b64decode(key).decode().rpartition(":")[2]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(bytes.fromhex(ocmf_signature["SD"]), payload.encode(), ec.ECDSA(hashes.SHA256()))


@case("Core", "C", "C-40 and C-42")
@PUBLIC_KEY_MODES
async def test_tc_j_04_cs(bench: Bench, public_key_mode: str) -> None:
    """Clock-aligned Meter Values - Signed"""
    await bench.configure("AlignedDataCtrlr", "TxEndedMeasurands", _MEASURANDS)
    await bench.configure("AlignedDataCtrlr", "TxEndedInterval", str(_ALIGNED_S))
    await bench.configure("SampledDataCtrlr", "TxEndedMeasurands", "")
    await configure_if_implemented(bench, "AlignedDataCtrlr", "SendDuringIdle", "false")
    await bench.configure("AlignedDataCtrlr", "SignReadings", "true")
    await bench.configure("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", public_key_mode)
    await session_of(bench, _DURATION_S)
    values = ended(bench)["meterValue"]
    check_intervals(values, _ALIGNED_S)
    check_context(values, "Sample.Clock")
    check_measurands(values, _MEASURANDS)
    check_signed(values, public_key_mode)
    check_locations(bench)


@case("Core", "C", "C-42")
@PUBLIC_KEY_MODES
async def test_tc_j_11_cs(bench: Bench, public_key_mode: str) -> None:
    """Sampled Meter Values - Signed"""
    await bench.configure("SampledDataCtrlr", "TxEndedMeasurands", _MEASURANDS)
    await bench.configure("SampledDataCtrlr", "TxEndedInterval", str(_SAMPLED_S))
    await bench.configure("AlignedDataCtrlr", "TxEndedMeasurands", "")
    await bench.configure("SampledDataCtrlr", "SignReadings", "true")
    await bench.configure("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", public_key_mode)
    # With it the begin has an event of its own, which the reusable states of the session do not know.
    await configure_if_implemented(bench, "SampledDataCtrlr", "SignStartedReadings", "false")
    await session_of(bench, _DURATION_S)
    # OCA, Signed Meter Values 4.1.2: the signed value of the begin is sent with the end, since a bill check needs both.
    begin, *values = ended(bench)["meterValue"]
    check_context([begin], "Transaction.Begin")
    check_ended(values, _SAMPLED_S)
    check_signed([begin, *values], public_key_mode)
    check_locations(bench)


_UNSAMPLED = {"SampledDataCtrlr.TxUpdatedInterval": "0", "SampledDataCtrlr.TxStartedMeasurands": ""}


@case("Core", "C", "C-28")
@pytest.mark.parametrize(
    "station_setup",
    [Setup(variables=_UNSAMPLED), Setup(evses=2, variables=_UNSAMPLED)],
    ids=["one-evse", "two-evses"],
)
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
    counts_before = {evse_id: len(values) for evse_id, values in idle_values(bench).items()}
    for _ in range(2 * bench.setup.evses):
        await bench.expect("MeterValues", within_s=_ALIGNED_S + 5.0)
    after = {evse_id: values[counts_before[evse_id] :] for evse_id, values in idle_values(bench).items()}
    assert before.keys() == after.keys()
    for values_by_evse in (before, after):
        for values in values_by_evse.values():
            check_context(values, "Sample.Clock")
            check_measurands(values, _MEASURANDS)
            check_intervals(values, _ALIGNED_S)
        check_intervals(
            [value for values in values_by_evse.values() for value in values], _ALIGNED_S
        )  # at the same moments
    check_locations(bench)


@case("Core", "M", "C-40")
@pytest.mark.parametrize(
    "station_setup",
    [
        *(
            Setup(variables={"TxCtrlr.TxStartPoint": point})
            for point in ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
        ),
        Setup(variables={"TxCtrlr.TxStartPoint": "DataSigned", "SampledDataCtrlr.SignReadings": "true"}),
    ],
    ids=["ev-connected", "authorized", "power-path-closed", "energy-transfer", "data-signed"],
)
async def test_tc_j_07_cs(bench: Bench) -> None:
    """Sampled Meter Values - EventType Started - EVSE known"""
    await bench.configure("SampledDataCtrlr", "TxStartedMeasurands", _MEASURANDS)
    await states.parking_bay_occupied(bench)
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)
    (event,) = (
        frame.payload for frame in bench.journal.sent("TransactionEvent") if frame.payload["eventType"] == "Started"
    )
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
    check_intervals(periodic, _SAMPLED_S)
    check_locations(bench)


@case("Core", "M", "C-40")
async def test_tc_j_10_cs(bench: Bench) -> None:
    """Sampled Meter Values - EventType Ended"""
    await bench.configure("SampledDataCtrlr", "TxEndedMeasurands", _MEASURANDS)
    await bench.configure("SampledDataCtrlr", "TxEndedInterval", str(_SAMPLED_S))
    await bench.configure("AlignedDataCtrlr", "TxEndedMeasurands", "")
    await session_of(bench, _DURATION_S)
    check_ended(ended(bench)["meterValue"], _SAMPLED_S)
    check_locations(bench)


async def offered_measurands(bench: Bench) -> list[str]:
    """VariableCharacteristicsType.valuesList of SampledDataCtrlr.TxUpdatedMeasurands."""
    selector = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedMeasurands"}}
    answer = await bench.call("GetReport", {"requestId": 7, "componentVariable": [selector]})
    assert answer["status"] == "Accepted", answer
    (row,) = (await bench.expect("NotifyReport"))["reportData"]
    return row["variableCharacteristics"]["valuesList"].split(",")


async def test_every_offered_measurand_is_sent_and_the_intervals_add_up_to_the_registers(bench: Bench) -> None:
    """J02.FR.11, MeasurandEnumType: an interval is what its register counted since the sample before."""
    offered = await offered_measurands(bench)
    assert {"Energy.Reactive.Import.Register", "Power.Factor", "Energy.Active.Import.Interval"} <= set(offered)
    await bench.configure("SampledDataCtrlr", "TxUpdatedMeasurands", ",".join(offered))
    await bench.configure("SampledDataCtrlr", "TxUpdatedInterval", str(_SAMPLED_S))
    await session_of(bench, _DURATION_S)
    values = meter_values(events(bench, "MeterValuePeriodic"))
    check_measurands(values, ",".join(offered))
    started = next(
        frame.payload for frame in bench.journal.sent("TransactionEvent") if frame.payload["eventType"] == "Started"
    )

    def totals(payloads: Iterable[Payload], measurand: str) -> list[float]:
        found = (sample for sample in samples(payloads) if sample.get("measurand", REGISTER) == measurand)
        return [sample["value"] for sample in found if "phase" not in sample]

    for kind in ("Energy.Active.Import", "Energy.Reactive.Import"):
        registers, intervals = (totals(values, f"{kind}.{form}") for form in ("Register", "Interval"))
        assert len(registers) == len(intervals) >= 5
        assert [later - earlier for earlier, later in pairwise(registers)] == pytest.approx(intervals[1:], abs=1e-6)
        assert registers[-1] > registers[0]
    (begin,) = totals(meter_values([started]), REGISTER)
    assert totals(values, REGISTER)[-1] - begin == pytest.approx(
        sum(totals(values, "Energy.Active.Import.Interval")), abs=1e-6
    )


async def test_a_measurand_that_the_meter_does_not_give_is_refused(bench: Bench) -> None:
    status = await bench.set_variable("AlignedDataCtrlr", "Measurands", "Temperature")
    assert status == "Rejected"
