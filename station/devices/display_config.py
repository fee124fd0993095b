"""The [[display.output]] tables: what shows a display besides the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from foundation.device_table import DeviceTable
from foundation.table_definition import STRICT, FilePath
from station.core.installation_file.table import EvseNumber
from station.core.screen import CharacterSet, TextSize
from station.devices.file_display import FileDisplay

if TYPE_CHECKING:
    from station.core.screen import DisplayOutput


class _OutputTable(DeviceTable):
    """The keys that all outputs have."""

    evse: EvseNumber | None = None
    """the EVSE whose display this is, one of display.evses; absent: the display of the station"""
    needs_broker: ClassVar[bool] = False
    """whether the output is published to the broker of [mqtt], instead of by a driver"""

    @property
    def text_size(self) -> TextSize | None:
        """The size of the display; None: any text fits."""
        return None

    def open(self) -> DisplayOutput | None:
        """Create the driver, which opens nothing yet; None if there is none, since the output needs a broker."""
        return None


class CharacterLcdConfig(_OutputTable, tag_field="type", tag="lcd"):
    """[[display.output]] of type "lcd": a character display with an HD44780 controller behind an I²C port expander."""

    type: ClassVar[Literal["lcd"]] = "lcd"
    packages: ClassVar[tuple[str, ...]] = ("RPLCD", "smbus2")
    device: FilePath = Path("/dev/i2c-1")
    """the I²C bus"""
    address: Annotated[int, Meta(extra=STRICT, ge=0x08, le=0x77)] = 0x27
    """of the port expander, 39 is 0x27: 0x20 to 0x27 for a PCF8574, 0x38 to 0x3F for a PCF8574A"""
    expander: Literal["PCF8574", "MCP23008"] = "PCF8574"
    """the port expander; a PCF8574A counts as PCF8574"""
    columns: Annotated[int, Meta(extra=STRICT, ge=8, le=40)] = 20
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


class FileDisplayConfig(_OutputTable, kw_only=True, tag_field="type", tag="file"):
    """[[display.output]] of type "file": a file that receives each screen as JSON, for a program that shows it."""

    type: ClassVar[Literal["file"]] = "file"
    path: Annotated[FilePath, Meta(examples=["/run/borne/display.json"])]
    """the file; it is replaced as a whole, and readable for all users of the machine"""

    def open(self) -> DisplayOutput:
        """Create the writer of this file; writes nothing yet."""
        return FileDisplay(self.path)


class MqttDisplayConfig(_OutputTable, tag_field="type", tag="mqtt"):
    """[[display.output]] of type "mqtt": each screen is published as JSON to the broker of [mqtt]."""

    type: ClassVar[Literal["mqtt"]] = "mqtt"
    needs_broker: ClassVar[bool] = True


DisplayOutputConfig: TypeAlias = CharacterLcdConfig | FileDisplayConfig | MqttDisplayConfig
"""an output of a display besides the page; `type` selects the driver"""
