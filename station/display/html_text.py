"""Extracts the visible text of HTML, in lines of spans that are bold, italic or neither. Pure.

A module of its own, because the parser of the standard library takes 6 ms to import, and few messages are HTML.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

from station.core.screen import Spans, TextSpan
from station.display.text_layout import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def html_lines(html: str) -> list[Spans]:
    """The lines of visible text of a piece of HTML, which may be malformed; none if there is no text."""
    parser = _HtmlText()
    parser.feed(html)
    parser.close()
    return parser.lines()


class _HtmlText(HTMLParser):
    """Collects the visible text of HTML in lines of spans."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[list[TextSpan]] = [[]]
        self._bold = self._italic = self._hidden = 0
        """how many elements of the kind are open"""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:  # noqa: ARG002 - of no effect
        """Note the style of an element, or begin a line; attributes have no effect."""
        if tag == "body":  # ends the head, whose end tag may be omitted
            self._hidden = 0
        self._count_open(tag)
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

    def parse_marked_section(self, i: int, report: bool = True) -> int:  # noqa: ARG002 - as in the parser
        """Skip a marked section as a comment, as browsers do; the parser itself fails at one of unknown name."""
        return self.parse_bogus_comment(i)

    def handle_data(self, data: str) -> None:
        """Add a piece of text, unless its element is hidden."""
        if self._hidden == 0 and (text := printable(data)):
            self._lines[-1].append(TextSpan(text, self._bold > 0, self._italic > 0))

    def lines(self) -> list[Spans]:
        """The lines that have any text, without white space at their ends and repeated within."""
        return [line for spans in self._lines if (line := _trimmed(spans))]

    def _count_open(self, tag: str) -> None:
        self._bold += tag in _BOLD
        self._italic += tag in _ITALIC
        self._hidden += tag in _HIDDEN

    def _new_line(self) -> None:
        if self._lines[-1]:
            self._lines.append([])


def _trimmed(spans: Sequence[TextSpan]) -> Spans:
    """Spans without white space at both ends of the line and repeated within; none if nothing is left."""
    trimmed: list[TextSpan] = []
    after_space = True
    for span in spans:
        text = " ".join(span.text.split())
        lead = " " if span.text[:1].isspace() and not after_space else ""
        trail = " " if text and span.text[-1:].isspace() else ""
        padded = f"{lead}{text}{trail}"
        if padded:
            trimmed.append(TextSpan(padded, span.bold, span.italic))
            after_space = padded.endswith(" ")
    if trimmed and trimmed[-1].text.endswith(" "):
        last = trimmed.pop()
        if last.text.strip():
            trimmed.append(TextSpan(last.text.rstrip(), last.bold, last.italic))
    return tuple(trimmed)
