"""Block B, provisioning: booting, the device model and its reports, resets, status after an absence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conformance import states
from tests.conformance.bench import OTHER_TOKEN, VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.device_model_reports import reported
from tests.conformance.frames import Payload

HEARTBEAT_S = 300
"""<Configured heartbeatInterval>"""
THRESHOLD_S = 60
"""<Configured offlineThreshold>"""
LISTS = {"OptionList", "SequenceList", "MemberList"}


# Booting


@pytest.mark.smoke
@case("Core", "M")
@setup(evses=2)
async def test_tc_b_01_cs(bench: Bench) -> None:
    """Cold Boot Charging Station - Accepted"""
    boot = await states.booted(bench, reset=None)
    assert boot["reason"] == "PowerUp", boot


def boot_answer(bench: Bench, status: str, interval: int = HEARTBEAT_S) -> Payload:
    """BootNotificationResponse."""
    return {"currentTime": bench.iso(), "interval": interval, "status": status}


@case("Core", "M", "C-44")
@setup(evses=2)
async def test_tc_b_02_cs(bench: Bench) -> None:
    """Cold Boot Charging Station - Pending"""
    bench.drop_unsolicited()
    bench.on("BootNotification", lambda _: boot_answer(bench, "Pending"))
    await bench.station.power("cycle")
    await bench.expect("BootNotification", within_s=120.0)  # steps 1, 2
    assert await set_status(bench, "OCPPCommCtrlr", "OfflineThreshold", "300") == "Accepted"  # steps 3, 4
    result = await get_single_variable(bench, "OCPPCommCtrlr", "OfflineThreshold")  # steps 5, 6
    assert result["attributeStatus"] == "Accepted", result
    await base_report(bench, "FullInventory", 4711)  # steps 7 to 10
    request = {"idToken": VALID_TOKEN, "remoteStartId": 1, "evseId": bench.evse_id}
    answer = await bench.call("RequestStartTransaction", request)  # steps 11, 12
    assert answer["status"] == "Rejected", answer
    assert sent_since_boot(bench) <= {"BootNotification", "NotifyReport"}
    bench.on("BootNotification", lambda _: boot_answer(bench, "Accepted"))
    requested_at = bench.now()
    answer = await bench.call("TriggerMessage", {"requestedMessage": "BootNotification"})  # steps 13, 14
    assert answer["status"] in {"Accepted", "NotImplemented"}, answer
    boot = await bench.expect("BootNotification", within_s=HEARTBEAT_S + 30.0)  # steps 15, 16
    if answer["status"] == "Accepted":
        assert boot["reason"] == "Triggered", boot
        assert bench.now() - requested_at < timedelta(seconds=30)
    await bench.expect_all_statuses("Available")  # steps 17, 18
    await states.startup_is_notified(bench)


def sent_since_boot(bench: Bench) -> set[str]:
    """The actions of the CALLs that came on the present connection."""
    frames = [frame for frame in bench.journal.frames if frame.from_station and frame.kind == 2]
    return {frame.action for frame in frames if frame.connection == bench.csms.connection}


@case("Core", "M")
@setup(evses=2)
async def test_tc_b_03_cs(bench: Bench) -> None:
    """Cold Boot Charging Station - Rejected"""
    bench.drop_unsolicited()
    bench.on("BootNotification", lambda _: boot_answer(bench, "Rejected", 120))
    await bench.station.power("cycle")
    await bench.expect("BootNotification", within_s=120.0)  # steps 1, 2
    rejected_at, boot_index = bench.now(), bench.journal.frames.index(bench.journal.sent("BootNotification")[-1])
    bench.on("BootNotification", lambda _: boot_answer(bench, "Accepted"))
    await bench.expect("BootNotification", within_s=240.0)  # steps 3, 4
    assert bench.now() - rejected_at >= timedelta(seconds=120 - 4)
    calls = [frame.action for frame in bench.journal.frames[boot_index:] if frame.from_station and frame.kind == 2]
    assert calls[:2] == ["BootNotification"] * 2, calls  # nothing else in the meantime
    await bench.expect_all_statuses("Available")  # steps 5, 6
    await states.startup_is_notified(bench)


@case("Core", "M", "C-44 or NOT AQ-16")  # AQ-6 before the errata
async def test_tc_b_30_cs(bench: Bench) -> None:
    """Cold Boot Charging Station - Pending/Rejected - SecurityError"""
    bench.drop_unsolicited()
    bench.on("BootNotification", lambda _: boot_answer(bench, "Rejected"))
    await bench.station.power("cycle")
    await bench.expect("BootNotification", within_s=120.0)  # steps 1, 2
    await bench.settle()
    if bench.csms.connected.is_set():
        answer = await bench.send_call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})  # steps 3, 4
        assert answer.kind == 4, answer
        assert answer.payload["code"] == "SecurityError", answer
    await bench.silence("NotifyReport", for_s=10.0)


# Variables


def item(component: str, variable: str, instance: str | None = None, **more: Any) -> Payload:
    """One element of getVariableData or setVariableData."""
    named: Payload = {"name": variable} | ({"instance": instance} if instance is not None else {})
    return {"component": {"name": component}, "variable": named, **more}


async def get_single_variable(bench: Bench, component: str, variable: str, **more: Any) -> Payload:
    """The result of a GetVariables with one element, of which it is the answer."""
    answer = await bench.call("GetVariables", {"getVariableData": [item(component, variable, **more)]})
    (result,) = answer["getVariableResult"]
    assert result["component"]["name"] == component, result
    assert result["variable"]["name"] == variable, result
    return result


async def set_single_variable(bench: Bench, component: str, variable: str, value: str, **more: Any) -> Payload:
    """The result of a SetVariables with one element, of which it is the answer."""
    data = item(component, variable, attributeValue=value, **more)
    answer = await bench.call("SetVariables", {"setVariableData": [data]})
    (result,) = answer["setVariableResult"]
    assert result["component"]["name"] == component, result
    assert result["variable"] == data["variable"], result
    return result


async def set_status(bench: Bench, component: str, variable: str, value: str) -> str:
    """The attributeStatus of a SetVariables with one element."""
    return (await set_single_variable(bench, component, variable, value))["attributeStatus"]


def no_error(info: Payload | None, *other_reasons: str) -> None:
    """Status information is absent, or its reason code is NoError or one of `other_reasons`."""
    assert info is None or info["reasonCode"] in {"NoError", *other_reasons}, info


@case("Core", "M")
async def test_tc_b_06_cs(bench: Bench) -> None:
    """Get Variables - single value"""
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", "300")
    result = await get_single_variable(bench, "OCPPCommCtrlr", "OfflineThreshold", attributeType="Actual")
    assert result["attributeStatus"] == "Accepted", result
    assert result["attributeType"] == "Actual", result
    assert result["attributeValue"] == "300", result
    no_error(result.get("attributeStatusInfo"))


def by_name(results: list[Payload]) -> dict[tuple[str, str], Payload]:
    """Results by component and variable: their order is arbitrary."""
    return {(result["component"]["name"], result["variable"]["name"]): result for result in results}


@case("Core", "M", "C-45")
async def test_tc_b_07_cs(bench: Bench) -> None:
    """Get Variables - multiple values"""
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", "300")
    await bench.configure("AuthCtrlr", "LocalAuthorizeOffline", "true")
    items = [
        item("OCPPCommCtrlr", "OfflineThreshold", attributeType="Actual"),
        item("AuthCtrlr", "LocalAuthorizeOffline", attributeType="Actual"),
    ]
    answer = await bench.call("GetVariables", {"getVariableData": items})
    assert len(answer["getVariableResult"]) == 2, answer
    results = by_name(answer["getVariableResult"])
    for name, value in (
        (("OCPPCommCtrlr", "OfflineThreshold"), "300"),
        (("AuthCtrlr", "LocalAuthorizeOffline"), "true"),
    ):
        result = results[name]
        assert result["attributeStatus"] == "Accepted", result
        assert result["attributeType"] == "Actual", result
        assert result["attributeValue"] == value, result
        no_error(result.get("attributeStatusInfo"))


@case("Core", "M")
async def test_tc_b_32_cs(bench: Bench) -> None:
    """Get Variables - Unknown component"""
    result = await get_single_variable(bench, "UnknownComponent", "OfflineThreshold")
    assert result["attributeStatus"] == "UnknownComponent", result
    assert "attributeValue" not in result, result


@case("Core", "M")
async def test_tc_b_33_cs(bench: Bench) -> None:
    """Get Variables - Unknown variable"""
    result = await get_single_variable(bench, "OCPPCommCtrlr", "UnknownVariable")
    assert result["attributeStatus"] == "UnknownVariable", result
    assert "attributeValue" not in result, result


@case("Core", "M")
async def test_tc_b_34_cs(bench: Bench) -> None:
    """Get Variables - Not supported attribute type"""
    result = await get_single_variable(bench, "OCPPCommCtrlr", "OfflineThreshold", attributeType="Target")
    assert result["attributeStatus"] == "NotSupportedAttributeType", result
    assert result["attributeType"] == "Target", result
    assert "attributeValue" not in result, result


@case("Core", "M")
async def test_tc_b_09_cs(bench: Bench) -> None:
    """Set Variables - single value"""
    result = await set_single_variable(bench, "OCPPCommCtrlr", "OfflineThreshold", "300", attributeType="Actual")
    assert result["attributeStatus"] == "Accepted", result
    assert result["attributeType"] == "Actual", result
    no_error(result.get("attributeStatusInfo"))
    assert await bench.get_variable("OCPPCommCtrlr", "OfflineThreshold") == "300"


@case("Core", "M", "C-46")
async def test_tc_b_10_cs(bench: Bench) -> None:
    """Set Variables - multiple values"""
    await bench.configure("AuthCtrlr", "LocalAuthorizeOffline", "false")
    items = [
        item("OCPPCommCtrlr", "OfflineThreshold", attributeValue="300", attributeType="Actual"),
        item("AuthCtrlr", "LocalAuthorizeOffline", attributeValue="true", attributeType="Actual"),
    ]
    answer = await bench.call("SetVariables", {"setVariableData": items})
    assert len(answer["setVariableResult"]) == 2, answer
    results = by_name(answer["setVariableResult"])
    for name in (("OCPPCommCtrlr", "OfflineThreshold"), ("AuthCtrlr", "LocalAuthorizeOffline")):
        assert results[name]["attributeStatus"] == "Accepted", results
        assert results[name]["attributeType"] == "Actual", results
        no_error(results[name].get("attributeStatusInfo"))
    assert await bench.get_variable("OCPPCommCtrlr", "OfflineThreshold") == "300"
    assert await bench.get_variable("AuthCtrlr", "LocalAuthorizeOffline") == "true"


@case("Core", "M")
async def test_tc_b_35_cs(bench: Bench) -> None:
    """Set Variables - Unknown component"""
    result = await set_single_variable(bench, "UnknownComponent", "OfflineThreshold", "300")
    assert result["attributeStatus"] == "UnknownComponent", result


@case("Core", "M")
async def test_tc_b_36_cs(bench: Bench) -> None:
    """Set Variables - Unknown variable"""
    result = await set_single_variable(bench, "OCPPCommCtrlr", "UnknownVariable", "300")
    assert result["attributeStatus"] == "UnknownVariable", result


@case("Core", "M")
async def test_tc_b_37_cs(bench: Bench) -> None:
    """Set Variables - Not supported attribute type"""
    result = await set_single_variable(bench, "OCPPCommCtrlr", "OfflineThreshold", "300", attributeType="Target")
    assert result["attributeStatus"] == "NotSupportedAttributeType", result
    assert result["attributeType"] == "Target", result


@case("Core", "M")
async def test_tc_b_11_cs(bench: Bench) -> None:
    """Set Variables - invalidly formatted values"""
    fitting = {
        "integer": {"300"},
        "decimal": {"300", "300.1"},
        "boolean": {"true"},
        "dateTime": {bench.iso()},
    }
    variables = (
        ("OCPPCommCtrlr", "OfflineThreshold", "integer"),
        ("SmartChargingCtrlr", "LimitChangeSignificance", "decimal"),
        ("AuthCtrlr", "AuthorizeRemoteStart", "boolean"),
        ("ClockCtrlr", "NextTimeOffsetTransitionDateTime", "dateTime"),
    )
    for value in ("300", "300.1", "true", *fitting["dateTime"], "abc"):
        for component, variable, kind in variables:
            before = await get_single_variable(bench, component, variable)
            if before["attributeStatus"] != "Accepted":
                continue  # steps 3 to 8 are for what the station supports
            result = await set_single_variable(bench, component, variable, value)
            fits = value in fitting[kind]
            if fits and kind != "decimal":  # of a percentage 300 may be too much
                assert result["attributeStatus"] == "Accepted", result
            assert result["attributeStatus"] == "Rejected" or fits, result
            assert result["attributeType"] == "Actual", result
            no_error(result.get("attributeStatusInfo"), "InvalidValue")
            if result["attributeStatus"] == "Rejected":
                after = await get_single_variable(bench, component, variable)
                assert after["attributeValue"] == before["attributeValue"], after
    assert await bench.get_variable("OCPPCommCtrlr", "OfflineThreshold") == "300"
    assert await bench.set_variable("SmartChargingCtrlr", "LimitChangeSignificance", "12.5") == "Accepted"


@case("Core", "M")
async def test_tc_b_39_cs(bench: Bench) -> None:
    """Set Variables - Read-only"""
    result = await set_single_variable(bench, "OCPPCommCtrlr", "MessageTimeout", "30", instance="Default")
    assert result["attributeStatus"] == "Rejected", result


# Reports


async def base_report(bench: Bench, base: str, request_id: int) -> list[Payload]:
    """GetBaseReport, which must be accepted, and all parts of its report; the reported variables."""
    answer = await bench.call("GetBaseReport", {"requestId": request_id, "reportBase": base})
    assert answer["status"] == "Accepted", answer
    no_error(answer.get("statusInfo"))
    rows = await reported(bench, request_id)
    for row in rows:
        characteristics = row["variableCharacteristics"]
        if characteristics["dataType"] in LISTS:
            assert characteristics["valuesList"], row
    return rows


def name_of(row: Payload) -> str:
    """Component.Variable[Instance]."""
    instance = row["variable"].get("instance")
    return f"{row['component']['name']}.{row['variable']['name']}" + (f"[{instance}]" if instance else "")


REQUIRED_WRITABLE = {
    "AlignedDataCtrlr.Interval",
    "AlignedDataCtrlr.Measurands",
    "AlignedDataCtrlr.TxEndedInterval",
    "AlignedDataCtrlr.TxEndedMeasurands",
    "AuthCtrlr.LocalAuthorizeOffline",
    "AuthCtrlr.LocalPreAuthorize",
    "ClockCtrlr.TimeSource",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
    "OCPPCommCtrlr.NetworkConfigurationPriority",
    "OCPPCommCtrlr.NetworkProfileConnectionAttempts",
    "OCPPCommCtrlr.OfflineThreshold",
    "OCPPCommCtrlr.ResetRetries",
    "OCPPCommCtrlr.RetryBackOffRandomRange",
    "OCPPCommCtrlr.RetryBackOffRepeatTimes",
    "OCPPCommCtrlr.RetryBackOffWaitMinimum",
    "OCPPCommCtrlr.WebSocketPingInterval",
    "SampledDataCtrlr.TxEndedInterval",
    "SampledDataCtrlr.TxEndedMeasurands",
    "SampledDataCtrlr.TxStartedMeasurands",
    "SampledDataCtrlr.TxUpdatedInterval",
    "SampledDataCtrlr.TxUpdatedMeasurands",
    "SecurityCtrlr.OrganizationName",
    "TxCtrlr.EVConnectionTimeOut",
    "TxCtrlr.StopTxOnInvalidId",
}
"""required, and ReadWrite whatever the implementation chooses (part 2, Referenced Components and Variables)"""
REQUIRED_EITHER = {
    "AuthCtrlr.AuthorizeRemoteStart",
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
    "TxCtrlr.StopTxOnEVSideDisconnect",
    "TxCtrlr.TxStartPoint",
    "TxCtrlr.TxStopPoint",
}
"""required, ReadOnly or ReadWrite"""
REQUIRED_READABLE = {
    "ClockCtrlr.DateTime",
    "DeviceDataCtrlr.BytesPerMessage[GetReport]",
    "DeviceDataCtrlr.BytesPerMessage[GetVariables]",
    "DeviceDataCtrlr.BytesPerMessage[SetVariables]",
    "DeviceDataCtrlr.ItemsPerMessage[GetReport]",
    "DeviceDataCtrlr.ItemsPerMessage[GetVariables]",
    "DeviceDataCtrlr.ItemsPerMessage[SetVariables]",
    "OCPPCommCtrlr.FileTransferProtocols",
    "OCPPCommCtrlr.MessageTimeout[Default]",
    "SecurityCtrlr.CertificateEntries",
    "SecurityCtrlr.SecurityProfile",
}
REQUIRED_PHYSICAL = {
    "ChargingStation.Available",
    "ChargingStation.AvailabilityState",
    "ChargingStation.SupplyPhases",
    "EVSE.Available",
    "EVSE.AvailabilityState",
    "EVSE.Power",
    "EVSE.SupplyPhases",
    "Connector.Available",
    "Connector.ConnectorType",
    "Connector.SupplyPhases",
}
"""Charging Infrastructure Related"""
REQUIRED_OF_BLOCKS = {
    "SmartChargingCtrlr": {
        "SmartChargingCtrlr.Entries[ChargingProfiles]",
        "SmartChargingCtrlr.LimitChangeSignificance",
        "SmartChargingCtrlr.PeriodsPerSchedule",
        "SmartChargingCtrlr.ProfileStackLevel",
        "SmartChargingCtrlr.RateUnit",
    },
    "LocalAuthListCtrlr": {
        "LocalAuthListCtrlr.BytesPerMessage",
        "LocalAuthListCtrlr.Entries",
        "LocalAuthListCtrlr.ItemsPerMessage",
    },
    "DisplayMessageCtrlr": {
        "DisplayMessageCtrlr.DisplayMessages",
        "DisplayMessageCtrlr.SupportedFormats",
        "DisplayMessageCtrlr.SupportedPriorities",
    },
    "MonitoringCtrlr": {
        "MonitoringCtrlr.BytesPerMessage[SetVariableMonitoring]",
        "MonitoringCtrlr.ItemsPerMessage[SetVariableMonitoring]",
    },
    "ISO15118Ctrlr": {"ISO15118Ctrlr.ContractValidationOffline"},
    "TariffCostCtrlr": {
        "TariffCostCtrlr.Currency",
        "TariffCostCtrlr.TariffFallbackMessage",
        "TariffCostCtrlr.TotalCostFallbackMessage",
    },
}
"""required where the functional block is there, as <component>.Available tells"""
WRITABLE_OF_BLOCKS = {
    "SmartChargingCtrlr": {"SmartChargingCtrlr.LimitChangeSignificance"},
    "ISO15118Ctrlr": {"ISO15118Ctrlr.ContractValidationOffline"},
    "TariffCostCtrlr": REQUIRED_OF_BLOCKS["TariffCostCtrlr"],
}
"""those of them that are ReadWrite"""


def required_of_blocks(rows: list[Payload]) -> set[str]:
    """What is required of the functional blocks that the station says it has."""
    found: set[str] = set()
    for row in rows:
        component = row["component"]["name"]
        if row["variable"]["name"] == "Available" and row["variableAttribute"][0].get("value") == "true":
            found |= REQUIRED_OF_BLOCKS.get(component, set())
    return found


@case("Core", "M", "C-17")
async def test_tc_b_12_cs(bench: Bench) -> None:
    """Get Base Report - ConfigurationInventory"""
    rows = await base_report(bench, "ConfigurationInventory", 12)
    for row in rows:
        assert row["variableCharacteristics"], row
        assert all(attribute["mutability"] in {"ReadWrite", "WriteOnly"} for attribute in row["variableAttribute"]), row
    required = set(REQUIRED_WRITABLE)
    for component, variables in WRITABLE_OF_BLOCKS.items():
        available = await get_single_variable(bench, component, "Available")
        required |= variables if available.get("attributeValue") == "true" else set()
    assert required - {name_of(row) for row in rows} == set()


@case("Core", "M", "C-50.2")
async def test_tc_b_13_cs(bench: Bench) -> None:
    """Get Base Report - FullInventory"""
    rows = await base_report(bench, "FullInventory", 13)
    assert all(row["variableCharacteristics"] for row in rows)
    required = REQUIRED_WRITABLE | REQUIRED_EITHER | REQUIRED_READABLE | REQUIRED_PHYSICAL | required_of_blocks(rows)
    assert required - {name_of(row) for row in rows} == set()


@case("Advanced Device Management", "M")
@case("Core", "C", "C-56")  # where it is supported, since errata 2025-09 (5.8)
@setup(evses=2)
async def test_tc_b_14_cs(bench: Bench) -> None:
    """Get Base Report - SummaryInventory"""
    rows = await base_report(bench, "SummaryInventory", 14)
    assert all(row["variableCharacteristics"] for row in rows)
    places = {(name_of(row), row["component"].get("evse", {}).get("id")) for row in rows}
    assert ("ChargingStation.AvailabilityState", None) in places
    assert {("EVSE.AvailabilityState", number) for number in range(1, bench.setup.evses + 1)} <= places
    full = await base_report(bench, "FullInventory", 15)
    assert len(rows) < len(full), "a summary is not the whole inventory"


@case("Core", "M")
@setup(evses=2)
async def test_tc_b_53_cs(bench: Bench) -> None:
    """Get Base Report - Test mandatory DM variables via FullInventory"""
    rows = await base_report(bench, "FullInventory", 53)
    required = REQUIRED_WRITABLE | REQUIRED_EITHER | REQUIRED_READABLE | REQUIRED_PHYSICAL | required_of_blocks(rows)
    assert required - {name_of(row) for row in rows} == set()
    places = {(name_of(row), row["component"].get("evse", {}).get("id")) for row in rows}
    for number in range(1, bench.setup.evses + 1):
        of_each = {name for name in REQUIRED_PHYSICAL if not name.startswith("ChargingStation")}
        assert {(name, number) for name in of_each} <= places
    for row in rows:
        characteristics = row["variableCharacteristics"]
        mutability = row["variableAttribute"][0]["mutability"]
        assert name_of(row) not in REQUIRED_WRITABLE or mutability == "ReadWrite", row
        assert name_of(row) not in REQUIRED_READABLE or mutability == "ReadOnly", row
        for attribute in row["variableAttribute"]:
            check_value(name_of(row), characteristics, attribute)


def check_value(name: str, characteristics: Payload, attribute: Payload) -> None:
    """Check a value as TC_B_53 with its errata requires."""
    if attribute["mutability"] == "WriteOnly":
        assert "value" not in attribute, name
        return
    if name == "EVSE.Power":
        assert characteristics["maxLimit"] > 0, characteristics
        return
    assert "value" in attribute, name
    if characteristics["dataType"] in LISTS:
        allowed = characteristics["valuesList"].split(",")
        single = characteristics["dataType"] == "OptionList"
        values = [attribute["value"]] if single else [item for item in attribute["value"].split(",") if item]
        assert set(values) <= set(allowed), (name, attribute["value"], allowed)


# Reset


async def boots(bench: Bench, reason: str, statuses: dict[int, str]) -> None:
    """BootNotification with this reason, then the state of all connectors, by EVSE."""
    boot = await bench.expect("BootNotification", within_s=180.0)
    assert boot["reason"] == reason, boot
    states.boots_first(bench)
    at = [received for received in bench.csms.unread if received.action == "StatusNotification"]
    bench.csms.unread = [
        received
        for received in bench.csms.unread
        if received not in at or received.frame.connection == connection(bench)
    ]
    for number, status in statuses.items():
        await bench.expect_status(status, evse_id=number)
        if status == "Occupied" and "EVConnected" in bench.start_points:
            bench.new_session(number)
            event = await bench.expect_event(evse_id=number)  # E01.FR.02: the vehicle is still connected
            assert event["eventType"] == "Started", event
            assert event["triggerReason"] == "CablePluggedIn", event
    await states.startup_is_notified(bench)


def connection(bench: Bench) -> int:
    """The number of the connection on which the station booted last."""
    return bench.journal.sent("BootNotification")[-1].connection


@case("Core", "M")
@setup(evses=2)
async def test_tc_b_20_cs(bench: Bench) -> None:
    """Reset Charging Station - Without ongoing transaction - OnIdle"""
    bench.drop_unsolicited()
    answer = await bench.call("Reset", {"type": "OnIdle"})
    assert answer["status"] == "Accepted", answer
    await boots(bench, "RemoteReset", {1: "Available", 2: "Available"})


@case("Core", "M")
@setup(evses=2)
@pytest.mark.parametrize("stop_points", ["Authorized,EVConnected", "EVConnected", "ParkingBayOccupancy"])
async def test_tc_b_21_cs(bench: Bench, stop_points: str) -> None:
    """Reset Charging Station - With Ongoing Transaction - OnIdle"""
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    await states.parking_bay_occupied(bench)
    await states.energy_transfer_started(bench)
    answer = await bench.call("Reset", {"type": "OnIdle"})
    assert answer["status"] == "Scheduled", answer
    await states.stop_authorized(bench)
    if not bench.session().ended:
        await states.ev_connected_post_session(bench)
        await states.ev_disconnected(bench)
        await states.parking_bay_unoccupied(bench)
    status = "Occupied" if stop_points.startswith("Authorized") else "Available"
    await boots(bench, "ScheduledReset", {1: status, 2: "Available"})


@case("Core", "M")
@setup(evses=2)
async def test_tc_b_22_cs(bench: Bench) -> None:
    """Reset Charging Station - With Ongoing Transaction - Immediate"""
    await states.energy_transfer_started(bench)
    answer = await bench.call("Reset", {"type": "Immediate"})
    assert answer["status"] == "Accepted", answer
    await ended_by_reset(bench, with_token=False)
    await boots(bench, "RemoteReset", {1: "Occupied", 2: "Available"})
    (ended,) = [event for event in bench.journal.sent("TransactionEvent") if event.payload["eventType"] == "Ended"]
    assert ended.connection < connection(bench), "it ended only after the reboot"  # B12.FR.04


async def ended_by_reset(bench: Bench, *, with_token: bool) -> None:
    """The TransactionEvent that an immediate reset brings."""
    event = await bench.expect_event()
    assert event["eventType"] == "Ended", event
    assert event["triggerReason"] == "ResetCommand", event
    assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    assert event["transactionInfo"]["stoppedReason"] == "ImmediateReset", event
    assert with_token or "idToken" not in event, event


async def vehicle_that_stayed_starts(bench: Bench) -> None:
    """After the reset of an EVSE a vehicle that stayed counts as one that has just come (E01.FR.01, E01.FR.02)."""
    if not bench.start_points & {"EVConnected", "ParkingBayOccupancy"} or bench.session().started:
        return
    event = await bench.expect_event()
    assert event["eventType"] == "Started", event
    assert event["triggerReason"] in {"CablePluggedIn", "EVDetected"}, event
    assert "idToken" not in event, event


@case("Core", "M")
@setup(evses=2)
async def test_tc_b_23_cs(bench: Bench) -> None:
    """Reset Charging Station - Unavailable persists reset"""
    await states.unavailable(bench, evse_id=1, connector_id=1)
    answer = await bench.call("Reset", {"type": "OnIdle"})
    assert answer["status"] == "Accepted", answer
    await boots(bench, "RemoteReset", {1: "Unavailable", 2: "Available"})


@case("Core", "C", "HFS-8 > 1")
@setup(evses=2)
@pytest.mark.parametrize("stop_points", ["Authorized,EVConnected", "EVConnected", "ParkingBayOccupancy"])
async def test_tc_b_41_cs(bench: Bench, stop_points: str) -> None:
    """Reset Charging Station - With multiple ongoing transactions - OnIdle"""
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    bench.session(2).id_token = dict(OTHER_TOKEN)
    for evse_id in (1, 2):
        await states.parking_bay_occupied(bench, evse_id)
        await states.energy_transfer_started(bench, evse_id=evse_id)
    answer = await bench.call("Reset", {"type": "OnIdle"})
    assert answer["status"] == "Scheduled", answer
    await states.stop_authorized(bench, evse_id=1)
    await states.ev_connected_post_session(bench, evse_id=1)
    await states.ev_disconnected(bench, evse_id=1)
    await states.parking_bay_unoccupied(bench, evse_id=1)
    await states.stop_authorized(bench, evse_id=2)
    await states.ev_connected_post_session(bench, evse_id=2)
    if not bench.session(2).ended:
        await states.ev_disconnected(bench, evse_id=2)
    if not bench.session(2).ended:
        await states.parking_bay_unoccupied(bench, evse_id=2)
    status = "Occupied" if stop_points.startswith("Authorized") else "Available"
    await boots(bench, "ScheduledReset", {1: "Available", 2: status})


@case("Core", "C", "C-13")
@setup(evses=2)
async def test_tc_b_25_cs(bench: Bench) -> None:
    """Reset EVSE - Without ongoing transaction"""
    answer = await bench.call("Reset", {"type": "OnIdle", "evseId": bench.evse_id})
    assert answer["status"] == "Accepted", answer
    await bench.silence("BootNotification", for_s=30.0)
    # The EVSE is usable again, and it alone was reset.
    assert {status["evseId"] for status in statuses_since(bench, 0)} <= {bench.evse_id}
    assert statuses_since(bench, 0)[-1]["connectorStatus"] == "Available"
    bench.drop_unsolicited()
    await states.energy_transfer_started(bench)


def statuses_since(bench: Bench, index: int) -> list[Payload]:
    """The unread StatusNotifications from the given one on."""
    return [received.payload for received in bench.csms.unread if received.action == "StatusNotification"][index:]


@case("Core", "C", "C-13")
@pytest.mark.parametrize("stop_points", ["Authorized,EVConnected", "ParkingBayOccupancy"])
async def test_tc_b_26_cs(bench: Bench, stop_points: str) -> None:
    """Reset EVSE - With Ongoing Transaction - OnIdle"""
    await bench.configure("TxCtrlr", "TxStopPoint", stop_points)
    await states.parking_bay_occupied(bench)
    await states.energy_transfer_started(bench)
    answer = await bench.call("Reset", {"type": "OnIdle", "evseId": bench.evse_id})
    assert answer["status"] == "Scheduled", answer
    await states.stop_authorized(bench)
    await states.ev_connected_post_session(bench)
    await bench.advance(5.0)
    await vehicle_that_stayed_starts(bench)
    until_status(bench, "Occupied")
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    await bench.silence("BootNotification", for_s=30.0)


def until_status(bench: Bench, status: str) -> None:
    """Statuses that the reset itself brings (Unavailable, and back) end with this one; all of them are read."""
    statuses = statuses_since(bench, 0)
    assert not statuses or statuses[-1]["connectorStatus"] == status, statuses
    bench.drop_unsolicited()


@case("Core", "C", "C-13")
@setup(evses=2)
async def test_tc_b_27_cs(bench: Bench) -> None:
    """Reset EVSE - With Ongoing Transaction - Immediate"""
    bench.session(2).id_token = dict(OTHER_TOKEN)
    await states.authorized(bench, evse_id=2, id_token=OTHER_TOKEN)
    await states.energy_transfer_started(bench, evse_id=2)
    await states.energy_transfer_started(bench)
    answer = await bench.call("Reset", {"type": "Immediate", "evseId": bench.evse_id})
    assert answer["status"] == "Accepted", answer
    await ended_by_reset(bench, with_token=True)
    await bench.silence("BootNotification", for_s=30.0)
    # It alone was reset, and its vehicle is still there; the other one goes on charging.
    await vehicle_that_stayed_starts(bench)
    await bench.silence("TransactionEvent", for_s=0.0, where=lambda event: event["eventType"] == "Ended")
    statuses = statuses_since(bench, 0)
    assert {status["evseId"] for status in statuses} <= {bench.evse_id}, statuses
    assert [status["connectorStatus"] for status in statuses][-1:] in ([], ["Occupied"]), statuses
    await states.stop_authorized(bench, evse_id=2)


NO_EVSE_RESET = [{"component": "EVSE", "evse": 1, "variable": "AllowReset", "value": "false"}]


@case("Core", "C", "NOT C-13")
@setup(tables={"variable": NO_EVSE_RESET})
async def test_tc_b_28_cs(bench: Bench) -> None:
    """Reset EVSE - Not Supported"""
    answer = await bench.call("Reset", {"type": "OnIdle", "evseId": bench.evse_id})
    assert answer["status"] == "Rejected", answer
    await bench.silence("StatusNotification", for_s=10.0)


@case("Core", "C", "NOT C-13")
@setup(tables={"variable": NO_EVSE_RESET})
async def test_tc_b_29_cs(bench: Bench) -> None:
    """Reset EVSE - With ongoing transaction - Not Supported"""
    await states.energy_transfer_started(bench)
    answer = await bench.call("Reset", {"type": "OnIdle", "evseId": bench.evse_id})
    assert answer["status"] == "Rejected", answer
    await bench.silence("TransactionEvent", for_s=10.0, where=lambda event: event["eventType"] == "Ended")


# After an absence


async def reconnect_after_back_off(bench: Bench, back_off_s: int) -> None:
    """The configuration of TC_B_51 and TC_B_52; offline, a vehicle is connected, online again."""
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", str(THRESHOLD_S))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", str(back_off_s))
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")
    bench.drop_unsolicited()
    await bench.go_offline()
    offline_since = bench.now()
    await bench.connect_ev()
    if back_off_s > THRESHOLD_S:
        await bench.advance(THRESHOLD_S + 1.0)
    await bench.accept_reconnect()
    event = await bench.expect_event()  # the vehicle has started a transaction
    assert (event["eventType"], event["offline"]) == ("Started", True), event
    longer = bench.now() - offline_since > timedelta(seconds=THRESHOLD_S)
    assert longer is (back_off_s > THRESHOLD_S), bench.now() - offline_since


@case("Core", "M")
@setup(evses=2)
async def test_tc_b_51_cs(bench: Bench) -> None:
    """Status change during offline period - > Offline Threshold"""
    await reconnect_after_back_off(bench, THRESHOLD_S + 2)
    await bench.expect_status("Occupied", evse_id=1)
    await bench.expect_status("Available", evse_id=2)


@case("Core", "M")
@setup(evses=2)
async def test_tc_b_52_cs(bench: Bench) -> None:
    """Status change during offline period - < Offline Threshold"""
    await reconnect_after_back_off(bench, THRESHOLD_S - 2)
    await bench.expect_status("Occupied", evse_id=1)
    await bench.silence("StatusNotification", for_s=10.0)  # B04.FR.02: only what changed
