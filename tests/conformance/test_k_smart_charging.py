"""Block K, smart charging: charging profiles are set, replaced, kept and refused."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.charging_profiles import (
    DEVIATION_S,
    DURATION_S,
    PROFILE_ID,
    UNITS,
    check_periods,
    check_reported,
    composite,
    profile,
    set_profile,
)
from tests.conformance.frames import Payload

_UNKNOWN = "UNKNOWN-TRANSACTION-ID"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_01_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - TxDefaultProfile - Specific EVSE"""
    sent = profile(unit, (0, 6.0), start=bench.iso(), duration=DURATION_S)
    assert await set_profile(bench, sent) == "Accepted"
    await check_reported(bench, 1, {bench.evse_id: [sent]}, chargingProfileId=[PROFILE_ID])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_02_cs(bench: Bench) -> None:
    """Set Charging Profile - TxProfile without ongoing transaction on the specified EVSE"""
    sent = profile("A", purpose="TxProfile", kind="Relative", transactionId=_UNKNOWN)
    assert await set_profile(bench, sent) == "Rejected"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_03_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - ChargingStationMaxProfile"""
    sent = profile(unit, (0, 6.0), purpose="ChargingStationMaxProfile", start=bench.iso(), duration=DURATION_S)
    assert await set_profile(bench, sent, evse_id=0) == "Accepted"
    await check_reported(bench, 3, {0: [sent]}, chargingProfileId=[PROFILE_ID])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_04_cs(bench: Bench, unit: str) -> None:
    """Replace charging profile - With chargingProfileId"""
    await states.set_charging_profile(bench, profile(unit, (0, 6.0), start=bench.iso()))
    sent = profile(unit, (0, 10.0), start=bench.iso())
    assert await set_profile(bench, sent) == "Accepted"
    await check_reported(bench, 4, {bench.evse_id: [sent]}, chargingProfileId=[PROFILE_ID])


@case("Smart Charging", "M", "SC-4")
@case("ISO 15118 Support", "M", "SC-4")
@setup(evses=2)
@UNITS
async def test_tc_k_10_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - TxDefaultProfile - All EVSE"""
    sent = profile(unit, (0, 6.0), start=bench.iso(), duration=DURATION_S)
    assert await set_profile(bench, sent, evse_id=0) == "Accepted"
    await check_reported(bench, 10, {0: [sent]}, chargingProfileId=[PROFILE_ID])
    (report,) = bench.journal.sent("ReportChargingProfiles")
    assert report.payload.get("tbc", False) is False, report


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_11_cs(bench: Bench) -> None:
    """Set Charging Profile - Unable to set TxProfile on all EVSE at once"""
    sent = profile("A", purpose="TxProfile", kind="Relative", transactionId=_UNKNOWN)
    assert await set_profile(bench, sent, evse_id=0) == "Rejected"


@case("Smart Charging", "C", "NOT (SC-2.1 and SC-2.2)")
@case("ISO 15118 Support", "C", "NOT (SC-2.1 and SC-2.2)")
@pytest.mark.parametrize(
    "unit",
    [
        pytest.param("W", marks=setup(variables={"SmartChargingCtrlr.RateUnit": "A"})),
        pytest.param("A", marks=setup(variables={"SmartChargingCtrlr.RateUnit": "W"})),
    ],
)
async def test_tc_k_12_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - ChargerRateUnit Rejected"""
    assert await bench.get_variable("SmartChargingCtrlr", "RateUnit") != unit
    assert await set_profile(bench, profile(unit, start=bench.iso())) == "Rejected"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_13_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - Persistent over reboot"""
    sent = profile(unit, (0, 6.0), start=bench.iso(), duration=DURATION_S)
    assert await set_profile(bench, sent) == "Accepted"
    await states.booted(bench)
    await check_reported(bench, 13, {bench.evse_id: [sent]}, chargingProfileId=[PROFILE_ID])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_14_cs(bench: Bench) -> None:
    """Set Charging Profile - Unexisting EVSEid"""
    sent = profile("A", start=bench.iso())
    assert await set_profile(bench, sent, evse_id=bench.setup.evses + 1) == "Rejected"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_16_cs(bench: Bench) -> None:
    """Set Charging Profile - Unknown transactionId"""
    await states.energy_transfer_started(bench)
    sent = profile("A", purpose="TxProfile", kind="Relative", transactionId=_UNKNOWN)
    assert await set_profile(bench, sent) == "Rejected"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@pytest.mark.parametrize("recurrency", ["Daily", "Weekly"])
