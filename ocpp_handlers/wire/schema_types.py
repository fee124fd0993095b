"""Types by which msgspec recognizes a valid payload, made from the JSON schema of its message.

They accept nothing that the schema does not accept. They refuse a few valid payloads, such as those with 1.0 for an
integer or with additional fields in `customData`: whether a refused payload is valid, the schema has to decide.
"""

from __future__ import annotations

from sys import float_info
from typing import Annotated, Final, Literal, TypedDict, cast

from msgspec import UNSET, Meta, UnsetType, defstruct, field

JsonSchema = TypedDict(
    "JsonSchema",
    {
        "$ref": str,
        "type": str,
        "enum": list[str],
        "items": "JsonSchema",
        "properties": "dict[str, JsonSchema]",
        "required": list[str],
        "definitions": "dict[str, JsonSchema]",
        "maxLength": int,
        "minItems": int,
        "maxItems": int,
        "minimum": float,
        "maximum": float,
    },
    total=False,
)
"""those parts of JSON schema that restrict a payload in OCPP 2.0.1, besides `additionalProperties`"""
_REFERENCE: Final = "#/definitions/"


def payload_type(schema: JsonSchema) -> object:
    """Return the type of a message's payload, for `msgspec.convert`."""
    return _SchemaTypes(schema.get("definitions", {})).of(schema)


class _SchemaTypes:
    """The types of one message's schema; each definition becomes one type."""

    def __init__(self, definitions: dict[str, JsonSchema]) -> None:
        self._definitions = definitions
        self._types: dict[str, object] = {}

    def of(self, schema: JsonSchema) -> object:
        """The type of the values that `schema` accepts; None for any value at all."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REFERENCE)
            if name not in self._types:
                self._types[name] = self.of(self._definitions[name])
            return self._types[name]
        match schema.get("type"):
            case "object":
                return self._structure(schema)
            case "array":
                items = cast("type[object]", self.of(schema.get("items", {})))
                bounds = Meta(min_length=schema.get("minItems"), max_length=schema.get("maxItems"))
                return Annotated[list[items], bounds]
            case "string" if "enum" in schema:
                return Literal[tuple(schema["enum"])]
            case "string":
                return Annotated[str, Meta(max_length=schema.get("maxLength"))]
            case "integer":
                return Annotated[
                    int, Meta(ge=_integer_bound(schema.get("minimum")), le=_integer_bound(schema.get("maximum")))
                ]
            case "number":  # bounded, so that infinity and NaN, which JSON does not have, are refused
                bounds = Meta(ge=schema.get("minimum", -float_info.max), le=schema.get("maximum", float_info.max))
                return Annotated[float, bounds]
            case "boolean":
                return bool
            case _:
                return None

    def _structure(self, schema: JsonSchema) -> object:
        """A structure without those fields that may have any value at all, whose size and depth nothing bounds."""
        required = schema.get("required", [])
        fields: list[tuple[str, object, object]] = []
        for number, (name, field_schema) in enumerate(schema.get("properties", {}).items()):
            kind = self.of(field_schema)
            if kind is None:
                continue
            if name in required:
                fields.append((f"field_{number}", kind, field(name=name)))
            else:
                optional = cast("type[object]", kind) | UnsetType
                fields.append((f"field_{number}", optional, field(default=UNSET, name=name)))
        return defstruct("Payload", fields, kw_only=True, forbid_unknown_fields=True, gc=False)


def _integer_bound(bound: float | None) -> int | None:
    return None if bound is None else int(bound)
