"""Validates payloads against the JSON schemas of OCPP 2.0.1."""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jsonschema_rs import ValidationError, validator_for
from jsonschema_rs import ValidationErrorKind as Kind

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from jsonschema_rs import Validator

MAX_DESCRIPTION = 255  # Part 4 table 7, errorDescription
_MAX_PARTS = 2_000
"""size of a payload up to which all errors are collected: the library creates an object for each error, and those of
one frame of a hostile CSMS would take a gigabyte and block the event loop for 15 s"""
_MAY_BE_EMPTY = {"SendLocalListRequest": "localAuthorizationList"}
"""by message: a list that may be empty (D01.FR.04, D01.FR.05), although its JSON schema requires an item"""


class SchemaViolation(Frozen):
    """Why a payload is invalid: an RPC framework error code (Part 4 table 8), and a readable sentence.

    The sentence names the path of the field, has 255 characters at most and never contains the value.
    """

    code: str
    description: str


class Schemas:
    """Validates payloads against the JSON schemas of OCPP 2.0.1; each is compiled at its first use and cached."""

    def __init__(self) -> None:
        # Action names come from the CSMS: they are looked up in this listing, never used to build a path.
        self._files = {file.stem: file for file in _schema_folder().iterdir()}
        self._validators: dict[str, Validator] = {}

    def has_action(self, action: str) -> bool:
        """Return whether OCPP 2.0.1 has this action (case matters, Part 4 table 5)."""
        return f"{action}Request" in self._files

    def check_request(self, action: str, payload: object) -> SchemaViolation | None:
        """Validate the payload of a CALL; None if it is valid."""
        return self._fault(f"{action}Request", payload)

    def has_only_unknown_values(self, action: str, payload: object, field: str) -> bool:
        """Return whether an invalid request is valid but for texts in `field` that its enumeration does not have.

        `field` is a field of the request itself: an enumeration, or a list of one. False for a very large request.
        """
        try:
            errors = _errors(self._validator(f"{action}Request"), payload) if not _is_large(payload) else []
        except ValueError:
            return False
        return bool(errors) and all(_is_unknown_value(error) and error.instance_path[0] == field for error in errors)

    def check_response(self, action: str, payload: object) -> SchemaViolation | None:
        """Validate the payload of a CALLRESULT to this action; None if it is valid."""
        return self._fault(f"{action}Response", payload)

    def remove_unknown_fields(self, action: str, payload: object) -> object:
        """Remove nulls and unknown fields from the payload of a CALLRESULT, in place, and return it.

        Some CSMSs send `"idTokenInfo": null` for an absent field, or add fields of their own.
        """
        try:
            errors = _errors(self._validator(f"{action}Response"), payload)
        except ValueError:
            return payload  # `check_response` reports the reason
        for path in [path for error in errors for path in _surplus(error)]:
            parent = payload
            for step in path[:-1]:
                parent = cast("dict[str | int, object]", parent)[step]
            if isinstance(parent, dict):  # not a null in a list
                cast("dict[str | int, object]", parent).pop(path[-1], None)
        return payload

    def _fault(self, message: str, payload: object) -> SchemaViolation | None:
        if message not in self._files:
            return SchemaViolation("NotImplemented", "OCPP 2.0.1 has no such action.")
        validator = self._validator(message)
        try:
            if validator.is_valid(payload):
                return None
            errors = _errors(validator, payload)
        except ValueError as error:
            # An unpaired surrogate ("\ud800"), too deep nesting, or, in a response of the station, an object that
            # JSON does not have.
            return SchemaViolation("FormatViolation", f"The payload cannot be read: {error}.")
        return _explain(min(errors, key=lambda error: _position(error, payload)))

    def _validator(self, message: str) -> Validator:
        validator = self._validators.get(message)
        if validator is None:
            text = self._files[message].read_text(encoding="utf-8")
            if (field := _MAY_BE_EMPTY.get(message)) is not None:
                text = _without_min_items(text, field)
            # Date-times are checked by `timestamps.decode`, which accepts more of the formats that CSMSs send.
            validator = self._validators[message] = validator_for(text, validate_formats=False)
        return validator


@functools.cache
def shared_schemas() -> Schemas:
    """The schemas that all stations of the process share, so that each is compiled once."""
    return Schemas()


def _schema_folder() -> Path:
    """The schema folder of the `ocpp` package; found without importing ocpp.v201, which takes 100 ms."""
    spec = find_spec("ocpp")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the ocpp package, which brings the schemas of OCPP 2.0.1, is not installed")
    return Path(spec.origin).parent / "v201" / "schemas"


