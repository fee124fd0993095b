"""The real hardware of a station: the clock of the machine, the configured board, meters and readers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from foundation.clock import SystemClock
from metering.drivers.bus_registry import BusRegistry
from metering.drivers.simulated import SimulatedMeterConfig
from station.core.hardware.board import BoardError
from station.core.installation_file.secc_tables import SimulatedSeccConfig
from station.devices.secc.external_link import external_link
from station.devices.simulated_config import SimulatedReaderConfig

if TYPE_CHECKING:
    from energy.sources.dry_contact import DryContactConfig
    from energy.sources.grid_source_config import GridSourceConfig
    from foundation.clock import Clock
    from metering.meter import Meter
    from station.core.hardware.board import Board
    from station.core.hardware.token_reader import TokenReader
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.vehicle_link import VehicleLink
    from station.devices.device_config import ReaderConfig, RealBoardConfig


class RealHardware:
    """The `StationHardware` of a real station: real time, and the configured boards, meters and readers."""

    def __init__(self, config: RealBoardConfig, clock: Clock | None = None) -> None:
        self.clock = clock if clock is not None else SystemClock()
        self.buses = BusRegistry()
        self.grid_feed = None
        self.back_plate = config.open_back_plate(self.clock)
        self._config = config
        self._boards: dict[int, Board] = {}

    async def start(self) -> None:
        """Do nothing: devices are opened at first use."""

    async def stop(self) -> None:
        """Close the boards and the back plate, which puts their outputs in the safe state; failures are ignored."""
        for board in self._boards.values():
            with contextlib.suppress(BoardError):  # unreachable: its own watchdog opens the contactor
                await board.close()
        with contextlib.suppress(BoardError):
            await self.back_plate.close()

    def run_clock(self) -> None:
        """Do nothing: real time always runs."""

    def board(self, evse: EvseConfig) -> Board:
        """The board of an EVSE: created at the first call, the same afterwards."""
        if evse.id not in self._boards:
            self._boards[evse.id] = self._config.open(evse, self.clock, self.buses)
        return self._boards[evse.id]

    def open_meter(self, evse: EvseConfig) -> Meter:
        """Create the configured billing meter of an EVSE, not yet connected; a new one at each call."""
        if isinstance(evse.meter, SimulatedMeterConfig):
            raise TypeError("a simulated meter cannot be used with a real board")  # rejected by the configuration
        return evse.meter.open(self.clock, self.buses)

    def reader(self, config: ReaderConfig) -> TokenReader:
        """Create the configured token reader, not yet connected; a new one at each call."""
        if isinstance(config, SimulatedReaderConfig):
            raise TypeError("a simulated reader cannot be used with a real board")  # rejected by the configuration
        return config.open(self.clock)

    def grid_source(self, configured: GridSourceConfig) -> GridSourceConfig:
        """Return the grid source unchanged: nothing is simulated."""
        return configured

    def vehicle_link(self, evse: EvseConfig) -> VehicleLink | None:
        """Create the link to the configured SECC, not connected; None: there is none."""
        if isinstance(evse.secc, SimulatedSeccConfig):
            raise TypeError("a simulated SECC cannot be used with a real board")  # rejected by the configuration
        return external_link(evse.secc, evse.id, self.clock) if evse.secc is not None else None

    def contacts_for(self, _: DryContactConfig, /) -> None:
        """Return None: the configured GPIO lines are used as the contacts."""
