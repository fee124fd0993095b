"""The [[display.output]] tables: what shows a display besides the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from station.core.screen import CharacterSet, TextSize
from station.devices.file_display import FileDisplay

if TYPE_CHECKING:
    from station.core.screen import DisplayOutput


def _named(path: object) -> object:
    if path == "":
        raise ValueError("must not be empty")  # pathlib would read it as the working directory
    return path


class _OutputTable(BaseModel):
    """The keys that all outputs have."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    evse: Annotated[int, Field(strict=True, ge=1)] | None = None
    """the EVSE whose display this is, one of display.evses; absent: the display of the station"""


class CharacterLcdConfig(_OutputTable):
    """[[display.output]] of type "lcd": a character display with an HD44780 controller behind an I²C port expander."""

    type: Literal["lcd"]
    device: Annotated[Path, BeforeValidator(_named)] = Path("/dev/i2c-1")
    """the I²C bus"""
    address: Annotated[int, Field(strict=True, ge=0x08, le=0x77)] = 0x27
    """of the port expander: 0x20 to 0x27 for a PCF8574, 0x38 to 0x3F for a PCF8574A"""
    expander: Literal["PCF8574", "MCP23008"] = "PCF8574"
    """the port expander; a PCF8574A counts as PCF8574"""
    columns: Annotated[int, Field(strict=True, ge=8, le=40)] = 20
    """characters of a row"""
    rows: Literal[1, 2, 4] = 4
    """rows of characters"""
    characters: CharacterSet = CharacterSet.A00
    """the character ROM: A00 (most displays) or A02 (European)"""

    @property
    def text_size(self) -> TextSize:
        """The size of the display."""
        return TextSize(self.columns, self.rows, self.characters)

    def open(self) -> DisplayOutput:
        """Create the driver of this display; opens nothing yet."""
        from station.devices.character_lcd import CharacterLcd  # late: RPLCD, for those who have such a display

        return CharacterLcd(self.device, self.address, self.expander, self.text_size)


class FileDisplayConfig(_OutputTable):
    """[[display.output]] of type "file": a file that receives each screen as JSON, for a program that shows it."""

    type: Literal["file"]
    path: Annotated[Path, BeforeValidator(_named)]
    """the file; it is replaced as a whole, and readable for all users of the machine"""

    @property
    def text_size(self) -> None:
        """None: any text fits."""
        return

    def open(self) -> DisplayOutput:
        """Create the writer of this file; writes nothing yet."""
        return FileDisplay(self.path)


class MqttDisplayConfig(_OutputTable):
    """[[display.output]] of type "mqtt": each screen is published as JSON to the broker of [mqtt]."""

    type: Literal["mqtt"]


DisplayOutputConfig = Annotated[CharacterLcdConfig | FileDisplayConfig | MqttDisplayConfig, Field(discriminator="type")]
"""an output of a display besides the page; `type` selects the driver"""
