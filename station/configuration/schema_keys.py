"""Which keys the installation file may have: asked of the pydantic models, so that no list is kept twice."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr


def plain_types(kind: object) -> Iterator[object]:
    """The plain types of an annotation: unions, tuples of alternatives and `Annotated` taken apart."""
    if get_origin(kind) is Annotated:
        yield from plain_types(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from plain_types(part)
    else:
        yield kind


def tables(kind: object) -> list[type[BaseModel]]:
    """The models that a value of this kind may be; several when a `type` decides which."""
    return [part for part in plain_types(kind) if isclass(part) and issubclass(part, BaseModel)]


def table_keys(kind: object) -> dict[str, object]:
    """The keys of a table of this kind, each with its own kind; of all members when a `type` decides."""
    found: dict[str, object] = {}
    for table in tables(kind):
        for name, field in table.model_fields.items():
            known = found.get(name)
            found[name] = field.annotation if known is None else Union[known, field.annotation]  # noqa: UP007 - made at run time, of what was found
    return found


def entry(kind: object) -> object:
    """The kind of the entries of a list; None when this is no list."""
    return next((get_args(part)[0] for part in plain_types(kind) if get_origin(part) in (tuple, list)), None)


def below(kind: object, step: str | int) -> object:
    """The kind of a key or an entry; None when a value of this kind has none."""
    return entry(kind) if isinstance(step, int) else table_keys(kind).get(step)


def member(kind: object, tag: str) -> object:
    """The table among those of this kind whose `type` is `tag`."""
    for table in tables(kind):
        field = table.model_fields.get("type")
        if field is not None and tag in get_args(field.annotation):
            return table
    return kind


def is_secret(kind: object) -> bool:
    """Whether a value of this kind must never be shown."""
    return SecretStr in plain_types(kind)


def is_text(kind: object) -> bool:
    """Whether a value of this kind is written in quotes."""
    for part in plain_types(kind):
        choices = get_args(part) if _is_literal(part) else (part,)
        if any(choice in (str, SecretStr, Path) or isinstance(choice, str) for choice in choices):
            return True
    return False


def _is_literal(kind: object) -> bool:
    return get_origin(kind) is Literal
