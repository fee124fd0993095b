"""The languages of the page: a catalogue of texts for each, and the choice of a visitor's language."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from station.core.languages import DEFAULT_LANGUAGE, LANGUAGES, LanguageCode, primary_language, read_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection

LANGUAGE_COOKIE: Final = "borne_language"


@cache
def catalogue(language: LanguageCode) -> Mapping[str, str]:
    """The texts of the page in a language, by key; `{name}` is the placeholder of a value. Read once."""
    return read_texts(language, "page", dict[str, str])


def language_of(request: HTTPConnection) -> LanguageCode:
    """The code of the visitor's language: from its cookie, else by the Accept-Language header (RFC 9110, 12.5.4)."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return best_language(request.headers.get("accept-language", ""))


def best_language(accepted: str) -> LanguageCode:
    """The code of the best of `LANGUAGES` for an Accept-Language header; English if none matches."""
    best: LanguageCode = DEFAULT_LANGUAGE
    weight = 0.0
    for entry in accepted[:500].split(","):
        tag, _, parameter = entry.strip().partition(";")
        language = primary_language(tag)
        try:
            quality = float(parameter.strip().removeprefix("q=")) if parameter.strip() else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and quality > weight:
            best, weight = language, quality
    return best
