"""Finds the errors in payloads that are invalid: which field, and with which error code.

`schema` imports it with the first payload that it cannot accept, since `jsonschema_rs` takes 6 MiB of memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from sys import float_info
from typing import TYPE_CHECKING, Final, cast

from jsonschema_rs import ValidationError, validator_for
from jsonschema_rs import ValidationErrorKind as Kind

from foundation.json_values import is_list, list_of, object_of
from ocpp_handlers.wire.schema_violation import SchemaViolation

if TYPE_CHECKING:
    from jsonschema_rs import Validator

MAX_DESCRIPTION: Final = 255  # Part 4 table 7, errorDescription
_LARGEST_DOUBLE: Final = int(float_info.max)
_MAX_PARTS = 2_000
"""size of a payload up to which all errors are collected: the library creates an object for each error, and those of
one frame of a hostile CSMS would take a gigabyte and block the event loop for 15 s"""

_MAX_ROUNDS: Final = 100
"""how often a payload is validated to find its unknown fields: of a large one, each round finds those of one object"""


class SchemaErrors:
    """Validates payloads against JSON schemas; each is compiled at its first use and cached."""

    def __init__(self, schema_text: Callable[[str], str]) -> None:
        """`schema_text` returns the JSON schema of a message, such as `HeartbeatRequest`."""
        self._schema_text = schema_text
        self._validators: dict[str, Validator] = {}

    def violation(self, message: str, payload: object) -> SchemaViolation | None:
        """Return the first error of a payload, in the order of its fields; None if it is valid."""
        validator = self._validator(message)
        try:
            if validator.is_valid(payload):
                return None
            errors = _errors(validator, payload)
        except ValueError as error:
            # An unpaired surrogate ("\ud800"), too deep nesting, or, in a response of the station, an object that
            # JSON does not have.
            return SchemaViolation("FormatViolation", f"The payload cannot be read: {error}.")
        return _to_violation(min(errors, key=lambda error: _position(error, payload)))

    def has_only_unknown_values(self, message: str, payload: object, field: str) -> bool:
        """Return whether an invalid payload is valid but for texts in `field` that its enumeration does not have.

        `field` is a field of the payload itself: an enumeration, or a list of one. False for a very large payload.
        """
        try:
            errors = _errors(self._validator(message), payload) if not _is_large(payload) else []
        except ValueError:
            return False
        return bool(errors) and all(_is_unknown_value(error) and error.instance_path[0] == field for error in errors)

    def remove_unknown_fields(self, message: str, payload: object) -> object:
        """Remove nulls and unknown fields from a payload, in place, and return it."""
        try:
            errors = _errors(self._validator(message), payload)
        except ValueError:
            return payload  # `violation` reports the reason
        for path in [path for error in errors for path in _removable_fields(error)]:
            parent = payload
            for step in path[:-1]:
                parent = cast("dict[str | int, object]", parent)[step]
            if isinstance(parent, dict):  # not a null in a list
                cast("dict[str | int, object]", parent).pop(path[-1], None)
        return payload

    def without_unknown_fields(self, message: str, payload: object) -> tuple[object, list[str]]:
        """Return a payload without unknown fields, and their paths; the given one stays as it is."""
        cut: list[str] = []
        for _ in range(_MAX_ROUNDS):
            try:
                errors = _errors(self._validator(message), payload)
            except ValueError:
                break  # `violation` reports the reason
            paths = [path for error in errors for path in _unknown_fields(error)]
            if not paths:
                break
            for path in paths:
                payload = _without(payload, path)
            cut += map(_path_text, paths)
        return payload, cut

    def _validator(self, message: str) -> Validator:
        validator = self._validators.get(message)
        if validator is None:
            # Date-times are checked by `timestamps.decode`, which accepts more of the formats that CSMSs send.
            schema = json.loads(self._schema_text(message), object_hook=_with_bounds)
            validator = validator_for(json.dumps(schema), validate_formats=False)
            self._validators[message] = validator
        return validator


def _with_bounds(schema: dict[str, object]) -> dict[str, object]:
    """Bound a number of a schema by what a double can hold: JSON allows integers of hundreds of digits."""
    if schema.get("type") == "number":
        return {"minimum": -_LARGEST_DOUBLE, "maximum": _LARGEST_DOUBLE, **schema}
    return schema


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
    waiting, part_count = [payload], 0
    while waiting and part_count <= _MAX_PARTS:
        node = waiting.pop()
        if isinstance(node, dict | list):
            parts = cast("dict[str, object] | list[object]", node)
            part_count += len(parts)
            if part_count <= _MAX_PARTS:
                waiting.extend(parts.values() if isinstance(parts, dict) else parts)
    return part_count > _MAX_PARTS


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


def _removable_fields(error: ValidationError) -> list[list[str | int]]:
    """The paths of the fields that can be removed to fix this error: unknown fields and nulls."""
    if isinstance(error.kind, Kind.Type) and error.instance is None and error.instance_path:
        return [error.instance_path]
    return _unknown_fields(error)


def _unknown_fields(error: ValidationError) -> list[list[str | int]]:
    match error.kind:
        case Kind.AdditionalProperties(unexpected):
            return [[*error.instance_path, name] for name in unexpected]
        case _:
            return []


def _without(node: object, path: list[str | int]) -> object:
    """A copy of a payload without the field at this path; only what contains the field is copied."""
    step, *rest = path
    if is_list(node):
        items = list(node)
        items[int(step)] = _without(items[int(step)], rest)
        return items
    fields = dict(object_of(node))
    if rest:
        fields[str(step)] = _without(fields[str(step)], rest)
    else:
        del fields[str(step)]
    return fields


def _position(error: ValidationError, payload: object) -> list[int]:
    """The position of the error as a sort key in document order."""
    position: list[int] = []
    node = payload
    for step in _path(error):
        if isinstance(step, int):
            position.append(step)
            node = list_of(node)[step]
        else:
            fields = object_of(node)
            if step not in fields:
                break  # a missing field counts at the beginning of its object
            position.append(list(fields).index(step))
            node = fields[step]
    return position


def _path_text(path: list[str | int]) -> str:
    """Format a path: chargingStation.modem.iccid, getVariableData[3].component."""
    # The name of an unknown field comes from the sender: shorten it and escape characters that break a log line.
    steps = [f"[{step}]" if isinstance(step, int) else f".{repr(step[:50])[1:-1]}" for step in path]
    return "".join(steps).removeprefix(".") or "The payload"


def _to_violation(error: ValidationError) -> SchemaViolation:
    """Translate a validation error to an error code and a sentence that names the field."""
    path = _path(error)
    code, complaint = _code_and_complaint(error.kind)
    if not path:
        code = "ProtocolError"  # no field is of the wrong type: the payload is not an object (Part 4 §4.1.5)
    description = f"{_path_text(path)} {complaint}."
    if len(description) > MAX_DESCRIPTION:
        description = description[: MAX_DESCRIPTION - 1] + "…"
    return SchemaViolation(code, description)


def _code_and_complaint(kind: Kind) -> tuple[str, str]:
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
        case Kind.Minimum(limit) | Kind.Maximum(limit) if isinstance(limit, int) and abs(limit) == _LARGEST_DOUBLE:
            return "PropertyConstraintViolation", "is a number beyond double precision"
        case Kind.Minimum(limit):
            return "PropertyConstraintViolation", f"is less than {limit}"
        case Kind.Maximum(limit):
            return "PropertyConstraintViolation", f"is more than {limit}"
        case Kind.Enum(options):
            return "PropertyConstraintViolation", f"must be one of {', '.join(str(option) for option in options)}"
        case _:  # no other rule is in the schemas of OCPP 2.0.1
            return "PropertyConstraintViolation", "has a value that is not allowed"
