"""The table [display]: the displays of the station, and what they can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from foundation.table import Table
from foundation.table_definition import Check, Number
from station.core.identifiers import check_page_address
from station.core.installation_file.table import EvseNumber
from station.core.languages import DEFAULT_LANGUAGE, LanguageCode
from station.devices.display_config import DisplayOutputConfig


class DisplayConfig(Table):
    """[display]: which displays the station has, and for which states they can show messages of the CSMS."""

    evses: Annotated[tuple[EvseNumber, ...], Meta(examples=[[1]])] = ()
    """the EVSEs with a display of their own, besides the main display of the station"""
    states: tuple[Literal["Charging", "Faulted", "Idle", "Unavailable"], ...] = (
        "Charging",
        "Faulted",
        "Idle",
        "Unavailable",
    )
    """the states of the station for which the displays can show a message; others are refused (NotSupportedState)"""
    languages: Annotated[tuple[LanguageCode, ...], Meta(min_length=1)] = (DEFAULT_LANGUAGE,)
    """the languages of the station's own texts; several are shown in turn. A driver's own language has precedence"""
    rotation_s: Annotated[Number, Meta(ge=2, le=600)] = 8.0
    """seconds for which each screen of a cycle is shown"""
    session_page: Annotated[str, Meta(max_length=200, examples=["https://charge.example/{identity}/{evse}"])] | None = (
        None
    )
    """the address of the page on which drivers follow their charge, a QR code on the display; "": no code

    {identity} and {evse} are replaced. When left out: the page of the station, if it is announced in the local network.
    """
    output: tuple[DisplayOutputConfig, ...] = ()
    """what shows the displays besides the page"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Form of the page address."""
        return {"session_page": check_page_address}
