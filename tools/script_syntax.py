"""Finds the names that JavaScript declares, with regular expressions: no parser of it is among the dependencies.

The expressions know the style of the scripts here: `const` and `let`, functions, arrow functions, classes with a
constructor, and destructuring. They miss `var` and other methods, and find what looks like a declaration in strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_COMMENT: Final = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)
_DECLARATION: Final = re.compile(
    r"""
    \b(?:function|class)\s+(?P<name>[\w$]+)         # the name of a function or class
    | \b(?:const|let)\s+(?P<variable>[\w$]+)
    | \b(?:const|let)\s+(?P<pattern>[{\[].*?[}\]])\s*(?:=|of\b)     # const { a, b: c } = …; for (const [a, b] of …)
    | \bcatch\s*\((?P<error>[\w$]+)\)
    | (?P<bare>\b[\w$]+)\s*=>                       # a => …
    """,
    re.VERBOSE | re.DOTALL,
)
_PARAMETERS: Final = re.compile(
    r"""
    \b(?:function\s+[\w$]+|constructor)\s*\((?P<function>[^()]*)\)
    | \((?P<arrow>[^()]*)\)\s*=>
    """,
    re.VERBOSE,
)
_KEY: Final = re.compile(r"[\w$]+\s*:")
_DEFAULT: Final = re.compile(r"=\s*(?:\{\}|\[\]|[^,{}\[\]]+)")
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*")


def declared_names(source: str) -> Iterator[tuple[str, int]]:
    """Each variable, function, class and parameter with its line; not `_`, which says that it is not used."""
    code = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source)
    for declaration in (*_DECLARATION.finditer(code), *_PARAMETERS.finditer(code)):
        for text in filter(None, declaration.groupdict().values()):
            start = declaration.start() + declaration[0].index(text)
            for name in _bound_names(text):
                yield name, code.count("\n", 0, start) + 1


def _bound_names(pattern: str) -> list[str]:
    """The names that a parameter list or a destructuring pattern declares: neither keys nor default values."""
    return [name for name in _NAME.findall(_DEFAULT.sub("", _KEY.sub("", pattern))) if name != "_"]
