"""Reads the docstrings below the fields of classes and the members of enumerations from the source of their modules.

Nothing is read before it is asked for: a station that starts pays nothing for its descriptions.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from typing_extensions import get_original_bases, is_typeddict

_WITHOUT_FIELDS: Final = {"builtins", "enum", "pydantic", "abc", "typing", "msgspec"}
"""packages of base classes that declare no fields"""


class MemberDocstrings:
    """The docstrings of the members of classes; parses the source of each module once, and keeps what it found."""

    def __init__(self) -> None:
        self._docstrings_by_module: dict[str, Mapping[str, Mapping[str, str]]] = {}

    def of(self, kind: type) -> dict[str, str]:
        """Return the docstring below each field or member of a class and of its bases, by its name."""
        found: dict[str, str] = {}
        for base in get_original_bases(kind):
            if is_typeddict(base):  # not in __mro__: a TypedDict is a dict at run time
                found |= self.of(base)
        for base in reversed(kind.__mro__):
            if base.__module__.partition(".")[0] not in _WITHOUT_FIELDS:
                found |= self._docstrings_of_module(base.__module__).get(base.__qualname__, {})
        return found

    def _docstrings_of_module(self, name: str) -> Mapping[str, Mapping[str, str]]:
        """The docstrings of the members of each class of a module, by the qualified name of the class."""
        if name not in self._docstrings_by_module:
            tree = ast.parse(inspect.getsource(sys.modules[name]))
            self._docstrings_by_module[name] = dict(_docstrings_of_classes(tree, ""))
        return self._docstrings_by_module[name]


def _docstrings_of_classes(tree: ast.AST, place: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield f"{place}{node.name}", _docstrings_of_body(node)
            yield from _docstrings_of_classes(node, f"{place}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings_of_classes(node, f"{place}{node.name}.<locals>.")
        elif isinstance(node, ast.stmt):
            yield from _docstrings_of_classes(node, place)


def _docstrings_of_body(body: ast.ClassDef) -> Mapping[str, str]:
    """The docstrings of the members of a class itself, without bases."""
    found: dict[str, str] = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if not isinstance(target, ast.Name) or not isinstance(after, ast.Expr):
            continue
        if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            found[target.id] = inspect.cleandoc(after.value.value)
    return found
