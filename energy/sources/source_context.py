"""What a source is given of the house that its meter cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.frozen import frozen

if TYPE_CHECKING:
    from foundation.byte_tap import ByteTap
    from metering.drivers.modbus import BusRegistry


@frozen
class SourceContext:
    """The connection that a source looks at."""

    phases: int
    """of the connection: 1 or 3"""
    buses: BusRegistry | None = None
    """the Modbus wires that the billing meters use too; None: no other meter is on the source's wire"""

    @property
    def tap(self) -> ByteTap | None:
        """Wants to know what goes over the wire of the source's meter; None: nobody does."""
        return self.buses.tap if self.buses is not None else None


THREE_PHASES: Final = SourceContext(3)
