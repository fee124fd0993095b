"""The schema check: which code for which fault, which field it names, whether another validator agrees."""

from __future__ import annotations

import copy
import json
import pathlib
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypedDict, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.messages import (
    MessageType,
    get_validator,  # pyright: ignore[reportUnknownVariableType] the package has few types
)

from ocpp_handlers.wire import actions, frame
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.schema import Schemas, SchemaViolation
from tests.conformance.frames import ERROR_CODES

ROOT = pathlib.Path(__file__).resolve().parents[3]
ACTIONS = sorted(V201.actions)

Schema = TypedDict(
    "Schema",
    {
        "$ref": str,
        "type": str,
        "enum": list[str],
        "items": "Schema",
        "properties": "dict[str, Schema]",
        "additionalProperties": bool,
        "required": list[str],
        "definitions": "dict[str, Schema]",
        "maxLength": int,
        "minItems": int,
        "maxItems": int,
        "minimum": float,
        "maximum": float,
    },
    total=False,
)
Path = tuple[str | int, ...]


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas(V201)


# --- payloads made from the schemas, and every way to spoil them ---


@dataclass(frozen=True, slots=True)
class InvalidPayload:
    """A payload with one fault, and the expected field and error code."""

    payload: object
    field: str
    code: str


class Oracle(Protocol):
    """What is used of the `ocpp` package's own validator."""

    schema: Schema

    def is_valid(self, instance: object) -> bool: ...


class Message:
    """A message of the standard, its schema, and what the `ocpp` package says about payloads for it."""

    def __init__(self, action: str, kind: int) -> None:
        oracle = cast("Oracle", get_validator(kind, action, "2.0.1"))
        self.schema = oracle.schema
        self.accepted = oracle.is_valid

    def payload(self, schema: Schema | None = None, *, full: bool) -> object:
        """A valid payload: with the required fields only, or with all of them and each as long as may be."""
        schema = self.resolve(schema or self.schema)
        match schema.get("type"):
            case "object":
                fields = schema.get("properties", {}) if full else schema.get("required", [])
                known = schema.get("properties", {})
                return {field: self.payload(known[field], full=full) for field in fields}
            case "array":
                count = min(schema.get("maxItems", 2), 4) if full else schema.get("minItems", 0)
                return [self.payload(schema.get("items"), full=full) for _ in range(count)]
            case "string":
                return schema["enum"][-1] if "enum" in schema else "é" * (schema.get("maxLength", 9) if full else 0)
            case "number":
                return schema.get("maximum", 1.5)
            case "integer":
                return int(schema.get("maximum", 7))
            case "boolean":
                return full
            case _:
                return {"anything": [None, 1]}

    def resolve(self, schema: Schema) -> Schema:
        """The schema that a reference stands for."""
        if "$ref" not in schema:
            return schema
        return self.schema.get("definitions", {})[schema["$ref"].removeprefix("#/definitions/")]

    def invalid_payloads(self) -> Iterator[InvalidPayload]:
        """The full payload with each single fault that the schema can see."""
        full = self.payload(full=True)
        yield InvalidPayload([full], "The payload", "ProtocolError")
        for path, schema in self.places(self.schema, ()):
            if path:
                for code, value in self.bad_values(schema):
                    yield InvalidPayload(with_value(full, path, value), dotted_path(path), code)
            for field in schema.get("required", ()):
                payload = with_value(full, (*path, field), None)
                del cast("dict[str, object]", value_at(payload, path))[field]
                yield InvalidPayload(payload, dotted_path((*path, field)), "OccurrenceConstraintViolation")
            if schema.get("additionalProperties") is False and schema.get("type") == "object":
                unknown = (*path, "colour")
                yield InvalidPayload(with_value(full, unknown, "red"), dotted_path(unknown), "ProtocolError")

    def places(self, schema: Schema, path: Path) -> Iterator[tuple[Path, Schema]]:
        """Every field of the full payload, with its schema."""
        schema = self.resolve(schema)
        yield path, schema
        for name, field in schema.get("properties", {}).items():
            yield from self.places(field, (*path, name))
        if "items" in schema:
            yield from self.places(schema["items"], (*path, 0))

    def bad_values(self, schema: Schema) -> Iterator[tuple[str, object]]:
        """Values that the field must not have, each with the error code of the fault."""
        if "type" in schema:
            yield "TypeConstraintViolation", None
            yield "TypeConstraintViolation", "text" if schema["type"] != "string" else 12
            if schema["type"] == "integer":
                yield "TypeConstraintViolation", 1.5
        if "enum" in schema:
            yield "PropertyConstraintViolation", "NoSuchValue"
        if "maxLength" in schema:
            yield "PropertyConstraintViolation", "é" * (schema["maxLength"] + 1)
        if "minimum" in schema:
            yield "PropertyConstraintViolation", schema["minimum"] - 1
        if "maximum" in schema:
            yield "PropertyConstraintViolation", schema["maximum"] + 1
        if "items" in schema and "minItems" in schema:
            yield "OccurrenceConstraintViolation", []
        if "items" in schema and "maxItems" in schema:
            items = [self.payload(schema["items"], full=False)] * (schema["maxItems"] + 1)
            yield "OccurrenceConstraintViolation", items


