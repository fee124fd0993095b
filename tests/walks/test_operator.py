"""What an operator asks of a station: reports, availability, trigger messages, unlocking (blocks B, F, G)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ocpp_handlers.wire.edition import EDITIONS, V21, Edition
from station.core.model import Fault
from tests.csms import NO_ANSWER, CallErrorAnswer, Csms
from tests.walk import Walk, walking
from tests.walks.steps import charge


async def _report(walk: Walk, action: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Request a report; returns the rows of all its parts, whose order is checked."""
    answer = await walk.csms.call(action, request)
    assert answer["status"] == "Accepted"
    parts: list[dict[str, Any]] = []
    while not parts or parts[-1]["tbc"]:
        parts.append(await walk.csms.expect("NotifyReport", lambda part: part["requestId"] == request["requestId"]))
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    return [row for part in parts for row in part["reportData"]]


def _names(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(row["component"]["name"], row["variable"]["name"]) for row in rows}


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.name)
async def test_a_full_inventory_names_every_variable_of_the_edition_in_parts(tmp_path: Path, edition: Edition) -> None:
    """B07.FR.01, B07.FR.03, B07.FR.08, B07.FR.10."""
    async with walking(tmp_path, Csms(subprotocol=edition.subprotocol)) as walk:
        await walk.accepted()
        rows = await _report(walk, "GetBaseReport", {"requestId": 0, "reportBase": "FullInventory"})
        expected = [
            (attributes[0].component.name, attributes[0].name) for attributes in walk.device_model.variables_of(edition)
        ]
        assert sorted((row["component"]["name"], row["variable"]["name"]) for row in rows) == sorted(expected)
        assert (("NetworkConfiguration", "OcppCsmsUrl") in _names(rows)) is (edition is V21)
        assert ("TxCtrlr", "TxStartPoint") in _names(rows)
        assert ("Connector", "AvailabilityState") in _names(rows)
        for row in rows:
            characteristics = row["variableCharacteristics"]
            if characteristics["dataType"] in {"OptionList", "MemberList", "SequenceList"}:
                assert characteristics["valuesList"], row


async def test_a_configuration_inventory_names_only_what_can_be_set(tmp_path: Path) -> None:
    """B07.FR.07 (TC_B_12_CS)."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        rows = await _report(walk, "GetBaseReport", {"requestId": 7, "reportBase": "ConfigurationInventory"})
        assert {row["variableAttribute"][0]["mutability"] for row in rows} <= {"ReadWrite", "WriteOnly"}
        assert ("OCPPCommCtrlr", "HeartbeatInterval") in _names(rows)
        assert ("SecurityCtrlr", "SecurityProfile") not in _names(rows)


async def test_a_summary_describes_the_condition_of_the_station(tmp_path: Path) -> None:
    """B07.FR.09."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        rows = await _report(walk, "GetBaseReport", {"requestId": 8, "reportBase": "SummaryInventory"})
        assert {("ChargingStation", "AvailabilityState"), ("EVSE", "AvailabilityState")} <= _names(rows)
        assert ("TxCtrlr", "TxStartPoint") not in _names(rows)


