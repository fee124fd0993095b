"""The values that the example of an installation file shows, and what else a key allows, from its annotation. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from inspect import isclass
from types import UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from msgspec import Meta

from foundation.json_values import is_array, is_object
from station.configuration import schema_keys

_MOST_CHOICES: Final = 9
"""longer lists, such as that of the models of meters, are in the reference"""
_LARGEST_BOUND: Final = 100_000


def sample_of(kind: object) -> object:
    """The sample in the annotation of a key, the outermost if there are several; None without one."""
    return next((meta.examples[0] for meta in _metas(kind) if meta.examples), None)


def first_choice(kind: object) -> object:
    """A value of a type that has a few: the first choice, or true, or a list of the first choice; None for others."""
    if choices := list(_choices(kind)):
        return choices[0]
    if choices := list(_choices(schema_keys.entry(kind))):
        return choices[:1]
    return True if bool in schema_keys.plain_types(kind) else None


def other_choices(kind: object, displayed: object) -> str:
    """Describe the values that a key may have besides the one shown, if they are few; else empty."""
    if (entry := schema_keys.entry(kind)) is None:
        texts = [toml_text(choice) for choice in _choices(kind) if choice != displayed]
        return f"or {', '.join(texts)}" if 0 < len(texts) <= _MOST_CHOICES else ""
    texts = [toml_text(choice) for choice in _choices(entry) if not (is_array(displayed) and choice in displayed)]
    return f"also {', '.join(texts)}" if 0 < len(texts) <= _MOST_CHOICES else ""


def key_range(kind: object) -> str:
    """Describe the range of a number; empty if it has none, or one so wide that it hardly matters."""
    for meta in _metas(kind):
        least, most = meta.ge if meta.ge is not None else meta.gt, meta.le
        if least is not None and most is not None and max(abs(least), abs(most)) <= _LARGEST_BOUND:
            return f"{'above ' if meta.ge is None else ''}{least:g} to {most:g}"
    return ""


def toml_text(value: object) -> str:
    """Write a value in TOML, a table inline."""
    match value:
        case Enum():
            return toml_text(value.value)
        case bool():
            return str(value).lower()
        case int() | Decimal():
            return str(value)
        case float():
            return repr(value).removesuffix(".0")
        case _ if is_array(value):
            return f"[{', '.join(map(toml_text, value))}]"
        case _ if is_object(value):
            return f"{{{', '.join(f'{key} = {toml_text(entry)}' for key, entry in value.items())}}}"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _metas(kind: object) -> Iterator[Meta]:
    """The `Meta` in an annotation, the outer ones first."""
    if get_origin(kind) is Annotated:
        inner, *annotations = get_args(kind)
        yield from (annotation for annotation in annotations if isinstance(annotation, Meta))
        yield from _metas(inner)
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _metas(part)


def _choices(kind: object) -> Iterator[object]:
    for part in schema_keys.plain_types(kind):
        if get_origin(part) is Literal:
            yield from get_args(part)
        elif isclass(part) and issubclass(part, Enum):
            yield from (member.value for member in part)
