"""The packages and modules of the project, by pyproject.toml."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]


@cache
def pyproject() -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def packages() -> tuple[str, ...]:
    """All installed packages: the folders matched by packages.find that have an __init__.py."""
    patterns = pyproject()["tool"]["setuptools"]["packages"]["find"]["include"]
    tops = [folder for folder in ROOT.iterdir() if any(fnmatch(folder.name, pattern) for pattern in patterns)]
    return tuple(sorted(name for top in tops for name in _packages_in(top, top.name)))


def _packages_in(folder: Path, name: str) -> Iterator[str]:
    if (folder / "__init__.py").exists():
        yield name
        for inner in folder.iterdir():
            yield from _packages_in(inner, f"{name}.{inner.name}")


@cache
def roots() -> tuple[str, ...]:
    """The top-level packages."""
    return tuple(name for name in packages() if "." not in name)


@cache
def modules() -> dict[str, Path]:
    """The file of each installed module, by module name."""
    found: dict[str, Path] = {}
    for package in packages():
        folder = ROOT / package.replace(".", "/")
        for file in folder.glob("*.py"):
            found[package if file.stem == "__init__" else f"{package}.{file.stem}"] = file
    return found


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """Every syntax node of a file."""
    return tuple(ast.walk(tree(file)))


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every syntax node of every installed module, with the name of the module."""
    for name, file in sorted(modules().items()):
        for node in nodes_of(file):
            yield name, node


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or package of this project."""
    return name in modules()


def names_ours(name: str) -> bool:
    """Whether a dotted name begins with a package of this project."""
    return any(fnmatch(name, f"{root}.*") or name == root for root in roots())
