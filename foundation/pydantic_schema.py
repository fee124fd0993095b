"""The core schema by which pydantic reads and writes a `Frozen` value; imported only where pydantic is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, get_args, get_type_hints

from msgspec.structs import asdict
from pydantic_core import core_schema

if TYPE_CHECKING:
    from msgspec import Struct
    from pydantic import GetCoreSchemaHandler, ValidatorFunctionWrapHandler
    from pydantic_core import CoreSchema


def value_schema(cls: type[Struct], source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Make the schema of a class of values: an object with one key per field. `source`: its type, with arguments."""
    types = _field_types(cls, source)
    required = len(types) - len(cls.__struct_defaults__)
    by_field = core_schema.typed_dict_schema(
        {
            name: core_schema.typed_dict_field(handler.generate_schema(types[name]), required=position < required)
            for position, name in enumerate(cls.__struct_fields__)
        },
        cls=cls,
    )

    def read(value: object, read_fields: ValidatorFunctionWrapHandler) -> object:
        return value if isinstance(value, cls) else cls(**read_fields(value))

    return core_schema.json_or_python_schema(
        core_schema.no_info_after_validator_function(lambda values: cls(**values), by_field),
        core_schema.no_info_wrap_validator_function(read, by_field),
        serialization=core_schema.plain_serializer_function_ser_schema(asdict, return_schema=by_field),
        ref=f"{cls.__module__}.{cls.__qualname__}:{source!r}",  # hence a name in the OpenAPI document
    )


def _field_types(cls: type, source: object) -> dict[str, object]:
    """The type of each field; the type variables of a generic class are replaced by the arguments of `source`."""
    variables: tuple[object, ...] = getattr(cls, "__parameters__", ())
    arguments: dict[object, object] = dict(zip(variables, get_args(source), strict=False))
    hints: dict[str, object] = get_type_hints(cls, include_extras=True)
    return {name: arguments.get(hint, hint) if isinstance(hint, TypeVar) else hint for name, hint in hints.items()}
