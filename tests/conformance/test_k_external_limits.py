"""Block K beside the certification profiles: limits of others than the CSMS (K11 to K13), and no smart charging."""

from __future__ import annotations

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.charging_profiles import composite, profile, reported
from tests.conformance.frames import Payload

_OPERATOR = "/api/load-management/limits/operator"
_EXTERNAL = "ChargingStationExternalConstraints"


def _is_rate(event: Payload) -> bool:
    return event["triggerReason"] == "ChargingRateChanged"


@case("", "")
@setup(variables={"SmartChargingCtrlr.Enabled": "false"})
async def test_tc_k_15_cs(bench: Bench) -> None:
    """Set Charging Profile - Not Supported"""
    answer = await bench.send_call(
        "SetChargingProfile", {"evseId": 1, "chargingProfile": profile("A", start=bench.iso())}
    )
    assert answer.kind == 4, answer
    assert answer.payload["code"] == "NotSupported", answer


@case("", "")
async def test_tc_k_52_cs(bench: Bench) -> None:
    """Set External Charging Limit (not on a transaction) - ChargingStationExternalConstraints in report"""
    await bench.station.put(_OPERATOR, {"current_a": 11.0})
    await bench.expect("NotifyChargingLimit")
    reports = await reported(bench, 52, chargingProfilePurpose=_EXTERNAL)  # accepted, and of this request
    profiles = [profile for report in reports for profile in report["chargingProfile"]]
    assert {profile["chargingProfilePurpose"] for profile in profiles} == {_EXTERNAL}, reports


async def test_a_limit_from_outside_is_reported_as_an_external_constraint(bench: Bench) -> None:
    """K12.FR.02, K12.FR.04, K12.FR.05; the CSMS cannot clear it (K10.FR.08, K10.FR.09)."""
    await states.set_charging_profile(bench, profile("A", (0, 20.0), start=bench.iso()))
    await bench.station.put(_OPERATOR, {"current_a": 11.0})
    notification = await bench.expect("NotifyChargingLimit")
    assert notification["chargingLimit"]["chargingLimitSource"] == "SO", notification
    (report,) = await reported(bench, 52, chargingProfilePurpose=_EXTERNAL)
    assert (report["evseId"], report["chargingLimitSource"]) == (0, "SO"), report
    (constraint,) = report["chargingProfile"]
    assert constraint["chargingProfilePurpose"] == _EXTERNAL, constraint
    for request in ({"chargingProfileId": constraint["id"]}, {"chargingProfileCriteria": {"evseId": 0}}):
        assert (await bench.call("ClearChargingProfile", request))["status"] == "Unknown"
    (period,) = (await composite(bench, bench.evse_id, 300, "A"))["chargingSchedulePeriod"]
    assert period["limit"] == 11.0, period


@setup(variables={"SmartChargingCtrlr.NotifyChargingLimitWithSchedules": "true"})
async def test_a_limit_from_outside_holds_a_charge_down_until_it_is_released(bench: Bench) -> None:
    """K11.FR.01 to K11.FR.05, K13.FR.01 to K13.FR.03."""
    await states.energy_transfer_started(bench)
    await bench.advance(12.0)
    await bench.station.put(_OPERATOR, {"power_w": 6900.0})
    notification = await bench.expect("NotifyChargingLimit")
    (schedule,) = notification["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "W", schedule
    assert [period["limit"] for period in schedule["chargingSchedulePeriod"]] == [6900.0], schedule
    event = await bench.expect("TransactionEvent", where=_is_rate)
    assert event["eventType"] == "Updated", event
    await bench.advance(3.0)
    assert (await bench.station.get("/api/status"))["evses"][0]["offered_a"] == 10.0
    await bench.station.delete(_OPERATOR)
    assert await bench.expect("ClearedChargingLimit") == {"chargingLimitSource": "SO"}
    event = await bench.expect("TransactionEvent", where=_is_rate)
    assert event["eventType"] == "Updated", event
    await bench.advance(3.0)
    assert (await bench.station.get("/api/status"))["evses"][0]["offered_a"] == 32.0
