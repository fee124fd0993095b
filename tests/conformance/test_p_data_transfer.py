"""Block P, data transfer and custom data: what OCPP has no message or field for."""

from __future__ import annotations

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_profiles import DURATION_S, UNITS, profile, reported, set_profile
from tests.conformance.frames import Payload


@case("Core", "M")
async def test_tc_p_01_cs(bench: Bench) -> None:
    """Data Transfer to the Charging Station - Rejected / Unknown VendorId / Unknown MessageId"""
    request: Payload = {"vendorId": "org.openchargealliance.octt", "messageId": "unused-1"}
    answer = await bench.call("DataTransfer", request)
    assert answer["status"] in {"UnknownVendorId", "UnknownMessageId", "Rejected"}, answer


@case("Core", "M")
async def test_tc_p_03_cs(bench: Bench) -> None:
    """CustomData - Receive custom data"""
    custom: Payload = {"vendorId": "org.openchargealliance.octt", "anything": {"snake_case": [1, None, "camelCase"]}}
    place: Payload = {
        "component": {"name": "OCPPCommCtrlr", "customData": custom},
        "variable": {"name": "OfflineThreshold", "customData": custom},
        "attributeType": "Actual",
        "customData": custom,
    }
    assert await bench.get_variable("OCPPCommCtrlr", "OfflineThreshold") != "200"
    changed = await bench.call(
        "SetVariables", {"setVariableData": [place | {"attributeValue": "200"}], "customData": custom}
    )
    (result,) = changed["setVariableResult"]
    assert result["attributeStatus"] == "Accepted", changed
    assert (result["component"]["name"], result["variable"]["name"]) == ("OCPPCommCtrlr", "OfflineThreshold"), changed
    read = await bench.call("GetVariables", {"getVariableData": [place], "customData": custom})
    (result,) = read["getVariableResult"]
    assert result["attributeStatus"] == "Accepted", result
    assert result.get("attributeType", "Actual") == "Actual", result
    assert result["attributeValue"] == "200", result


@UNITS
@case("", "")
async def test_tc_p_04_cs(bench: Bench, unit: str) -> None:
    """Able to receive customData - ChargingProfile"""
    custom: Payload = {"vendorId": "org.openchargealliance.octt", "anything": {"snake_case": [1, None, "camelCase"]}}
    sent = profile(unit, start=bench.iso(), duration=DURATION_S, customData=custom)
    for period in sent["chargingSchedule"][0]["chargingSchedulePeriod"]:
        period["customData"] = custom
    assert await set_profile(bench, sent) == "Accepted"
    (report,) = await reported(bench, 4, chargingProfileId=[sent["id"]])  # it is there, whatever became of the data
    assert [profile["id"] for profile in report["chargingProfile"]] == [sent["id"]], report
