"""The types of boards, readers and updaters. A driver is registered by adding its table to a union here."""

from __future__ import annotations

from typing import TypeAlias

from station.devices.keyboard_reader import KeyboardReaderConfig
from station.devices.linux.linux_board_config import LinuxBoardConfig
from station.devices.modbus.modbus_board_config import ModbusBoardConfig
from station.devices.serial_reader import SerialReaderConfig
from station.devices.simulated_config import SimulatedBoardConfig, SimulatedReaderConfig, SimulatedUpdaterConfig
from station.devices.updater_config import CommandUpdaterConfig, RaucUpdaterConfig

RealBoardConfig: TypeAlias = LinuxBoardConfig | ModbusBoardConfig
"""boards with real hardware"""
BoardConfig: TypeAlias = SimulatedBoardConfig | RealBoardConfig
"""the board in the installation file; `type` selects the driver"""
ReaderConfig: TypeAlias = SimulatedReaderConfig | SerialReaderConfig | KeyboardReaderConfig
"""a token reader; `type` selects the driver. The API can present tokens without a reader"""
FirmwareConfig: TypeAlias = SimulatedUpdaterConfig | CommandUpdaterConfig | RaucUpdaterConfig
"""how firmware is installed; `type` selects the updater"""
