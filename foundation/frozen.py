"""`Frozen`: the base class of immutable values.

`msgspec` creates the classes in C: defining, constructing, comparing and copying them costs a fraction of what a
dataclass costs, and a station defines some 280 of them at each start (docs/adr/0016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast, dataclass_transform, get_args, get_type_hints

from msgspec import Struct, field
from msgspec.structs import asdict

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidatorFunctionWrapHandler
    from pydantic_core import CoreSchema


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Frozen(Struct, frozen=True):
    """Base class of immutable values: a subclass declares its fields, as in a frozen dataclass; equality is by fields.

    `msgspec.structs.replace` copies it with other field values; `msgspec.field` gives a default factory.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Called by pydantic: the schema by which it reads and writes a value, as an object with one key per field."""
        from pydantic_core import core_schema  # late: it costs 60 ms, and not every start reads or writes a value

        types = _field_types(cls, source)
        required = len(types) - len(cls.__struct_defaults__)
        fields = core_schema.typed_dict_schema(
            {
                name: core_schema.typed_dict_field(handler.generate_schema(types[name]), required=position < required)
                for position, name in enumerate(cls.__struct_fields__)
            },
            cls=cls,
        )

        def validate(value: object, validate_fields: ValidatorFunctionWrapHandler) -> object:
            return value if isinstance(value, cls) else cls(**validate_fields(value))

        serialization = core_schema.plain_serializer_function_ser_schema(asdict, return_schema=fields)
        return core_schema.json_or_python_schema(
            core_schema.no_info_after_validator_function(lambda values: cls(**values), fields),
            core_schema.no_info_wrap_validator_function(validate, fields),
            serialization=serialization,
            ref=f"{cls.__module__}.{cls.__qualname__}:{source!r}",  # hence a name in the OpenAPI document
        )


def as_dict(value: Frozen) -> dict[str, object]:
    """Convert a value to a dict of its fields; frozen values inside it, at any depth, become dicts, tuples lists."""
    return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}


def _plain(value: object) -> object:
    if isinstance(value, Frozen):
        return as_dict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return value


def _field_types(cls: type, source: object) -> dict[str, object]:
    """The type of each field; the type variables of a generic class are replaced by the arguments of `source`."""
    variables = cast("tuple[object, ...]", getattr(cls, "__parameters__", ()))
    arguments: dict[object, object] = dict(zip(variables, get_args(source), strict=False))
    hints = cast("dict[str, object]", get_type_hints(cls, include_extras=True))
    return {name: arguments.get(hint, hint) if isinstance(hint, TypeVar) else hint for name, hint in hints.items()}
