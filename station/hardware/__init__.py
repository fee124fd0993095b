"""The boards, readers and updaters that a station may have. A driver is registered by being in a union here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from station.hardware.keyboard_reader import KeyboardReaderConfig
from station.hardware.linux_config import LinuxBoardConfig
from station.hardware.modbus_config import ModbusBoardConfig
from station.hardware.serial_reader import SerialReaderConfig


class SimulatedBoardConfig(BaseModel):
    """A board in this process: no relay, no pilot, no harm."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    type: Literal["simulated"] = "simulated"
    selector_a: Literal[32, 25, 20, 16, 12, 8] = 32
    """the position of the simulated current selector, amperes per phase"""
    jumpers: Literal["1-2", "3-4", "5-6", "7-8", "9-10"] | None = None
    """where the jumpers of the smart-meter port stand; absent: they cannot be read"""


RealBoardConfig = LinuxBoardConfig | ModbusBoardConfig
"""the boards that have something to switch"""
BoardConfig = Annotated[SimulatedBoardConfig | LinuxBoardConfig | ModbusBoardConfig, Field(discriminator="type")]
"""the board in the installation file; `type` says which"""


class SimulatedReaderConfig(BaseModel):
    """[[reader]] of type "simulated": cards are held to it through the API."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    type: Literal["simulated"]
    name: Annotated[str, Field(min_length=1, max_length=40)] = "reader"
    """which one is meant, where there are several"""
    reversed_bytes: bool = False
    """it sends the last byte of a UID first"""
    evse: Annotated[int, Field(ge=1)] | None = None
    """whose reader it is; absent: it serves all EVSEs"""


ReaderConfig = Annotated[SimulatedReaderConfig | SerialReaderConfig | KeyboardReaderConfig, Field(discriminator="type")]
"""a token reader; `type` says which. The API presents tokens without one"""


class SimulatedUpdaterConfig(BaseModel):
    """[firmware], simulated: two slots in files below the storage directory."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    type: Literal["simulated"] = "simulated"
    allow_unsigned: bool = False
    """whether firmware without a signature is installed (L02); else every update is a secure one (L01)"""


Command = Annotated[tuple[str, ...], Field(min_length=1)]


class InstallerConfig(BaseModel):
    """[firmware], by commands of the machine: each a program and its arguments, run without a shell."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    type: Literal["command"]
    allow_unsigned: bool = False
    """as above"""
    install_command: Command
    """gets the path of the image as its last argument; exit status 65 says that the image is bad"""
    activate_command: Command | None = None
    """makes what was installed boot, and reboots the machine; without it a new start of the program is enough"""
    confirm_command: Command | None = None
    """exit status 0 says that the new firmware runs; without it it runs when it was activated"""


FirmwareConfig = Annotated[SimulatedUpdaterConfig | InstallerConfig, Field(discriminator="type")]
"""how firmware gets into the station; `type` says which updater"""
