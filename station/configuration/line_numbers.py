"""Line numbers of the keys of a TOML file, which tomllib does not provide."""

from __future__ import annotations

import re
import tomllib
from collections import Counter

from station.core.installation_file.document import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # a closing triple quote may follow up to two quotes
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\n]+")
"""a number, a date, true or false"""


def line_numbers(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every key, table and entry of a list in `text`, which is valid TOML."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """Scans a document that tomllib has accepted; it does not validate again."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {(): 1}
        self._text = text
        self._at = 0
        self._entries: Counter[KeyPath] = Counter()
        """number of headers seen of each [[array of tables]]"""

    def document(self) -> None:
        table: KeyPath = ()
        while self._next():
            if self._text.startswith("[[", self._at):
                table = self._array_header()
            elif self._text[self._at] == "[":
                table = self._table_header()
            else:
                self._pair(table)

    def _table_header(self) -> KeyPath:
        line = self._line()
        self._at += 1
        path = self._resolve(self._keys())
        self._at += 1
        self._found(path, line)
        return path

    def _array_header(self) -> KeyPath:
        line = self._line()
        self._at += 2
        *outer, last = self._keys()
        self._at += 2
        array = (*self._resolve(outer), last)
        path = (*array, self._entries[array])
        self._entries[array] += 1
        self._found(path, line)
        return path

    def _resolve(self, keys: list[str]) -> KeyPath:
        """Resolve a header: one through an array of tables refers to the last table of it."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._entries:
                path = (*path, self._entries[path] - 1)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = (*table, *self._keys())
        self._found(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        match self._next():
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(_TEXT)
            case _:
                self._take(_PLAIN)

    def _list(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while (found := self._next()) != "]":
            if found == ",":
                self._at += 1
                continue
            self._found((*path, index), self._line())
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while (found := self._next()) != "}":
            if found == ",":
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _keys(self) -> list[str]:
        """Read a dotted key, up to the equals sign or bracket after it."""
        keys = [self._key()]
        while self._next() == ".":
            self._at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._next()
        written = self._take(_KEY)
        if written.startswith(('"', "'")):
            return next(iter(tomllib.loads(f"{written} = 0")))  # tomllib knows the escapes
        return written

    def _next(self) -> str:
        """Skip space and comments; return the next character, "" at the end."""
        self._take(_BLANK)
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"line {self._line()}: not understood, although tomllib accepts it")
        self._at = match.end()
        return match[0]

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _found(self, path: KeyPath, line: int) -> None:
        """Record the line of a path; tables without a header begin where they first appear."""
        self.lines[path] = line
        for length in range(1, len(path)):
            self.lines.setdefault(path[:length], line)
