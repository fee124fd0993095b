"""Draws names at random for a reader who has not seen the code and explains each from the text beside it.

`python -m tools.draw_names SEED [COUNT] [--private | --test-helpers | --scripts]` prints 100 names by default; the seed
is a commit hash. Public names come with signature and docstring; private names with locals, helpers of the tests, and
names in the scripts of the page, with ten lines of the source around their definition. What the reader misreads gets a
better name or docstring.
"""

from __future__ import annotations

import argparse
import ast
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.script_syntax import declared_names
from tools.wiring import patterns
from tools.wiring_rules import modules_below
from tools.wiring_syntax import Module

_ROOT: Final = Path(__file__).parents[1]
_GENERATED: Final = "ocpp_handlers/wire/messages.py"
_SCRIPTS: Final = "station/interfaces/page/static/js"
_LINES_BEFORE: Final = 3
_LINES_AFTER: Final = 6
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public_names(modules: Sequence[Module]) -> list[str]:
    """The texts of all public classes, functions and methods: place, signature and docstring."""
    return [text for module in modules if module.path != _GENERATED for text in _signatures(module.path, module.tree)]


def _signatures(path: str, parent: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    for node in parent.body:
        if isinstance(node, _Definition) and not node.name.startswith("_"):
            yield f"{path}: {prefix}{_signature(node)}\n    {ast.get_docstring(node) or '(no docstring)'}"
            if isinstance(node, ast.ClassDef):
                yield from _signatures(path, node, f"{prefix}{node.name}.")


def _signature(node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}({', '.join(ast.unparse(base) for base in node.bases)})"
    decorators = "".join(f"@{ast.unparse(each)} " for each in node.decorator_list if isinstance(each, ast.Name))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{decorators}{prefix}{node.name}({ast.unparse(node.args)}){returns}"


def private_names(modules: Sequence[Module]) -> list[str]:
    """The texts of all private names and of all locals of functions, each once a file: place and source around it."""
    return [
        text
        for module in modules
        if module.path != _GENERATED
        for text in _with_source(
            module.path, module.source, [*_private_definitions(module.tree), *_locals(module.tree)]
        )
    ]


def helper_names(modules: Sequence[Module]) -> list[str]:
    """The texts of all functions, classes and methods of test modules that are no tests: place and source around it."""
    return [
        text
        for module in modules
        for text in _with_source(
            module.path,
            module.source,
            [
                (node.name, node.lineno)
                for node in ast.walk(module.tree)
                if isinstance(node, _Definition) and not node.name.startswith(("test_", "__"))
            ],
        )
    ]


def script_names(scripts: Mapping[str, str]) -> list[str]:
    """The texts of all names that these scripts declare, each once a file: place and source around it."""
    return [
        text for path, source in scripts.items() for text in _with_source(path, source, list(declared_names(source)))
    ]


def _private_definitions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Private functions, classes, constants and attributes, each with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                pass
            case _:
                continue
        if name.startswith("_") and not name.startswith("__") and name != "_":
            yield name, node.lineno


def _locals(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The parameters and variables of functions, each with its line."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.arg) and node.arg not in {"self", "cls"}:
                    yield node.arg, node.lineno
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id, node.lineno


def _with_source(path: str, source: str, names: Sequence[tuple[str, int]]) -> Iterator[str]:
    """The text of each name at its first line in a file."""
    first: dict[str, int] = {}
    for name, line in names:
        first[name] = min(line, first.get(name, line))
    lines = source.splitlines()
    for name, line in sorted(first.items(), key=lambda found: found[1]):
        around = lines[max(0, line - 1 - _LINES_BEFORE) : line + _LINES_AFTER]
        yield f"{path}:{line}: `{name}`\n" + "\n".join(f"    {each}" for each in around)


def draw(names: Sequence[str], seed: str, count: int) -> list[str]:
    """So many of these texts, all if there are fewer; the same ones for the same seed."""
    return random.Random(seed).sample(names, min(count, len(names)))


def main(arguments: Sequence[str]) -> int:
    """Print the drawn names; exits with 2 without a seed."""
    parser = argparse.ArgumentParser(prog="python -m tools.draw_names", description=__doc__)
    parser.add_argument("seed", metavar="SEED")
    parser.add_argument("count", metavar="COUNT", type=int, nargs="?", default=100)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--private", action="store_true", help="private names and locals")
    kinds.add_argument("--test-helpers", action="store_true", help="functions and classes of the tests")
    kinds.add_argument("--scripts", action="store_true", help="names in the JavaScript of the page")
    options = parser.parse_args(arguments)
    if options.test_helpers:
        names = helper_names(modules_below(_ROOT, ["tests"]))
    elif options.scripts:
        files = sorted((_ROOT / _SCRIPTS).rglob("*.js"))
        names = script_names({str(file.relative_to(_ROOT)): file.read_text(encoding="utf-8") for file in files})
    else:
        modules = modules_below(_ROOT, patterns((_ROOT / "pyproject.toml").read_text(encoding="utf-8")))
        names = private_names(modules) if options.private else public_names(modules)
    drawn = enumerate(draw(names, options.seed, options.count), 1)
    sys.stdout.write("".join(f"{number}. {text}\n\n" for number, text in drawn))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
