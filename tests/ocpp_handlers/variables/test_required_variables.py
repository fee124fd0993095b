"""The device model of a whole station against the specification's table of variables (part 2, appendix 1.4).

The table is read where it lies (BORNE_SHARED); without it these tests have nothing to compare with.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.variable import DataType, Mutability, Variable
from tests.shared import SHARED
from tests.walk import walking

_TABLE = SHARED / "spec" / "variables.csv"
_BLOCKS_WE_LACK = {"ISO15118Ctrlr"}
"""the variables of these are required where their functional block is supported only"""
_LISTS = {DataType.OPTION_LIST, DataType.SEQUENCE_LIST, DataType.MEMBER_LIST}
_TEXTS = {"string", "identifierString", "passwordString"}

Published = dict[str, str]


@pytest.fixture(scope="module")
def published() -> list[Published]:
    """All rows of the table."""
    if not _TABLE.exists():
        pytest.skip(f"{_TABLE} is not here")
    with _TABLE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
async def model(tmp_path: Path) -> AsyncGenerator[DeviceModel]:
    """The model of a station with two EVSEs, connected to a CSMS."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        yield walk.device_model


def _required(rows: list[Published]) -> list[Published]:
    return [row for row in rows if not row["required"].startswith("no") and row["component"] not in _BLOCKS_WE_LACK]


def _of(model: DeviceModel, row: Published) -> list[Variable]:
    """Our variables that a row is about."""
    return [
        variable
        for variable in model
        if variable.component.name == row["component"]
        and variable.name == row["variable"]
        and (variable.instance or "") == row["instance"]
    ]


def _title(row: Published) -> str:
    return ".".join(filter(None, (row["component"], row["variable"], row["instance"])))


async def test_every_required_variable_is_there_for_the_station_each_evse_and_each_connector(
    model: DeviceModel, published: list[Published]
) -> None:
    """TC_B_53_CS."""
    places = {"EVSE": {1, 2}, "Connector": {1, 2}}
    missing = [
        _title(row)
        for row in _required(published)
        if {variable.component.evse_id for variable in _of(model, row)} != places.get(row["component"], {None})
    ]
    assert missing == []
    assert len(_required(published)) > 55


async def test_blocks_that_we_lack_say_so(model: DeviceModel) -> None:
    for component in _BLOCKS_WE_LACK - {"ISO15118Ctrlr"}:
        available = [
            variable for variable in model if variable.component.name == component and variable.name == "Available"
        ]
        assert {variable.read() for variable in available} == {"false"}, component


async def test_every_standard_variable_has_its_data_type_unit_and_mutability(
    model: DeviceModel, published: list[Published]
) -> None:
    faults: list[str] = []
    for row in published:
        for variable in _of(model, row):
            faults += [f"{_title(row)}: {fault}" for fault in _faults(variable, row)]
    assert faults == []


def _faults(variable: Variable, row: Published) -> list[str]:
    faults: list[str] = []
    kinds = {kind.strip(" ()") for kind in row["data_type"].replace("appendix:", "").replace("(", ",").split(",")}
    kinds = {"string" if kind in _TEXTS or kind == "String" else kind for kind in kinds}
    if variable.description.data_type.value not in kinds | {"OptionList" if "OptionList" in row["data_type"] else ""}:
        faults.append(f"data type {variable.description.data_type} is not of {sorted(kinds)}")
    units = [unit.strip() for unit in row["unit"].split(",") if unit]
    if units and variable.description.unit not in units:
        faults.append(f"unit {variable.description.unit} is not of {units}")
    if row["mutability"] and variable.mutability.value not in row["mutability"]:
        faults.append(f"{variable.mutability} is not {row['mutability']}")
    return faults


async def test_every_variable_can_be_described_truly(model: DeviceModel) -> None:
    """B07.FR.03, B07.FR.08; lists name their values, and have no others (TC_B_53_CS)."""
    faults: list[str] = []
    for variable in model:
        title = f"{variable.component.name}.{variable.name}"
        if variable.mutability is Mutability.READ_ONLY and variable.writable:
            faults.append(f"{title} is ReadOnly and can be written")
        if variable.mutability is not Mutability.READ_ONLY and variable.access.write is None:
            faults.append(f"{title} is {variable.mutability} and cannot be written")
        if variable.mutability is Mutability.WRITE_ONLY:
            continue
        value = variable.read()
        if len(value) > 1000:
            faults.append(f"{title} is longer than a report can carry")
        if variable.description.data_type in _LISTS:
            single = variable.description.data_type is DataType.OPTION_LIST
            members = {value} if single else {member for member in value.split(",") if member}
            if not variable.description.values or not members <= set(variable.description.values):
                faults.append(f"{title} = {value} is not of {variable.description.values}")
        if variable.description.data_type is DataType.BOOLEAN and value not in {"true", "false"}:
            faults.append(f"{title} = {value} is no boolean")
        if (
            variable.description.data_type is DataType.INTEGER and value and not value.lstrip("-").isdecimal()
        ):  # empty: unknown
            faults.append(f"{title} = {value} is no integer")
    assert faults == []


async def test_every_component_that_can_be_touched_is_available(model: DeviceModel) -> None:
    """Part 2, Available: required on any component that is reported."""
    logical = "NetworkConfiguration"  # of 2.1, where it has no Available either
    places = {
        variable.component
        for variable in model
        if not variable.component.name.endswith("Ctrlr") and variable.component.name != logical
    }
    available = {variable.component for variable in model if variable.name == "Available"}
    assert places - available == set()
    assert len(places) > 10


@pytest.mark.parametrize("fitted", [True, False])
async def test_a_token_reader_is_reported_where_one_is_fitted(tmp_path: Path, fitted: bool) -> None:
    """Part 2, Available: a component that is not there is not reported (B07.FR.08)."""
    readers = [{"type": "simulated", "name": "front"}] if fitted else []
    async with walking(tmp_path, reader=readers) as walk:
        await walk.accepted()
        request = {"requestId": 1, "componentVariable": [{"component": {"name": "TokenReader"}}]}
        answer = await walk.csms.call("GetReport", request)
        assert answer["status"] == ("Accepted" if fitted else "EmptyResultSet")


@pytest.mark.parametrize(
    ("attached", "value", "status"),
    [((True, True), "false", "Rejected"), ((True, False), "true", "Accepted"), ((False, False), "true", "Accepted")],
)
async def test_a_station_with_nothing_but_fixed_cables_has_none_to_unlock(
    tmp_path: Path, attached: tuple[bool, bool], value: str, status: str
) -> None:
    """Part 2, 2.1.12: its UnlockOnEVSideDisconnect SHALL be ReadOnly and false."""
    evses = [
        {"id": number, "attached_cable": cable, "connector_type": "cType2" if cable else "sType2"}
        for number, cable in enumerate(attached, 1)
    ]
    named = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "UnlockOnEVSideDisconnect"}}
    async with walking(tmp_path, evse=evses) as walk:
        await walk.accepted()
        (result,) = (await walk.csms.call("GetVariables", {"getVariableData": [named]}))["getVariableResult"]
        request = {"setVariableData": [{**named, "attributeValue": "true"}]}
        (written,) = (await walk.csms.call("SetVariables", request))["setVariableResult"]
        assert (result["attributeValue"], written["attributeStatus"]) == (value, status)
