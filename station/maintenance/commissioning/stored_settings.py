"""Repairs site settings that an earlier version has stored and this one does not accept, value by value. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast

from station.configuration.partial_check import holds, without
from station.core.installation_file.document import KeyPath, RuleErrors, dotted

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from foundation.table_definition import InvalidTableError

_log = logging.getLogger(__name__)

_BOUNDS: Final = ("le", "ge")
"""the limits of a number in the context of an error: at most, at least"""


def repaired(tree: object, error: InvalidTableError) -> object | None:
    """Return site settings without the values that an error is about; a number becomes the nearest one allowed.

    Each change is logged. None if that is not possible without losing a whole table such as `grid`.
    """
    for path, bound in _repairs(tree, error):
        if len(path) < 2:
            return None
        if bound is not None:
            _log.error("site settings: %s is out of bounds; it is %g now", dotted(path), bound)
            tree = _with_value(tree, path, bound)
        elif holds(tree, path):
            _log.error("site settings: %s is not allowed any more, and is left out", dotted(path))
            tree, _ = without(tree, path)
    return tree


def _repairs(tree: object, error: InvalidTableError) -> Iterator[tuple[KeyPath, float | None]]:
    """Each path in the tree that an error is about, with the value that it gets; None: it is left out."""
    for details in error.details:
        context: Mapping[str, object] = details.get("ctx", {})
        if isinstance(rules := context.get("error"), RuleErrors):
            yield from ((_existing(tree, rule.key), None) for rule in rules.errors)
            continue
        path = _path_of(tree, details)
        bounds = [context[name] for name in _BOUNDS if name in context]
        yield path, float(cast("float", bounds[0])) if bounds and isinstance(details["input"], int | float) else None


def _path_of(tree: object, details: ErrorDetails) -> KeyPath:
    """The innermost value in the tree that an error is about; pydantic also names the types of a union."""
    path: KeyPath = ()
    for step in details["loc"]:
        if holds(tree, (*path, step)):
            path = (*path, step)
    return path


def _existing(tree: object, path: KeyPath) -> KeyPath:
    while path and not holds(tree, path):
        path = path[:-1]
    return path


def _with_value(here: object, path: KeyPath, value: object) -> object:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        entries = cast("list[object]", here)
        return [*entries[:step], _with_value(entries[step], rest, value), *entries[step + 1 :]]
    table = cast("dict[str, object]", here)
    return table | {step: _with_value(table[step], rest, value)}
