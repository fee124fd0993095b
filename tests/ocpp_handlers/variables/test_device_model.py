"""Reading and writing variables (B05, B06), on the block itself with a model built by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from borne.station_settings import StationSettings
from foundation.clock import SystemClock
from foundation.events import Event
from foundation.supervision import AuxiliaryCalls
from ocpp_handlers.blocks.b_provisioning import Provisioning
from ocpp_handlers.connection.boot import BootMessageFilter
from ocpp_handlers.connection.link import Link
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.variables.device_model import DeviceModel, VariableNotFound
from ocpp_handlers.variables.request_settings import VariableRequestSettings
from ocpp_handlers.variables.setting_variables import setting_variables
from ocpp_handlers.variables.variable import AttributeType, Component, DataType, Mutability, Variable, create_variable
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.schema import Schemas
from ocpp_handlers.wire.session import PayloadError
from station.charging.restart import RestartController
from station.charging.transaction_settings import TransactionSettings
from station.core.csms import NoCsms, VariableRow
from station.storage.database import StorageError
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database

Item = dict[str, Any]

_MAX_ITEMS = 50
_MAX_BYTES = 65_536


class ValueStore:
    """The stored values of the model's variables."""

    def __init__(self) -> None:
        self.values = {"Level": "5", "Secret": "hush", "Fixed": "yes", "Unset": "", "Named": "n"}
        self.broken = False

    async def write_level(self, text: str) -> None:
        """An integer from 0 to 9."""
        if self.broken:
            raise StorageError("disk full")
        if not text.isdecimal():
            raise ValueError("must be a whole number")
        if int(text) > 9:
            raise ValueError("must be between 0 and 9")
        self.values["Level"] = text

    async def write_secret(self, text: str) -> None:
        """Anything."""
        self.values["Secret"] = text


@pytest.fixture
def value_store() -> ValueStore:
    return ValueStore()


@pytest.fixture
def model(value_store: ValueStore) -> DeviceModel:
    place, integer, string = Component("Thing"), DataType.INTEGER, DataType.STRING
    read_write, read_only, write_only = Mutability.READ_WRITE, Mutability.READ_ONLY, Mutability.WRITE_ONLY
    values = value_store.values
    return DeviceModel(
        [
            create_variable(place, "Level", integer, read_write, lambda: values["Level"], value_store.write_level),
            create_variable(place, "Secret", string, write_only, lambda: values["Secret"], value_store.write_secret),
            create_variable(place, "Fixed", string, read_only, lambda: values["Fixed"]),
            create_variable(place, "Unset", string, read_only, lambda: values["Unset"]),
            create_variable(place, "Named", string, read_only, lambda: values["Named"], instance="One"),
            create_variable(Component("Thing", evse_id=1), "Fixed", string, read_only, lambda: "of EVSE 1"),
            create_variable(
                Component("Thing", evse_id=1, connector_id=2), "Fixed", string, read_only, lambda: "of connector 2"
            ),
            create_variable(Component("Part", instance="Left"), "Fixed", string, read_only, lambda: "left"),
        ],
        fakes.RaisingCalls(),
    )


@pytest.fixture
async def block(model: DeviceModel, tmp_path: Path) -> AsyncGenerator[Provisioning]:
    clock = SystemClock()
    async with open_database(tmp_path / "records.sqlite", clock) as database:
        outbox, settings = Outbox(database, clock), TransactionSettings()
        restart = RestartController({}, outbox, NoCsms(), settings, clock, lambda _: None)
        link = Link(BootMessageFilter(), CsmsLinkSettings(), clock)
        yield Provisioning(link, model, restart, VariableRequestSettings())


def item(variable: str, component: str = "Thing", **more: Any) -> Item:
    """An item of a request; `instance` is the variable's, `evse` and `component_instance` are the component's."""
    place: Item = {"name": component}
    if "component_instance" in more:
        place["instance"] = more.pop("component_instance")
    if "evse" in more:
        place["evse"] = more.pop("evse")
    name: Item = {"name": variable}
    if "instance" in more:
        name["instance"] = more.pop("instance")
    return {"component": place, "variable": name, **more}


async def get_variables(block: Provisioning, *items: Item) -> list[Item]:
    """The results of GetVariables, as they fit the schema."""
    answer = await block.get_variables(cast("Any", {"getVariableData": list(items)}))
    assert Schemas(V201).check_response("GetVariables", answer.response) is None
    return cast("list[Item]", answer.response["getVariableResult"])


