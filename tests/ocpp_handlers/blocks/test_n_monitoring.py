"""The messages of block N on the block itself: sizes, refusals, reports in parts, events on the wire (N02 to N08)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest

from ocpp_handlers.blocks.n_event_delivery import MonitoringEventDelivery
from ocpp_handlers.blocks.n_monitoring import MonitoringBlock
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.variables.request_settings import VariableRequestSettings
from ocpp_handlers.variables.variable import Component, DataType, Mutability, create_variable
from ocpp_handlers.wire.call_errors import CallRefusedError, CallTimeoutError, InvalidRequestError
from ocpp_handlers.wire.edition import V21, V201
from ocpp_handlers.wire.schema import Schemas
from ocpp_handlers.wire.session import HandlerResult, PayloadError
from station.maintenance.monitoring.monitoring_settings import MonitoringSettings
from tests.editions import LATER
from tests.full_disk import FullDisk
from tests.station.maintenance.monitoring.monitored import Environment, Monitored, running

Payload = dict[str, Any]
SCHEMAS = Schemas(V21)
"""of the messages that the blocks make, which are narrowed afterwards"""
SCHEMAS_201 = Schemas(V201)
"""of the superset, before a session narrows it"""


class FakeLink:
    """Records the CALLs of the blocks, and answers or fails as the test has set."""

    edition = V201
    """of the session"""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Payload]] = []
        self.errors: list[Exception] = []

    async def call(self, action: Any, request: Payload, *, requested: bool = False) -> Payload:
        del requested
        assert SCHEMAS.check_request(action.name, request) is None
        self.sent.append((action.name, request))
        if self.errors:
            raise self.errors.pop(0)
        return {}

    async def notify(self, action: Any, request: Payload, *, requested: bool = False, delays: object) -> Payload:
        """Answer or fail as `call`; `Link.notify` would repeat a request that is refused temporarily."""
        del delays
        return await self.call(action, request, requested=requested)


class Harness:
    """A station with the block."""

    def __init__(self, environment: Environment, station: Monitored) -> None:
        self.environment, self.station = environment, station
        self.link = FakeLink()
        self.settings = VariableRequestSettings()
        self.block = MonitoringBlock(
            cast("Any", self.link),
            station.model,
            station.monitoring,
            self.settings,
            station.set_aside,
            environment.clock,
        )
        self.delivery = MonitoringEventDelivery(
            station.queue, station.model, cast("Any", self.link), CsmsLinkSettings(), environment.clock
        )

    async def handle_request(self, action: str, request: Payload) -> Payload:
        """Let the block handle a request, and run its follow-up."""
        assert SCHEMAS_201.check_request(action, request) is None
        handler = {
            "SetVariableMonitoring": self.block.set_variable_monitoring,
            "ClearVariableMonitoring": self.block.clear_variable_monitoring,
            "SetMonitoringBase": self.block.set_monitoring_base,
            "SetMonitoringLevel": self.block.set_monitoring_level,
            "GetMonitoringReport": self.block.get_monitoring_report,
        }[action]
        result = cast("HandlerResult[Payload]", await handler(cast("Any", request)))
        assert SCHEMAS.check_response(action, result.response) is None
        if result.follow_up is not None:
            await result.follow_up()
        return result.response

    async def report(self, **criteria: Any) -> tuple[str, list[Payload]]:
        """The status and the parts of a report."""
        before = len(self.link.sent)
        answer = await self.handle_request("GetMonitoringReport", {"requestId": 7, **criteria})
        return answer["status"], [payload for _, payload in self.link.sent[before:]]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncGenerator[Harness]:
    environment = Environment(tmp_path)
    async with running(environment) as station:
        yield Harness(environment, station)


def item(variable: str, kind: str = "Delta", value: float = 1, severity: int = 5, **more: Any) -> Payload:
    evse = {"evse": {"id": 1}} if variable in {"Power", "AvailabilityState"} else {}
    component = {"name": "EVSE" if evse else "Thing", **evse}
    return {
        "component": component,
        "variable": {"name": variable},
        "type": kind,
        "value": value,
        "severity": severity,
        **more,
    }


def ids(parts: list[Payload]) -> list[int]:
    return [entry["id"] for part in parts for data in part["monitor"] for entry in data["variableMonitoring"]]


async def test_each_result_echoes_what_was_asked_for(harness: Harness) -> None:
    """N04.FR.01, N04.FR.02, N04.FR.11."""
    requested = [
        item("lEVEL", "UpperThreshold", 80),
        item("Nothing"),
        item("Level", "UpperThreshold", 200),
        item("State"),
    ]
    answer = await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": requested})
    results = answer["setMonitoringResult"]
    assert [result["status"] for result in results] == ["Accepted", "UnknownVariable", "Rejected", "Accepted"]
    for result, requested_item in zip(results, requested, strict=True):
        assert {key: result[key] for key in ("component", "variable", "type", "severity")} == {
            key: requested_item[key] for key in ("component", "variable", "type", "severity")
        }
    assert ["id" in result for result in results] == [True, False, False, True]
    assert results[2]["statusInfo"]["reasonCode"] == "ValueOutOfRange"


async def test_larger_requests_than_allowed_are_refused_as_a_whole(harness: Harness) -> None:
    """N02.FR.07, N04.FR.09, N06.FR.06, N06.FR.07."""
    requested = {"component": {"name": "Thing"}}
    padding = {"vendorId": "v", "text": "x" * 70_000}
    for action, request, code in (
        ("SetVariableMonitoring", {"setMonitoringData": [item("Level")] * 51}, "OccurrenceConstraintViolation"),
        ("SetVariableMonitoring", {"setMonitoringData": [{**item("Level"), "customData": padding}]}, "FormatViolation"),
        ("ClearVariableMonitoring", {"id": list(range(101))}, "OccurrenceConstraintViolation"),
        ("ClearVariableMonitoring", {"id": [1], "customData": padding}, "FormatViolation"),
        (
            "GetMonitoringReport",
            {"requestId": 1, "componentVariable": [requested] * 51},
            "OccurrenceConstraintViolation",
        ),
    ):
        with pytest.raises(PayloadError) as refused:
            await harness.handle_request(action, request)
        assert refused.value.code == code
    assert len(harness.station.monitoring.monitors()) == 2


async def test_a_report_is_limited_by_criteria_and_by_variables(harness: Harness) -> None:
    """N02.FR.01, N02.FR.03 to N02.FR.06, N02.FR.08 to N02.FR.21."""
    requested = [
        item("Level", "UpperThreshold", 80),
        item("Level", "LowerThreshold", 5),
        item("Level", "Delta", 5),
        item("Power", "Periodic", 60),
        item("Power", "PeriodicClockAligned", 60),
    ]
    answer = await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": requested})
    upper, lower, delta, periodic, aligned = (result["id"] for result in answer["setMonitoringResult"])
    threshold, changes, times = "ThresholdMonitoring", "DeltaMonitoring", "PeriodicMonitoring"
    thing_component, evse = {"component": {"name": "tHING"}}, {"component": {"name": "EVSE", "evse": {"id": 1}}}
    level = {**thing_component, "variable": {"name": "Level"}}
    for criteria, expected in (
        ({}, [1, 100, upper, lower, delta, periodic, aligned]),
        ({"monitoringCriteria": [threshold]}, [1, upper, lower]),
        ({"monitoringCriteria": [changes]}, [100, delta]),
        ({"monitoringCriteria": [times]}, [periodic, aligned]),
        ({"monitoringCriteria": [threshold, changes]}, [1, 100, upper, lower, delta]),
        ({"componentVariable": [thing_component]}, [1, 100, upper, lower, delta]),
        ({"componentVariable": [level]}, [1, upper, lower, delta]),
        ({"componentVariable": [evse]}, [periodic, aligned]),
        ({"componentVariable": [{"component": {"name": "EVSE"}}]}, [periodic, aligned]),
        ({"componentVariable": [evse, level], "monitoringCriteria": [times]}, [periodic, aligned]),
    ):
        status, parts = await harness.report(**criteria)
        assert status == "Accepted", criteria
        assert sorted(ids(parts)) == sorted(expected), criteria
        assert {part["requestId"] for part in parts} == {7}
    for criteria in (
        {"componentVariable": [evse], "monitoringCriteria": [threshold]},  # N02.FR.10
        {"componentVariable": [{"component": {"name": "EVSE", "evse": {"id": 2}}}]},
        {"componentVariable": [{"component": {"name": "Thing", "instance": "x"}}]},
    ):
        assert await harness.report(**criteria) == ("EmptyResultSet", [])


async def test_a_long_report_is_sent_in_numbered_parts(harness: Harness) -> None:
    """N02.FR.03, N02.FR.09: a part that is refused does not end it."""
    kinds = {"Power": ("UpperThreshold", "LowerThreshold", "Delta", "Periodic"), "AvailabilityState": ("Delta",)}
    for variable, types in kinds.items():
        for kind in types:
            data = [item(variable, kind, 60, severity) for severity in range(10)]
            await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": data})
    more = [item("Live", kind, 60, severity) for kind in kinds["Power"] for severity in range(10)]
    await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": more})
    more = [item("Level", kind, 60, severity) for kind in kinds["Power"][2:] for severity in range(10)]
    await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": more})
    harness.link.errors.append(CallRefusedError("FormatViolation", ""))
    _, parts = await harness.report()
    assert [part["seqNo"] for part in parts] == [0, 1]
    assert [part["tbc"] for part in parts] == [True, False]
    assert len(ids(parts)) == len(harness.station.monitoring.monitors()) == 112


async def test_while_monitoring_is_disabled_everything_is_rejected(harness: Harness) -> None:
    harness.environment.settings.override(MonitoringSettings.monitoring_enabled, False)
    set_answer = await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": [item("Level")] * 2})
    assert [result["status"] for result in set_answer["setMonitoringResult"]] == ["Rejected"] * 2
    cleared = await harness.handle_request("ClearVariableMonitoring", {"id": [1, 2]})
    assert [result["status"] for result in cleared["clearMonitoringResult"]] == ["Rejected"] * 2
    for action, request in (
        ("SetMonitoringBase", {"monitoringBase": "All"}),
        ("SetMonitoringLevel", {"severity": 5}),
        ("GetMonitoringReport", {"requestId": 1}),
    ):
        assert (await harness.handle_request(action, request))["status"] == "Rejected"
    assert len(harness.station.monitoring.monitors()) == 2


async def test_what_cannot_be_stored_is_rejected_and_changes_nothing(disk: FullDisk, harness: Harness) -> None:
    before = harness.station.monitoring.monitors()
    with disk.refusing(""):
        answer = await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": [item("Level")]})
        assert answer["setMonitoringResult"][0]["status"] == "Rejected"
        assert "id" not in answer["setMonitoringResult"][0]
    with disk.refusing(""):
        answer = await harness.handle_request("ClearVariableMonitoring", {"id": [100]})
        assert answer["clearMonitoringResult"][0]["status"] == "Rejected"
    with disk.refusing(""):
        assert (await harness.handle_request("SetMonitoringBase", {"monitoringBase": "HardWiredOnly"}))[
            "status"
        ] == "Rejected"
    with disk.refusing(""):
        assert (await harness.handle_request("SetMonitoringLevel", {"severity": 5}))["status"] == "Rejected"
    assert harness.station.monitoring.monitors() == before
    assert harness.station.rules.level == 9


async def test_the_level_is_between_0_and_9(harness: Harness) -> None:
    """N05.FR.01, N05.FR.02."""
    for severity, status in ((0, "Accepted"), (9, "Accepted"), (10, "Rejected"), (-1, "Rejected")):
        assert (await harness.handle_request("SetMonitoringLevel", {"severity": severity}))["status"] == status


async def test_events_go_out_together_and_once(harness: Harness) -> None:
    """N07.FR.06, N07.FR.07, N08.FR.04, N08.FR.05: ones that the CSMS does not know are not sent again."""
    await harness.handle_request(
        "SetVariableMonitoring", {"setMonitoringData": [item("Level", "UpperThreshold", 60), item("State")]}
    )
    await harness.handle_request("ClearVariableMonitoring", {"id": [100]})
    await harness.station.set_values(Level="70", State="Busy")
    harness.link.errors += [CallTimeoutError("no answer"), CallRefusedError("NotImplemented", "")]
    clock = harness.environment.clock
    sending = asyncio.ensure_future(harness.delivery.run())
    await clock.settle()
    await clock.advance(3_600.0)
    await clock.settle()
    sending.cancel()
    sent = [payload for action, payload in harness.link.sent if action == "NotifyEvent"]
    assert len(sent) == 2
    assert sent[0]["eventData"] == sent[1]["eventData"]
    assert (sent[0]["seqNo"], "tbc" in sent[0]) == (0, False)
    level, state = sent[0]["eventData"]
    assert (level["trigger"], level["actualValue"], level["cleared"]) == ("Alerting", "70", False)
    assert (state["trigger"], state["actualValue"], "cleared" in state) == ("Delta", "Busy", False)
    assert {entry["eventNotificationType"] for entry in (level, state)} == {"CustomMonitor"}
    assert len(harness.station.queue) == 0


@pytest.mark.parametrize("refusal", [CallRefusedError, InvalidRequestError])
async def test_an_event_that_is_refused_does_not_take_the_others_with_it(
    harness: Harness, refusal: type[CallRefusedError]
) -> None:
    """N07.FR.04: refused together, by the CSMS or because one of them is not valid, they are sent one by one."""
    monitors = [item("Level", "UpperThreshold", 60), item("State"), item("Level")]
    await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": monitors})
    await harness.handle_request("ClearVariableMonitoring", {"id": [100]})
    await harness.station.set_values(Level="70", State="Busy")
    harness.link.errors += [refusal("FormatViolation", ""), refusal("FormatViolation", "")]
    sending = asyncio.ensure_future(harness.delivery.run())
    await harness.environment.clock.advance(3_600.0)
    await harness.environment.clock.settle()
    sending.cancel()
    sent = [payload["eventData"] for action, payload in harness.link.sent if action == "NotifyEvent"]
    assert [len(events) for events in sent] == [3, 1, 1, 1]
    assert [event for events in sent[1:] for event in events] == sent[0]
    assert len(harness.station.queue) == 0


def add_later_variables(harness: Harness) -> None:
    """A variable, and a component with one, that came with a later edition than 2.0.1."""
    values, moved = harness.environment.values, harness.station.moved
    for place, name in (("Thing", "Later"), ("New", "Enabled")):
        values[name] = "0"
        integer, read_only = DataType.INTEGER, Mutability.READ_ONLY
        harness.station.model.add(
            create_variable(
                Component(place), name, integer, read_only, lambda name=name: values[name], changes=moved, since=LATER
            )
        )


ENABLED: Payload = {**item("Enabled"), "component": {"name": "New"}}


async def set_statuses(harness: Harness, *data: Payload) -> list[str]:
    answer = await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": list(data)})
    return [result["status"] for result in answer["setMonitoringResult"]]


async def test_no_monitor_can_be_set_of_a_variable_that_came_later(harness: Harness) -> None:
    """N04.FR.03, N04.FR.04: as of one that does not exist."""
    add_later_variables(harness)
    other = {**item("Other"), "component": {"name": "New"}}
    before = harness.station.monitoring.monitors()
    assert await set_statuses(harness, item("Later"), ENABLED, other) == [
        "UnknownVariable", "UnknownComponent", "UnknownComponent",
    ]  # fmt: skip
    assert harness.station.monitoring.monitors() == before
    harness.link.edition = LATER
    assert await set_statuses(harness, item("Later"), ENABLED, other) == ["Accepted", "Accepted", "UnknownVariable"]


async def test_a_report_leaves_out_the_monitors_of_variables_that_came_later_which_stay(harness: Harness) -> None:
    add_later_variables(harness)
    original = ids((await harness.report())[1])
    harness.link.edition = LATER
    await set_statuses(harness, item("Later"), ENABLED)
    status, parts = await harness.report()
    assert (status, len(ids(parts))) == ("Accepted", len(original) + 2)
    harness.link.edition = V201
    assert ids((await harness.report())[1]) == original
    later = {"component": {"name": "Thing"}, "variable": {"name": "Later"}}
    assert await harness.report(componentVariable=[later]) == ("EmptyResultSet", [])
    harness.link.edition = LATER
    assert ids((await harness.report())[1]) == ids(parts)


async def test_events_of_variables_that_came_later_are_not_sent_to_a_csms_of_an_earlier_edition(
    harness: Harness,
) -> None:
    add_later_variables(harness)
    harness.link.edition = LATER
    await set_statuses(harness, item("Later"), ENABLED, item("Level"))

    async def changed_variables(value: str) -> list[str]:
        """The variables of the events that are sent when all values change."""
        harness.link.sent.clear()
        sending = asyncio.ensure_future(harness.delivery.run())
        await harness.station.set_values(Later=value, Enabled=value, Level=value)
        await harness.environment.clock.advance(10.0)
        await harness.environment.clock.settle()
        sending.cancel()
        assert len(harness.station.queue) == 0
        return [event["variable"]["name"] for _, payload in harness.link.sent for event in payload["eventData"]]

    assert sorted(await changed_variables("10")) == ["Enabled", "Later", "Level"]
    harness.link.edition = V201
    assert await changed_variables("20") == ["Level"]
    harness.link.edition = LATER
    assert sorted(await changed_variables("30")) == ["Enabled", "Later", "Level"], "the monitors stay"


async def test_other_tasks_run_while_many_monitors_are_compared_with_many_items(harness: Harness) -> None:
    monitors = [item("Level", "Periodic", 60 + number, number % 10) for number in range(10)]
    monitors += [item("State", "Periodic", 60, number) for number in range(10)]
    monitors += [
        item(name, kind, 60, number) for name in ("Level", "State") for kind in ("Delta",) for number in range(10)
    ]
    monitors += [
        item("Level", kind, 60, number) for kind in ("UpperThreshold", "LowerThreshold") for number in range(10)
    ]
    for start in (0, 30):
        await harness.handle_request("SetVariableMonitoring", {"setMonitoringData": monitors[start : start + 30]})
    yields = 0

    async def count_yields() -> None:
        nonlocal yields
        while True:
            yields += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(count_yields())
    await asyncio.sleep(0)
    before = yields
    assert await harness.report(componentVariable=[{"component": {"name": "Absent"}}] * 50) == ("EmptyResultSet", [])
    task.cancel()
    assert yields > before