async def test_tc_k_19_cs(bench: Bench, recurrency: str) -> None:
    """Set Charging Profile - ChargingProfileKind is Recurring"""
    sent = profile("A", kind="Recurring", start=bench.iso(), recurrencyKind=recurrency)
    assert await set_profile(bench, sent) == "Accepted"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_21_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - ValidFrom"""
    sent = profile(unit, (0, 6.0), kind="Relative", validFrom=bench.iso(300.0))
    now = bench.iso()
    assert await set_profile(bench, sent) == "Accepted"
    schedule = await composite(bench, bench.evse_id, 400, unit)
    check_periods(schedule, now, unit, [(0, None), (300, 6.0)])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@setup(evses=2)
@UNITS
async def test_tc_k_22_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - ValidTo"""
    now = bench.iso()
    valid: Payload = {"validFrom": bench.iso(-DEVIATION_S), "validTo": bench.iso(300.0)}
    assert await set_profile(bench, profile(unit, (0, 6.0), start=now, **valid), evse_id=0) == "Accepted"
    for evse_id in range(bench.setup.evses + 1):
        schedule = await composite(bench, evse_id, 400, unit)
        limit = 6.0 * bench.setup.evses if evse_id == 0 else 6.0
        check_periods(schedule, now, unit, [(0, limit), (300, None)])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_23_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - StartSchedule"""
    now = bench.iso()
    assert await set_profile(bench, profile(unit, (0, 6.0), start=bench.iso(60.0))) == "Accepted"
    schedule = await composite(bench, bench.evse_id, 300, unit)
    check_periods(schedule, now, unit, [(0, None), (60, 6.0)])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_28_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - TxDefaultProfile with transaction ongoing"""
    await bench.configure("SmartChargingCtrlr", "LimitChangeSignificance", "1.0")
    await states.energy_transfer_started(bench)
    duration = round(400 + DEVIATION_S)
    sent = profile(unit, (0, 6.0), start=bench.iso(-DEVIATION_S), duration=duration)
    assert await set_profile(bench, sent) == "Accepted"
    schedule = await composite(bench, bench.evse_id, 300, unit)
    check_periods(schedule, bench.iso(), unit, [(0, 6.0)])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_60_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - TxProfile with ongoing transaction on the specified EVSE"""
    await states.energy_transfer_started(bench)
    identity = bench.session().transaction_id
    sent = profile(unit, (0, 6.0), purpose="TxProfile", kind="Relative", transactionId=identity)
    assert await set_profile(bench, sent) == "Accepted"
    await check_reported(bench, 60, {bench.evse_id: [sent]}, chargingProfileId=[PROFILE_ID])


# With a remote start


async def _start_with_profile(bench: Bench, sent: Payload) -> None:
    """A RequestStartTransaction with a charging profile, from EVConnectedPreSession to EnergyTransferStarted."""
    await states.ev_connected_pre_session(bench)
    session = bench.session()
    was_started = session.started
    session.remote, session.remote_start_id = True, 38
    await bench.note_action("remote-start", bench.evse_id, VALID_TOKEN)
    answer = await bench.call(
        "RequestStartTransaction",
        {
            "idToken": VALID_TOKEN,
            "remoteStartId": session.remote_start_id,
            "evseId": bench.evse_id,
            "chargingProfile": sent,
        },
    )
    assert answer["status"] == "Accepted", answer
    if was_started:
        assert answer.get("transactionId") == session.transaction_id, answer
    if await bench.get_variable("AuthCtrlr", "AuthorizeRemoteStart") == "true":
        request = await bench.expect("Authorize")
        assert request["idToken"]["idToken"] == VALID_TOKEN["idToken"], request
        assert request["idToken"]["type"] == VALID_TOKEN["type"], request
    session.authorized = True
    if was_started or {"Authorized", "PowerPathClosed"} & bench.start_points:  # the EV is connected
        event = await bench.expect_event()
        assert event["triggerReason"] == "RemoteStart", event
        assert event["transactionInfo"].get("remoteStartId") == session.remote_start_id, event
    await states.energy_transfer_started(bench)


@case("Smart Charging", "M")
@pytest.mark.parametrize(
    ("unit", "authorize_expected"),
    [
        pytest.param("A", False, marks=setup()),
        pytest.param("W", False, marks=setup()),
        pytest.param("A", True, marks=setup(variables={"AuthCtrlr.AuthorizeRemoteStart": "true"})),
        pytest.param("A", False, marks=setup(variables={"TxCtrlr.TxStartPoint": "PowerPathClosed"})),
    ],
)
async def test_tc_k_37_cs(bench: Bench, unit: str, authorize_expected: bool) -> None:
    """Remote start transaction with charging profile - Success"""
    sent = profile(unit, (0, 6.0), purpose="TxProfile", kind="Relative")
    await _start_with_profile(bench, sent)
    assert bool(bench.journal.sent("Authorize")) is authorize_expected
    await check_reported(bench, 37, {bench.evse_id: [sent]}, chargingProfileId=[PROFILE_ID])


@case("Core", "C", "NOT Smart Charging")
@setup(variables={"SmartChargingCtrlr.Enabled": "false"})  # F01.FR.12: this variable reports whether it is supported
async def test_tc_k_38_cs(bench: Bench) -> None:
    """Remote start transaction with charging profile - Ignore chargingProfile"""
    await _start_with_profile(bench, profile("A", (0, 6.0), purpose="TxProfile", kind="Relative"))
    await bench.advance(10.0)
    limits = (await bench.station.get("/api/status"))["evses"][bench.evse_id - 1]["limits"]
    assert "charging-profile" not in {limit["source"] for limit in limits}, limits  # it is truly ignored