async def set_variables(block: Provisioning, *items: Item) -> list[Item]:
    """The results of SetVariables, as they fit the schema."""
    answer = await block.set_variables(cast("Any", {"setVariableData": list(items)}))
    assert Schemas(V201).check_response("SetVariables", answer.response) is None
    return cast("list[Item]", answer.response["setVariableResult"])


async def test_each_item_that_is_read_has_its_result_in_order(block: Provisioning) -> None:
    """B06.FR.01, B06.FR.02, B06.FR.04, B06.FR.10."""
    requested = [item("Level"), item("Nothing"), item("Fixed"), item("Level")]
    results = await get_variables(block, *requested)
    assert [(result["component"], result["variable"]) for result in results] == [
        (requested_item["component"], requested_item["variable"]) for requested_item in requested
    ]
    assert [result["attributeStatus"] for result in results] == ["Accepted", "UnknownVariable", "Accepted", "Accepted"]
    assert [result.get("attributeValue") for result in results] == ["5", None, "yes", "5"]


async def test_the_attribute_type_is_echoed_and_actual_where_none_is_given(block: Provisioning) -> None:
    """B06.FR.03, B06.FR.11, B05.FR.03, B05.FR.12."""
    read = await get_variables(
        block, item("Level"), item("Level", attributeType="Actual"), item("Level", attributeType="Target")
    )
    assert [result["attributeType"] for result in read] == ["Actual", "Actual", "Target"]
    written = await set_variables(
        block,
        item("Level", attributeValue="6"),
        item("Level", attributeValue="7", attributeType="Actual"),
        item("Level", attributeValue="8", attributeType="MaxSet"),
    )
    assert [result["attributeType"] for result in written] == ["Actual", "Actual", "MaxSet"]


@pytest.mark.parametrize(
    ("requested", "status"),
    [
        (item("Level", component="Nowhere"), "UnknownComponent"),  # B06.FR.06, B05.FR.04
        (item("Fixed", evse={"id": 9}), "UnknownComponent"),
        (item("Fixed", evse={"id": 1, "connectorId": 9}), "UnknownComponent"),
        (item("Fixed", component="Part"), "UnknownComponent"),  # B06.FR.15
        (item("Fixed", component="Part", component_instance=""), "UnknownComponent"),
        (item("Fixed", component="Part", component_instance="Right"), "UnknownComponent"),
        (item("Nothing"), "UnknownVariable"),  # B06.FR.07, B05.FR.05
        (item("Named"), "UnknownVariable"),  # B06.FR.15
        (item("Named", instance=""), "UnknownVariable"),
        (item("Named", instance="Two"), "UnknownVariable"),
        (item("Level", attributeType="Target"), "NotSupportedAttributeType"),  # B06.FR.08, B05.FR.06
        (item("Level", attributeType="MinSet"), "NotSupportedAttributeType"),
        (item("Nothing", attributeType="MinSet"), "UnknownVariable"),
    ],
)
async def test_what_is_not_there_is_named_and_has_no_value(
    block: Provisioning, value_store: ValueStore, requested: Item, status: str
) -> None:
    before = dict(value_store.values)
    (read,) = await get_variables(block, requested)
    assert read["attributeStatus"] == status
    assert "attributeValue" not in read
    (written,) = await set_variables(block, {**requested, "attributeValue": "1"})
    assert written["attributeStatus"] == status
    assert value_store.values == before


@pytest.mark.parametrize(
    ("requested", "value"),
    [
        (item("Named", instance="One"), "n"),
        (item("Fixed", component="Part", component_instance="Left"), "left"),
        (item("Fixed", evse={"id": 1}), "of EVSE 1"),
        (item("Fixed", evse={"id": 1, "connectorId": 2}), "of connector 2"),
        (item("fIXED", component="tHING"), "yes"),  # identifierString ignores case
        (item("NAMED", instance="oNE"), "n"),
        (item("Fixed", instance=""), "yes"),
    ],
)
async def test_the_requested_instance_is_the_one_that_is_reported(
    block: Provisioning, requested: Item, value: str
) -> None:
    """B06.FR.14; names come back as the CSMS wrote them (B06.FR.02)."""
    (read,) = await get_variables(block, requested)
    assert read["attributeValue"] == value
    assert read["component"] == requested["component"]
    assert read["variable"] == requested["variable"]


