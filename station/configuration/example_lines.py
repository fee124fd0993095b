"""The lines of the example of an installation file, with their comments in one column. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen

_COLUMN: Final = 40
"""where the comments behind keys begin"""
_LONGEST: Final = 60
"""from this length on the comment of a key is below it"""
_WIDTH: Final = 120
_OFF: Final = "#"
_IN_PLACE: Final = "#  "


class Line(Frozen):
    """A key or the header of a table with its comment; a comment alone; or, without either, an empty line."""

    toml: str = ""
    comment: str = ""
    mark: str = ""
    """before the line if it is not in force"""


def comment_lines(text: str) -> list[Line]:
    """Make lines of a comment, one for each line of the text."""
    return [Line(comment=line or " ") for line in text.split("\n")]


def not_in_force(lines: Iterable[Line]) -> list[Line]:
    """Comment out the keys and headers that are in force."""
    return [replace(line, mark=line.mark or _OFF) if line.toml else line for line in lines]


def in_place(lines: Iterable[Line]) -> list[Line]:
    """Comment out a table that may take the place of the one above: indented, as one block."""
    return [replace(line, mark=_IN_PLACE + line.mark) for line in lines if line != Line()]


def text_of(lines: Sequence[Line]) -> str:
    """Write the lines, their comments wrapped."""
    return "".join(f"{text}\n" for line in lines for text in _wrapped_line(line))


def _wrapped_line(line: Line) -> Iterator[str]:
    start = line.mark + line.toml
    comment = " ".join(line.comment.split())
    if not line.toml:
        yield from _wrapped(comment, f"{start}# ", f"{start}# ") or [f"{start}#" if line.comment else start]
        return
    if not comment:
        yield start
        return
    first = f"{start.ljust(_COLUMN - 1)} # "
    further = f"{line.mark.ljust(_COLUMN)}# "
    if len(first) > _LONGEST:
        yield start
        first = further
    yield from _wrapped(comment, first, further)


def _wrapped(text: str, first: str, further: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=further, break_on_hyphens=False, break_long_words=False
    )
