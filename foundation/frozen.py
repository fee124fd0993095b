"""`Frozen`: the base class of immutable values.

`msgspec` creates the classes in C: defining, constructing, comparing and copying them costs a fraction of what a
dataclass costs, and a station defines some 280 of them at each start (docs/adr/0016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, dataclass_transform

from msgspec import Struct, field

from foundation.json_values import is_array

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Frozen(Struct, frozen=True, forbid_unknown_fields=True):
    """Base class of immutable values: a subclass declares its fields, as in a frozen dataclass; equality is by fields.

    `msgspec.structs.replace` copies it with other field values; `msgspec.field` gives a default factory.
    `msgspec` reads no object with a field that the class does not have.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Called by pydantic: the schema by which it reads and writes a value, as an object with one key per field."""
        from foundation.pydantic_schema import value_schema  # late: pydantic costs 60 ms, and not every start needs it

        return value_schema(cls, source, handler)


def as_dict(value: Frozen) -> dict[str, object]:
    """Convert a value to a dict of its fields; frozen values inside it, at any depth, become dicts, tuples lists."""
    return {name: _to_plain_value(getattr(value, name)) for name in value.__struct_fields__}


def _to_plain_value(value: object) -> object:
    if isinstance(value, Frozen):
        return as_dict(value)
    if isinstance(value, dict):  # whose keys may be more than text
        return {key: _to_plain_value(item) for key, item in cast("dict[object, object]", value).items()}
    if is_array(value):
        return [_to_plain_value(item) for item in value]
    return value
