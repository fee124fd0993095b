"""Serialization of objects as stored JSON, with names that do not change when a class or an attribute is renamed.

Each `StoredFormat` lists, for every class in it, the stored name of every attribute, and for every enumeration the
stored word of every member. A class, attribute or member without an entry raises an error at the first use of the
format, and in the tests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from inspect import get_annotations
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema, from_json, to_json

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

T = TypeVar("T")

StoredNames = Mapping[type, Mapping[str, str]]
"""for each class the stored name of each attribute; for each enumeration the stored word of each member"""
_Schema = dict[str, object]


def names(*same: str, **renamed: str) -> Mapping[str, str]:
    """Map attribute or enumeration member names to stored names: `same` if equal, else `renamed` (attribute=stored)."""
    return {**{name: name for name in same}, **renamed}


class UnmappedNameError(Exception):
    """Programming error: a class, attribute or enumeration member has no stored name, or a stored name is unused."""


class StoredFormat(Generic[T]):
    """Converts objects of class `kind` to stored JSON and back, with the names given by `stored_names`.

    Nested classes and enumerations included. Validator and serializer are built at first use.
    """

    def __init__(self, kind: type[T], stored_names: StoredNames) -> None:
        self.kind: Final = kind
        self.stored_names: Final = stored_names
        self._built: tuple[SchemaValidator, SchemaSerializer] | None = None

    def to_text(self, value: T, *, without: Collection[str] = ()) -> str:
        """Serialize an object as JSON with stored names, omitting the attributes named in `without`."""
        _, serializer = self._build()
        text = serializer.to_json(value, by_alias=True)
        if without:  # the serializer of a frozen value is a function, for which pydantic excludes nothing
            omitted = {self.stored_names[self.kind][name] for name in without}
            fields: dict[str, object] = from_json(text)
            text = to_json({name: stored for name, stored in fields.items() if name not in omitted})
        return text.decode()

    def from_text(self, stored: object) -> T:
        """Parse an object from its stored JSON text; nothing is read from disk.

        Raises:
            ValueError: a field is missing, invalid or unknown.
        """
        validator, _ = self._build()
        return cast("T", validator.validate_json(str(stored)))

    def check(self) -> None:
        """Check, for a test, that every class, attribute and member has a stored name, and that none is unused.

        Raises:
            UnmappedNameError: a stored name is missing or unused.
        """
        found = {cast("type", schema["cls"]) for schema in _classes(_core_schema(self.kind))}
        for cls in found | self.stored_names.keys():
            if cls not in found:
                raise UnmappedNameError(f"{cls.__name__} has stored names, but is not used in {self.kind.__name__}")
        self._build()

    def _build(self) -> tuple[SchemaValidator, SchemaSerializer]:
        if self._built is None:
            schema = cast("CoreSchema", self._renamed(_core_schema(self.kind)))
            self._built = SchemaValidator(schema), SchemaSerializer(schema)
        return self._built

    def _renamed(self, part: object) -> object:
        """Copy a part of a pydantic core schema, replacing attribute and member names by stored names."""
        if isinstance(part, list):
            return [self._renamed(one) for one in cast("list[object]", part)]
        if isinstance(part, tuple):
            return tuple(self._renamed(one) for one in cast("tuple[object, ...]", part))
        if not isinstance(part, dict):
            return part
        schema = cast("_Schema", part)
        if schema.get("type") == "enum":
            return self._enumeration(schema)
        renamed = {key: self._renamed(value) for key, value in schema.items() if key != "metadata"}
        return self._fields(renamed) if schema.get("type") == "typed-dict" else renamed

    def _fields(self, schema: _Schema) -> _Schema:
        cls = cast("type", schema["cls"])
        stored = self._names_of(cls)
        attributes = cast("dict[str, _Schema]", schema["fields"])
        fields = {name: one | _aliases(name, stored) for name, one in attributes.items()}
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
        return schema if all(word == member.value for member, word in words.items()) else _by_word(cls, words)

    def _names_of(self, cls: type) -> Mapping[str, str]:
        if cls not in self.stored_names:
            raise UnmappedNameError(f"{cls.__name__} has no stored names")
        return self.stored_names[cls]


class FlatFormat(Generic[T]):
    """Converts objects of class `kind` to a dict with one entry per attribute under its stored name, and back.

    The values are neither converted nor validated.
    """

    def __init__(self, kind: type[T], stored_names: Mapping[str, str]) -> None:
        attributes = list(get_annotations(kind))
        if set(attributes) != set(stored_names):
            raise UnmappedNameError(f"{kind.__name__}: the stored names do not match the attributes")
        self._kind = kind
        self._stored_names = {name: stored_names[name] for name in attributes}
        self._attributes = {stored: name for name, stored in stored_names.items()}

    def to_dict(self, value: T) -> dict[str, object]:
        """Return the attribute values of an object by their stored names."""
        return {stored: getattr(value, name) for name, stored in self._stored_names.items()}

    def from_dict(self, stored: Mapping[str, object]) -> T:
        """Create an object from a dict with stored names, its values as they are, neither converted nor validated.

        Attributes with a default may be missing.

        Raises:
            KeyError, TypeError: a field is missing or unknown.
        """
        if not isinstance(stored, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # it comes from a disk
            raise TypeError("is not an object")
        return self._kind(**{self._attributes[name]: value for name, value in stored.items()})


def _aliases(attribute: str, stored: Mapping[str, str]) -> _Schema:
    if attribute not in stored:
        raise UnmappedNameError(f"{attribute} has no stored name")
    name = stored[attribute]
    return {} if name == attribute else {"validation_alias": name, "serialization_alias": name}


def _by_word(cls: type[Enum], words: Mapping[Enum, str]) -> _Schema:
    """The schema of an enumeration whose stored words differ from its values."""
    members = {word: member for member, word in words.items()}

    def member_of(word: object) -> Enum:
        if not isinstance(word, str) or word not in members:
            raise ValueError(f"is not a stored word of {cls.__name__}")
        return members[word]

    written = core_schema.plain_serializer_function_ser_schema(words.__getitem__)
    return cast("_Schema", core_schema.no_info_plain_validator_function(member_of, serialization=written))


def _core_schema(kind: type) -> object:
    return TypeAdapter(kind).core_schema


def _classes(part: object) -> Iterator[_Schema]:
    """The frozen values and enumerations in a core schema."""
    if isinstance(part, dict):
        schema = cast("_Schema", part)
        if schema.get("type") in ("typed-dict", "enum"):
            yield schema
        for value in schema.values():
            yield from _classes(value)
    elif isinstance(part, list | tuple):
        for one in cast("list[object]", part):
            yield from _classes(one)
