"""What a source is given of the house that its meter cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from metering.drivers.modbus import Buses


@dataclass(frozen=True, slots=True)
class House:
    """The connection that a source looks at."""

    phases: int
    """of the connection: 1 or 3"""
    buses: Buses | None = None
    """the Modbus wires that the billing meters use too; None: no other meter is on the source's wire"""


THREE_PHASES: Final = House(3)
