"""The configuration of a Linky meter as grid source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from energy.grid import GridSource
from energy.sources.source_context import THREE_PHASES, SourceContext
from foundation.table import Table

if TYPE_CHECKING:
    from foundation.clock import Clock


class LinkyConfig(Table, tag_field="type", tag="linky"):
    """Configuration of a Linky whose customer output (I1, I2) a receiver passes to a serial device of this machine."""

    type: ClassVar[Literal["linky"]] = "linky"
    device: Annotated[str, Meta(min_length=1)]
    """path of the serial device, or `socket://host:port` of a serial server set to the meter's speed"""
    mode: Literal["auto", "historique", "standard"] = "auto"
    """mode of the meter's output; the grid operator sets it, the factory setting is historique"""

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source; the device is opened when samples are requested."""
        # late: the parser, and serialx
        from energy.sources.linky_source import LinkySource

        return LinkySource(self.device, self.mode, clock, context)
