"""Adds the docstrings below the fields of models to the schemas of the OpenAPI document.

Only the document needs them, so they are read from the source when the document is built, and not when models are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from inspect import cleandoc, isclass
from typing import TYPE_CHECKING, Final, TypeGuard, get_args, get_type_hints

from msgspec import Struct
from pydantic import BaseModel
from typing_extensions import is_typeddict

from foundation.json_values import object_of, objects_of
from foundation.member_docstrings import MemberDocstrings

if TYPE_CHECKING:
    from station.interfaces.json_object import Json

_JSON_VALUE: Final = "JsonValue"
"""the name of pydantic's type for free JSON in the document"""


def models_in(annotations: Iterable[object]) -> Mapping[str, type]:
    """Find the models in type annotations, and those of their fields at any depth, by the names of their schemas.

    Enumerations are among them.
    """
    models_by_name: dict[str, type] = {}
    remaining = list(annotations)
    while remaining:
        annotation = remaining.pop()
        if not _is_model(annotation):
            remaining += get_args(annotation)
        elif annotation.__name__ not in models_by_name:
            models_by_name[annotation.__name__] = annotation
            remaining += get_type_hints(annotation, include_extras=True).values()
    return models_by_name


def add_descriptions(schemas: Json, models: Mapping[str, type]) -> None:
    """Describe each property of each schema by the docstring below the field of its model, in place."""
    docstrings = MemberDocstrings()
    for name in models.keys() & schemas.keys():
        schema, model = object_of(schemas[name]), models[name]
        field_docstrings = docstrings.of(model)
        schema["description"] = (
            f"{schema.get('description', cleandoc(model.__doc__ or ''))}{_enumeration_values(model, field_docstrings)}"
        )
        for key, described in _members(schema, model):
            if key in field_docstrings:
                described.setdefault("description", _in_json(field_docstrings[key]))
    if _JSON_VALUE in schemas:
        object_of(schemas[_JSON_VALUE]).setdefault("description", "Any JSON value.")


def _enumeration_values(enumeration: type, docstrings: Mapping[str, str]) -> str:
    """A list of the values of an enumeration that have a docstring; empty for other models."""
    if not issubclass(enumeration, Enum):
        return ""
    values = [
        f"\n- `{member.value}`: {_in_json(docstrings[member.name])}"
        for member in enumeration
        if member.name in docstrings
    ]
    return "".join(("\n", *values)) if values else ""


def _in_json(text: str) -> str:
    """A docstring in words of JSON instead of Python."""
    return re.sub(r"\bNone\b", "null", text)


def _is_model(annotation: object) -> TypeGuard[type]:
    """Whether a schema of its own is made of an annotation."""
    if not isclass(annotation):
        return False
    is_tuple = "_fields" in vars(annotation)  # a NamedTuple
    return is_tuple or is_typeddict(annotation) or issubclass(annotation, BaseModel | Struct | Enum)


def _members(schema: Json, model: type) -> Iterator[tuple[str, Json]]:
    """The schema of each field of a model, with the name of the field."""
    attributes = _attributes(model)
    for key, described in object_of(schema.get("properties", {})).items():
        yield attributes.get(key, key), object_of(described)
    tuple_fields: tuple[str, ...] = getattr(model, "_fields", ())
    yield from zip(tuple_fields, objects_of(schema.get("prefixItems", [])), strict=False)


def _attributes(model: type) -> Mapping[str, str]:
    """The name of the field of each key whose name differs."""
    if issubclass(model, Struct):
        return dict(zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True))
    if issubclass(model, BaseModel):
        return {field.alias: name for name, field in model.model_fields.items() if field.alias is not None}
    return {}