async def test_a_report_is_limited_to_what_was_asked(tmp_path: Path) -> None:
    """B08.FR.05, B08.FR.11, B08.FR.20, B08.FR.21, B08.FR.23."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        request = {"requestId": 9, "componentVariable": [{"component": {"name": "txctrlr"}}]}
        assert {name for name, _ in _names(await _report(walk, "GetReport", request))} == {"TxCtrlr"}
        requested_variable = {"component": {"name": "DeviceDataCtrlr"}, "variable": {"name": "ItemsPerMessage"}}
        rows = await _report(walk, "GetReport", {"requestId": 10, "componentVariable": [requested_variable]})
        assert {row["variable"]["instance"] for row in rows} == {"GetReport", "GetVariables", "SetVariables"}
        state = {"component": {"name": "Connector"}, "variable": {"name": "AvailabilityState"}}
        rows = await _report(walk, "GetReport", {"requestId": 11, "componentVariable": [state]})
        assert [row["component"]["evse"] for row in rows] == [{"id": 1, "connectorId": 1}]


@pytest.mark.parametrize(
    ("component", "variable", "places"),
    [
        ({"name": "Fan"}, {}, {("a", 1, None), ("b", 1, None), ("b", 2, None), ("b", 2, 1)}),
        ({"name": "Fan", "instance": ""}, {}, {("a", 1, None), ("b", 1, None), ("b", 2, None), ("b", 2, 1)}),
        ({"name": "Fan", "instance": "B"}, {}, {("b", 1, None), ("b", 2, None), ("b", 2, 1)}),
        ({"name": "Fan", "evse": {"id": 2}}, {}, {("b", 2, None), ("b", 2, 1)}),
        ({"name": "Fan", "evse": {"id": 2, "connectorId": 1}}, {}, {("b", 2, 1)}),
        ({"name": "Fan", "evse": {"id": 1}, "instance": "b"}, {"variable": {"name": "speed"}}, {("b", 1, None)}),
        ({"name": "Fan"}, {"variable": {"name": "Speed", "instance": ""}}, {("a", 1, None), ("b", 1, None)}),
        ({"name": "Fan"}, {"variable": {"name": "Speed", "instance": "Most"}}, {("a", 1, None)}),
    ],
)
async def test_what_a_report_is_not_asked_for_by_name_does_not_matter(
    tmp_path: Path, component: dict[str, Any], variable: dict[str, Any], places: set[tuple[str, int, int | None]]
) -> None:
    """B08.FR.21 to B08.FR.25"""
    fan = {"component": "Fan", "value": "3", "mutability": "ReadOnly"}
    rows = [
        {**fan, "component_instance": "a", "evse": 1, "variable": "Speed", "instance": "Most"},
        {**fan, "component_instance": "b", "evse": 1, "variable": "Speed"},
        {**fan, "component_instance": "b", "evse": 2, "variable": "Noise"},
        {**fan, "component_instance": "b", "evse": 2, "connector": 1, "variable": "Noise"},
    ]
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], variable=rows) as walk:
        await walk.accepted()
        request = {"requestId": 12, "componentVariable": [{"component": component, **variable}]}
        components = [row["component"] for row in await _report(walk, "GetReport", request)]
        assert {
            (reported["instance"], reported["evse"]["id"], reported["evse"].get("connectorId"))
            for reported in components
        } == places


async def test_a_report_goes_on_after_a_part_that_is_refused(tmp_path: Path) -> None:
    """B07.FR.04: a CSMS that has no use for one part waits for the one whose tbc is false all the same."""
    csms = Csms()
    csms.answers["NotifyReport"] = lambda part: {} if part["seqNo"] else CallErrorAnswer("FormatViolation")
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        rows = await _report(walk, "GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"})
        assert ("TxCtrlr", "TxStartPoint") in _names(rows)


async def test_more_reports_at_once_than_can_be_are_rejected(tmp_path: Path) -> None:
    """B07.FR.13, B08.FR.16: a CSMS that asks on and on without taking what it gets fills no memory."""
    csms = Csms()
    csms.answers["NotifyReport"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        requested = [{"component": {"name": "TxCtrlr"}}]
        answers: list[str] = []
        for number in range(6):
            base = await csms.call("GetBaseReport", {"requestId": number, "reportBase": "SummaryInventory"})
            answers.append(base["status"])
            await walk.settle()
        assert answers == ["Accepted"] * 4 + ["Rejected"] * 2
        report = await csms.call("GetReport", {"requestId": 9, "componentVariable": requested})
        assert report["status"] == "Rejected"
        del csms.answers["NotifyReport"]
        await walk.advance(60)
        assert (await csms.call("GetReport", {"requestId": 10, "componentVariable": requested}))["status"] == "Accepted"
        await csms.expect("NotifyReport", lambda part: part["requestId"] == 10)


async def test_a_report_with_nothing_in_it_is_an_empty_result_set(tmp_path: Path) -> None:
    """B08.FR.10, B08.FR.15."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        request = {"requestId": 12, "componentVariable": [{"component": {"name": "NoSuchThing"}}]}
        assert (await walk.csms.call("GetReport", request))["status"] == "EmptyResultSet"
        problem = {"requestId": 13, "componentCriteria": ["Problem"]}
        assert (await walk.csms.call("GetReport", problem))["status"] == "EmptyResultSet"


