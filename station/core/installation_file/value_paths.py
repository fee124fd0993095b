"""Finds, replaces and removes values in trees of tables and lists, by their paths. Pure: a tree is never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.json_values import is_list, is_object, list_of, object_of

if TYPE_CHECKING:
    from station.core.installation_file.document import KeyPath


def without(tree: object, path: KeyPath) -> tuple[object, KeyPath]:
    """Remove the value at a path, or the innermost table around it that exists; returns the new tree and that path."""
    for length in range(len(path), 0, -1):
        if holds(tree, path[:length]):
            return _without(tree, path[:length]), path[:length]
    return tree, path


def holds(tree: object, path: KeyPath) -> bool:
    """Return whether a tree of tables and lists has a value at a path."""
    node = tree
    for step in path:
        if isinstance(step, int):
            if not is_list(node) or step >= len(node):
                return False
            node = node[step]
        else:
            if not is_object(node) or step not in node:
                return False
            node = node[step]
    return True


def with_value(node: object, path: KeyPath, value: object) -> object:
    """Replace the existing value at a path; returns the new tree."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        entries = list_of(node)
        return [*entries[:step], with_value(entries[step], rest, value), *entries[step + 1 :]]
    table = object_of(node)
    return table | {step: with_value(table[step], rest, value)}


def _without(node: object, path: KeyPath) -> object:
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        entries = list_of(node)
        return [*entries[:step], *([_without(entries[step], rest)] if rest else []), *entries[step + 1 :]]
    table = object_of(node)
    remaining = {key: value for key, value in table.items() if key != step}
    return remaining | {step: _without(table[step], rest)} if rest else remaining
