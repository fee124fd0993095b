"""Reads the docstrings below the fields of classes and the members of enumerations, for the references."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Final, is_typeddict

from typing_extensions import get_original_bases

_WITHOUT_FIELDS: Final = {"builtins", "enum", "pydantic", "abc", "typing", "msgspec"}
"""packages of base classes that declare no fields"""


@cache
def of_members(kind: type) -> dict[str, str]:
    """The docstring below each field or member of a class and of its bases in this repository, by its name."""
    found: dict[str, str] = {}
    for base in get_original_bases(kind):
        if is_typeddict(base):  # not in __mro__: a TypedDict is a dict at run time
            found |= of_members(base)
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] not in _WITHOUT_FIELDS:
            found |= _written(base)
    return found


def _written(kind: type) -> dict[str, str]:
    """The same, for the body of the class itself, without bases."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    if not isinstance(body, ast.ClassDef):
        return {}
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


def of_class(kind: type) -> str:
    """The docstring of a class itself, without those of its bases."""
    return inspect.cleandoc(kind.__doc__ or "")
