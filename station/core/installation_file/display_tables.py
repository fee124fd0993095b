"""[display] and its [[display.output]] tables: which displays the station has, and what they show."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from station.core.installation_file.table import Count, FilePath, Number, Table
from station.core.languages import LANGUAGES

Language = Literal["en", "fr", "de", "nl"]
OutputName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9_-]+$")]


class CharacterSet(StrEnum):
    """The two character ROMs of the HD44780 (its data sheet, table 4)."""

    A00 = "A00"
    """Japanese ROM: ASCII and some letters with diaeresis"""
    A02 = "A02"
    """European ROM: ASCII and the letters of ISO 8859-1"""