def value_at(payload: object, path: Path) -> object:
    """The value at a path."""
    for step in path:
        payload = cast("dict[str | int, object]", payload)[step]
    return payload


def with_value(payload: object, path: Path, value: object) -> object:
    """A copy of the payload with another value at the path."""
    changed = copy.deepcopy(payload)
    cast("dict[str | int, object]", value_at(changed, path[:-1]))[path[-1]] = value
    return changed


def dotted_path(path: Path) -> str:
    """The path as a sentence writes it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]


# --- agreement with the validator of the `ocpp` package, for every message ---


@pytest.mark.parametrize("action", ACTIONS)
def test_valid_messages_pass_here_and_at_the_ocpp_package(schemas: Schemas, action: str) -> None:
    for kind, check in (
        (MessageType.Call, schemas.check_request),
        (MessageType.CallResult, schemas.check_response),
    ):
        message = Message(action, kind)
        for full in (False, True):
            payload = message.payload(full=full)
            assert message.accepted(payload)
            assert check(action, payload) is None


@pytest.mark.parametrize("action", ACTIONS)
def test_each_fault_is_refused_at_both_and_here_with_its_code_and_field(schemas: Schemas, action: str) -> None:
    for kind, check in (
        (MessageType.Call, schemas.check_request),
        (MessageType.CallResult, schemas.check_response),
    ):
        message = Message(action, kind)
        for invalid in message.invalid_payloads():
            assert not message.accepted(invalid.payload)
            if invalid.field == "localAuthorizationList" and invalid.code == "OccurrenceConstraintViolation":
                continue  # D01.FR.04, D01.FR.05: it may be empty
            fault = check(action, invalid.payload)
            assert fault is not None, invalid.field
            assert fault.code == invalid.code
            assert fault.description.startswith(f"{invalid.field} ")
            assert len(fault.description) <= 255


def test_one_point_zero_is_an_integer_here_as_draft_6_says_and_not_at_the_ocpp_package(
    schemas: Schemas,
) -> None:
    status = {"timestamp": "", "connectorStatus": "Occupied", "evseId": 1.0, "connectorId": 1}
    assert schemas.check_request("StatusNotification", status) is None
    assert not Message("StatusNotification", MessageType.Call).accepted(status)


# --- each code once, by hand ---

BOOT: dict[str, object] = {"reason": "PowerUp", "chargingStation": {"model": "Wall", "vendorName": "Acme"}}


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (
            {**BOOT, "chargingStation": {"model": "Wall", "vendorName": "Acme", "modem": {"iccid": 12}}},
            SchemaViolation("TypeConstraintViolation", "chargingStation.modem.iccid must be of type string."),
        ),
        (
            {**BOOT, "chargingStation": {"model": "Wall"}},
            SchemaViolation("OccurrenceConstraintViolation", "chargingStation.vendorName is missing."),
        ),
        (
            {**BOOT, "chargingStation": {"model": "W" * 21, "vendorName": "Acme"}},
            SchemaViolation("PropertyConstraintViolation", "chargingStation.model is longer than 20 characters."),
        ),
        ({**BOOT, "colour": "red"}, SchemaViolation("ProtocolError", "colour is not a field of this message.")),
        (None, SchemaViolation("ProtocolError", "The payload must be of type object.")),
        ([BOOT], SchemaViolation("ProtocolError", "The payload must be of type object.")),
    ],
)
def test_a_fault_has_the_code_of_table_8_and_names_the_field(
    schemas: Schemas, payload: object, fault: SchemaViolation
) -> None:
    assert schemas.check_request("BootNotification", payload) == fault


def test_the_error_of_a_value_out_of_an_enumeration_names_the_valid_ones(schemas: Schemas) -> None:
    answer = {"currentTime": "2024-05-06T07:08:09Z", "interval": 300, "status": "Perhaps"}
    assert schemas.check_response("BootNotification", answer) == SchemaViolation(
        "PropertyConstraintViolation", "status must be one of Accepted, Pending, Rejected."
    )


def test_an_item_is_named_by_its_place_in_the_array(schemas: Schemas) -> None:
    requested = {"component": {"name": "EVSE"}, "variable": {"name": "Power"}}
    payload = {"getVariableData": [requested, requested, {**requested, "attributeType": "Actuel"}]}
    fault = schemas.check_request("GetVariables", payload)
    assert fault == SchemaViolation(
        "PropertyConstraintViolation",
        "getVariableData[2].attributeType must be one of Actual, Target, MinSet, MaxSet.",
    )


def test_an_array_that_is_empty_or_too_long_violates_an_occurrence_constraint(schemas: Schemas) -> None:
    digest = {"hashAlgorithm": "SHA256", "issuerNameHash": "", "issuerKeyHash": "", "serialNumber": ""}
    authorize = {"idToken": {"idToken": "MyCar", "type": "eMAID"}}
    for count, complaint in ((0, "has fewer items than 1"), (5, "has more items than 4")):
        hashes = [{**digest, "responderURL": ""}] * count
        fault = schemas.check_request("Authorize", {**authorize, "iso15118CertificateHashData": hashes})
        assert fault == SchemaViolation("OccurrenceConstraintViolation", f"iso15118CertificateHashData {complaint}.")


def test_a_local_list_may_be_empty_as_the_specification_says(schemas: Schemas) -> None:
    """D01.FR.04, D01.FR.05; the published schema wants an item."""
    empty: dict[str, object] = {"updateType": "Full", "versionNumber": 1, "localAuthorizationList": list[object]()}
    assert schemas.check_request("SendLocalList", empty) is None
    assert schemas.check_request("SendLocalList", empty | {"localAuthorizationList": [dict[str, object]()]}) is not None


def test_a_number_out_of_bounds_violates_a_property_constraint(schemas: Schemas) -> None:
    car = {"evMaxCurrent": 32, "evMaxVoltage": 400, "stateOfCharge": 101}
    needs = {"requestedEnergyTransfer": "DC", "dcChargingParameters": car}
    fault = schemas.check_request("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
    assert fault == SchemaViolation(
        "PropertyConstraintViolation", "chargingNeeds.dcChargingParameters.stateOfCharge is more than 100.0."
    )


@pytest.mark.parametrize("action", ["", "bootnotification", "BootNotificationRequest", "../schemas/Heartbeat"])
def test_what_is_no_action_is_not_known(schemas: Schemas, action: str) -> None:
    assert action not in V201.actions
    assert schemas.check_request(action, {}) == SchemaViolation("NotImplemented", "OCPP 2.0.1 has no such action.")


def test_the_64_actions_of_the_standard_are_known(schemas: Schemas) -> None:
    assert len(ACTIONS) == 64
    assert set(ACTIONS) < {action.name for action in vars(actions).values() if isinstance(action, actions.Action)}
    for action in V201.actions:
        assert schemas.check_request(action, None) is not None, "there is a schema"
        assert schemas.check_response(action, None) is not None


# --- which fault is reported, and how ---


def test_of_several_faults_the_first_in_the_document_is_reported(schemas: Schemas) -> None:
    station = {"vendorName": "Acme", "colour": "red", "model": 12}
    for payload, field in (
        ({"reason": 1, "size": 2, "chargingStation": station}, "reason"),
        ({"size": 2, "reason": 1, "chargingStation": station}, "size"),
        ({"chargingStation": station, "size": 2, "reason": 1}, "chargingStation.colour"),
        ({"chargingStation": {"model": 12}, "reason": 1}, "chargingStation.vendorName"),
        ({"size": 2, "chargingStation": station}, "reason"),
    ):
        fault = schemas.check_request("BootNotification", payload)
        assert fault is not None
        assert fault.description.split()[0] == field


def test_a_wrong_type_is_reported_before_the_enumeration_that_it_cannot_be_in(schemas: Schemas) -> None:
    fault = schemas.check_request("BootNotification", {**BOOT, "reason": 12})
    assert fault == SchemaViolation("TypeConstraintViolation", "reason must be of type string.")


def test_a_value_is_never_quoted(schemas: Schemas) -> None:
    for value in ("hunter2", 4711, ["hunter2"]):
        for payload in ({"operationalStatus": value}, {"operationalStatus": "Operative", "evse": value}):
            fault = schemas.check_request("ChangeAvailability", payload)
            assert fault is not None
            assert "hunter2" not in fault.description
            assert "4711" not in fault.description


def test_a_long_enumeration_is_cut_to_255_characters(schemas: Schemas) -> None:
    sample = {"timestamp": "", "sampledValue": [{"value": 1, "measurand": "Speed"}]}
    fault = schemas.check_request("MeterValues", {"evseId": 1, "meterValue": [sample]})
    assert fault is not None
    assert fault.description.startswith("meterValue[0].sampledValue[0].measurand must be one of Current.Export, ")
    assert fault.description.endswith("…")
    assert len(fault.description) == 255


def test_the_name_of_an_unknown_field_cannot_break_a_log_line(schemas: Schemas) -> None:
    fault = schemas.check_request("Heartbeat", {"x\n" * 1000: 1})
    assert fault is not None
    assert fault.description == "x\\n" * 25 + " is not a field of this message."


def test_custom_data_may_hold_anything_beside_its_vendor(schemas: Schemas) -> None:
    custom = {"vendorId": "org.example", "mainMeterValue": 12345, "deep": {"er": [None]}}
    assert schemas.check_request("Heartbeat", {"customData": custom}) is None
    del custom["vendorId"]
    assert schemas.check_request("Heartbeat", {"customData": custom}) == SchemaViolation(
        "OccurrenceConstraintViolation", "customData.vendorId is missing."
    )


def test_the_schema_validator_is_loaded_with_the_first_invalid_payload() -> None:
    """Nor are the data classes of the ocpp package ever loaded."""
    program = """
