"""Draws public names at random, each with its signature and docstring, for a reader who has not seen the code.

`python -m tools.draw_names SEED [COUNT]` prints 100 names by default; the seed is a commit hash. The reader explains
each name from this text alone; what they misread gets a better name or docstring.
"""

from __future__ import annotations

import ast
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tools.wiring import patterns
from tools.wiring_rules import modules_below
from tools.wiring_syntax import Module

_ROOT: Final = Path(__file__).parents[1]
_GENERATED: Final = "ocpp_handlers/wire/messages.py"
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public_names(modules: Sequence[Module]) -> list[str]:
    """The texts of all public classes, functions and methods: place, signature and docstring."""
    return [text for module in modules if module.path != _GENERATED for text in _texts(module.path, module.tree, "")]


def _texts(path: str, parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for node in parent.body:
        if isinstance(node, _Definition) and not node.name.startswith("_"):
            yield f"{path}: {prefix}{_signature(node)}\n    {ast.get_docstring(node) or '(no docstring)'}"
            if isinstance(node, ast.ClassDef):
                yield from _texts(path, node, f"{prefix}{node.name}.")


def _signature(node: _Definition) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}({', '.join(ast.unparse(base) for base in node.bases)})"
    decorators = "".join(f"@{ast.unparse(one)} " for one in node.decorator_list if isinstance(one, ast.Name))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{decorators}{prefix}{node.name}({ast.unparse(node.args)}){returns}"


def main(arguments: Sequence[str]) -> int:
    """Print the drawn names; the exit code is 2 without a seed."""
    if not arguments:
        sys.stderr.write("python -m tools.draw_names SEED [COUNT]\n")
        return 2
    modules = modules_below(_ROOT, patterns((_ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    names = public_names(modules)
    count = int(arguments[1]) if len(arguments) > 1 else 100
    drawn = random.Random(arguments[0]).sample(names, min(count, len(names)))
    sys.stdout.write("".join(f"{number}. {text}\n\n" for number, text in enumerate(drawn, 1)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
