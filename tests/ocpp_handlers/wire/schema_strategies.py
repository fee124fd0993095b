"""Payloads that a JSON schema of OCPP accepts, for properties."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st

Payloads = st.SearchStrategy[Any]

_LETTERS = "abc XYZ09-_"


def schema_of(folder: str, message: str) -> dict[str, Any]:
    """The schema of a message in an edition, such as v21."""
    return json.loads((files("ocpp") / folder / "schemas" / f"{message}.json").read_text(encoding="utf-8"))


def payloads(schema: dict[str, Any]) -> Payloads:
    """The payloads of a message; lists have few items, and customData is left out."""
    return _Strategies(schema.get("definitions", {})).of(schema)


class _Strategies:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self._made: dict[str, Payloads] = {}

    def of(self, schema: dict[str, Any]) -> Payloads:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name not in self._made:
                self._made[name] = self.of(self._definitions[name])
            return self._made[name]
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        match schema.get("type"):
            case "object":
                return self._objects(schema)
            case "array":
                least = schema.get("minItems", 0)
                return st.lists(self.of(schema["items"]), min_size=least, max_size=max(least, 2))
            case "string":
                return _texts(schema.get("maxLength"))
            case "boolean":
                return st.booleans()
            case "integer":
                return st.integers(schema.get("minimum", -9), schema.get("maximum", 9_999))
            case "number":
                return st.floats(schema.get("minimum", -99.0), schema.get("maximum", 9_999.0), width=32)
            case _:
                return st.sampled_from(["any", 7, None])

    def _objects(self, schema: dict[str, Any]) -> Payloads:
        required = set(schema.get("required", ()))
        fields = {name: self.of(field) for name, field in schema.get("properties", {}).items() if name != "customData"}
        return st.fixed_dictionaries(
            {name: values for name, values in fields.items() if name in required},
            optional={name: values for name, values in fields.items() if name not in required},
        )


def _texts(longest: int | None) -> Payloads:
    """Short texts, and some of the greatest length."""
    short = st.text(_LETTERS, min_size=1, max_size=min(longest or 20, 8))
    return short if longest is None else st.one_of(short, st.just("x" * longest))
