"""The table [display]: the displays of the station, and what they can show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from station.core.installation_file.table import Count, Table


class DisplayConfig(Table):
    """[display]: which displays the station has, and for which states they can show messages of the CSMS."""

    evses: tuple[Annotated[Count, Field(ge=1)], ...] = ()
    """the EVSEs with a display of their own, besides the main display of the station"""
    states: tuple[Literal["Charging", "Faulted", "Idle", "Unavailable"], ...] = (
        "Charging",
        "Faulted",
        "Idle",
        "Unavailable",
    )
    """the states of the station for which the displays can show a message; others are refused (NotSupportedState)"""
