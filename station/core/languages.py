"""The table of languages in which the station speaks to people, and the reader of their texts.

In the lowest layer, because the page, the display and the documents have texts. Those of a language are one file,
`station/languages/<code>.json`, with a section for each of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeVar

from msgspec import Raw
from msgspec.json import decode

from foundation.frozen import Frozen

T = TypeVar("T")

LanguageCode = Literal["en", "fr", "de", "nl"]
"""the languages of the page, the display and the documents, in the order of their choice"""
Section = Literal["page", "display", "documents", "spreadsheet"]
"""a part of the file of a language; English has none for spreadsheets, whose table is for programs too"""


class Language(Frozen):
    """A language of the station: its name, and how it writes numbers, dates and amounts."""

    name: str
    """in the language itself, for the choice on the page"""
    decimal_mark: str
    date: str
    """format of a date (strftime)"""
    day: str
    """format of a day without its year (strftime)"""
    amount: str
    """format of an amount of money: {number} and {symbol}, that of a currency"""


LANGUAGES: Final[dict[LanguageCode, Language]] = {
    "en": Language("English", ".", "%Y-%m-%d", "%d/%m", "{symbol}{number}"),
    "fr": Language("Français", ",", "%d/%m/%Y", "%d/%m", "{number} {symbol}"),
    "de": Language("Deutsch", ",", "%d.%m.%Y", "%d.%m.", "{number} {symbol}"),
    "nl": Language("Nederlands", ",", "%d-%m-%Y", "%d-%m", "{symbol} {number}"),
}
DEFAULT_LANGUAGE: Final = "en"

_FOLDER: Final = Path(__file__).parents[2] / "station" / "languages"


def read_texts(language: LanguageCode, section: Section, form: type[T]) -> T:
    """Read a section of the texts of a language from its file; `{name}` in a text stands for a value.

    Each call reads the file: the caller keeps the texts.
    """
    sections = decode((_FOLDER / f"{language}.json").read_bytes(), type=dict[str, Raw])
    return decode(sections[section], type=form)


def primary_language(tag: str) -> str:
    """The primary subtag of a language tag (RFC 5646) in lower case, such as de for de-AT."""
    return tag.strip().lower().partition("-")[0]
