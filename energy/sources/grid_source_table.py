"""`GridSourceTable`: the base class of the [grid.source] tables."""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from energy.sources.stream_device import is_socket
from foundation.device_table import DeviceTable, Resource, TableKey, serial_resource

SIMULATED_DEVICE: Final = "simulated"
"""device or host of a source, or chip of the grid operator's contacts, that the simulator provides"""


class MeterPort(Enum):
    """How a grid meter is wired to the station."""

    LINKY = auto()
    """customer output of a Linky"""
    P1 = auto()
    RS_485 = auto()
    RS_232 = auto()


class GridSourceTable(DeviceTable):
    """Base class of the [grid.source] tables: what a source has. Each states what differs from these defaults."""

    simulation_table: ClassVar[str | None] = None
    """the table of [simulation] that provides the simulated device of the source, if it has one of its own"""

    @property
    def meter_port(self) -> MeterPort | None:
        """The wire from the meter to the smart-meter port of the station; None: the source does not use the port."""
        return None

    @property
    def clamp_count(self) -> int:
        """The number of current transformers, of which an installer can swap or reverse each."""
        return 0

    def phase_error(self, _: int, /) -> tuple[TableKey, str] | None:
        """The key and the reason if the source does not measure each phase of a connection, else None."""
        return None


class SerialSourceTable(GridSourceTable):
    """Base class of the tables of meters that send by themselves, on a serial line."""

    wired_port: ClassVar[MeterPort]
    """the wire to the smart-meter port, unless a serial server receives what the meter sends"""
    device: Annotated[str, Meta(min_length=1, examples=["/dev/ttyS0"])]
    """path of the serial device, or `socket://host:port` of a serial server or dongle

    `simulated`: the meter of [simulation.p1]. Left out with [simulation.linky].
    """

    @property
    def simulated_key(self) -> TableKey | None:
        """The device, if it is the simulated one."""
        return ("device",) if self.device == SIMULATED_DEVICE else None

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The serial device."""
        return (serial_resource(self.device),)

    @property
    def meter_port(self) -> MeterPort | None:
        """The wire to the smart-meter port; None if a serial server receives what the meter sends."""
        return None if is_socket(self.device) else self.wired_port
