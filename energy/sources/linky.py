"""Grid source for a Linky meter on a serial device: detects its speed and yields samples."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from energy.grid import GridSample, GridSource, SourceError
from energy.sources.byte_stream import LineSettings, StreamError, is_socket, open_stream
from energy.sources.source_context import THREE_PHASES, SourceContext

if TYPE_CHECKING:  # loaded only by stations that have a Linky
    from energy.sources.tic import Group
    from foundation.byte_tap import ByteTap
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 5.0
"""time for which one speed is tried: more than two of the longest frames, 2.3 s each"""
_CONVINCING_GROUPS: Final = 3
"""number of valid groups that confirm the speed: the checksum has six bits, so noise may pass it once"""


class LinkyConfig(BaseModel):
    """A Linky whose customer output (I1, I2) reaches a serial device of this machine through a receiver."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Literal["linky"]
    device: Annotated[str, Field(min_length=1)]
    """path of the serial device, or `socket://host:port` of a serial server set to the meter's speed"""
    mode: Literal["auto", "historique", "standard"] = "auto"
    """mode of the meter's output; the grid operator sets it, the factory setting is historique"""

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source; the device is opened when samples are requested."""
        return LinkySource(self, clock, context.tap)


class LinkySource:
    """Samples of a Linky. Silence is no error: the caller tracks the age of its values."""

    def __init__(self, config: LinkyConfig, clock: Clock, tap: ByteTap | None = None) -> None:
        self._tap = tap
        from energy.sources.tic import TicMode

        self._device = config.device
        modes = tuple(TicMode) if config.mode == "auto" else (TicMode[config.mode.upper()],)
        self._modes = deque(modes[:1] if is_socket(config.device) else modes)  # a serial server has its own speed
        self._clock = clock

    async def samples(self) -> AsyncGenerator[GridSample]:
        """Yield a sample for each frame that has a current of every phase.

        Raises:
            SourceError: the device is missing, busy, or lost.
        """
        try:
            async with contextlib.aclosing(self._listen()) as samples:
                async for sample in samples:
                    yield sample
        except StreamError as error:
            raise SourceError(f"linky: {error}") from error

    async def _listen(self) -> AsyncGenerator[GridSample]:
        while True:
            mode = self._modes[0]
            async with open_stream(
                self._device, LineSettings(mode.value, seven_bits=True), self._clock, self._tap
            ) as stream:
                decoder = _LinkyReceiver(self._clock, searching=len(self._modes) > 1)
                while (data := await stream.read(decoder.until_s)) is not None:
                    for sample in decoder.take(data):
                        yield sample
            _log.debug("%s: no readable data at %d baud", self._device, mode.value)
            self._modes.rotate(-1)


class _LinkyReceiver:
    """Decodes the bytes received at one speed, and decides how long to try it."""

    def __init__(self, clock: Clock, *, searching: bool) -> None:
        from energy.sources.linky_interpreter import LinkyInterpreter
        from energy.sources.tic import TicParser

        self._clock = clock
        self._parser = TicParser()
        self._interpreter = LinkyInterpreter()
        self._groups = 0
        self.until_s = clock.monotonic() + _PATIENCE_S if searching else None

    def take(self, data: bytes) -> Iterator[GridSample]:
        """Yield the samples completed by these bytes."""
        from energy.sources.tic import Group

        for event in self._parser.feed(data):
            if isinstance(event, Group):
                self._note(event)
            sample = self._interpreter.process(event, self._clock.now())
            if sample is not None:
                yield sample

    def _note(self, group: Group) -> None:
        self._groups += 1
        if self._groups == _CONVINCING_GROUPS:
            _log.info("Linky detected: %s mode", group.mode.name.lower())
        if self._groups >= _CONVINCING_GROUPS and self.until_s is not None:
            self.until_s = self._clock.monotonic() + _PATIENCE_S