def _without_min_items(text: str, field: str) -> str:
    """Remove the least number of items of a list from the JSON text of a schema."""
    schema = cast("dict[str, dict[str, dict[str, object]]]", json.loads(text))
    del schema["properties"][field]["minItems"]
    return json.dumps(schema)


def _errors(validator: Validator, payload: object) -> list[ValidationError]:
    """All validation errors of a payload; only the first one if the payload is large.

    Raises:
        ValueError: the payload cannot be read.
    """
    if not _is_large(payload):
        return list(validator.iter_errors(payload))
    try:
        validator.validate(payload)
    except ValidationError as error:
        return [error]
    return []


def _is_large(payload: object) -> bool:
    """Return whether a payload has more than _MAX_PARTS parts; counting stops there."""
    waiting, seen = [payload], 0
    while waiting and seen <= _MAX_PARTS:
        node = waiting.pop()
        if isinstance(node, dict | list):
            parts = cast("dict[str, object] | list[object]", node)
            seen += len(parts)
            if seen <= _MAX_PARTS:
                waiting.extend(parts.values() if isinstance(parts, dict) else parts)
    return seen > _MAX_PARTS


def _path(error: ValidationError) -> list[str | int]:
    """The path from the payload to the invalid, missing or unknown field."""
    match error.kind:
        case Kind.Required(missing):
            return [*error.instance_path, missing]
        case Kind.AdditionalProperties(unexpected):
            return [*error.instance_path, unexpected[0]]
        case _:
            return error.instance_path


def _is_unknown_value(error: ValidationError) -> bool:
    return isinstance(error.kind, Kind.Enum) and isinstance(error.instance, str)


def _surplus(error: ValidationError) -> list[list[str | int]]:
    """The paths of the fields that can be removed to fix this error: unknown fields and nulls."""
    match error.kind:
        case Kind.AdditionalProperties(unexpected):
            return [[*error.instance_path, name] for name in unexpected]
        case Kind.Type() if error.instance is None and error.instance_path:
            return [error.instance_path]
        case _:
            return []


def _position(error: ValidationError, payload: object) -> list[int]:
    """The position of the error as a sort key in document order."""
    position: list[int] = []
    node = payload
    for step in _path(error):
        if isinstance(step, int):
            position.append(step)
            node = cast("list[object]", node)[step]
        else:
            fields = cast("dict[str, object]", node)
            if step not in fields:
                break  # a missing field counts at the beginning of its object
            position.append(list(fields).index(step))
            node = fields[step]
    return position


def _name(path: list[str | int]) -> str:
    """Format a path: chargingStation.modem.iccid, getVariableData[3].component."""
    # The name of an unknown field comes from the sender: shorten it and escape characters that break a log line.
    steps = [f"[{step}]" if isinstance(step, int) else f".{repr(step[:50])[1:-1]}" for step in path]
    return "".join(steps).removeprefix(".") or "The payload"


def _explain(error: ValidationError) -> SchemaViolation:
    """Translate a validation error to an error code and a sentence that names the field."""
    path = _path(error)
    code, complaint = _judge(error.kind)
    if not path:
        code = "ProtocolError"  # no field is of the wrong type: the payload is not an object (Part 4 §4.1.5)
    description = f"{_name(path)} {complaint}."
    if len(description) > MAX_DESCRIPTION:
        description = description[: MAX_DESCRIPTION - 1] + "…"
    return SchemaViolation(code, description)


def _judge(kind: Kind) -> tuple[str, str]:
    """The error code of Part 4 table 8, and the end of the sentence after the field's name."""
    match kind:
        case Kind.Type(types):
            return "TypeConstraintViolation", f"must be of type {' or '.join(types)}"
        case Kind.AdditionalProperties():
            # "Not conform the PDU structure": there is no such field whose occurrence, type or value could be
            # wrong, and the syntax (FormatViolation) is right.
            return "ProtocolError", "is not a field of this message"
        case Kind.Required():
            return "OccurrenceConstraintViolation", "is missing"
        case Kind.MinItems(limit):
            return "OccurrenceConstraintViolation", f"has fewer items than {limit}"
        case Kind.MaxItems(limit):
            return "OccurrenceConstraintViolation", f"has more items than {limit}"
        case Kind.MaxLength(limit):
            return "PropertyConstraintViolation", f"is longer than {limit} characters"
        case Kind.Minimum(limit):
            return "PropertyConstraintViolation", f"is less than {limit}"
        case Kind.Maximum(limit):
            return "PropertyConstraintViolation", f"is more than {limit}"
        case Kind.Enum(options):
            return "PropertyConstraintViolation", f"must be one of {', '.join(str(option) for option in options)}"
        case _:  # no other rule is in the schemas of OCPP 2.0.1
            return "PropertyConstraintViolation", "has a value that is not allowed"