import sys
import borne.composition.ocpp_stack
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.schema import Schemas
schemas, answer = Schemas(V201), {"currentTime": "2024-05-06T07:08:09Z"}
assert schemas.check_request("Heartbeat", {}) is None
assert schemas.remove_unknown_fields("Heartbeat", answer) is answer
assert schemas.check_response("Heartbeat", answer) is None
assert "jsonschema_rs" not in sys.modules
assert schemas.check_request("Heartbeat", {"colour": "red"}) is not None
assert "jsonschema_rs" in sys.modules
assert "ocpp.v201" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_date_times_are_not_checked_here(schemas: Schemas) -> None:
    assert schemas.check_response("Heartbeat", {"currentTime": "yesterday"}) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"\\ud800": 1}',
        '{"reason": "\\ud800", "chargingStation": {"model": "W", "vendorName": "A"}}',
        '{"reason": ' + "[" * 500 + "]" * 500 + "}",
    ],
)
def test_half_characters_and_endless_nesting_are_a_fault_not_a_crash(schemas: Schemas, text: str) -> None:
    fault = schemas.check_request("BootNotification", json.loads(text))
    assert fault is not None
    assert fault.code == "FormatViolation"


def test_a_payload_that_is_nothing_but_faults_takes_no_memory_for_each_of_them(schemas: Schemas) -> None:
    """Each fault is an object of 2 kB and 30 µs of the event loop: half a million fit into one frame."""
    faults = 20_000
    request: dict[str, object] = {"getVariableData": [0] * faults}
    answer: dict[str, object] = {"idTokenInfo": {"status": "Accepted", "evseId": ["a"] * faults}}
    schemas.check_request("GetVariables", {})
    schemas.check_response("Authorize", {})
    tracemalloc.start()
    try:
        fault = schemas.check_request("GetVariables", request)
        assert schemas.remove_unknown_fields("Authorize", answer) is answer
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fault == SchemaViolation("TypeConstraintViolation", "getVariableData[0] must be of type object.")
    assert peak < 1_000_000