@pytest.mark.parametrize(
    ("tariff", "cost", "status"),
    [
        ("true", "false", "Accepted"),
        ("false", "true", "Accepted"),
        ("false", "false", "EmptyResultSet"),
    ],
)
async def test_a_component_is_enabled_where_one_instance_of_its_switch_is(
    tmp_path: Path, tariff: str, cost: str, status: str
) -> None:
    """B08.FR.09."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.set_variable("TariffCostCtrlr", "Enabled", tariff, instance="Tariff")
        await walk.set_variable("TariffCostCtrlr", "Enabled", cost, instance="Cost")
        requested = [{"component": {"name": "TariffCostCtrlr"}}]
        request = {"requestId": 14, "componentCriteria": ["Enabled"], "componentVariable": requested}
        assert (await walk.csms.call("GetReport", request))["status"] == status


@pytest.mark.parametrize("evse", [None, {"id": 1}, {"id": 1, "connectorId": 1}])
async def test_an_order_out_of_service_is_reported_and_outlives_a_power_cut(
    tmp_path: Path, evse: dict[str, int] | None
) -> None:
    """G03.FR.02, G03.FR.04, G03.FR.08, G04.FR.05, G04.FR.09."""
    place = {"evse": evse} if evse is not None else {}
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await walk.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", **place})
        assert answer["status"] == "Accepted"
        await walk.csms.expect(
            "StatusNotification", lambda notification: notification["connectorStatus"] == "Unavailable"
        )
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.csms.expect(
            "StatusNotification", lambda notification: notification["connectorStatus"] == "Unavailable"
        )
        second_answer = await walk.csms.call("ChangeAvailability", {"operationalStatus": "Operative", **place})
        assert second_answer["status"] == "Accepted"
        await walk.csms.expect(
            "StatusNotification", lambda notification: notification["connectorStatus"] == "Available"
        )


async def test_an_order_waits_for_the_end_of_a_transaction(tmp_path: Path) -> None:
    """G03.FR.05."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        answer = await walk.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}})
        assert answer["status"] == "Scheduled"
        assert sum(walk.board.currents_a) > 0
        await walk.present()
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Unavailable")
        assert walk.evse.state.transaction is None


async def test_an_order_for_an_unknown_evse_is_rejected(tmp_path: Path) -> None:
    """G03.FR.02."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for place in ({"id": 2}, {"id": 1, "connectorId": 2}):
            answer = await walk.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": place})
            assert answer["status"] == "Rejected"


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("Heartbeat", "Heartbeat"),
        ("StatusNotification", "StatusNotification"),
        ("MeterValues", "MeterValues"),
        ("LogStatusNotification", "LogStatusNotification"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
    ],
)
async def test_a_triggered_message_is_sent_after_the_answer(tmp_path: Path, message: str, action: str) -> None:
    """F06.FR.04, F06.FR.06, F06.FR.10, F06.FR.15, F06.FR.16."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        before = len(walk.csms.received(action))
        assert (await walk.csms.call("TriggerMessage", {"requestedMessage": message}))["status"] == "Accepted"
        await walk.until(lambda: len(walk.csms.received(action)) == before + 1, step_s=0.1)
        sent_event = walk.csms.received(action)[-1]
        if action.endswith("StatusNotification") and action != "StatusNotification":
            assert sent_event["status"] == "Idle"
        if action == "MeterValues":
            assert {sample["context"] for value in sent_event["meterValue"] for sample in value["sampledValue"]} == {
                "Trigger"
            }


async def test_a_transaction_event_can_be_triggered_only_during_a_transaction(tmp_path: Path) -> None:
    """F06.FR.07."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        trigger = {"requestedMessage": "TransactionEvent"}
        assert (await walk.csms.call("TriggerMessage", trigger))["status"] == "Rejected"
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert (await walk.csms.call("TriggerMessage", trigger))["status"] == "Accepted"
        event = await walk.csms.expect("TransactionEvent", lambda event: event["triggerReason"] == "Trigger")
        assert event["transactionInfo"]["chargingState"] == "Charging"
        assert event["meterValue"][0]["sampledValue"][0]["context"] == "Trigger"


async def test_a_boot_notification_can_be_triggered_while_pending_and_not_afterwards(tmp_path: Path) -> None:
    """F06.FR.17, B02.FR.04."""
    csms = Csms()
    verdicts = iter(["Pending", "Accepted"])
    csms.answers["BootNotification"] = lambda _: {
        "currentTime": "2026-01-01T00:00:00Z",
        "interval": 3600,
        "status": next(verdicts),
    }
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: csms.received("BootNotification"))
        await walk.settle()
        trigger = {"requestedMessage": "BootNotification"}
        assert (await csms.call("TriggerMessage", trigger))["status"] == "Accepted"
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)
        assert csms.received("BootNotification")[1]["reason"] == "Triggered"
        await walk.accepted()
        assert (await csms.call("TriggerMessage", trigger))["status"] == "Rejected"


async def test_what_is_not_implemented_is_said_so(tmp_path: Path) -> None:
    """F06.FR.08."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await walk.csms.call("TriggerMessage", {"requestedMessage": "SignV2GCertificate"})
        assert answer["status"] == "NotImplemented"


