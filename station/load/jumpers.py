"""Checks the jumpers J1 and J2 of the smart-meter port against the configured meter.

Source: installation guide of the reference station, energy management options. Both jumpers use the same position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from energy.sources.grid_source_table import MeterPort
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy.sources.dry_contact import DryContactConfig
    from energy.sources.grid_source_table import GridSourceTable
    from station.core.hardware.back_plate import JumperPosition

_DEVICE_NAMES: Final = {
    "1-2": "a Modbus meter on RS-485",
    "3-4": "a Linky",
    "5-6": "a P1 port or a Modbus meter on RS-232",
    "7-8": "the grid operator's contact",
    "9-10": "no meter",
}

_POSITIONS: Final[Mapping[MeterPort, JumperPosition]] = {
    MeterPort.LINKY: "3-4",
    MeterPort.P1: "5-6",
    MeterPort.RS_485: "1-2",
    MeterPort.RS_232: "5-6",
}


class Jumpers(Frozen):
    """The position of jumpers J1 and J2 of the smart-meter port, and the one that the configuration requires."""

    position: JumperPosition | None
    """None: not readable"""
    expected: JumperPosition

    @property
    def mismatch(self) -> str | None:
        """The sentence that asks the installer to move the jumpers; None if they are right or not readable."""
        if self.position is None or self.position == self.expected:
            return None
        return (
            f"jumpers J1 and J2 are in position {self.position} ({_DEVICE_NAMES[self.position]}), "
            f"but {_DEVICE_NAMES[self.expected]} is configured: move them to position {self.expected}"
        )


def expected_position(source: GridSourceTable | None, contacts: DryContactConfig | None) -> JumperPosition:
    """The jumper position for the device that is configured on the smart-meter port; 9-10 for none.

    A meter on the network does not use the port.
    A meter takes precedence over the contacts: both use the same pins, so beside a meter the contacts need other
    inputs.
    """
    if source is not None and source.meter_port is not None:
        return _POSITIONS[source.meter_port]
    return "7-8" if contacts is not None else "9-10"
