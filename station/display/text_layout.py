"""Makes text printable, and fits it into the columns and characters of a character display. Pure."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

from station.core.screen import CharacterSet

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASCII: Final = frozenset(map(chr, range(0x20, 0x7F)))
_CHARACTERS: Final = {
    CharacterSet.A00: _ASCII - {"\\", "~"} | frozenset("äöüñ°£¥¢"),
    CharacterSet.A02: _ASCII
    | frozenset("¡¢£¥§©ª«®±²³¹º»¼½¾¿×÷")
    | frozenset(map(chr, range(0xC0, 0x100))) - {"Ø"},  # RPLCD takes the code of Ø for Φ
}
"""the characters that a display shows as they are"""
_REPLACED: Final = {
    "€": "EUR",
    "…": "...",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "•": "*",
    "·": "*",
    "×": "x",
    "ß": "ss",
    "ẞ": "SS",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "\\": "/",
    "~": "-",
}
"""replacements of characters that a display lacks"""
_UNKNOWN: Final = "?"
_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""could show a price in another order than it was written"""


def printable(text: str) -> str:
    """Remove control characters and explicit text directions; any white space becomes one space."""
    return "".join(" " if char.isspace() else char for char in text if not _is_control(char))


def fold(text: str, characters: CharacterSet) -> str:
    """Replace what a display cannot show: accents are dropped, signs are written out, the rest becomes `?`."""
    available = _CHARACTERS[characters]
    return "".join(char if char in available else _replacement(char, available) for char in text)


def wrap(text: str, columns: int) -> Sequence[str]:
    """Break a text into rows of at most `columns` characters, between words if possible; none for an empty text."""
    return textwrap.wrap(text, columns, break_on_hyphens=False)


def _replacement(char: str, available: frozenset[str]) -> str:
    if char in _REPLACED:
        return _REPLACED[char]
    if unicodedata.category(char) in {"Pd", "Mn", "Zs", "Cf"}:  # dashes, accents of their own, spaces, invisible signs
        return {"Pd": "-", "Zs": " "}.get(unicodedata.category(char), "")
    base_characters = [part for part in unicodedata.normalize("NFKD", char) if unicodedata.category(part) != "Mn"]
    return "".join(part if part in available else _UNKNOWN for part in base_characters)


def _is_control(char: str) -> bool:
    return char in _BIDI_CONTROLS or (unicodedata.category(char) in {"Cc", "Cs", "Co", "Cn"} and not char.isspace())
