"""Block K, smart charging: the composite schedule."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.charging_profiles import (
    DEVIATION_S,
    UNITS,
    check_periods,
    composite,
    profile,
)
from tests.conformance.frames import Payload


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_39_cs(bench: Bench, unit: str) -> None:
    """Get Composite Schedule - No ChargingProfile installed on Charging Station"""
    schedule = await composite(bench, 0, 300, unit)
    assert schedule["chargingSchedulePeriod"][0]["startPeriod"] == 0, schedule


@case("Smart Charging", "M", "SC-2")
@case("ISO 15118 Support", "M", "SC-2")
@UNITS
async def test_tc_k_40_cs(bench: Bench, unit: str) -> None:
    """Get Composite Schedule - Stacking ChargingProfiles"""
    start = bench.iso(-DEVIATION_S)
    valid: Payload = {"validFrom": bench.iso(-DEVIATION_S), "validTo": bench.iso(DEVIATION_S + 401.0)}
    low = profile(unit, (0, 6.0), (100, 8.0), (200, 10.0), start=start, duration=round(400 + DEVIATION_S), **valid)
    high = profile(
        unit, (0, 7.0), (100, 9.0), start=start, duration=round(150 + DEVIATION_S), identity=2, level=1, **valid
    )
    await states.set_charging_profile(bench, low)
    await states.set_charging_profile(bench, high)
    schedule = await composite(bench, bench.evse_id, 350, unit)
    expected: list[tuple[int, float | None]] = [(0, 7.0), (100, 9.0), (round(150 + DEVIATION_S), 8.0), (200, 10.0)]
    check_periods(schedule, start, unit, expected)


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_41_cs(bench: Bench, unit: str) -> None:
    """Get Composite Schedule - Combining chargingProfilePurposes"""
    await states.energy_transfer_started(bench)  # errata 2025-09, 6.2.75
    start = bench.iso(-DEVIATION_S)
    valid: Payload = {"validFrom": bench.iso(-DEVIATION_S), "validTo": bench.iso(DEVIATION_S + 401.0)}
    most = profile(unit, (0, 10.0), purpose="ChargingStationMaxProfile", start=start, duration=86_400, identity=1)
    default = profile(
        unit,
        (0, 6.0),
        (60, 10.0),
        (120, 8.0),
        (180, 15.0),
        (260, 8.0),
        start=start,
        duration=300,
        identity=2,
        **valid,
    )
    of_transaction = profile(
        unit,
        (0, 8.0),
        (50, 11.0),
        (140, 16.0),
        (200, 6.0),
        (240, 12.0),
        purpose="TxProfile",
        start=start,
        duration=260,
        identity=3,
        transactionId=bench.session().transaction_id,
        **valid,
    )
    await states.set_charging_profile(bench, most, evse_id=0)
    await states.set_charging_profile(bench, default)
    await states.set_charging_profile(bench, of_transaction)
    schedule = await composite(bench, bench.evse_id, 400, unit)
    check_periods(
        schedule,
        start,
        unit,
        [(0, 8.0), (50, 10.0), (200, 6.0), (240, 10.0), (260, 8.0), (300, 10.0)],
    )


@case("Smart Charging", "C", "NOT (SC-2.1 and SC-2.2)")
@case("ISO 15118 Support", "C", "NOT (SC-2.1 and SC-2.2)")
@pytest.mark.parametrize(
    "unit",
    [
        pytest.param("W", marks=setup(variables={"SmartChargingCtrlr.RateUnit": "A"})),
        pytest.param("A", marks=setup(variables={"SmartChargingCtrlr.RateUnit": "W"})),
    ],
)
async def test_tc_k_42_cs(bench: Bench, unit: str) -> None:
    """Get Composite Schedule - chargingRateUnit not supported"""
    request = {"evseId": 0, "duration": 300, "chargingRateUnit": unit}
    answer = await bench.call("GetCompositeSchedule", request)
    assert answer["status"] == "Rejected", answer
    assert "schedule" not in answer, answer


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_47_cs(bench: Bench, unit: str) -> None:
    """Get Composite Schedule - Unknown EVSEId"""
    request = {"evseId": bench.setup.evses + 1, "duration": 300, "chargingRateUnit": unit}
    answer = await bench.call("GetCompositeSchedule", request)
    assert answer["status"] == "Rejected", answer
    assert "schedule" not in answer, answer
