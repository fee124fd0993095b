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
        self._position = 0
        self._header_counts: Counter[KeyPath] = Counter()
        """number of headers seen of each [[array of tables]]"""

    def document(self) -> None:
        table: KeyPath = ()
        while self._skip_blank():
            if self._text.startswith("[[", self._position):
                table = self._array_header()
            elif self._text[self._position] == "[":
                table = self._table_header()
            else:
                self._scan_pair(table)

    def _table_header(self) -> KeyPath:
        line = self._current_line()
        self._position += 1
        path = self._resolve(self._scan_dotted_key())
        self._position += 1
        self._record_line(path, line)
        return path

    def _array_header(self) -> KeyPath:
        line = self._current_line()
        self._position += 2
        *outer, last = self._scan_dotted_key()
        self._position += 2
        array = (*self._resolve(outer), last)
        path = (*array, self._header_counts[array])
        self._header_counts[array] += 1
        self._record_line(path, line)
        return path

    def _resolve(self, keys: list[str]) -> KeyPath:
        """Resolve a header: one through an array of tables refers to the last table of it."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._header_counts:
                path = (*path, self._header_counts[path] - 1)
        return path

    def _scan_pair(self, table: KeyPath) -> None:
        line = self._current_line()
        path = (*table, *self._scan_dotted_key())
        self._record_line(path, line)
        self._position += 1  # the equals sign
        self._scan_value(path)

    def _scan_value(self, path: KeyPath) -> None:
        match self._skip_blank():
            case "[":
                self._scan_list(path)
            case "{":
                self._scan_inline_table(path)
            case '"' | "'":
                self._match(_TEXT)
            case _:
                self._match(_PLAIN)

    def _scan_list(self, path: KeyPath) -> None:
        self._position += 1
        index = 0
        while (character := self._skip_blank()) != "]":
            if character == ",":
                self._position += 1
                continue
            self._record_line((*path, index), self._current_line())
            self._scan_value((*path, index))
            index += 1
        self._position += 1

    def _scan_inline_table(self, path: KeyPath) -> None:
        self._position += 1
        while (character := self._skip_blank()) != "}":
            if character == ",":
                self._position += 1
            else:
                self._scan_pair(path)
        self._position += 1

    def _scan_dotted_key(self) -> list[str]:
        """Read a dotted key, up to the equals sign or bracket after it."""
        keys = [self._scan_key()]
        while self._skip_blank() == ".":
            self._position += 1
            keys.append(self._scan_key())
        return keys

    def _scan_key(self) -> str:
        self._skip_blank()
        text = self._match(_KEY)
        if text.startswith(('"', "'")):
            return next(iter(tomllib.loads(f"{text} = 0")))  # tomllib knows the escapes
        return text

    def _skip_blank(self) -> str:
        """Skip space and comments; return the next character, "" at the end."""
        self._match(_BLANK)
        return self._text[self._position : self._position + 1]

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise ValueError(f"line {self._current_line()}: not understood, although tomllib accepts it")
        self._position = match.end()
        return match[0]

    def _current_line(self) -> int:
        return self._text.count("\n", 0, self._position) + 1

    def _record_line(self, path: KeyPath, line: int) -> None:
        """Record the line of a path; tables without a header begin where they first appear."""
        self.lines[path] = line
        for length in range(1, len(path)):
            self.lines.setdefault(path[:length], line)
