"""What the rules of `tools.wiring` share: modules, findings, and small questions about syntax trees."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

CONSTRUCTORS: Final = frozenset({"__init__", "__post_init__", "__new__"})

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """A source file."""

    path: str
    """relative to the repository"""
    tree: ast.Module
    source: str
    nodes: tuple[ast.AST, ...]
    """all nodes of the tree: most rules look at each, and walking takes longer than looking"""

    @staticmethod
    def parse(path: str, source: str) -> Module:
        """The module with this source."""
        tree = ast.parse(source)
        return Module(path, tree, source, tuple(ast.walk(tree)))

    def comments(self, pattern: re.Pattern[str]) -> Iterator[tokenize.TokenInfo]:
        """The comments in which the pattern is found."""
        if pattern.search(self.source) is None:  # tokenizing takes longer
            return
        for token in tokenize.generate_tokens(io.StringIO(self.source).readline):
            if token.type == tokenize.COMMENT and pattern.search(token.string):
                yield token


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def pairs(assignment: ast.Assign | ast.AnnAssign) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Single targets with their values; `a.x, b.y = f, g` gives two."""
    if assignment.value is None:
        return
    targets = [assignment.target] if isinstance(assignment, ast.AnnAssign) else assignment.targets
    for target in targets:
        if isinstance(target, ast.Tuple) and isinstance(assignment.value, ast.Tuple):
            yield from zip(target.elts, assignment.value.elts, strict=False)
        else:
            yield target, assignment.value


def is_of_self(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"


def last_name(expression: ast.expr) -> str | None:
    """The last word of a name: `x` of `a.b.x`."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return None
