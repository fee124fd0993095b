"""The languages in which the station speaks to people, and catalogues of its texts.

In the lowest layer, because the page (`station/interfaces`) and the display (`station/display`) have catalogues.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LANGUAGES: Final = {"en": "English", "fr": "Français", "de": "Deutsch", "nl": "Nederlands"}
"""native names by language code; the languages of the page and of the display"""
DEFAULT_LANGUAGE: Final = "en"


def read_catalogue(folder: Path, language: str) -> Mapping[str, str]:
    """Read the texts in one of `LANGUAGES` from its file in a folder, by key; `{name}` stands for a value."""
    texts: dict[str, str] = json.loads((folder / f"{language}.json").read_text(encoding="utf-8"))
    return texts


def primary_language(tag: str) -> str:
    """The primary subtag of a language tag (RFC 5646) in lower case, such as de for de-AT."""
    return tag.strip().lower().partition("-")[0]