async def test_a_variable_that_may_only_be_written_is_not_reported(block: Provisioning, model: DeviceModel) -> None:
    """B06.FR.09; the local page does not tell it either."""
    (read,) = await get_variables(block, item("Secret"))
    assert read["attributeStatus"] == "Rejected"
    assert "hush" not in str(read)
    assert "hush" not in str(model.rows())
    (written,) = await set_variables(block, item("Secret", attributeValue="new"))
    assert written["attributeStatus"] == "Accepted"
    assert "new" not in str(written)


async def test_a_variable_without_a_value_is_an_empty_string(block: Provisioning) -> None:
    """B06.FR.13."""
    (read,) = await get_variables(block, item("Unset"))
    assert (read["attributeStatus"], read["attributeValue"]) == ("Accepted", "")


async def test_each_item_that_is_written_has_its_result_in_order(block: Provisioning, value_store: ValueStore) -> None:
    """B05.FR.01, B05.FR.02, B05.FR.10: one that is refused hinders no other."""
    requested = [
        item("Level", attributeValue="6"),
        item("Fixed", attributeValue="no"),
        item("Nothing", attributeValue="x"),
        item("Secret", attributeValue="new"),
    ]
    results = await set_variables(block, *requested)
    assert [(result["component"], result["variable"]) for result in results] == [
        (requested_item["component"], requested_item["variable"]) for requested_item in requested
    ]
    assert [result["attributeStatus"] for result in results] == ["Accepted", "Rejected", "UnknownVariable", "Accepted"]
    assert value_store.values["Level"] == "6"
    assert value_store.values["Secret"] == "new"
    assert value_store.values["Fixed"] == "yes"


@pytest.mark.parametrize("text", ["", "five", "5.0", "-1", "10", "99999999999999999999"])
async def test_a_value_of_the_wrong_form_or_out_of_range_is_rejected_with_the_reason(
    block: Provisioning, value_store: ValueStore, text: str
) -> None:
    """B05.FR.07, B05.FR.08."""
    (written,) = await set_variables(block, item("Level", attributeValue=text))
    assert written["attributeStatus"] == "Rejected"
    assert "Level must be" in written["attributeStatusInfo"]["additionalInfo"]
    assert value_store.values["Level"] == "5"


async def test_a_variable_that_cannot_be_saved_is_rejected(block: Provisioning, value_store: ValueStore) -> None:
    """B05.FR.09."""
    value_store.broken = True
    (written,) = await set_variables(block, item("Level", attributeValue="6"))
    assert written["attributeStatus"] == "Rejected"
    assert written["attributeStatusInfo"]["reasonCode"] == "InternalError"
    assert value_store.values["Level"] == "5"


async def test_more_items_than_allowed_are_refused_as_a_whole(block: Provisioning, value_store: ValueStore) -> None:
    """B06.FR.16, B05.FR.11."""
    assert len(await get_variables(block, *[item("Level")] * _MAX_ITEMS)) == _MAX_ITEMS
    with pytest.raises(PayloadError) as refused:
        await get_variables(block, *[item("Level")] * (_MAX_ITEMS + 1))
    assert refused.value.code == "OccurrenceConstraintViolation"
    with pytest.raises(PayloadError) as refused:
        await set_variables(block, *[item("Level", attributeValue="6")] * (_MAX_ITEMS + 1))
    assert refused.value.code == "OccurrenceConstraintViolation"
    assert value_store.values["Level"] == "5"


