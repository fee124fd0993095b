"""Serialization of objects as stored JSON, with names that do not change when a class or an attribute is renamed.

Each `StoredFormat` lists, for every class in it, the stored name of every attribute, and for every enumeration the
stored word of every member. A class, attribute or member without an entry raises an error at the first use of the
format by pydantic, and in the tests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from enum import Enum
from functools import cached_property
from inspect import get_annotations
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from msgspec import DecodeError, json

from foundation.frozen import Frozen
from station.storage.stored_names import StoredNames, UnmappedNameError

if TYPE_CHECKING:
    from station.storage.pydantic_format import PydanticFormat

T = TypeVar("T")


def names(*same: str, **renamed: str) -> Mapping[str, str]:
    """Map attribute or enumeration member names to stored names: `same` if equal, else `renamed` (attribute=stored)."""
    return {**{name: name for name in same}, **renamed}


class StoredFormat(Generic[T]):
    """Converts objects of class `kind` to stored JSON and back, with the names given by `stored_names`.

    Nested classes and enumerations included. msgspec does it as long as all stored names are those of the code; once
    one is renamed, and for a row that msgspec cannot read, pydantic does, which is loaded for it.
    """

    def __init__(self, kind: type[T], stored_names: StoredNames, *, decimals: bool = False) -> None:
        """`decimals`: whether objects have decimal numbers, which msgspec reads even if they are NaN or infinite."""
        self.kind: Final = kind
        self.stored_names: Final = stored_names
        self.decimals: Final = decimals
        self._decoder: json.Decoder[T] | None = None
        self._pydantic: PydanticFormat[T] | None = None

    def to_text(self, value: T, *, without: Collection[str] = ()) -> str:
        """Serialize an object as JSON with stored names, omitting the attributes named in `without`."""
        text = self._by_pydantic().to_json(value) if self._renamed else json.encode(value)
        if without:
            omitted = {self.stored_names[self.kind][name] for name in without}
            fields: dict[str, object] = json.decode(text)
            text = json.encode({name: stored for name, stored in fields.items() if name not in omitted})
        return text.decode()

    def from_text(self, stored: object) -> T:
        """Parse an object from its stored JSON text; nothing is read from disk.

        Raises:
            StoredValueError: a field is missing, invalid or unknown.
        """
        text = str(stored)
        if not self._renamed:
            if self._decoder is None:
                self._decoder = json.Decoder(self.kind)
            try:
                value = self._decoder.decode(text)
            except (DecodeError, UnicodeEncodeError):
                pass  # it describes the first error only, with the value
            else:
                if not self.decimals or _decimals_are_finite(value):
                    return value
        return self._by_pydantic().from_json(text)

    @cached_property
    def _renamed(self) -> bool:
        """Whether a stored name differs from that in the code."""
        return any(_is_renamed(cls, stored) for cls, stored in self.stored_names.items())

    def check(self) -> None:
        """Check, for a test, that every class, attribute and member has a stored name, and that none is unused.

        Raises:
            UnmappedNameError: a stored name is missing or unused.
        """
        self._by_pydantic().check()

    def _by_pydantic(self) -> PydanticFormat[T]:
        if self._pydantic is None:
            from station.storage.pydantic_format import PydanticFormat  # late: most stations never need pydantic

            self._pydantic = PydanticFormat(self.kind, self.stored_names)
        return self._pydantic


def _decimals_are_finite(value: object) -> bool:
    match value:
        case Decimal():
            return value.is_finite()
        case tuple():
            return all(map(_decimals_are_finite, cast("tuple[object, ...]", value)))
        case Frozen():
            return all(_decimals_are_finite(getattr(value, name)) for name in value.__struct_fields__)
        case _:
            return True


def _is_renamed(cls: type, stored: Mapping[str, str]) -> bool:
    if issubclass(cls, Enum):
        return any(member.value != stored.get(member.name) for member in cls)
    return any(attribute != name for attribute, name in stored.items())


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
