"""JSON schemas as the references read them, and the description of the type of a field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Schema(BaseModel):
    """The parts of a JSON schema that pydantic and FastAPI write."""

    model_config = ConfigDict(populate_by_name=True)

    ref: str = Field("", alias="$ref")
    type: str = ""
    title: str = ""
    description: str = ""
    format: str = ""
    pattern: str = ""
    enum: list[JsonValue] = []
    const: JsonValue = None
    default: JsonValue = None
    any_of: list[Schema] = Field([], alias="anyOf")
    one_of: list[Schema] = Field([], alias="oneOf")
    all_of: list[Schema] = Field([], alias="allOf")
    items: Schema | None = None
    prefix_items: list[Schema] = Field([], alias="prefixItems")
    properties: dict[str, Schema] = {}
    required: list[str] = []
    additional: Schema | bool | None = Field(None, alias="additionalProperties")
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = Field(None, alias="exclusiveMinimum")
    below: float | None = Field(None, alias="exclusiveMaximum")
    min_length: int | None = Field(None, alias="minLength")
    max_length: int | None = Field(None, alias="maxLength")

    @property
    def name(self) -> str:
        """The name of the definition that a reference points to."""
        return self.ref.rpartition("/")[2]

    @property
    def choices(self) -> list[Schema]:
        """The alternatives of the schema."""
        return [*self.any_of, *self.one_of]


NOTHING = Schema.model_validate({})
"""the schema that accepts any value"""
Definitions = Mapping[str, Schema]
"""the schemas that others refer to, by their name"""


def is_null(schema: Schema) -> bool:
    """Whether the schema accepts null only."""
    return schema.type == "null"


def resolved(schema: Schema, definitions: Definitions) -> Schema:
    """The schema that a reference points to, or the schema itself."""
    while schema.name in definitions:
        schema = definitions[schema.name]
    return schema


def words(schema: Schema, definitions: Definitions) -> str:
    """Describe the values of a field, such as "integer, 1 to 9" or "list of table", without null."""
    schema = resolved(schema, definitions)
    if schema.choices:
        return " or ".join(
            dict.fromkeys(words(alternative, definitions) for alternative in schema.choices if not is_null(alternative))
        )
    if schema.all_of:
        return " and ".join(words(alternative, definitions) for alternative in schema.all_of)
    if "const" in schema.model_fields_set:
        return code(schema.const)
    if schema.enum:
        return ", ".join(code(value) for value in schema.enum)
    if schema.type == "array":
        inner = schema.items or (schema.prefix_items[0] if schema.prefix_items else None)
        return f"list of {words(inner, definitions)}" if inner is not None else "list"
    return f"{_KINDS.get(schema.format) or _KINDS.get(schema.type, schema.type or 'any')}{_bounds(schema)}"


_KINDS = {
    "boolean": "true or false",
    "string": "text",
    "path": "path",
    "password": "secret text",
    "binary": "bytes",
    "date-time": "date and time (ISO 8601)",
    "object": "object",
    "null": "null",
}


_ANY_LENGTH = 100_000
"""text lengths from which the limit is not shown; the size of a request limits them anyway"""


def _bounds(schema: Schema) -> str:
    """Describe the bounds of a number or of the length of a text."""
    if schema.max_length is not None and schema.max_length < _ANY_LENGTH:
        least = schema.min_length if (schema.min_length or 0) > 1 else None
        return f" of {_span(least, schema.max_length)} characters"
    if schema.above is not None:
        above = f", above {schema.above:g}"
        return above + (f" up to {schema.maximum:g}" if schema.maximum is not None else "")
    if schema.minimum is not None or schema.maximum is not None:
        return f", {_span(schema.minimum, schema.maximum)}"
    return ""


def _span(least: float | None, most: float | None) -> str:
    if least is None:
        return f"up to {most:.10g}"
    return f"at least {least:.10g}" if most is None else f"{least:.10g} to {most:.10g}"


def code(value: JsonValue) -> str:
    """A value in JSON, as Markdown code."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def fields(
    schema: Schema, definitions: Definitions, path: str = "", visited: tuple[str, ...] = ()
) -> Iterator[tuple[str, Schema]]:
    """Each field below a schema: its path and its schema."""
    if schema.name in visited:
        return
    visited = (*visited, schema.name) if schema.name else visited
    schema = resolved(schema, definitions)
    for alternative in (*schema.choices, *schema.all_of):
        yield from fields(alternative, definitions, path, visited)
    for name, inner in schema.properties.items():
        place = f"{path}.{name}" if path else name
        yield place, inner
        yield from fields(inner, definitions, place, visited)
    if isinstance(schema.additional, Schema):
        place = f"{path}.*" if path else "*"
        yield place, schema.additional
        yield from fields(schema.additional, definitions, place, visited)
    if schema.items is not None:
        yield from fields(schema.items, definitions, f"{path}[]", visited)
