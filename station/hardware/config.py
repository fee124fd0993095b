"""The boards, readers and updaters that a station may have. A driver is registered by being in a union here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from station.hardware.installer import InstallerConfig
from station.hardware.keyboard_reader import KeyboardReaderConfig
from station.hardware.linux_config import LinuxBoardConfig
from station.hardware.modbus_config import ModbusBoardConfig
from station.hardware.serial_reader import SerialReaderConfig
from station.hardware.simulated_config import SimulatedBoardConfig, SimulatedReaderConfig, SimulatedUpdaterConfig

RealBoardConfig = LinuxBoardConfig | ModbusBoardConfig
"""the boards that have something to switch"""
BoardConfig = Annotated[SimulatedBoardConfig | LinuxBoardConfig | ModbusBoardConfig, Field(discriminator="type")]
"""the board in the installation file; `type` says which"""
ReaderConfig = Annotated[SimulatedReaderConfig | SerialReaderConfig | KeyboardReaderConfig, Field(discriminator="type")]
"""a token reader; `type` says which. The API presents tokens without one"""
FirmwareConfig = Annotated[SimulatedUpdaterConfig | InstallerConfig, Field(discriminator="type")]
"""how firmware gets into the station; `type` says which updater"""
