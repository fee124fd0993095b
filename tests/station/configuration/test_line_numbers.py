"""The lines of keys, proved on documents made at random: tomllib says which keys there are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import count
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.configuration.line_numbers import line_numbers
from station.core.installation_file.document import KeyPath

_PLAIN = ["1.5e3", "0x1f", "true", "inf", "1979-05-27 07:32:00", "07:32:00"]
_TEXTS = [
    '""',
    '"# [a] = \\" \\\\"',
    "'# ] } \\'",
    '""""""',
    '"""a"""""',
    '"""\n[no]\nno = 1 \\""" " "" # no"""',
    "''''''",
    "'''a'''''",
    "'''\n[[no]]\nno = '' # \\'''",
]


class _DocumentGenerator:
    """Generates a random TOML document; each key is unique, so that it can be found in the text."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self._numbers = count(100)

    def document(self) -> str:
        return self._table([], depth=0)

    def _choose(self, *choices: str) -> str:
        return self._data.draw(st.sampled_from(choices))

    def _random_range(self, most: int) -> range:
        return range(self._data.draw(st.integers(0, most)))

    def _key(self) -> str:
        number = next(self._numbers)
        return self._choose(f"k{number}", f'"k{number} .#=]"', f"'k{number}[['")

    def _table(self, header: list[str], depth: int) -> str:
        body = "".join(self._line() for _ in self._random_range(3))
        for _ in self._random_range(2 if depth < 3 else 0):
            below = [*header, *(self._key() for _ in range(1 + len(self._random_range(1))))]
            space = self._choose("", " ")
            name = f"{space}.{space}".join(below)
            if self._choose("table", "array") == "table":
                body += f"[{space}{name}{space}]{self._end()}{self._table(below, depth + 1)}"
            else:
                for _ in range(1 + len(self._random_range(2))):
                    body += f"[[{space}{name}]]{self._end()}{self._table(below, depth + 1)}"
        return body

    def _line(self) -> str:
        return self._choose("", "\n", "# no = 1\n", "  ") + self._pair(depth=0) + self._end()

    def _end(self) -> str:
        return self._choose("\n", "  # [no]\n", "\r\n", "\n\n\t")

    def _pair(self, depth: int) -> str:
        key = self._choose(".", " . ").join(self._key() for _ in range(1 + len(self._random_range(2))))
        return f"{key}{self._choose('=', ' = ')}{self._value(depth)}"

    def _value(self, depth: int) -> str:
        match self._choose("number", "plain", "text", *(("list", "table") if depth < 3 else ())):
            case "number":
                return str(next(self._numbers))
            case "plain":
                return self._choose(*_PLAIN)
            case "text":
                return self._choose(*_TEXTS)
            case "list":
                gap = self._choose("", " ", "\n", "\n # ], no\n")
                entries = f",{gap}".join(self._value(depth + 1) for _ in self._random_range(3))
                return f"[{gap}{entries}{self._choose('', gap)}{self._choose('', ',') if entries else ''}{gap}]"
            case _:
                return f"{{ {', '.join(self._pair(depth + 1) for _ in self._random_range(2))} }}"


def _paths(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    yield path, value
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from _paths(inner, (*path, index))


@given(st.data())
def test_every_key_and_entry_is_found_on_the_line_where_it_is_written(data: st.DataObject) -> None:
    text = _DocumentGenerator(data).document()
    paths = dict(_paths(tomllib.loads(text)))
    found = line_numbers(text)
    assert found.keys() == paths.keys()
    written = text.split("\n")
    for path, value in paths.items():
        line = written[found[path] - 1]
        if path and isinstance(path[-1], str):
            assert path[-1] in line
        elif isinstance(value, int) and value >= 100:
            assert str(value) in line


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("", (), 1),
        ("\n\na = 1", ("a",), 3),
        ("[a]\n[a.b]\nc = 1\n[d]", ("a", "b", "c"), 3),
        ("[a.b]\n[a]\n", ("a",), 2),
        ("[a.b.c]\n", ("a", "b"), 1),
        ("[[a]]\n[[a]]\n[[a]]\n", ("a", 1), 2),
        ("[[a]]\n[[a]]\n", ("a",), 1),
        ("[[a]]\n[a.b]\n[[a]]\n[a.b]\nc = 1\n", ("a", 1, "b", "c"), 5),
        ("[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\n[[a.b]]\nc = 1", ("a", 1, "b", 1, "c"), 6),
        ("a = [\n 1, # no\n\n 2]", ("a", 1), 4),
        ("a = [\n {b = 1},\n {b = 2}]", ("a", 1, "b"), 3),
        ('"\\u0061".b = 1', ("a", "b"), 1),
        ("a = '''\nb = 1\n'''\nb = 2", ("b",), 4),
    ],
)
def test_a_line_is_the_line_of(text: str, path: KeyPath, line: int) -> None:
    assert line_numbers(text)[path] == line
