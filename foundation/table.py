"""`Table`: the base class of the tables of the installation file.

A table is defined once, as a `Frozen` value whose annotations have the constraints of each key. `msgspec` reads a valid
table by them; only if it cannot is pydantic loaded, with a model that `foundation.table_model` makes of the same
definition, which accepts what else is allowed and finds every error (docs/adr/0018).
"""

from __future__ import annotations

import functools
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_type_hints

from msgspec import ValidationError, convert, to_builtins

from foundation.json_values import is_array, is_list, is_object, object_of
from foundation.secret import Secret
from foundation.table_definition import TableDefinition, keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Table(TableDefinition):
    """Base class of the installation file's tables: unknown keys are rejected, and so are broken rules between keys.

    A table that is one of several in a union, selected by a key such as `type`, declares the key as
    `tag_field="type", tag="linux"`, and its value as a class variable. A key whose default depends on other keys is a
    field of another name: `given_x: X | UnsetType = field(name="x", default=UNSET)`, with a property `x`.
    """

    @classmethod
    def from_tree(cls, tree: object) -> Self:
        """Validate the values of a table, parsed from TOML or JSON, and return the table.

        Raises:
            InvalidTableError: with all errors.
        """
        if _all_finite(tree):
            try:
                return cls._convert(tree)
            except (ValidationError, ValueError, TypeError):
                pass  # it names the first error only, and is stricter about types than tables have to be
        from foundation.table_model import validate  # late: pydantic, which a valid file does not need

        return validate(cls, tree)

    @classmethod
    def _convert(cls, tree: object) -> Self:
        """Convert a tree with msgspec, key by key: it then reads no definitions of the tables that are not given.

        For a whole installation file, whose stations give few of its tables, that saves 6 ms of a start.

        Raises:
            ValidationError, ValueError, TypeError: the tree is not valid.
        """
        if cls.__struct_config__.tag_field is not None or not is_object(tree):
            return convert(tree, cls, dec_hook=_read_extension)
        fields = dict(zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True))
        if not tree.keys() <= fields.keys():
            raise ValidationError("unknown keys")
        types = _field_types(cls)
        values = {
            fields[key]: convert(value, types[fields[key]], dec_hook=_read_extension) for key, value in tree.items()
        }
        return cls(**values)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Called by pydantic: the schema of the table's model, whose valid values make a table."""
        from foundation.table_model import table_schema  # late: as above

        return table_schema(cls, handler)


@functools.cache
def _field_types(table: type[Table]) -> Mapping[str, type[object]]:
    """The types of a table's fields, with their constraints; once per class, since evaluating them takes 0.2 ms."""
    return get_type_hints(table, include_extras=True)


def given_values(table: Table) -> dict[str, object]:
    """Convert a table to the values that `from_tree` reads, without those that are their default.

    Secrets are included.
    """
    return object_of(to_builtins(table, enc_hook=_write_extension))


def all_values(table: Table) -> dict[str, object]:
    """Convert a table to JSON values, with all keys in the order of their declaration; secrets are masked."""
    return {key: _json_value(getattr(table, name.removeprefix("given_"))) for key, name in keys_of(type(table)).items()}


def _json_value(value: object) -> object:
    match value:
        case Table():
            return all_values(value)
        case _ if is_array(value):
            return [_json_value(item) for item in value]
        case Secret():
            return str(value)
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _all_finite(tree: object) -> bool:
    """Return whether there is no infinite number and no NaN in a tree, however deep it is."""
    values = [tree]
    while values:
        value = values.pop()
        if is_object(value):
            values.extend(value.values())
        elif is_list(value):
            values.extend(value)
        elif isinstance(value, float) and not isfinite(value):
            return False
    return True


def _read_extension(kind: type, value: object) -> object:
    """Called by msgspec for a type that it does not know; raises ValueError for what pydantic has to judge."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and (kind is Secret or (kind is Path and value and "\0" not in value)):
        return kind(value)
    raise ValueError


def _write_extension(value: object) -> str:
    return value.get_secret_value() if isinstance(value, Secret) else str(value)