async def test_more_bytes_than_allowed_are_refused_as_a_whole(block: Provisioning, value_store: ValueStore) -> None:
    """B06.FR.17, B05.FR.11: however few the items are."""
    padding = {"vendorId": "v", "text": "\N{SNOWMAN}" * (_MAX_BYTES // 3)}
    for request in (get_variables(block, item("Level"), item("Level", customData=padding)),
                    set_variables(block, item("Level", attributeValue="6", customData=padding))):  # fmt: skip
        with pytest.raises(PayloadError) as refused:
            await request
        assert refused.value.code == "FormatViolation"
    assert value_store.values["Level"] == "5"


async def test_what_counts_from_the_next_boot_on_is_answered_so(block: Provisioning, model: DeviceModel) -> None:
    """B05.FR.10: accepted, and a reboot is needed."""
    variable = model.find(Component("Thing"), "Level")
    assert not isinstance(variable, VariableNotFound)
    model.add(replace(variable, description=replace(variable.description, reboot_required=True)))
    (written,) = await set_variables(block, item("Level", attributeValue="6"))
    assert written["attributeStatus"] == "RebootRequired"


async def test_a_value_past_the_mutability_ends_when_it_is_restored(block: Provisioning, model: DeviceModel) -> None:
    row = VariableRow("Thing", None, None, None, "Fixed", None, "Actual", "changed", "")
    model.override(row)
    model.override(replace(row, value="changed again"))
    model.restore(row)
    model.restore(row)
    (read,) = await get_variables(block, item("Fixed"))
    assert read["attributeValue"] == "yes"
    with pytest.raises(KeyError, match="UnknownVariable"):
        model.restore(replace(row, variable="Nothing"))
    with pytest.raises(KeyError, match="NotSupportedAttributeType"):
        model.restore(replace(row, attribute="Target"))


async def test_each_attribute_is_read_written_and_found_by_its_type(block: Provisioning, model: DeviceModel) -> None:
    """B05.FR.06, B06.FR.08, B07.FR.11."""
    place = Component("Thing")
    model.add(
        create_variable(
            place,
            "Level",
            DataType.INTEGER,
            Mutability.READ_ONLY,
            lambda: "9",
            attribute=AttributeType.MAX_SET,
        )
    )
    read = await get_variables(
        block, item("Level", attributeType="MaxSet"), item("Level"), item("Level", attributeType="MinSet")
    )
    assert [result.get("attributeValue") for result in read] == ["9", "5", None]
    (written,) = await set_variables(block, item("Level", attributeType="MaxSet", attributeValue="10"))
    assert written["attributeStatus"] == "Rejected"
    (both,) = (variables for variables in model.variables() if variables[0].name == "Level")
    assert [variable.attribute for variable in both] == [AttributeType.ACTUAL, AttributeType.MAX_SET]


async def test_a_value_in_force_past_the_mutability_is_what_the_csms_reads(
    block: Provisioning, model: DeviceModel
) -> None:
    model.override(VariableRow("thing", None, None, None, "fixed", None, "Actual", "changed", ""))
    (read,) = await get_variables(block, item("Fixed"))
    assert read["attributeValue"] == "changed"
    with pytest.raises(KeyError, match="UnknownVariable"):
        model.override(VariableRow("Thing", None, None, None, "Nothing", None, "Actual", "x", ""))


def test_a_place_is_the_whole_of_component_instance_evse_and_connector(model: DeviceModel) -> None:
    assert model.find(Component("Thing", evse_id=2), "Fixed") is VariableNotFound.COMPONENT
    assert model.find(Component("Thing", evse_id=1), "Level") is VariableNotFound.VARIABLE
    assert not isinstance(model.find(Component("THING"), "level"), VariableNotFound)


class CountingKey(tuple[str, str, int | None, int | None]):
    """A key of a component that counts with how many others it is compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        CountingKey.comparisons += 1
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


@pytest.mark.parametrize("component", ["part0", "nothing"])
def test_an_unknown_variable_is_not_compared_with_those_of_the_station(component: str) -> None:
    """A request of the CSMS may contain hundreds of them."""
    variables = (
        create_variable(Component(f"Part{n}"), "Level", DataType.STRING, Mutability.READ_ONLY, str) for n in range(300)
    )
    model = DeviceModel(variables, fakes.RaisingCalls())
    CountingKey.comparisons = 0
    key = CountingKey((component, "", None, None))
    assert isinstance(model.find_key(key, ("nothing", ""), AttributeType.ACTUAL), VariableNotFound)
    assert CountingKey.comparisons < 10


def find_variable(model: DeviceModel, name: str) -> Variable:
    variable = model.find(Component("Thing"), name)
    assert not isinstance(variable, VariableNotFound)
    return variable


def record_changes(model: DeviceModel) -> list[tuple[str, str, str]]:
    """The changes from now on: name, value before, value."""
    changes: list[tuple[str, str, str]] = []
    model.changed.subscribe(lambda change: changes.append((change.variable.name, change.before, change.value)))
    return changes


async def test_a_written_value_is_published_once_and_the_same_one_again_is_not(
    block: Provisioning, model: DeviceModel
) -> None:
    changes = record_changes(model)
    for value in ("7", "7", "8", "bad"):
        await set_variables(block, item("Level", attributeValue=value))
    assert changes == [("Level", "5", "7"), ("Level", "7", "8")]


async def test_a_value_that_is_not_stored_is_no_change(
    block: Provisioning, model: DeviceModel, value_store: ValueStore
) -> None:
    changes = record_changes(model)
    value_store.broken = True
    await set_variables(block, item("Level", attributeValue="7"))
    assert changes == []


async def test_what_nobody_may_read_is_published_without_its_value(
    block: Provisioning, model: DeviceModel, value_store: ValueStore
) -> None:
    """N07.FR.10"""
    changes = record_changes(model)
    await set_variables(block, item("Secret", attributeValue="new"))
    assert value_store.values["Secret"] == "new"
    model.override(VariableRow("Thing", None, None, None, "Secret", None, "Actual", "newer", ""))
    model.sample(model)
    value_store.values["Secret"] = "newest"
    model.sample(model)
    assert changes == [("Secret", "", "")]


def test_an_overridden_value_is_published_and_so_is_its_end(model: DeviceModel) -> None:
    changes = record_changes(model)
    row = VariableRow("Thing", None, None, None, "Fixed", None, "Actual", "no", "")
    model.override(row)
    model.override(row)
    model.restore(row)
    model.restore(row)
    assert changes == [("Fixed", "yes", "no"), ("Fixed", "no", "yes")]


def test_the_value_of_a_live_part_is_noted_by_the_first_sample_and_compared_by_the_next(
    model: DeviceModel, value_store: ValueStore
) -> None:
    changes, named = record_changes(model), find_variable(model, "Fixed")
    value_store.values["Fixed"] = "before the first sample"
    model.sample([named])
    assert changes == []
    model.sample([named])
    value_store.values["Fixed"] = "after it"
    assert changes == []
    model.sample([named])
    assert changes == [("Fixed", "before the first sample", "after it")]


def test_a_value_that_cannot_be_read_once_is_compared_at_the_next_change_and_the_owner_notices_nothing() -> None:
    changed, values = Event[None](), {"Level": "4"}
    level = create_variable(
        Component("Thing"), "Level", DataType.INTEGER, Mutability.READ_ONLY, lambda: values["Level"], changes=changed
    )
    auxiliary = AuxiliaryCalls()
    model = DeviceModel([level], auxiliary)
    changes = record_changes(model)
    model.observe(level)
    del values["Level"]
    changed.publish(None)
    assert (changes, auxiliary.error_count) == ([], 1)
    values["Level"] = "6"
    changed.publish(None)
    assert changes == [("Level", "4", "6")]


def test_a_part_that_publishes_changes_needs_no_samples(value_store: ValueStore) -> None:
    changed: Event[None] = Event()
    values = value_store.values
    level = create_variable(
        Component("Thing"), "Level", DataType.INTEGER, Mutability.READ_ONLY, lambda: values["Level"], changes=changed
    )
    model = DeviceModel([level], fakes.RaisingCalls())
    changes = record_changes(model)
    values["Level"] = "4"
    changed.publish(None)
    assert changes == [], "nobody observes it"
    model.observe(level)
    values["Level"] = "6"
    changed.publish(None)
    assert changes == [("Level", "4", "6")]
    changes.clear()
    replacement = level.with_access(read=lambda: "7")
    model.add(replacement)  # the one in its place is observed, the former is not any more
    values["Level"] = "8"
    changed.publish(None)
    assert changes == [("Level", "6", "7")]
    model.end_observation(replacement)
    model.add(level)
    changed.publish(None)
    assert changes == [("Level", "6", "7")]


def test_only_values_of_live_parts_are_sampled(model: DeviceModel) -> None:
    fixed = find_variable(model, "Fixed")
    assert fixed.is_sampled
    assert not replace(fixed, description=replace(fixed.description, constant=True)).is_sampled
    assert not fixed.with_access(changes=Event[None]()).is_sampled
    assert not find_variable(model, "Secret").is_sampled


async def test_a_setting_is_observed_whoever_changes_it() -> None:
    station = StationSettings()
    settings = station.transactions
    auxiliary = fakes.RaisingCalls()
    bound = setting_variables(station.groups, station.clock, SystemClock(), auxiliary, signs=False, sockets=True)
    model = DeviceModel(bound, auxiliary)
    changes = record_changes(model)
    name = "EVConnectionTimeOut"
    variable = model.find(Component("TxCtrlr"), name)
    assert not isinstance(variable, VariableNotFound)
    model.observe(variable)
    await settings.change(TransactionSettings.ev_connection_timeout_s, "30")
    settings.override(TransactionSettings.ev_connection_timeout_s, 40)
    settings.override(TransactionSettings.ev_connection_timeout_s, 40)
    settings.restore(TransactionSettings.ev_connection_timeout_s)
    assert changes == [(name, "120", "30"), (name, "30", "40"), (name, "40", "30")]
    changes.clear()
    assert not variable.is_sampled
    await model.write(variable, "50")  # once, although the setting and the model both notice it
    assert changes == [(name, "30", "50")]
