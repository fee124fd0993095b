"""The configuration of current transformers as grid source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from energy.grid import GridSource
from energy.sources.grid_source_table import GridSourceTable
from energy.sources.source_context import THREE_PHASES, SourceContext
from foundation.device_table import Resource, ResourceKind, TableKey
from foundation.table import Table

if TYPE_CHECKING:
    from foundation.clock import Clock


class ClampConfig(Table):
    """A current transformer with a voltage output, and the converter's input that it is wired to."""

    channel: Annotated[int, Meta(ge=0, le=63, examples=[0])]
    """in_voltageN of the converter"""
    primary_a: Annotated[float, Meta(gt=0, le=2000)] = 100.0
    """rated current of the transformer, in the conductor"""
    secondary_v: Annotated[float, Meta(gt=0, le=10)] = 0.333
    """RMS voltage at the converter at `primary_a`; for a clamp with a current output: its current times the burden"""
    gain: Annotated[float, Meta(ge=0.9, le=1.1)] = 1.0
    """calibration factor; beyond ten percent it is another kind of clamp"""
    noise_a: Annotated[float, Meta(ge=0, le=2)] = 0.0
    """current shown when none flows, measured at installation"""
    bias_v: Annotated[float, Meta(ge=0, le=10, examples=[1.65])] | None = None
    """DC offset of the signal; the middle of the converter's range when absent"""


class CtConfig(GridSourceTable, tag_field="type", tag="ct"):
    """Up to three current transformers at the house connection; the first is L1."""

    type: ClassVar[Literal["ct"]] = "ct"
    clamps: Annotated[tuple[ClampConfig, ...], Meta(min_length=1, max_length=3)]
    """the current transformers, in the order L1, L2, L3"""
    path: Path = Path("/sys/bus/iio/devices/iio:device0")
    """the converter's directory in sysfs"""
    node: Annotated[Path | None, Meta(examples=["/dev/iio:device0"])] = None
    """the device file that its samples are read from; /dev/ and the name of the directory when absent"""
    sampling_hz: Annotated[int, Meta(ge=1300, le=50_000)] = 3000
    """sampling rate of each channel; below 1300 the 13th harmonic is lost"""

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The channels of the converter: a clamp measures one conductor."""
        channel = ResourceKind.CONVERTER_CHANNEL
        return tuple(
            Resource(channel, (str(self.path), clamp.channel), ("clamps", position, "channel"))
            for position, clamp in enumerate(self.clamps)
        )

    @property
    def clamp_count(self) -> int:
        """The number of configured clamps."""
        return len(self.clamps)

    def phase_error(self, phases: int, /) -> tuple[TableKey, str] | None:
        """The clamps, if there is not one for each phase."""
        count = len(self.clamps)
        if count == phases:
            return None
        return ("clamps",), f"must have {phases} entries, one for each phase (has {count})"

    def open(self, clock: Clock, _: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source, with one phase per clamp; the converter is opened when samples are requested."""
        # late: only stations with a converter need its reader
        from energy.sources.ct_source import CtSource

        return CtSource(self, clock)