@pytest.mark.parametrize(
    ("place", "code"), [((9, None), "UnknownEvse"), ((9, 1), "UnknownEvse"), ((1, 2), "UnknownConnectorId")]
)
async def test_whether_the_evse_or_its_connector_is_not_known_is_said(
    tmp_path: Path, place: tuple[int, int | None], code: str
) -> None:
    """Part 2, appendix 5."""
    evse_id, connector_id = place
    evse = {"id": evse_id} if connector_id is None else {"id": evse_id, "connectorId": connector_id}
    unlock = {"evseId": evse_id, "connectorId": connector_id or 1}
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for action, request, status in (
            ("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": evse}, "Rejected"),
            ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": evse}, "Rejected"),
            ("UnlockConnector", unlock, "UnknownConnector"),
        ):
            answer = await walk.csms.call(action, request)
            assert answer == {"status": status, "statusInfo": {"reasonCode": code}}, action


async def test_a_connector_is_unlocked_unless_an_authorized_transaction_runs(tmp_path: Path) -> None:
    """F05.FR.02, F05.FR.03, F05.FR.04, F05.FR.06."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        unlock = {"evseId": 1, "connectorId": 1}
        assert (await walk.csms.call("UnlockConnector", unlock))["status"] == "Unlocked"
        assert (await walk.csms.call("UnlockConnector", unlock | {"evseId": 9}))["status"] == "UnknownConnector"
        await walk.plug()
        await walk.present()
        await walk.charging()
        answer = await walk.csms.call("UnlockConnector", unlock)
        assert answer["status"] == "OngoingAuthorizedTransaction"
        assert walk.board.locked


async def test_a_lock_that_is_stuck_cannot_be_opened(tmp_path: Path) -> None:
    """F05.FR.05."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.board.raise_fault(Fault.LOCK)
        await walk.settle()
        answer = await walk.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})
        assert answer["status"] == "UnlockFailed"


async def test_a_flood_of_unlocks_for_a_stuck_lock_keeps_nobody_waiting(tmp_path: Path) -> None:
    """F05.FR.05: the first one waits for the lock, those behind it no longer; a later one tries again."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        walk.board.raise_fault(Fault.LOCK)
        await walk.present()
        await walk.advance(10)
        assert walk.board.locked
        unlock = ("UnlockConnector", {"evseId": 1, "connectorId": 1})
        asking = [asyncio.create_task(walk.csms.call(*unlock)) for _ in range(10)]
        await walk.until(lambda: all(call.done() for call in asking), within_s=6)
        assert {call.result()["status"] for call in asking} == {"UnlockFailed"}
        await walk.advance(10)
        second_call = asyncio.create_task(walk.csms.call(*unlock))
        await walk.advance(2)
        assert not second_call.done()
        walk.board.clear_fault(Fault.LOCK)
        await walk.until(second_call.done)
        assert second_call.result()["status"] == "Unlocked"


async def test_a_reset_without_a_transaction_reboots_the_station(tmp_path: Path) -> None:
    """B11.FR.03, B11.FR.04, B01.FR.09 (TC_B_20_CS, TC_B_21_CS)."""
    async with walking(tmp_path) as walk:
        for number, kind in enumerate(("OnIdle", "Immediate"), start=2):
            await walk.accepted()
            assert (await walk.csms.call("Reset", {"type": kind}))["status"] == "Accepted"
            await walk.until(lambda number=number: len(walk.csms.received("BootNotification")) == number)
            assert walk.csms.received("BootNotification")[-1]["reason"] == "RemoteReset"
            await walk.csms.expect("BootNotification", lambda boot: boot["reason"] == "RemoteReset")
            await walk.csms.expect(
                "StatusNotification", lambda notification: notification["connectorStatus"] == "Available"
            )


async def test_an_immediate_reset_ends_the_transaction_because_of_the_reset(tmp_path: Path) -> None:
    """B12.FR.02, B12.FR.04 (TC_B_22_CS)."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert (await walk.csms.call("Reset", {"type": "Immediate"}))["status"] == "Accepted"
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        ended = await walk.csms.expect("TransactionEvent", lambda event: event["eventType"] == "Ended")
        assert ended["triggerReason"] == "ResetCommand"
        assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
        assert ended["meterValue"][-1]["sampledValue"][0]["context"] == "Transaction.End"


async def test_a_reset_on_idle_waits_for_the_end_of_the_transaction(tmp_path: Path) -> None:
    """B12.FR.01, B12.FR.03 (TC_B_23_CS)."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert (await walk.csms.call("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
        await walk.advance(30)
        assert sum(walk.board.currents_a) > 0
        await walk.present()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        ended = [event for event in walk.events() if event["eventType"] == "Ended"]
        assert [event["triggerReason"] for event in ended] == ["StopAuthorized"]
