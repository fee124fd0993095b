"""The jumpers J1 and J2 of the smart-meter port, against the meter that the installation file names.

Source: installation guide of the reference station, energy management options. Both jumpers stand alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from energy.sources.byte_stream import is_socket
from energy.sources.ct import CtConfig
from energy.sources.linky import LinkyConfig
from energy.sources.modbus import GridModbusConfig
from energy.sources.p1 import P1Config
from foundation.frozen import frozen
from metering.drivers.modbus import ModbusRtuMeter

if TYPE_CHECKING:
    from energy.sources.config import GridSourceConfig
    from energy.sources.dry_contact import DryContactConfig
    from station.core.hardware.back_plate import JumperPosition

_WORDS: Final = {
    "1-2": "a Modbus meter on RS-485",
    "3-4": "a Linky",
    "5-6": "a P1 port or a Modbus meter on RS-232",
    "7-8": "the grid operator's contacts",
    "9-10": "no meter",
}


@frozen
class Jumpers:
    """Where the jumpers stand, and where they have to."""

    position: JumperPosition | None
    """None: cannot be read"""
    expected: JumperPosition

    @property
    def mismatch(self) -> str | None:
        """What is wrong, in one sentence; None when nothing is, or when it cannot be told."""
        if self.position is None or self.position == self.expected:
            return None
        return (
            f"jumpers J1 and J2 stand on {self.position} ({_WORDS[self.position]}), "
            f"but {_WORDS[self.expected]} is configured: they must stand on {self.expected}"
        )


def expected_position(source: GridSourceConfig | None, contacts: DryContactConfig | None) -> JumperPosition:
    """Where the jumpers must stand for what hangs on the smart-meter port; a meter behind the network does not.

    A meter goes before the contacts: both use the same pins, so beside a meter the contacts are on inputs of their own.
    """
    match source:
        case LinkyConfig() if not is_socket(source.device):
            return "3-4"
        case P1Config() if not is_socket(source.device):
            return "5-6"
        case GridModbusConfig(meter=ModbusRtuMeter()):
            return "1-2" if source.port == "rs-485" else "5-6"
        case LinkyConfig() | P1Config() | GridModbusConfig() | CtConfig() | None:
            return "7-8" if contacts is not None else "9-10"
