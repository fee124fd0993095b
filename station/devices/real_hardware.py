"""The real site of a station: this machine's clock, the board that the installation file names, real wires."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from foundation.clock import SystemClock
from metering.drivers.bus import BusRegistry
from metering.drivers.simulated import SimulatedMeterConfig
from station.core.hardware.board import BoardError
from station.devices.simulated_config import SimulatedReaderConfig

if TYPE_CHECKING:
    from energy.sources.config import GridSourceConfig
    from energy.sources.dry_contact import DryContactConfig
    from foundation.clock import Clock
    from metering.meter import Meter
    from station.core.hardware.board import Board
    from station.core.hardware.token_reader import TokenReader
    from station.core.installation_file.charging_tables import EvseConfig
    from station.devices.config import ReaderConfig, RealBoardConfig


class RealHardware:
    """Nothing here is simulated, and nothing can be played with."""

    def __init__(self, config: RealBoardConfig, clock: Clock | None = None) -> None:
        self.clock = clock if clock is not None else SystemClock()
        self.buses = BusRegistry()
        self.back_plate = config.open_back_plate(self.clock)
        self._config = config
        self._boards: dict[int, Board] = {}

    async def start(self) -> None:
        """Wires are opened when they are first used."""

    async def stop(self) -> None:
        """Let go of the boards; they are at rest before."""
        for board in self._boards.values():
            with contextlib.suppress(BoardError):  # it is gone: its own watchdog opens the contactor
                await board.close()
        with contextlib.suppress(BoardError):
            await self.back_plate.close()

    def run_clock(self) -> None:
        """Real time flows anyway."""

    def board(self, evse: EvseConfig) -> Board:
        """The board of an EVSE, the same at each call."""
        if evse.id not in self._boards:
            self._boards[evse.id] = self._config.open(evse, self.clock, self.buses)
        return self._boards[evse.id]

    def open_meter(self, evse: EvseConfig) -> Meter:
        """The billing meter that the installation file names."""
        if isinstance(evse.meter, SimulatedMeterConfig):
            raise TypeError("the meter is simulated, the board is not")  # the configuration has refused it
        return evse.meter.open(self.clock, self.buses)

    def reader(self, config: ReaderConfig) -> TokenReader:
        """The reader that the installation file names."""
        if isinstance(config, SimulatedReaderConfig):
            raise TypeError("the reader is simulated, the board is not")  # the configuration has refused it
        return config.open(self.clock)

    def grid_source(self, configured: GridSourceConfig) -> GridSourceConfig:
        """As configured."""
        return configured

    def contacts_for(self, _: DryContactConfig, /) -> None:
        """Those that the configuration names."""
