"""Block B, custom reports: GetReport with component criteria, and with components and variables (B08)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.device_model_reports import reported
from tests.conformance.frames import Payload
from tests.conformance.test_b_provisioning import base_report, no_error

_STATUSES = {"Available", "Occupied", "Reserved", "Unavailable", "Faulted"}
_OF_EVSE: Payload = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}


async def custom_report(bench: Bench, request_id: int, **criteria: Any) -> list[Payload]:
    """GetReport, which must be accepted, and all parts of its report; the reported variables."""
    answer = await bench.call("GetReport", {"requestId": request_id, **criteria})
    assert answer["status"] == "Accepted", answer
    no_error(answer.get("statusInfo"))
    rows = await reported(bench, request_id)
    assert all(row["variableCharacteristics"] for row in rows)
    return rows


def place(row: Payload) -> tuple[Any, ...]:
    """The address of a reported variable."""
    component, variable = row["component"], row["variable"]
    evse = component.get("evse", {})
    where = component["name"], component.get("instance"), evse.get("id"), evse.get("connectorId")
    return *where, variable["name"], variable.get("instance")


def availability_state(row: Payload) -> None:
    """The tool validations of an AvailabilityState that is reported of EVSE 1."""
    assert row["component"] == {"name": "EVSE", "evse": {"id": 1}}, row
    assert row["variable"]["name"] == "AvailabilityState", row
    characteristics = row["variableCharacteristics"]
    assert characteristics["dataType"] == "OptionList", row
    assert {item.strip() for item in characteristics["valuesList"].split(",")} == _STATUSES, row
    (attribute,) = row["variableAttribute"]
    assert attribute["mutability"] == "ReadOnly", row
    assert attribute.get("type", "Actual") == "Actual", row


@case("Advanced Device Management", "M")
async def test_tc_b_16_cs(bench: Bench) -> None:
    """Get Custom Report - with component criteria"""
    rows = await custom_report(bench, 16, componentCriteria=["Enabled"])
    for row in rows:
        assert row["variable"]["name"] == "Enabled", row
        assert [attribute.get("value") for attribute in row["variableAttribute"]] == ["true"], row
    items = [{"component": row["component"], "variable": row["variable"]} for row in rows]
    answer = await bench.call("GetVariables", {"getVariableData": items})
    for row, result in zip(rows, answer["getVariableResult"], strict=True):
        write_only = row["variableAttribute"][0]["mutability"] == "WriteOnly"
        assert result["attributeStatus"] == ("Rejected" if write_only else "Accepted"), result
        assert result.get("attributeValue") == (None if write_only else "true"), result
    full = await base_report(bench, "FullInventory", 17)
    enabled = {
        place(row)
        for row in full
        if row["variable"]["name"] == "Enabled" and row["variableAttribute"][0].get("value") == "true"
    }
    assert enabled - {place(row) for row in rows} == set()


@case("Advanced Device Management", "M")
async def test_tc_b_17_cs(bench: Bench) -> None:
    """Get Custom Report - with component/variable"""
    (row,) = await custom_report(bench, 17, componentVariable=[_OF_EVSE])
    availability_state(row)


@case("Advanced Device Management", "M")
async def test_tc_b_18_cs(bench: Bench) -> None:
    """Get Custom Report - with component criteria and component/variable"""
    (row,) = await custom_report(bench, 18, componentCriteria=["Available"], componentVariable=[_OF_EVSE])
    availability_state(row)
    problem: Payload = {"requestId": 19, "componentCriteria": ["Problem"], "componentVariable": [_OF_EVSE]}
    answer = await bench.call("GetReport", problem)
    assert answer["status"] == "EmptyResultSet", answer
    assert answer.get("statusInfo", {"reasonCode": "NotFound"})["reasonCode"] == "NotFound", answer
    await bench.silence("NotifyReport", for_s=2.0)


@case("", "")
async def test_tc_b_19_cs(bench: Bench) -> None:
    """Get Custom Report - for unknown component criteria"""
    unknown: Payload = {"requestId": 19, "componentCriteria": ["Available", "Broken"]}
    answer = await bench.call_outside_schema("GetReport", unknown)
    assert answer["status"] == "NotSupported", answer
    reason = answer.get("statusInfo", {"reasonCode": "InvalidValue"})["reasonCode"]
    assert reason in {"UnsupportedParam", "InvalidValue"}, answer
    await bench.silence("NotifyReport", for_s=2.0)


@case("Advanced Device Management", "M")
async def test_tc_b_54_cs(bench: Bench) -> None:
    """Get Custom Report - with component/variable, but no instance"""
    selector: Payload = {"component": {"name": "DeviceDataCtrlr"}, "variable": {"name": "ItemsPerMessage"}}
    rows = await custom_report(bench, 54, componentVariable=[selector])
    for row in rows:
        assert row["component"]["name"] == "DeviceDataCtrlr", row
        assert row["variable"]["name"] == "ItemsPerMessage", row
    assert {"GetReport", "GetVariables"} <= {row["variable"]["instance"] for row in rows}


@case("Advanced Device Management", "M")
async def test_tc_b_55_cs(bench: Bench) -> None:
    """Get Custom Report - with component/variable/instance"""
    variable: Payload = {"name": "ItemsPerMessage", "instance": "GetReport"}
    selector: Payload = {"component": {"name": "DeviceDataCtrlr"}, "variable": variable}
    (row,) = await custom_report(bench, 55, componentVariable=[selector])
    assert row["component"]["name"] == "DeviceDataCtrlr", row
    assert row["variable"] == variable, row


@case("Advanced Device Management", "M")
@setup(evses=2)
async def test_tc_b_56_cs(bench: Bench) -> None:
    """Get Custom Report - with component/variable, but no evseId"""
    selector: Payload = {"component": {"name": "EVSE"}, "variable": {"name": "AvailabilityState"}}
    rows = await custom_report(bench, 56, componentVariable=[selector])
    for row in rows:
        assert row["component"]["name"] == "EVSE", row
        assert row["variable"]["name"] == "AvailabilityState", row
    assert sorted(row["component"]["evse"]["id"] for row in rows) == list(range(1, bench.setup.evses + 1))


@pytest.mark.parametrize("criterion", ["Active", "Available", "Enabled", "Problem"])
async def test_a_criterion_alone_lists_what_makes_it_true(bench: Bench, criterion: str) -> None:
    """B08.FR.07 to B08.FR.10, in the form that TC_B_16_CS wants."""
    if criterion == "Problem":
        await bench.station.post("/api/sim/faults", {"evse": 1, "code": "meter-failure"})
        await bench.advance(30.0)
    rows = await custom_report(bench, 7, componentCriteria=[criterion])
    values = {(row["variable"]["name"], row["variableAttribute"][0]["value"]) for row in rows}
    assert values == {(criterion, "true")}
    if criterion == "Problem":
        assert "FiscalMetering" in {row["component"]["name"] for row in rows}
        bench.take("NotifyEvent")
