"""The hardware interface of one station: clock, board and buses, real or simulated. The composition root selects it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from energy.sources.config import GridSourceConfig
    from energy.sources.dry_contact import ContactPort, DryContactConfig
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from metering.meter import Meter
    from station.core.hardware.back_plate import BackPlate
    from station.core.hardware.board import Board
    from station.core.hardware.token_reader import TokenReader
    from station.core.installation_file.charging_tables import EvseConfig
    from station.devices.config import ReaderConfig


class StationHardware(Protocol):
    """The hardware of a station; it keeps running while the software restarts."""

    @property
    def clock(self) -> Clock:
        """The clock of the station."""
        ...

    @property
    def buses(self) -> BusRegistry:
        """The Modbus buses, shared by their devices."""
        ...

    @property
    def back_plate(self) -> BackPlate:
        """The back plate, shared by all EVSEs."""
        ...

    async def start(self) -> None:
        """Start what must run before the station starts."""
        ...

    async def stop(self) -> None:
        """Stop everything, with outputs in the safe state."""
        ...

    def run_clock(self) -> None:
        """Let a stopped clock run, because the station is about to stop and waits need it."""
        ...

    def board(self, evse: EvseConfig) -> Board:
        """The board of an EVSE, the same at each call."""
        ...

    def open_meter(self, evse: EvseConfig) -> Meter:
        """The billing meter of an EVSE, not yet connected.

        Raises:
            MeterError: its bus is in use with other settings.
        """
        ...

    def reader(self, config: ReaderConfig) -> TokenReader:
        """A token reader, not yet connected."""
        ...

    def grid_source(self, configured: GridSourceConfig) -> GridSourceConfig:
        """The grid source to use here, which may replace the configured one."""
        ...

    def contacts_for(self, config: DryContactConfig, /) -> ContactPort | None:
        """Contacts that replace the configured ones; None: use the configured ones."""
        ...
