"""Repairs site settings that an earlier version has stored and this one does not accept, value by value. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from station.core.installation_file.document import KeyPath, RuleErrors, dotted
from station.core.installation_file.value_paths import holds, with_value, without

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from foundation.table_definition import InvalidTableError

_log = logging.getLogger(__name__)

_BOUNDS: Final = ("le", "ge")
"""the limits of a number in the context of an error: at most, at least"""


def repaired(tree: object, error: InvalidTableError) -> object | None:
    """Return site settings with numbers clipped to their bounds, and without the keys of broken rules.

    Each change is logged. None if anything else is wrong, or if a whole table such as `grid` would be lost.
    """
    bounds = _bounds(tree, error)
    wrong = {path for details in error.details for path in _paths(tree, details)}
    for path in sorted(wrong, key=lambda path: [-step if isinstance(step, int) else 0 for step in path]):
        if path in bounds:
            _log.error("site settings: %s is out of bounds; it is %g now", dotted(path), bounds[path])
            tree = with_value(tree, path, bounds[path])
        elif len(path) > 1 and path in _keys_breaking_rules(tree, error):
            _log.error("site settings: %s breaks a rule of this version, and is left out", dotted(path))
            tree, _ = without(tree, path)
        else:
            return None
    return tree


def _bounds(tree: object, error: InvalidTableError) -> dict[KeyPath, float]:
    """The nearest allowed value for each number that is out of bounds, by its path."""
    bounds: dict[KeyPath, float] = {}
    for details in error.details:
        context = details.get("ctx", {})
        for name in _BOUNDS:
            if name in context and isinstance(details["input"], int | float):
                bounds[_path_of(tree, details)] = float(context[name])
    return bounds


def _keys_breaking_rules(tree: object, error: InvalidTableError) -> set[KeyPath]:
    return {path for details in error.details if _rule_errors(details) for path in _paths(tree, details)}


def _paths(tree: object, details: ErrorDetails) -> Iterator[KeyPath]:
    """The innermost values in the tree that an error is about."""
    if (rules := _rule_errors(details)) is None:
        yield _path_of(tree, details)
        return
    for rule in rules.errors:
        path = rule.key
        while path and not holds(tree, path):
            path = path[:-1]
        yield path


def _rule_errors(details: ErrorDetails) -> RuleErrors | None:
    rules = details.get("ctx", {}).get("error")
    return rules if isinstance(rules, RuleErrors) else None


def _path_of(tree: object, details: ErrorDetails) -> KeyPath:
    """The innermost value in the tree that an error is about; pydantic also names the types of a union."""
    path: KeyPath = ()
    for step in details["loc"]:
        if holds(tree, (*path, step)):
            path = (*path, step)
    return path
