"""Block K, smart charging: the CSMS asks which charging profiles are installed, and clears them."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.charging_profiles import (
    DEVIATION_S,
    PROFILE_ID,
    UNITS,
    check_periods,
    check_reported,
    composite,
    get_profiles,
    multiplier,
    profile,
)
from tests.conformance.frames import Payload

_MAX = "ChargingStationMaxProfile"
_DEFAULT = "TxDefaultProfile"


async def _install_two_profiles(
    bench: Bench, *, level_of_max: int = 0, level_of_default: int = 0
) -> tuple[Payload, Payload]:
    """Memory state: a ChargingStationMaxProfile on the station, a TxDefaultProfile on the configured EVSE."""
    most = profile("A", (0, 16.0), purpose=_MAX, start=bench.iso(), identity=201, level=level_of_max)
    default = profile("A", (0, 10.0), start=bench.iso(), identity=202, level=level_of_default)
    await states.set_charging_profile(bench, most, evse_id=0)
    await states.set_charging_profile(bench, default)
    return most, default


async def _clear(bench: Bench, **request: object) -> str:
    """ClearChargingProfile; the status."""
    return str((await bench.call("ClearChargingProfile", dict(request)))["status"])


# Clear


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_05_cs(bench: Bench) -> None:
    """Clear Charging Profile - With chargingProfileId"""
    await states.set_charging_profile(bench, profile("A", start=bench.iso()))
    assert await _clear(bench, chargingProfileId=PROFILE_ID) == "Accepted"
    assert await get_profiles(bench, 5, chargingProfileId=[PROFILE_ID]) == "NoProfiles"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_06_cs(bench: Bench) -> None:
    """Clear Charging Profile - With stackLevel/purpose combination for one profile"""
    await states.set_charging_profile(bench, profile("A", start=bench.iso(), level=2))
    await states.energy_transfer_started(bench)
    criteria: Payload = {"chargingProfilePurpose": _DEFAULT, "stackLevel": 2}
    assert await _clear(bench, chargingProfileCriteria=criteria) == "Accepted"
    assert await get_profiles(bench, 6, **criteria) == "NoProfiles"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_07_cs(bench: Bench) -> None:
    """Clear Charging Profile - With unknown stackLevel/purpose combination"""
    await states.set_charging_profile(bench, profile("A", start=bench.iso(), level=1))
    criteria: Payload = {"chargingProfilePurpose": _MAX, "stackLevel": 0}
    assert await _clear(bench, chargingProfileCriteria=criteria) == "Unknown"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_08_cs(bench: Bench) -> None:
    """Clear Charging Profile - Without previous charging profile"""
    assert await _clear(bench, chargingProfileId=PROFILE_ID) == "Unknown"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
@UNITS
async def test_tc_k_09_cs(bench: Bench, unit: str) -> None:
    """Clear Charging Profile - Clearing a TxDefaultProfile - With ongoing transaction"""
    await bench.configure("SmartChargingCtrlr", "LimitChangeSignificance", "1.0")
    await states.set_charging_profile(
        bench, profile(unit, (0, 6.0), start=bench.iso(), duration=round(400 + DEVIATION_S))
    )
    await states.energy_transfer_started(bench)
    schedule = await composite(bench, bench.evse_id, 300, unit)
    check_periods(schedule, bench.iso(), unit, [(0, 6.0)])
    assert await _clear(bench, chargingProfileCriteria={"chargingProfilePurpose": _DEFAULT}) == "Accepted"
    schedule = await composite(bench, bench.evse_id, 300, unit)
    check_periods(schedule, bench.iso(), unit, [(0, None)])
    assert schedule["chargingSchedulePeriod"][0]["limit"] != 6.0 * multiplier(unit), schedule


@case("Smart Charging", "C", "HFS-8 > 1")
@case("ISO 15118 Support", "C", "HFS-8 > 1")
@setup(evses=2)
async def test_tc_k_24_cs(bench: Bench) -> None:
    """Clear Charging Profile - With stackLevel/purpose combination for multiple profiles"""
    await states.set_charging_profile(bench, profile("A", start=bench.iso(), identity=201, level=1), evse_id=1)
    await states.set_charging_profile(bench, profile("A", start=bench.iso(), identity=202, level=1), evse_id=2)
    criteria: Payload = {"chargingProfilePurpose": _DEFAULT, "stackLevel": 1}
    assert await _clear(bench, chargingProfileCriteria=criteria) == "Accepted"
    assert await get_profiles(bench, 24, **criteria) == "NoProfiles"


# Get


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_29_cs(bench: Bench) -> None:
    """Get Charging Profile - EvseId 0"""
    most, _ = await _install_two_profiles(bench)
    await check_reported(bench, 29, {0: [most]}, 0)


@pytest.mark.smoke
@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_30_cs(bench: Bench) -> None:
    """Get Charging Profile - EvseId > 0"""
    _, default = await _install_two_profiles(bench)
    await check_reported(bench, 30, {bench.evse_id: [default]}, bench.evse_id)


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_31_cs(bench: Bench) -> None:
    """Get Charging Profile - No EvseId"""
    most, default = await _install_two_profiles(bench)
    await check_reported(bench, 31, {0: [most], bench.evse_id: [default]})


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_32_cs(bench: Bench) -> None:
    """Get Charging Profile - chargingProfileId"""
    most, _ = await _install_two_profiles(bench)
    await check_reported(bench, 32, {0: [most]}, chargingProfileId=[most["id"]])


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_33_cs(bench: Bench) -> None:
    """Get Charging Profile - EvseId > 0 + stackLevel"""
    # <Configured stackLevel> is that of the profile on the EVSE: another one would find nothing there.
    _, default = await _install_two_profiles(bench, level_of_max=1, level_of_default=2)
    await check_reported(bench, 33, {bench.evse_id: [default]}, bench.evse_id, stackLevel=2)


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_34_cs(bench: Bench) -> None:
    """Get Charging Profile - EvseId > 0 + chargingLimitSource"""
    sent = profile("A", start=bench.iso(), level=1)
    await states.set_charging_profile(bench, sent)
    await check_reported(bench, 34, {bench.evse_id: [sent]}, bench.evse_id, chargingLimitSource=["CSO"])
    assert await get_profiles(bench, 35, bench.evse_id, chargingLimitSource=["EMS"]) == "NoProfiles"


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_35_cs(bench: Bench) -> None:
    """Get Charging Profile - EvseId > 0 + chargingProfilePurpose"""
    _, default = await _install_two_profiles(bench)
    await states.energy_transfer_started(bench)  # errata 2025-09, 6.2.70
    await check_reported(bench, 35, {bench.evse_id: [default]}, bench.evse_id, chargingProfilePurpose=_DEFAULT)


@case("Smart Charging", "M")
@case("ISO 15118 Support", "M")
async def test_tc_k_36_cs(bench: Bench) -> None:
    """Get Charging Profile - EvseId > 0 + chargingProfilePurpose + stackLevel"""
    _, default = await _install_two_profiles(bench, level_of_max=1, level_of_default=1)
    await check_reported(
        bench,
        36,
        {bench.evse_id: [default]},
        bench.evse_id,
        chargingProfilePurpose=_DEFAULT,
        stackLevel=1,
    )
