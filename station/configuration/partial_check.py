"""Checks the rules between tables although some values of the installation file are invalid.

Invalid values are removed until the rest can be validated. Rules that read one of them are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import fields

from foundation.json_values import is_object, object_of
from foundation.table import Table
from foundation.table_definition import InvalidTableError
from station.configuration import schema_keys as config_keys
from station.core.installation_file.document import KeyPath, RuleError, RuleErrors
from station.core.installation_file.value_paths import without

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_IDENTITY: Final = ("station", "identity")
_PLACEHOLDER: Final = "unknown"
"""replaces a missing or invalid identity, which is required"""
_BOARD: Final = ("board",)
_WIRING: Final = ("board", "evse")
_MAX_ROUNDS: Final = 20

Locate = Callable[["ErrorDetails"], Iterable[KeyPath]]


def broken_rules(tree: object, model: type[Table], wrong: Sequence[KeyPath], locate: Locate) -> list[RuleError]:
    """The rules between tables that are broken whatever the invalid values are corrected to.

    Args:
        tree: the configured values.
        model: the model of the whole installation file.
        wrong: paths of the rejected values.
        locate: returns the paths that a validation error is about.
    """
    taken_out: set[KeyPath] = set()
    bare_board = _bare_board(tree, model)
    for _ in range(_MAX_ROUNDS):
        removed: list[KeyPath] = []
        for path in sorted(set(wrong), key=_last_entries_first):
            if path == ():
                return []
            if any(_covers(table, path) for table in removed):
                continue
            tree, gone = (_put_identity(tree), path) if path == _IDENTITY else without(tree, path)
            if gone == _BOARD and bare_board is not None:
                tree, gone = object_of(tree) | {"board": bare_board}, _WIRING
            removed.append(gone)
            taken_out |= {path, gone}
        try:
            model.from_tree(tree)
        except InvalidTableError as error:
            details = error.details
            rules = [one["ctx"]["error"] for one in details if one["loc"] == () and "ctx" in one]
            if rules and isinstance(rules[0], RuleErrors):
                return [rule for rule in rules[0].errors if not _reads(rule, taken_out)]
            wrong = [path for one in details for path in locate(one)]
        else:
            return []
    return []


def _last_entries_first(path: KeyPath) -> list[int]:
    """Sort key by which no removal moves an entry, or removes a table, that is still to be processed."""
    return [-step if isinstance(step, int) else 1 for step in path] + [2]


def _bare_board(tree: object, model: type[Table]) -> Table | None:
    """A board of the configured type without wiring: its type alone excludes simulated parts."""
    match tree:
        case {"board": {"type": str() as tag}}:
            boards = config_keys.below(model, "board")
            table = config_keys.member(boards, tag)
            if table is boards:
                return None
            (board,) = config_keys.tables(table)
            return board(**{one.name: () if one.name == "evse" else None for one in fields(board) if one.required})
        case _:
            return None


def _put_identity(tree: object) -> object:
    given = tree if is_object(tree) else {}
    station = given.get("station")
    kept = station if is_object(station) else {}
    return given | {"station": kept | {"identity": _PLACEHOLDER}}


def _reads(rule: RuleError, wrong: set[KeyPath]) -> bool:
    """Return whether a rule reads one of the wrong values, or a value in a removed table."""
    return any(_covers(one, read) for one in wrong for read in (rule.key, *rule.premises))


def _covers(outer: KeyPath, inner: KeyPath) -> bool:
    """Return whether a value lies at or below a path; `*` matches any entry of a list."""
    return len(outer) <= len(inner) and all(
        one == other or (other == "*" and isinstance(one, int)) for one, other in zip(outer, inner, strict=False)
    )
