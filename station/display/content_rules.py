"""Rules for the content of a message of the CSMS: length, characters of its format, language."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.core.model import LONGEST_CONTENT
from station.display.markup import message_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from station.core.model import MessageContent

_LANGUAGE: Final = r"(?a)[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*"
"""the syntax of a language tag (RFC 5646), without its registry"""
_URI: Final = r"(?a)([A-Za-z][A-Za-z0-9+.-]*):[!-~]+"
"""a scheme, and printable ASCII characters without spaces (RFC 3986)"""
_SCHEMES: Final = ("http", "https", "tel", "mailto")
"""what a driver may follow: others run a script, or show a file of the display's own machine"""
_LINE_BREAKS: Final = frozenset("\t\n\r")


class ContentError(Frozen):
    """Fault of the content of a message: the reason code of statusInfo, and a sentence that names the field."""

    reason_code: str
    sentence: str


def content_error(content: MessageContent) -> ContentError | None:
    """Check the content of a message by the rules of its format, which must be a supported one; None if it is valid.

    There must be a visible text: one without would leave the display blank. ASCII must be printable ASCII, URI a URI
    with http, https, tel or mailto, and no format may contain control characters besides tabs and line breaks. The
    language must be a tag of RFC 5646 (O01.FR.17, O02.FR.12).
    """
    text = content.content
    if len(text) > LONGEST_CONTENT:
        return ContentError("TooLargeElement", f"message.content must have at most {LONGEST_CONTENT} characters")
    if any(_is_control(character) for character in text):
        return ContentError("InvalidValue", "message.content must have no control characters")
    if content.format == "ASCII" and not text.isascii():
        return ContentError("InvalidValue", "message.content must be printable ASCII, as message.format says")
    if content.format == "URI":
        if (uri := re.fullmatch(_URI, text)) is None:
            return ContentError("InvalidURL", "message.content must be a URI, as message.format says")
        if uri[1].lower() not in _SCHEMES:
            return ContentError("InvalidURL", f"message.content must be a URI with {_one_of(_SCHEMES)}")
    if not _has_visible_text(content):
        return ContentError("InvalidValue", "message.content must have a visible text")
    if content.language is not None and re.fullmatch(_LANGUAGE, content.language) is None:
        return ContentError("InvalidValue", "message.language must be a language tag such as en-US (RFC 5646)")
    return None


def _one_of(items: Sequence[str]) -> str:
    return f"{', '.join(items[:-1])} or {items[-1]}"


def _has_visible_text(content: MessageContent) -> bool:
    """Whether there is a letter, number, punctuation or symbol, in HTML outside its tags and hidden elements."""
    texts = (span.text for line in message_lines(content) for span in line)
    return any(unicodedata.category(character)[0] in "LNPS" for text in texts for character in text)


def _is_control(character: str) -> bool:
    return (character < " " or "\x7f" <= character < "\xa0") and character not in _LINE_BREAKS
