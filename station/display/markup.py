"""Reduces the texts of messages to plain text and simple markup: bold, italic, and lines. Pure.

HTML of a CSMS never reaches a page: its text is extracted by the parser of the standard library; of its tags only bold,
italic and line ends have an effect, attributes have none, and nothing that it names is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from station.core.screen import Spans, TextSpan
from station.display.text_layout import printable

if TYPE_CHECKING:
    from station.core.model import MessageContent

MAX_LINES: Final = 10
"""most lines of a message"""


def message_lines(content: MessageContent) -> tuple[Spans, ...]:
    """The lines of a message as plain text with simple markup; at least one, which may be empty.

    Lines beyond `MAX_LINES` continue the last one, so that no message is cut into letters too small to read.
    """
    if content.format == "HTML":
        from station.display.html_text import html_lines  # late: the parser, for those whose CSMS sends HTML

        lines = html_lines(content.content)
    else:
        lines = [_plain_line(line) for line in content.content.splitlines()]
    if len(lines) > MAX_LINES:
        rest = [span for line in lines[MAX_LINES:] for span in (TextSpan(" "), *line)]
        lines[MAX_LINES - 1 :] = [(*lines[MAX_LINES - 1], *rest)]
    return tuple(lines) or ((),)


def _plain_line(text: str) -> Spans:
    line = printable(text).strip()
    return (TextSpan(line),) if line else ()
