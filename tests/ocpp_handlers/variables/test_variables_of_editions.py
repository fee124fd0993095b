"""A variable that came with a later edition of OCPP is unknown to a CSMS that speaks an earlier one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest

from foundation.clock import SystemClock
from ocpp_handlers.blocks.b_provisioning import Provisioning
from ocpp_handlers.blocks.b_reports import DeviceModelReports
from ocpp_handlers.connection.boot import BootMessageFilter
from ocpp_handlers.connection.link import Link
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.request_settings import VariableRequestSettings
from ocpp_handlers.variables.variable import (
    AttributeType,
    Component,
    DataType,
    Mutability,
    Variable,
    create_variable,
    read_only_variable,
)
from ocpp_handlers.wire.edition import V201, Edition
from station.charging.restart import RestartController
from station.charging.transaction_settings import TransactionSettings
from station.core.csms import NoCsms
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database
from tests.editions import LATER

OLD, MIXED, NEW = Component("Old"), Component("Mixed"), Component("New")


class CsmsOfEdition:
    """The blocks of a station whose CSMS uses an edition, and what they have reported."""

    edition = V201
    """of the session"""

    def __init__(self, link: Link, provisioning: Provisioning, reports: DeviceModelReports, written: list[str]) -> None:
        self._link = link
        self._provisioning = provisioning
        self._reports = reports
        self.sent: list[Any] = []
        self.attributes: dict[tuple[str, str], list[str]] = {}
        """the attributes of each variable in the last NotifyReport"""
        self.written = written
        """the values that the CSMS has written"""

    def open_session(self, edition: Edition) -> None:
        self.edition = edition
        self._link.open(cast("Any", self))

    async def call(self, _: object, request: Any, **__: object) -> dict[str, str]:
        """Takes a NotifyReport."""
        self.sent += [(row["component"]["name"], row["variable"]["name"]) for row in request["reportData"]]
        self.attributes = {
            (row["component"]["name"], row["variable"]["name"]): [each["type"] for each in row["variableAttribute"]]
            for row in request["reportData"]
        }
        return {}

    async def report(self, action: str, request: Any) -> list[Any]:
        """The entries of the report that answers a request; empty if there is none."""
        self.sent.clear()
        handle: Any = getattr(self._reports, action)
        answer = await handle({"requestId": 1, **request})
        if answer.follow_up is not None:
            await answer.follow_up()
        return list(self.sent)

    async def status(self, component: str, variable: str, attribute: str = "Actual") -> tuple[str, str]:
        """The statuses with which GetVariables and SetVariables answer."""
        item: Any = {"component": {"name": component}, "variable": {"name": variable}, "attributeType": attribute}
        read = (await self._provisioning.get_variables({"getVariableData": [item]})).response
        item = {**item, "attributeValue": "1"}
        written = (await self._provisioning.set_variables({"setVariableData": [item]})).response
        return read["getVariableResult"][0]["attributeStatus"], written["setVariableResult"][0]["attributeStatus"]


def variables(written: list[str]) -> list[Variable]:
    """Variables of both editions; `written`: the values that were written to those of the later one."""

    async def write(text: str) -> None:
        written.append(text)

    integer, read_write = DataType.INTEGER, Mutability.READ_WRITE
    return [
        create_variable(MIXED, "Later", integer, read_write, lambda: "2", write, since=LATER),
        create_variable(OLD, "Plain", integer, read_write, lambda: "1", write),
        create_variable(MIXED, "Plain", integer, read_write, lambda: "1", write),
        create_variable(
            MIXED, "Plain", integer, read_write, lambda: "9", write, attribute=AttributeType.MAX_SET, since=LATER
        ),
        read_only_variable(NEW, "Enabled", DataType.BOOLEAN, lambda: "true", since=LATER),
    ]


@pytest.fixture
async def csms(tmp_path: Path) -> AsyncGenerator[CsmsOfEdition]:
    clock, settings = SystemClock(), VariableRequestSettings()
    async with open_database(tmp_path / "records.sqlite", clock) as database:
        restart = RestartController({}, Outbox(database, clock), NoCsms(), TransactionSettings(), clock, lambda _: None)
        written = list[str]()
        model = DeviceModel(variables(written), fakes.RaisingCalls())
        link = Link(BootMessageFilter(), CsmsLinkSettings(), clock)
        provisioning = Provisioning(link, model, restart, settings)
        yield CsmsOfEdition(link, provisioning, DeviceModelReports(link, model, settings, clock), written)


async def test_reports_leave_out_what_came_with_a_later_edition_than_that_of_the_session(csms: CsmsOfEdition) -> None:
    original, later = [("Mixed", "Plain"), ("Old", "Plain")], [("Mixed", "Later"), ("New", "Enabled")]
    full: Any = {"reportBase": "FullInventory"}
    csms.open_session(V201)
    assert sorted(await csms.report("get_base_report", full)) == original
    assert csms.attributes["Mixed", "Plain"] == ["Actual"]
    assert sorted(await csms.report("get_base_report", {"reportBase": "ConfigurationInventory"})) == original
    assert await csms.report("get_base_report", {"reportBase": "SummaryInventory"}) == []
    csms.open_session(LATER)
    assert sorted(await csms.report("get_base_report", full)) == sorted(original + later)
    assert csms.attributes["Mixed", "Plain"] == ["Actual", "MaxSet"]
    assert await csms.report("get_base_report", {"reportBase": "SummaryInventory"}) == [("New", "Enabled")]
    csms.open_session(V201)
    assert sorted(await csms.report("get_base_report", full)) == original, "resolved for each report"


@pytest.mark.parametrize(
    "criteria",
    [
        {"componentVariable": [{"component": {"name": "New"}}]},
        {"componentVariable": [{"component": {"name": "Mixed"}, "variable": {"name": "Later"}}]},
        {"componentCriteria": ["Enabled"]},
    ],
)
async def test_a_report_of_what_came_later_is_empty(csms: CsmsOfEdition, criteria: Any) -> None:
    csms.open_session(V201)
    assert await csms.report("get_report", criteria) == []
    csms.open_session(LATER)
    assert len(await csms.report("get_report", criteria)) == 1


async def test_components_and_variables_that_came_later_are_unknown_and_not_written(csms: CsmsOfEdition) -> None:
    csms.open_session(V201)
    assert await csms.status("New", "Enabled") == ("UnknownComponent", "UnknownComponent")
    assert await csms.status("New", "Other") == ("UnknownComponent", "UnknownComponent")
    assert await csms.status("Mixed", "Later") == ("UnknownVariable", "UnknownVariable")
    assert await csms.status("Mixed", "Later", "MaxSet") == ("UnknownVariable", "UnknownVariable")
    assert await csms.status("Mixed", "Plain", "MaxSet") == ("NotSupportedAttributeType", "NotSupportedAttributeType")
    assert csms.written == []
    assert await csms.status("Mixed", "Plain") == ("Accepted", "Accepted")
    csms.open_session(LATER)
    assert await csms.status("New", "Enabled") == ("Accepted", "Rejected")
    assert await csms.status("New", "Other") == ("UnknownVariable", "UnknownVariable")
    assert await csms.status("Mixed", "Later") == ("Accepted", "Accepted")
    assert await csms.status("Mixed", "Later", "MaxSet") == ("NotSupportedAttributeType", "NotSupportedAttributeType")
    assert await csms.status("Mixed", "Plain", "MaxSet") == ("Accepted", "Accepted")
    assert csms.written == ["1", "1", "1"]


def test_the_local_api_has_the_variables_of_all_editions() -> None:
    rows = DeviceModel(variables([]), fakes.RaisingCalls()).rows()
    assert {(row.component, row.variable) for row in rows} == {
        ("Old", "Plain"), ("Mixed", "Plain"), ("Mixed", "Later"), ("New", "Enabled"),
    }  # fmt: skip
