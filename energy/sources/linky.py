"""The configuration of a Linky meter as grid source."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from energy.grid import GridSource
from energy.sources.grid_source_table import MeterPort, SerialSourceTable
from energy.sources.source_context import THREE_PHASES, SourceContext

if TYPE_CHECKING:
    from foundation.clock import Clock


class LinkyConfig(SerialSourceTable, tag_field="type", tag="linky"):
    """A Linky whose customer output (I1, I2) a receiver passes to a serial device of this machine.

    A serial server that receives it must be set to the meter's speed.
    """

    type: ClassVar[Literal["linky"]] = "linky"
    simulation_table: ClassVar[str] = "linky"
    wired_port: ClassVar[MeterPort] = MeterPort.LINKY
    mode: Literal["auto", "historique", "standard"] = "auto"
    """mode of the meter's output; the grid operator sets it, the factory setting is historique"""

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source; the device is opened when samples are requested."""
        # late: the parser, and serialx
        from energy.sources.linky_source import linky_source

        return linky_source(self.device, self.mode, clock, context)
