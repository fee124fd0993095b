"""The boards, readers and updaters that a station may have. A driver is registered by being in a union here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from station.devices.command_updater import CommandUpdaterConfig
from station.devices.keyboard_reader import KeyboardReaderConfig
from station.devices.linux.config import LinuxBoardConfig
from station.devices.modbus.config import ModbusBoardConfig
from station.devices.serial_reader import SerialReaderConfig
from station.devices.simulated_config import SimulatedBoardConfig, SimulatedReaderConfig, SimulatedUpdaterConfig

RealBoardConfig = LinuxBoardConfig | ModbusBoardConfig
"""the boards that have something to switch"""
BoardConfig = Annotated[SimulatedBoardConfig | LinuxBoardConfig | ModbusBoardConfig, Field(discriminator="type")]
"""the board in the installation file; `type` says which"""
ReaderConfig = Annotated[SimulatedReaderConfig | SerialReaderConfig | KeyboardReaderConfig, Field(discriminator="type")]
"""a token reader; `type` says which. The API presents tokens without one"""
FirmwareConfig = Annotated[SimulatedUpdaterConfig | CommandUpdaterConfig, Field(discriminator="type")]
"""how firmware gets into the station; `type` says which updater"""
