"""The kinds of grid meters that commissioning offers, with the fields of those that have no form of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import fields

from energy.sources.grid_source_table import GridSourceTable
from foundation.frozen import Frozen
from foundation.table_definition import keys_of
from station.configuration import schema_keys

_WITH_FORM: Final = ("linky", "p1", "modbus", "ct")
"""the kinds with a form in the template, and a name in the texts of the page, in the order of their choice"""


class SourceField(Frozen):
    """A required key of a kind of grid meter, labelled by its name in the installation file."""

    key: str
    numeric: bool


class SourceForm(Frozen):
    """A kind of grid meter that can be chosen."""

    kind: str
    has_form: bool
    """whether the template has its fields; else it shows `fields`"""
    fields: Sequence[SourceField] = ()


def source_forms(tables: Sequence[type[GridSourceTable]]) -> list[SourceForm]:
    """The forms for these tables: first those that the template has, then the others by the order of the tables."""
    kinds = {str(table.__struct_config__.tag): table for table in tables}
    with_template = [SourceForm(kind, has_form=True) for kind in _WITH_FORM if kind in kinds]
    without_template = [SourceForm(kind, False, _fields(kinds[kind])) for kind in kinds if kind not in _WITH_FORM]
    return [*with_template, *without_template]


def _fields(table: type[GridSourceTable]) -> list[SourceField]:
    required = {field.name for field in fields(table) if field.required}
    types = schema_keys.key_types(table)
    return [
        SourceField(key, numeric=not {int, float}.isdisjoint(schema_keys.plain_types(types[key])))
        for key, name in keys_of(table).items()
        if name in required
    ]
