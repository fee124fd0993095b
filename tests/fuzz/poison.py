"""Poisonous values for every field of a message, generated from its JSON schema: one value in one field is a case.

All other fields keep the values of a valid example. A value is JSON text: it may be what `json.dumps` cannot write,
such as a number beyond all doubles, or lists nested ten thousand times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from sys import float_info
from typing import Any

from tests.walks.nonsense import schema_of

FieldPath = tuple[str | int, ...]
"""names of properties and indexes of lists, from the payload down to a field"""
_MARK = "\x01poison\x01"
_LONG = 10_000
"""characters of a text, and items of a list, to which the schema sets no limit"""
_MANY = 1_000


@dataclass(frozen=True)
class Case:
    """A message that is valid but for the value of one field."""

    message: str
    """such as SetChargingProfileRequest"""
    example: int
    """which of the examples of this message it is made from, counted from 0"""
    path: FieldPath
    value_name: str
    json: str
    """the payload"""

    @property
    def name(self) -> str:
        """Message, field and value; `--fuzz-case` plays the cases whose names contain a text."""
        field = ".".join(map(str, self.path)) or "-"
        return f"{self.message}:{self.example}:{field}:{self.value_name}"

    @property
    def action(self) -> str:
        """Such as SetChargingProfile."""
        return self.message.removesuffix("Request").removesuffix("Response")


def cases(message: str, examples: Sequence[dict[str, Any]]) -> list[Case]:
    """Return a case for each poisonous value of each field of a message."""
    schema = schema_of(message)
    return [
        Case(message, number, path, name, _with(example, path, text))
        for number, example in enumerate(examples)
        for path, node in _fields(schema, schema.get("definitions", {}), example, ())
        for name, text in _poison_values(node, _value_at(example, path)).items()
    ]


def missing_objects(message: str, example: dict[str, Any]) -> list[FieldPath]:
    """Return the objects and lists of the schema that an example has not, custom data aside.

    The fields inside them have no cases; a single field has, as it can be added.
    """
    schema = schema_of(message)
    fields = _fields(schema, schema.get("definitions", {}), example, ())
    return [
        path
        for path, node in fields
        if node.get("type") in {"object", "array"} and path[-1] != "customData" and _value_at(example, path) is None
    ]


def _fields(node: Any, definitions: Any, example: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    """All fields below an object or a list that the example has, and their schemas; of a list, the first item."""
    for name, inner in node["properties"].items():
        schema = definitions[inner["$ref"].rsplit("/", 1)[-1]] if "$ref" in inner else inner
        where = (*path, name)
        yield where, schema
        value = example.get(name)
        if name == "customData":
            value = {"vendorId": "com.example"}
        while schema.get("type") == "array" and value:
            item = schema["items"]
            schema = definitions[item["$ref"].rsplit("/", 1)[-1]] if "$ref" in item else item
            where, value = (*where, 0), next(iter(value))
            yield where, schema
        if "properties" in schema and isinstance(value, dict):
            yield from _fields(schema, definitions, value, where)


def _value_at(payload: Any, path: FieldPath) -> Any:
    """The value of a field; None if the example has none."""
    for step in path:
        try:
            payload = payload[step]
        except (KeyError, TypeError):
            return None
    return payload


def _with(example: dict[str, Any], path: FieldPath, text: str) -> str:
    """The JSON of a payload with other JSON at one place."""
    payload: Any = deepcopy(example)
    inner = payload
    for step in path[:-1]:
        if step == "customData":
            inner.setdefault(step, {"vendorId": "com.example"})
        inner = inner[step]
    inner[path[-1]] = _MARK
    return json.dumps(payload).replace(json.dumps(_MARK), text)


def _poison_values(node: Any, usual: Any) -> dict[str, str]:
    """The poisonous values of a field, by name, as JSON."""
    wrong_type_values = {"null": "null"}
    match node.get("type"):
        case _ if "enum" in node:
            return wrong_type_values | {
                "empty": '""',
                "NUL": r'"\u0000"',
                "lone surrogate": r'"\ud800"',
                "unknown": '"Unheard"',
            }
        case "integer" | "number" as kind:
            return wrong_type_values | NUMBERS | (FRACTIONS if kind == "number" else {})
        case "boolean":
            return wrong_type_values | {"text": '"true"', "number": "1"}
        case "string":
            longest = node.get("maxLength", _LONG)
            limits = {"longest": json.dumps("y" * longest), "one longer": json.dumps("y" * (longest + 1))}
            return wrong_type_values | TEXTS | limits | (DATES if node.get("format") == "date-time" else {})
        case "array":
            return wrong_type_values | _lists(node, usual[0] if usual else None)
        case "object":
            deep = {f"{depth} levels deep": f'{{"vendorId":"v","x":{nested(depth)}}}' for depth in DEPTHS}
            return wrong_type_values | {"list": "[]", "empty": "{}"} | deep
        case _:  # of any type
            deep = {f"{depth} levels deep": nested(depth) for depth in DEPTHS}
            return wrong_type_values | TEXTS | NUMBERS | deep | {"longest": json.dumps("y" * _LONG)}


def _lists(node: Any, item: Any) -> dict[str, str]:
    text = json.dumps(item)
    limit = node.get("maxItems", _MANY)
    return {
        "empty": "[]",
        "most items": f"[{','.join([text] * limit)}]",
        "one item more": f"[{','.join([text] * (limit + 1))}]",
        "null items": "[null]",
    }


DEPTHS = (100, 900, 10_000)


@cache
def nested(depth: int) -> str:
    """JSON lists in lists."""
    return "[" * depth + "]" * depth


NUMBERS = {
    "0": "0",
    "-1": "-1",
    "2^31-1": str(2**31 - 1),
    "2^31": str(2**31),
    "-2^31": str(-(2**31)),
    "-2^31-1": str(-(2**31) - 1),
    "2^63": str(2**63),
    "-2^63": str(-(2**63)),
    "maximum double": repr(float_info.max),
    "310 digits": "9" * 310,
    "-310 digits": "-" + "9" * 310,
    "5000 digits": "9" * 5_000,
    "infinite": "1e999",
}
FRACTIONS = {"minimum double": repr(-float_info.max), "least above 0": "5e-324", "-0": "-0.0", "1e-9": "1e-9"}
TEXTS = {
    "empty": '""',
    "blank": '" "',
    "NUL": r'"\u0000"',
    "lone surrogate": r'"\ud800"',
    "line break": r'"a\r\nb"',
    "number": "7",
}
_MOMENTS = {
    "year 1": "0001-01-01T00:00:00Z",
    "year 1, east": "0001-01-01T00:00:00+14:00",
    "year 1, west": "0001-01-01T00:00:00-14:00",
    "year 9999": "9999-12-31T23:59:59Z",
    "year 9999, east": "9999-12-31T23:59:59.999999999+14:00",
    "year 9999, west": "9999-12-31T23:59:59.999999999-14:00",
    "year 10000": "10000-01-01T00:00:00Z",
    "1970": "1970-01-01T00:00:00Z",
    "no such day": "2025-02-30T00:00:00Z",
    "leap second": "2016-12-31T23:59:60Z",
}
DATES = {name: json.dumps(text) for name, text in _MOMENTS.items()}
SETTINGS = {
    **{f"number {name}": json.dumps(text) for name, text in (NUMBERS | FRACTIONS).items() if len(text) <= 1_000},
    **{f"text {name}": text for name, text in TEXTS.items() if name != "number"},
    **{f"date {name}": text for name, text in DATES.items()},
    "longest": json.dumps("y" * 1_000),
    "many digits": json.dumps("9" * 1_000),
    "commas": json.dumps("," * 1_000),
    "NaN": '"nan"',
    "inf": '"inf"',
    "furthest east": '"+14:59"',
    "furthest west": '"-14:59"',
    "true": '"true"',
    "false": '"false"',
}
"""texts for the value of any variable"""
