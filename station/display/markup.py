"""Reduces the texts of messages to plain text and simple markup: bold, italic, and lines. Pure.

HTML of a CSMS never reaches a page: its text is extracted by the parser of the standard library; of its tags only bold,
italic and line ends have an effect, attributes have none, and nothing that it names is loaded.
"""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

from station.core.screen import TextSpan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from station.core.model import MessageContent

Line = tuple[TextSpan, ...]
"""a line of text, in pieces of one style each"""
MAX_LINES: Final = 10
"""most lines of a message"""
_BOLD: Final = frozenset({"b", "strong", "th", "h1", "h2", "h3", "h4", "h5", "h6"})
_ITALIC: Final = frozenset({"i", "em", "cite"})
_BLOCK_TAGS: Final = (
    "address article aside blockquote br dd div dl dt figure footer h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre"
    " section table td th tr ul"
)
_BLOCKS: Final = frozenset(_BLOCK_TAGS.split())
"""tags that begin and end a line"""
_HIDDEN_TAGS: Final = (
    "audio canvas head iframe math noscript object script select style svg template textarea title video"
)
_HIDDEN: Final = frozenset(_HIDDEN_TAGS.split())
"""elements whose content is not shown"""
_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""could show a price in another order than it was written"""


def message_lines(content: MessageContent) -> tuple[Line, ...]:
    """The lines of a message as plain text with simple markup; at least one, which may be empty.

    Lines beyond `MAX_LINES` continue the last one, so that no message is cut into letters too small to read.
    """
    if content.format == "HTML":
        parser = _HtmlText()
        parser.feed(content.content)
        parser.close()
        lines = parser.lines()
    else:
        lines = [_plain_line(line) for line in content.content.splitlines()]
    if len(lines) > MAX_LINES:
        rest = [span for line in lines[MAX_LINES:] for span in (TextSpan(" "), *line)]
        lines[MAX_LINES - 1 :] = [(*lines[MAX_LINES - 1], *rest)]
    return tuple(lines) or ((),)


def printable(text: str) -> str:
    """Remove control characters and explicit text directions; any white space becomes one space."""
    return "".join(" " if char.isspace() else char for char in text if not _is_control(char))


def _is_control(char: str) -> bool:
    return char in _BIDI_CONTROLS or (unicodedata.category(char) in {"Cc", "Cs", "Co", "Cn"} and not char.isspace())


def _plain_line(text: str) -> Line:
    shown = printable(text).strip()
    return (TextSpan(shown),) if shown else ()


class _HtmlText(HTMLParser):
    """Collects the visible text of HTML in lines of spans."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[list[TextSpan]] = [[]]
        self._bold = self._italic = self._hidden = 0
        """how many elements of the kind are open"""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:  # noqa: ARG002 - of no effect
        """Note the style of an element, or begin a line; attributes have no effect."""
        self._open(tag)
        if tag in _BLOCKS:
            self._new_line()

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:  # noqa: ARG002 - of no effect
        """Begin a line at an empty element such as <br/>; a style or hidden content does not begin."""
        if tag in _BLOCKS:
            self._new_line()

    def handle_endtag(self, tag: str) -> None:
        """End the style of an element and its line."""
        if tag in _BLOCKS:
            self._new_line()
        self._bold -= tag in _BOLD and self._bold > 0
        self._italic -= tag in _ITALIC and self._italic > 0
        self._hidden -= tag in _HIDDEN and self._hidden > 0

    def handle_data(self, data: str) -> None:
        """Add a piece of text, unless its element is hidden."""
        if self._hidden == 0 and (text := printable(data)):
            self._lines[-1].append(TextSpan(text, self._bold > 0, self._italic > 0))

    def lines(self) -> list[Line]:
        """The lines that have any text, without white space at their ends and repeated within."""
        return [line for spans in self._lines if (line := _trimmed(spans))]

    def _open(self, tag: str) -> None:
        self._bold += tag in _BOLD
        self._italic += tag in _ITALIC
        self._hidden += tag in _HIDDEN

    def _new_line(self) -> None:
        if self._lines[-1]:
            self._lines.append([])


def _trimmed(spans: Sequence[TextSpan]) -> Line:
    """Spans without white space at both ends of the line and repeated within; none if nothing is left."""
    kept: list[TextSpan] = []
    after_space = True
    for span in spans:
        text = " ".join(span.text.split())
        lead = " " if span.text[:1].isspace() and not after_space else ""
        trail = " " if text and span.text[-1:].isspace() else ""
        shown = f"{lead}{text}{trail}"
        if shown:
            kept.append(TextSpan(shown, span.bold, span.italic))
            after_space = shown.endswith(" ")
    if kept and kept[-1].text.endswith(" "):
        last = kept.pop()
        if last.text.strip():
            kept.append(TextSpan(last.text.rstrip(), last.bold, last.italic))
    return tuple(kept)
