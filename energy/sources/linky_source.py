"""Grid source for a Linky meter on a serial device: detects its speed and yields samples."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Final, Literal

from energy.grid import GridSample, SourceError
from energy.sources.byte_stream import LineSettings, StreamError, open_stream
from energy.sources.linky_interpreter import LinkyInterpreter
from energy.sources.stream_device import is_socket
from energy.sources.tic import TicGroup, TicMode, TicParser

if TYPE_CHECKING:
    from energy.sources.source_context import SourceContext
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 5.0
"""time for which one speed is tried: more than two of the longest frames, 2.3 s each"""
_CONVINCING_GROUPS: Final = 3
"""number of valid groups that confirm the speed: the checksum has six bits, so noise may pass it once"""


class LinkySource:
    """Grid source: a Linky. Silence is no error: the caller tracks the age of its values."""

    def __init__(
        self, device: str, mode: Literal["auto", "historique", "standard"], clock: Clock, context: SourceContext
    ) -> None:
        self._context = context
        self._device = device
        modes = tuple(TicMode) if mode == "auto" else (TicMode[mode.upper()],)
        self._modes = deque(modes[:1] if is_socket(device) else modes)  # a serial server has its own speed
        self._clock = clock

    async def samples(self) -> AsyncGenerator[GridSample]:
        """Open the device and yield a sample for each frame that has a current of every phase.

        While nothing is readable, it tries the other speed in turn.

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
            settings = LineSettings(mode.value, seven_bits=True)
            async with open_stream(self._device, settings, self._clock, self._context) as stream:
                decoder = _LinkyReceiver(self._clock, searching=len(self._modes) > 1)
                while (data := await stream.read(decoder.until_s)) is not None:
                    for sample in decoder.take(data):
                        yield sample
            _log.debug("%s: no readable data at %d baud", self._device, mode.value)
            self._modes.rotate(-1)


class _LinkyReceiver:
    """Decodes the bytes received at one speed, and decides how long to try it."""

    def __init__(self, clock: Clock, *, searching: bool) -> None:
        self._clock = clock
        self._parser = TicParser()
        self._interpreter = LinkyInterpreter()
        self._groups = 0
        self.until_s = clock.monotonic() + _PATIENCE_S if searching else None

    def take(self, data: bytes) -> Iterator[GridSample]:
        """Yield the samples completed by these bytes."""
        received_at = self._clock.now()
        for event in self._parser.feed(data):
            if isinstance(event, TicGroup):
                self._note(event)
            sample = self._interpreter.process(event, received_at)
            if sample is not None:
                yield sample

    def _note(self, group: TicGroup) -> None:
        self._groups += 1
        if self._groups == _CONVINCING_GROUPS:
            _log.info("Linky detected: %s mode", group.mode.name.lower())
        if self._groups >= _CONVINCING_GROUPS and self.until_s is not None:
            self.until_s = self._clock.monotonic() + _PATIENCE_S
