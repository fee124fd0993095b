"""The allowed keys of the installation file, derived from the tables, so that no list is kept twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from inspect import isclass
from pathlib import Path
from types import UnionType
from typing import Annotated, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from foundation.secret import Secret
from foundation.table import Table
from foundation.table_definition import ValidatedAs, keys_of


def plain_types(kind: object) -> Iterator[object]:
    """Yield the types in an annotation, without unions and `Annotated`: int and None for `int | None`."""
    if get_origin(kind) is Annotated:
        inner_type, *annotations = get_args(kind)
        yield from plain_types(
            next((annotation.kind for annotation in annotations if isinstance(annotation, ValidatedAs)), inner_type)
        )
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from plain_types(part)
    else:
        yield kind


def tables(kind: object) -> list[type[Table]]:
    """The models that a value of this type may be; several if a `type` key selects one."""
    return [part for part in plain_types(kind) if isclass(part) and issubclass(part, Table)]


def table_keys(kind: object) -> dict[str, object]:
    """The keys of a table with their types; those of all union members if a `type` key selects one."""
    keys: dict[str, object] = {}
    for table in tables(kind):
        for name, inner in key_types(table).items():
            other_type = keys.get(name)
            keys[name] = inner if other_type is None else Union[other_type, inner]  # noqa: UP007 - made at run time, of what was found
    return keys


@cache
def key_types(table: type[Table]) -> Mapping[str, object]:
    """The keys of one table with their types."""
    hints: dict[str, object] = get_type_hints(table, include_extras=True)
    return {key: _key_type(hints[attribute]) for key, attribute in keys_of(table).items()}


def _key_type(hint: object) -> object:
    return get_args(hint)[0] if get_origin(hint) is ClassVar else hint


def entry(kind: object) -> object:
    """The type of the entries of a list; None if the type is not a list."""
    return next((get_args(part)[0] for part in plain_types(kind) if get_origin(part) in (tuple, list)), None)


def below(kind: object, step: str | int) -> object:
    """The type of a key of a table (`step` is text) or of the entries of a list (a number); None if there is none."""
    return entry(kind) if isinstance(step, int) else table_keys(kind).get(step)


def member(kind: object, tag: str) -> object:
    """The table in a union whose `type` key is `tag`; `kind` itself if there is none."""
    for table in tables(kind):
        if table.__struct_config__.tag == tag:
            return table
    return kind


def is_secret(kind: object) -> bool:
    """Return whether values of this type must never be shown."""
    return Secret in plain_types(kind)


def is_text(kind: object) -> bool:
    """Return whether a value of this type may be text, so that it is written in quotes in TOML."""
    for part in plain_types(kind):
        choices = get_args(part) if _is_literal(part) else (part,)
        if any(choice in (str, Secret, Path) or isinstance(choice, str) for choice in choices):
            return True
    return False


def _is_literal(kind: object) -> bool:
    return get_origin(kind) is Literal
