"""The types of boards, readers and updaters. A driver is registered by adding its table to a union here."""

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
"""boards with real hardware"""
BoardConfig = Annotated[SimulatedBoardConfig | LinuxBoardConfig | ModbusBoardConfig, Field(discriminator="type")]
"""the board in the installation file; `type` selects the driver"""
ReaderConfig = Annotated[SimulatedReaderConfig | SerialReaderConfig | KeyboardReaderConfig, Field(discriminator="type")]
"""a token reader; `type` selects the driver. The API can present tokens without a reader"""
FirmwareConfig = Annotated[SimulatedUpdaterConfig | CommandUpdaterConfig, Field(discriminator="type")]
"""how firmware is installed; `type` selects the updater"""
