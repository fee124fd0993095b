"""Information about the house that grid sources need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from energy.sources.byte_feed import ByteFeed
    from foundation.byte_tap import ByteTap
    from metering.drivers.modbus import BusRegistry


class SourceContext(Frozen):
    """Arguments that every grid source gets from the station: number of phases, and the shared Modbus wires."""

    phases: int
    """of the connection: 1 or 3"""
    buses: BusRegistry | None = None
    """the Modbus wires shared with the billing meters; None: the source has its own"""
    feed: ByteFeed | None = None
    """bytes that a simulated meter sends beside its device; None: it sends all of them there, as real ones do"""

    @property
    def tap(self) -> ByteTap | None:
        """The recorder for bytes on the wire of the source's meter; None: not recorded."""
        return self.buses.tap if self.buses is not None else None


THREE_PHASES: Final = SourceContext(3)