def test_an_answer_of_ours_with_a_python_object_in_it_is_a_fault(schemas: Schemas) -> None:
    fault = schemas.check_response("Heartbeat", {"currentTime": {1, 2}})
    assert fault == SchemaViolation("FormatViolation", "The payload cannot be read: Unsupported type: 'set'.")


TEXT = st.text(st.characters(), max_size=30)
"""any text that a JSON escape can spell, halves of surrogate pairs included"""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["component", "variable", "name", "evse"]) | TEXT, children, max_size=3)
    ),
    max_leaves=10,
)


@given(payload=st.fixed_dictionaries({}, optional={"getVariableData": st.lists(JSON), "customData": JSON}) | JSON)
def test_whatever_comes_off_the_wire_a_fault_is_a_code_of_the_table_and_one_short_line(
    schemas: Schemas, payload: object
) -> None:
    fault = schemas.check_request("GetVariables", payload)
    if fault is not None:
        assert fault.code in ERROR_CODES
        assert fault.description.isprintable()
        assert 0 < len(fault.description) <= 255


def test_what_is_too_much_in_an_answer_is_left_out_and_nothing_else(schemas: Schemas) -> None:
    group = {"idToken": "F", "type": "Central", "colour": None}
    custom = {"vendorId": "V", "kept": None}
    info = {"status": "Accepted", "groupIdToken": group, "evseId": None, "customData": custom}
    assert schemas.remove_unknown_fields("Authorize", {"idTokenInfo": info, "foreign": {"a": [None]}}) == {
        "idTokenInfo": {
            "status": "Accepted",
            "groupIdToken": {"idToken": "F", "type": "Central"},
            "customData": {"vendorId": "V", "kept": None},
        }
    }


