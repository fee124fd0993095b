"""What one station lives in: its clock, its board and its wires, real or simulated. The composition chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from energy.sources.config import GridSourceConfig
    from energy.sources.dry_contact import ContactPort, DryContactConfig
    from foundation.clock import Clock
    from metering.drivers.bus import BusRegistry
    from metering.meter import Meter
    from station.core.hardware.back_plate import BackPlate
    from station.core.hardware.board import Board
    from station.core.hardware.token_reader import TokenReader
    from station.core.installation_file.charging_tables import EvseConfig
    from station.devices.config import ReaderConfig


class StationHardware(Protocol):
    """Outlasts the lives of a station: it goes on while the software reboots."""

    @property
    def clock(self) -> Clock:
        """The station's time."""
        ...

    @property
    def buses(self) -> BusRegistry:
        """The Modbus wires in use, shared by all that hang on them."""
        ...

    @property
    def back_plate(self) -> BackPlate:
        """What belongs to no EVSE alone."""
        ...

    async def start(self) -> None:
        """Switch on what has to run before the station lives."""
        ...

    async def stop(self) -> None:
        """Switch everything off, outputs at rest."""
        ...

    def run_clock(self) -> None:
        """The station is about to stop: time that stands still has to flow."""
        ...

    def board(self, evse: EvseConfig) -> Board:
        """The board of an EVSE, the same at each call."""
        ...

    def open_meter(self, evse: EvseConfig) -> Meter:
        """The billing meter of an EVSE, not yet connected.

        Raises:
            MeterError: its wire is used with other settings.
        """
        ...

    def reader(self, config: ReaderConfig) -> TokenReader:
        """A token reader, not yet connected."""
        ...

    def grid_source(self, configured: GridSourceConfig) -> GridSourceConfig:
        """The grid source as it has to be opened here."""
        ...

    def contacts_for(self, config: DryContactConfig, /) -> ContactPort | None:
        """The contacts in place of those that the configuration names; None: those."""
        ...
