"""The hardware interface of one station: clock, board and buses, real or simulated. The composition root selects it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from energy.sources.byte_feed import ByteFeed
    from energy.sources.dry_contact import ContactPort, DryContactConfig
    from energy.sources.grid_source_config import GridSourceConfig
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from metering.meter import Meter
    from station.core.hardware.back_plate import BackPlate
    from station.core.hardware.board import Board
    from station.core.hardware.token_reader import TokenReader
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.vehicle_link import VehicleLink
    from station.devices.device_config import ReaderConfig


class StationHardware(Protocol):
    """Provides a station with its clock and devices, real or simulated; it runs on while the software restarts."""

    @property
    def clock(self) -> Clock:
        """The clock of the station: wall time and monotonic time, real or simulated."""
        ...

    @property
    def buses(self) -> BusRegistry:
        """The registry of the Modbus buses, so that devices on the same bus share its connection."""
        ...

    @property
    def grid_feed(self) -> ByteFeed | None:
        """Bytes that a simulated grid meter sends beside its device, to be read with it; None: none."""
        ...

    @property
    def back_plate(self) -> BackPlate:
        """The back plate: the inputs and the shunt trip that all EVSEs share."""
        ...

    async def start(self) -> None:
        """Start the simulated devices, before the station first starts; real devices are opened at first use."""
        ...

    async def stop(self) -> None:
        """Stop all devices, with outputs in the safe state, after the station has stopped for good."""
        ...

    def run_clock(self) -> None:
        """Let a stopped simulated clock run, so that the waits of a station that is about to stop end."""
        ...

    def board(self, evse: EvseConfig) -> Board:
        """The board of an EVSE, the same object at each call."""
        ...

    def open_meter(self, evse: EvseConfig) -> Meter:
        """Create the billing meter of an EVSE, not yet connected.

        Raises:
            MeterError: its bus is in use with other settings.
        """
        ...

    def reader(self, config: ReaderConfig) -> TokenReader:
        """The token reader of this [[reader]] table, not yet connected."""
        ...

    def grid_source(self, configured: GridSourceConfig) -> GridSourceConfig:
        """The configured grid source; if its meter is simulated, with the address of the simulated meter."""
        ...

    def vehicle_link(self, evse: EvseConfig) -> VehicleLink | None:
        """The link to what speaks ISO 15118 with the vehicles of an EVSE, not connected; None: nothing does."""
        ...

    def contacts_for(self, config: DryContactConfig, /) -> ContactPort | None:
        """Simulated contacts to read in place of the grid operator's; None: read the configured GPIO lines."""
        ...
