"""The languages of the page: a catalogue of texts for each, and the choice of a visitor's language."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from station.core.languages import DEFAULT_LANGUAGE, LANGUAGES, primary_language, read_catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection

__all__ = ["DEFAULT_LANGUAGE", "LANGUAGES", "LANGUAGE_COOKIE", "best_language", "catalogue", "language_of"]

LANGUAGE_COOKIE: Final = "borne_language"
_FOLDER = Path(__file__).with_name("locales")


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """The texts of the page in one of `LANGUAGES`, by key; `{name}` is the placeholder of a value. Read once."""
    return read_catalogue(_FOLDER, language)


def language_of(request: HTTPConnection) -> str:
    """The code of the visitor's language: from its cookie, else by the Accept-Language header (RFC 9110, 12.5.4)."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return best_language(request.headers.get("accept-language", ""))


def best_language(accepted: str) -> str:
    """The code of the best of `LANGUAGES` for an Accept-Language header; English if none matches."""
    best, weight = DEFAULT_LANGUAGE, 0.0
    for one in accepted[:500].split(","):
        tag, _, parameter = one.strip().partition(";")
        language = primary_language(tag)
        try:
            quality = float(parameter.strip().removeprefix("q=")) if parameter.strip() else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and quality > weight:
            best, weight = language, quality
    return best
