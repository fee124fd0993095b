"""The changes that `tools/mutants.py` tries: small edits of a function, each a fault that a test should notice."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from tools.wiring_syntax import Function

FunctionKey = tuple[str, str]
"""qualified name of a function, and its text without comments and layout"""

_COMPARISONS: Final[Mapping[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_OPERATORS: Final[Mapping[type[ast.operator], tuple[str, str]]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """Text that replaces the bytes from `start` to `end` of a file."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function."""

    file: str
    """relative to the tree"""
    line: int
    function: str
    """qualified name, such as `Reservations.use`"""
    change: str
    """what is changed, for people"""
    edits: tuple[Edit, ...]
    body: int
    """where the first statement of the function begins, in bytes; a docstring is none"""
    indentation: str
    """of that statement"""

    def marked(self, statement: str) -> Edit:
        """The insertion of a statement before the first one of the function."""
        return Edit(self.body, self.body, f"{statement}\n{self.indentation}")


def edited(source: bytes, edits: Sequence[Edit]) -> bytes:
    """The source after some edits, whose places are those of the source before them."""
    for edit in sorted(edits, key=lambda each: each.start, reverse=True):
        source = source[: edit.start] + edit.text.encode() + source[edit.end :]
    return source


def choose(tree: Path, packages: Sequence[str], count: int, seed: int, same_as: Path | None = None) -> list[Mutant]:
    """Choose mutants at random, at most one in each function.

    With `same_as`, another checkout, only functions are chosen whose name and text are the same there; then the choice
    for that checkout is the same too.
    """
    mutants = mutants_below(tree, packages)
    functions = sorted(mutants.keys() if same_as is None else mutants.keys() & mutants_below(same_as, packages).keys())
    draw = random.Random(seed)
    return [draw.choice(mutants[function]) for function in draw.sample(functions, min(count, len(functions)))]


def mutants_below(tree: Path, packages: Sequence[str]) -> dict[FunctionKey, list[Mutant]]:
    """The mutants of each function of some packages that has any."""
    mutants: dict[FunctionKey, list[Mutant]] = {}
    for package in packages:
        for file in sorted((tree / package).rglob("*.py")):
            mutants |= mutants_of(file.relative_to(tree).as_posix(), file.read_bytes())
    return mutants


def mutants_of(file: str, source: bytes) -> dict[FunctionKey, list[Mutant]]:
    """The mutants of each function of a file that has any, in the order of its text."""
    positions = _Positions(source)
    mutants: dict[FunctionKey, list[Mutant]] = {}
    for name, function in _functions(ast.parse(source)):
        body, indentation = positions.first_statement(function)
        changes = [change for node in _changeable_nodes(function) for change in positions.changes(node)]
        if changes:
            mutants[name, ast.unparse(function)] = [
                Mutant(file, line, name, change, edits, body, indentation) for line, change, edits in changes
            ]
    return mutants


def _functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, Function):
                    yield f"{node.name}.{method.name}", method


def _changeable_nodes(function: Function) -> Iterator[ast.AST]:
    """All nodes of the defaults and the body but annotations, and texts: f-strings have no positions in Python 3.11."""
    pending: list[ast.AST] = [*function.args.defaults, *filter(None, function.args.kw_defaults), *function.body]
    pending.reverse()
    while pending:
        node = pending.pop()
        yield node
        children = [
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.JoinedStr | ast.arguments | ast.MatchValue)
            and child not in (getattr(node, "annotation", None), getattr(node, "returns", None))
        ]
        pending += reversed(children)


class _Positions:
    """The places of nodes in a source, in bytes, and the edits of them."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def changes(self, node: ast.AST) -> Iterator[tuple[int, str, tuple[Edit, ...]]]:
        """The changes of one node: line, what is changed, edits."""
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                yield self._replacement(*_COMPARISONS[type(op)], [left, right])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                yield self._replacement(*_OPERATORS[type(op)], [left, right])
            case ast.BoolOp(op=ast.And(), values=values):
                yield self._replacement("and", "or", values)
            case ast.BoolOp(op=ast.Or(), values=values):
                yield self._replacement("or", "and", values)
            case ast.If(test=test) | ast.IfExp(test=test):
                start, end = self._start(test), self._end(test)
                yield test.lineno, "the condition is negated", (Edit(start, start, "(not ("), Edit(end, end, "))"))
            case ast.Constant(value=bool() | int() | float() as value):
                text = repr(not value if isinstance(value, bool) else value + 1)
                yield node.lineno, f"{value} becomes {text}", (Edit(self._start(node), self._end(node), text),)
            case _:
                pass

    def first_statement(self, function: Function) -> tuple[int, str]:
        """Where the first statement after the docstring begins, and its indentation."""
        statement = function.body[1 if ast.get_docstring(function) is not None and len(function.body) > 1 else 0]
        line = min(node.lineno for node in [statement, *getattr(statement, "decorator_list", [])])
        return self._starts[line - 1] + statement.col_offset, " " * statement.col_offset

    def _replacement(self, old: str, new: str, operands: Sequence[ast.expr]) -> tuple[int, str, tuple[Edit, ...]]:
        """The replacement of an operator between all its operands."""
        edits: list[Edit] = []
        for left, right in pairwise(operands):
            start = self._source.index(old.encode(), self._end(left), self._start(right))
            edits.append(Edit(start, start + len(old), new))
        return operands[0].lineno, f"{old} becomes {new}", tuple(edits)

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset
