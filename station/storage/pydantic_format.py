"""Stored JSON by pydantic: finds every error of a row that cannot be read, and knows renamed attributes and words.

Imported only for such rows and by the tests, since pydantic takes long to import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

from foundation.json_values import is_array, is_object, object_of
from station.storage.stored_names import FieldError, StoredNames, StoredValueError, UnmappedNameError

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

T = TypeVar("T")
_Schema = dict[str, object]


class PydanticFormat(Generic[T]):
    """Converts objects of class `kind` to stored JSON and back, with stored names.

    Raises:
        UnmappedNameError: a stored name is missing or unused.
    """

    def __init__(self, kind: type[T], stored_names: StoredNames) -> None:
        self._kind = kind
        self._stored_names = stored_names
        schema = cast("CoreSchema", self._with_stored_names(_core_schema(kind)))
        self._validator, self._serializer = SchemaValidator(schema), SchemaSerializer(schema)

    def to_json(self, value: T) -> bytes:
        """Serialize an object as JSON with stored names."""
        return self._serializer.to_json(value, by_alias=True)

    def from_json(self, stored: str) -> T:
        """Parse an object from its stored JSON text.

        Raises:
            StoredValueError: fields are missing, invalid or unknown; all of them are listed.
        """
        try:
            return cast("T", self._validator.validate_json(stored))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise StoredValueError(
                [FieldError(details["loc"], details["type"], details["msg"]) for details in found]
            ) from None

    def check(self) -> None:
        """Check that each class with stored names is used.

        Raises:
            UnmappedNameError: one is not.
        """
        found = {cast("type", schema["cls"]) for schema in _classes(_core_schema(self._kind))}
        for cls in self._stored_names.keys() - found:
            raise UnmappedNameError(f"{cls.__name__} has stored names, but is not used in {self._kind.__name__}")

    def _with_stored_names(self, part: object) -> object:
        """Copy a part of a pydantic core schema, replacing attribute and member names by stored names."""
        if is_array(part):
            items = [self._with_stored_names(item) for item in part]
            return tuple(items) if isinstance(part, tuple) else items
        if not is_object(part):
            return part
        if part.get("type") == "enum":
            return self._enumeration(part)
        copy = {key: self._with_stored_names(value) for key, value in part.items() if key != "metadata"}
        return self._fields(copy) if part.get("type") == "typed-dict" else copy

    def _fields(self, schema: _Schema) -> _Schema:
        cls = cast("type", schema["cls"])
        stored = self._names_of(cls)
        attributes = object_of(schema["fields"])
        fields = {name: object_of(field) | _aliases(name, stored) for name, field in attributes.items()}
        if len(stored) != len(fields):
            raise UnmappedNameError(f"{cls.__name__}: a stored name has no attribute")
        return schema | {"fields": fields, "extra_behavior": "forbid"}  # unknown fields would be lost when rewritten

    def _enumeration(self, schema: _Schema) -> _Schema:
        cls = cast("type[Enum]", schema["cls"])
        stored = self._names_of(cls)
        try:
            words = {member: stored[member.name] for member in cls}
        except KeyError as error:
            raise UnmappedNameError(f"{cls.__name__}.{error.args[0]} has no stored word") from error
        if len(stored) != len(words):
            raise UnmappedNameError(f"{cls.__name__}: a stored word has no member")
        return (
            schema if all(word == member.value for member, word in words.items()) else _stored_words_schema(cls, words)
        )

    def _names_of(self, cls: type) -> Mapping[str, str]:
        if cls not in self._stored_names:
            raise UnmappedNameError(f"{cls.__name__} has no stored names")
        return self._stored_names[cls]


def _aliases(attribute: str, stored: Mapping[str, str]) -> _Schema:
    if attribute not in stored:
        raise UnmappedNameError(f"{attribute} has no stored name")
    name = stored[attribute]
    return {} if name == attribute else {"validation_alias": name, "serialization_alias": name}


def _stored_words_schema(cls: type[Enum], words: Mapping[Enum, str]) -> _Schema:
    """The schema of an enumeration whose stored words differ from its values."""
    members = {word: member for member, word in words.items()}

    def member_of(word: object) -> Enum:
        if not isinstance(word, str) or word not in members:
            raise ValueError(f"is not a stored word of {cls.__name__}")
        return members[word]

    serialization = core_schema.plain_serializer_function_ser_schema(words.__getitem__)
    return cast("_Schema", core_schema.no_info_plain_validator_function(member_of, serialization=serialization))


def _core_schema(kind: type) -> object:
    return TypeAdapter(kind).core_schema


def _classes(part: object) -> Iterator[_Schema]:
    """The frozen values and enumerations in a core schema."""
    if is_object(part):
        if part.get("type") in ("typed-dict", "enum"):
            yield part
        for value in part.values():
            yield from _classes(value)
    elif is_array(part):
        for item in part:
            yield from _classes(item)
