"""A CSMS that asks on and answers nothing: what waits for it is bounded, and the bounds are variables."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.csms import NO_ANSWER, Csms
from tests.walk import configuration, powered, walking
from tests.walks.steps import variables


async def test_samples_that_nobody_answers_leave_room_for_what_the_csms_orders(tmp_path: Path) -> None:
    """J01: with an aligned value each five seconds of two EVSEs, and thirty seconds until one has timed out."""
    rows = variables(AlignedDataCtrlr__Interval="5")
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], variable=rows) as walk:
        await walk.accepted()
        walk.csms.answers["MeterValues"] = lambda _: NO_ANSWER
        await walk.advance(900)
        count_before = len(walk.csms.received("MeterValues"))
        assert count_before >= 25  # one by one, each in its time
        answer = await walk.csms.call("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 2}})
        assert answer["status"] == "Accepted"
        before = len(walk.csms.received("StatusNotification"))
        await walk.until(lambda: len(walk.csms.received("StatusNotification")) > before, within_s=240)


async def test_more_reports_about_customers_than_can_be_sent_are_rejected(tmp_path: Path) -> None:
    """N09.FR.03, N10.FR.05: nothing is cleared that could not be reported."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.csms.answers["NotifyCustomerInformation"] = lambda _: NO_ANSWER
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


@pytest.mark.parametrize("action", ["CustomerInformation", "GetBaseReport"])
async def test_a_report_that_waits_for_its_turn_counts_among_those_under_way(tmp_path: Path, action: str) -> None:
    """N09.FR.03, B07.FR.13: as many follow-ups as can go on at once hang when it is asked for."""
    customer: dict[str, Any] = {"report": True, "clear": True, "idToken": {"idToken": "A", "type": "Central"}}
    request = customer if action == "CustomerInformation" else {"reportBase": "SummaryInventory"}
    async with walking(tmp_path) as walk:
        await walk.accepted()
        release = asyncio.Event()

        async def hang() -> None:
            await release.wait()

        follow_ups = walk.stack._follow_ups  # pyright: ignore[reportPrivateUsage]  # a CSMS could fill it only slowly
        for _ in range(20):
            follow_ups.submit("hangs", hang)
        await walk.settle()
        answers = [
            (await walk.csms.call(action, {"requestId": request_id, **request}))["status"] for request_id in range(6)
        ]
        assert answers == ["Accepted"] * 4 + ["Rejected"] * 2
        release.set()
        await walk.advance(10)
        assert (await walk.csms.call(action, {"requestId": 9, **request}))["status"] == "Accepted"


async def test_each_bound_is_a_variable(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        names = (
            ("OCPPCommCtrlr", "BytesPerFrame", None, "1048576"),
            ("OCPPCommCtrlr", "ErrandsLimit", None, "200"),
            ("OCPPCommCtrlr", "ReportsLimit", None, "4"),
            ("OCPPCommCtrlr", "ReportsLimit", "CustomerInformation", "4"),
            ("AlignedDataCtrlr", "QueuedValuesLimit", None, "2"),
            ("SecurityCtrlr", "LogEntriesLimit", None, "2000"),
            ("SecurityCtrlr", "QueuedEventsLimit", None, "10000"),
            ("FirmwareCtrlr", "QueuedStatusesLimit", None, "200"),
            ("LogCtrlr", "Storage", None, "3145728"),
            ("LogCtrlr", "UploadsLimit", None, "20"),
        )
        items: list[dict[str, Any]] = [
            {
                "component": {"name": component},
                "variable": {"name": name} | ({"instance": instance} if instance else {}),
            }
            for component, name, instance, _ in names
        ]
        answer = await walk.csms.call("GetVariables", {"getVariableData": items})
        values = [result.get("attributeValue") for result in answer["getVariableResult"]]
        assert values == [value for *_, value in names]


async def test_an_identity_with_a_colon_has_no_password(tmp_path: Path) -> None:
    """A00.FR.204: user and password would be separated at the wrong place."""
    async with walking(tmp_path, station={"identity": "BORNE:1"}) as walk:
        await walk.accepted()
        item = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
        answer = await walk.csms.call(
            "SetVariables", {"setVariableData": [item | {"attributeValue": "0123456789abcdef"}]}
        )
        assert answer["setVariableResult"][0]["attributeStatus"] == "Rejected"
        assert walk.parts.credentials.password is None


class MuteEndpoint:
    """Accepts every connection and never answers; `dialled`: the times, on the station's clock."""

    def __init__(self) -> None:
        self.now: Callable[[], datetime] | None = None
        self.dialled: list[datetime] = []
        self.left = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.now is not None
        self.dialled.append(self.now())
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        self.left += 1
        writer.close()


@pytest.mark.parametrize("csms", [{}, {"security_profile": 2, "password": "correct-horse-battery-staple"}])
async def test_an_endpoint_that_never_answers_is_left_after_the_time_for_a_dial(
    tmp_path: Path, csms: dict[str, Any]
) -> None:
    """In the station's own time, as everything else it waits for; then the back-off counts (part 4 §5.3)."""
    mute = MuteEndpoint()
    server = await asyncio.start_server(mute.take, "127.0.0.1", 0)
    url = f"{'wss' if csms else 'ws'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
    rows = variables(OCPPCommCtrlr__RetryBackOffWaitMinimum="5", OCPPCommCtrlr__RetryBackOffRandomRange="0")
    config = configuration(tmp_path, url, csms=csms, variable=rows)
    async with server, powered(config, Csms()) as walk:
        mute.now = walk.application.clock.now
        await walk.until(lambda: len(mute.dialled) == 2, within_s=40)
        assert (mute.dialled[1] - mute.dialled[0]).total_seconds() == pytest.approx(20 + 5, abs=0.6)
        await walk.until(lambda: mute.left == 1)  # the first attempt was given up
