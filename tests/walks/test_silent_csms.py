"""A CSMS that asks on and answers nothing: what waits for it is bounded, and the bounds are variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.csms import NEVER
from tests.walk import walking
from tests.walks.steps import variables


async def test_samples_that_nobody_answers_leave_room_for_what_the_csms_orders(tmp_path: Path) -> None:
    """J01: with an aligned value each ten seconds of two EVSEs, and thirty seconds until one has timed out."""
    rows = variables(AlignedDataCtrlr__Interval="10")
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], variable=rows) as walk:
        await walk.accepted()
        walk.csms.answers["MeterValues"] = lambda _: NEVER
        await walk.advance(1_800)
        told = len(walk.csms.sent("MeterValues"))
        assert told >= 50  # one by one, each in its time
        answer = await walk.csms.call("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 2}})
        assert answer["status"] == "Accepted"
        before = len(walk.csms.sent("StatusNotification"))
        await walk.until(lambda: len(walk.csms.sent("StatusNotification")) > before, within_s=240)


async def test_more_reports_about_customers_than_can_be_told_are_rejected(tmp_path: Path) -> None:
    """N09.FR.03, N10.FR.05: nothing is cleared that could not be told."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.csms.answers["NotifyCustomerInformation"] = lambda _: NEVER
        request: dict[str, Any] = {"report": True, "clear": True, "idToken": {"idToken": "A", "type": "Central"}}
        answers: list[str] = []
        for number in range(8):
            answer = await walk.csms.call("CustomerInformation", {"requestId": number, **request})
            answers.append(answer["status"])
            await walk.settle()
        assert answers == ["Accepted"] * 4 + ["Rejected"] * 4
        await walk.advance(300)  # they have timed out
        answer = await walk.csms.call("CustomerInformation", {"requestId": 9, **request})
        assert answer["status"] == "Accepted"


async def test_each_bound_is_a_variable(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        names = (
            ("OCPPCommCtrlr", "BytesPerFrame", None, "1048576"),
            ("OCPPCommCtrlr", "ErrandsLimit", None, "200"),
            ("OCPPCommCtrlr", "ReportsLimit", None, "4"),
            ("OCPPCommCtrlr", "ReportsLimit", "CustomerInformation", "4"),
            ("AlignedDataCtrlr", "QueuedValuesLimit", None, "5"),
            ("SecurityCtrlr", "LogEntriesLimit", None, "2000"),
            ("SecurityCtrlr", "QueuedEventsLimit", None, "10000"),
            ("FirmwareCtrlr", "QueuedStatusesLimit", None, "200"),
            ("LogCtrlr", "Storage", None, "3145728"),
            ("LogCtrlr", "UploadsLimit", None, "20"),
        )
        items: list[dict[str, Any]] = [
            {"component": {"name": component}, "variable": {"name": name} | ({"instance": one} if one else {})}
            for component, name, one, _ in names
        ]
        answer = await walk.csms.call("GetVariables", {"getVariableData": items})
        values = [result.get("attributeValue") for result in answer["getVariableResult"]]
        assert values == [value for *_, value in names]


async def test_an_identity_with_a_colon_has_no_password(tmp_path: Path) -> None:
    """A00.FR.204: user and password would be told apart at the wrong place."""
    async with walking(tmp_path, station={"identity": "BORNE:1"}) as walk:
        await walk.accepted()
        item = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
        answer = await walk.csms.call(
            "SetVariables", {"setVariableData": [item | {"attributeValue": "0123456789abcdef"}]}
        )
        assert answer["setVariableResult"][0]["attributeStatus"] == "Rejected"
        assert walk.life.credentials.password is None
