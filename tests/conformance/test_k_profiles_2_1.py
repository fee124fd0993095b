"""Block K, what OCPP 2.1 adds: profiles that lapse while the station is offline, and features that it refuses."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case_2_1
from tests.conformance.charging_profiles import UNITS, check_reported, composite, multiplier, profile, set_profile
from tests.conformance.frames import Payload

MAX_OFFLINE_S: Final = 120
"""<Configured maxOfflineDuration>"""
UPPER: Final = 102


async def _offline(bench: Bench, seconds: float) -> None:
    await bench.go_offline()
    await bench.advance(seconds)
    await bench.accept_reconnect()


async def _limit(bench: Bench, unit: str) -> float:
    """The limit of the first period of the composite schedule, in amperes."""
    schedule = await composite(bench, bench.evse_id, 900, unit)
    return schedule["chargingSchedulePeriod"][0]["limit"] / multiplier(unit)


@case_2_1("Smart Charging", "M")
@UNITS
async def test_tc_k_100_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - maxOfflineDuration"""

    async def set_upper(amperes: float, **offline: Any) -> None:
        start = bench.iso()
        sent = profile(unit, (0, amperes), identity=UPPER, level=1, start=start, **offline)
        assert await set_profile(bench, sent, evse_id=0) == "Accepted"

    lower = profile(unit, (0, 6.0), start=bench.iso())
    assert await set_profile(bench, lower, evse_id=0) == "Accepted"  # step 2
    await set_upper(7.0, maxOfflineDuration=MAX_OFFLINE_S, invalidAfterOfflineDuration=True)  # step 4
    await states.energy_transfer_started(bench)
    await _offline(bench, 0.0)  # steps 6 and 7
    assert await _limit(bench, unit) == pytest.approx(7.0, abs=0.05)  # step 9
    await _offline(bench, MAX_OFFLINE_S)
    assert await _limit(bench, unit) == pytest.approx(6.0, abs=0.05)  # step 14
    await set_upper(8.0, maxOfflineDuration=MAX_OFFLINE_S, invalidAfterOfflineDuration=False)
    await _offline(bench, MAX_OFFLINE_S)
    assert await _limit(bench, unit) == pytest.approx(8.0, abs=0.05)  # step 21
    await set_upper(9.0, maxOfflineDuration=0, invalidAfterOfflineDuration=True)
    await _offline(bench, 0.0)
    assert await _limit(bench, unit) == pytest.approx(6.0, abs=0.05)  # step 27
    bench.take("TransactionEvent")  # the changes of the rate, which no step of the case reads


@case_2_1("Smart Charging", "M")
@UNITS
async def test_tc_k_105_cs(bench: Bench, unit: str) -> None:
    """Set Charging Profile - ChargingStationMaxProfile persistent over reboot"""
    purpose = "ChargingStationMaxProfile"
    sent = profile(unit, (0, 6.0), purpose=purpose, start=bench.iso(), duration=86_400)
    assert await set_profile(bench, sent, evse_id=0) == "Accepted"  # step 2
    await states.booted(bench)
    await check_reported(bench, 105, {0: [sent]}, chargingProfileId=[sent["id"], UPPER])  # steps 5 and 6


def _refused(**schedule_fields: Any) -> Payload:
    """A TxProfile of evseId 0 as the cases send it, with a field of its schedule."""
    schedule: Payload = {
        "id": 1,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
        **schedule_fields,
    }
    return {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
    }


async def _check_refused(bench: Bench, sent: Payload, reason: str) -> None:
    """Step 2 of the cases: Rejected, with this reason if one is given; nothing is installed."""
    answer = await bench.call("SetChargingProfile", {"evseId": 0, "chargingProfile": sent})
    assert answer["status"] == "Rejected", answer
    assert answer.get("statusInfo", {}).get("reasonCode", reason) == reason, answer
    answer = await bench.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {"chargingProfileId": [1]}})
    assert answer["status"] == "NoProfiles", answer


async def _purpose_is_refused(bench: Bench, purpose: str) -> None:
    await _check_refused(bench, {**_refused(), "chargingProfilePurpose": purpose}, "UnsupportedPurpose")


@case_2_1("Smart Charging", "C", "NOT SC-6")
async def test_tc_k_130_cs(bench: Bench) -> None:
    """Set Charging Profile - PriorityCharging unsupported"""
    await _purpose_is_refused(bench, "PriorityCharging")


@case_2_1("Smart Charging", "C", "Not supporting Bidirectional Power Transfer")
async def test_tc_k_131_cs(bench: Bench) -> None:
    """Set Charging Profile - LocalGeneration unsupported"""
    await _purpose_is_refused(bench, "LocalGeneration")


@case_2_1("Smart Charging", "C", "NOT SC-5")
async def test_tc_k_132_cs(bench: Bench) -> None:
    """Set Charging Profile - useLocalTime unsupported"""
    await _check_refused(bench, _refused(useLocalTime=True), "InvalidSchedule")


@case_2_1("Smart Charging", "C", "NOT SC-7")
async def test_tc_k_133_cs(bench: Bench) -> None:
    """Set Charging Profile - RandomizedDelay unsupported"""
    await _check_refused(bench, _refused(randomizedDelay=10), "InvalidSchedule")


@case_2_1("Smart Charging", "C", "NOT SC-3")
async def test_tc_k_134_cs(bench: Bench) -> None:
    """Set Charging Profile - LimitAtSoC unsupported"""
    await _check_refused(bench, _refused(limitAtSoC={"soc": 80, "limit": 10.0}), "InvalidSchedule")


@case_2_1("Smart Charging", "C", "NOT SC-9.1")
async def test_tc_k_135_cs(bench: Bench) -> None:
    """Idle operationMode - Set Charging Profile - EvseSleep unsupported"""
    period = {"startPeriod": 0, "limit": 6.0, "evseSleep": True}
    await _check_refused(bench, _refused(chargingSchedulePeriod=[period]), "InvalidSchedule")