@pytest.mark.parametrize("payload", [None, [], {"idTokenInfo": None}, {"idTokenInfo": {"evseId": [None]}}])
def test_what_an_answer_lacks_it_lacks_still(schemas: Schemas, payload: object) -> None:
    assert schemas.check_response("Authorize", schemas.remove_unknown_fields("Authorize", payload)) is not None


@given(payload=st.fixed_dictionaries({}, optional={"idTokenInfo": JSON, "customData": JSON}) | JSON)
def test_whatever_an_answer_is_it_can_be_relieved(schemas: Schemas, payload: object) -> None:
    schemas.remove_unknown_fields("Authorize", payload)


@pytest.mark.parametrize(
    ("criteria", "more", "expected"),
    [
        (["Available", "Broken"], {}, True),
        (["Broken"], {}, True),
        (["Available"], {}, False),
        ([7], {}, False),
        ("Broken", {}, False),
        (["Broken"], {"colour": "red"}, False),
        (["Broken", "Available", "Enabled", "Problem", "Active"], {}, False),
        (["\ud800"], {}, False),
        (["Broken"] * 2_001, {}, False),
    ],
)
def test_only_unknown_values_are_distinguished_from_other_faults(
    schemas: Schemas, criteria: object, more: dict[str, str], expected: bool
) -> None:
    payload = {"requestId": 1, "componentCriteria": criteria, **more}
    assert schemas.has_only_unknown_values("GetReport", payload, "componentCriteria") is expected


def test_unknown_values_of_another_field_are_not_excused(schemas: Schemas) -> None:
    assert not schemas.has_only_unknown_values("GetBaseReport", {"requestId": 1, "reportBase": "All"}, "requestId")


@pytest.mark.parametrize("number", ["1" + "0" * 309, "-1" + "0" * 4_200, "1e999", "1" * 5_000, "-" + "9" * 60_000])
def test_a_number_that_no_double_can_hold_is_refused_by_name(schemas: Schemas, number: str) -> None:
    """The frame can be read, so it is answered by its own id."""
    call = frame.decode(f'[2,"id","CostUpdated",{{"transactionId": "x", "totalCost": {number}}}]', V201)
    assert isinstance(call, frame.Call)
    violation = schemas.check_request("CostUpdated", call.payload)
    assert violation is not None
    if len(number) in range(10, 4_300):
        expected = SchemaViolation("PropertyConstraintViolation", "totalCost is a number beyond double precision.")
    else:  # infinite
        expected = SchemaViolation("TypeConstraintViolation", "totalCost must be of type number.")
    assert violation == expected


def test_the_highest_double_is_a_number_like_any_other(schemas: Schemas) -> None:
    assert schemas.check_request("DataTransfer", {"vendorId": "x", "data": sys.float_info.max}) is None
    assert schemas.check_request("DataTransfer", {"vendorId": "x", "data": int(sys.float_info.max)}) is None
