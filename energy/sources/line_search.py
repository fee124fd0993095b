"""Grid source of a meter that only sends, on a line whose settings may not be known: they are tried in turn."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from energy.grid import GridSample, SourceError
from energy.sources.byte_stream import LineSettings, StreamError, open_stream
from energy.sources.stream_device import is_socket
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from energy.sources.source_context import SourceContext
    from foundation.clock import Clock

_log = logging.getLogger(__name__)


class Receiver(Protocol):
    """Decodes the bytes received with one setting of the line, and decides how long to try it."""

    @property
    def until_s(self) -> float | None:
        """The moment of Clock.monotonic at which the next settings are tried if nothing arrives; None: never."""
        ...

    def take(self, data: bytes) -> Iterator[GridSample]:
        """Yield the samples completed by these bytes."""
        ...


class LineCandidate(Frozen):
    """Settings of a line that a meter may use."""

    settings: LineSettings
    receiver: Callable[[bool], Receiver]
    """creates the decoder of one connection; the argument is whether other settings are tried too"""
    unreadable: str
    """for the log, when nothing was decoded: what was missing"""


class LineSearchSource:
    """Grid source: a meter on a serial line. Silence is no error: the caller tracks the age of its values."""

    def __init__(
        self, meter: str, device: str, candidates: Sequence[LineCandidate], clock: Clock, context: SourceContext
    ) -> None:
        """Create the source, which opens nothing yet.

        `meter`: names it in errors; `candidates`: the settings, the most likely first.
        """
        self._meter = meter
        self._device = device
        # a serial server has its own settings
        self._untried_settings = deque(candidates[:1] if is_socket(device) else candidates)
        self._clock = clock
        self._context = context

    async def samples(self) -> AsyncGenerator[GridSample]:
        """Open the device and yield the samples that the meter sends.

        While nothing is readable, it tries the other settings in turn.

        Raises:
            SourceError: the device is missing, busy, or lost.
        """
        try:
            async with contextlib.aclosing(self._receive_samples()) as samples:
                async for sample in samples:
                    yield sample
        except StreamError as error:
            raise SourceError(f"{self._meter}: {error}") from error

    async def _receive_samples(self) -> AsyncGenerator[GridSample]:
        while True:
            candidate = self._untried_settings[0]
            async with open_stream(self._device, candidate.settings, self._clock, self._context) as stream:
                receiver = candidate.receiver(len(self._untried_settings) > 1)
                while (data := await stream.read(receiver.until_s)) is not None:
                    for sample in receiver.take(data):
                        yield sample
            _log.debug("%s: %s", self._device, candidate.unreadable)
            self._untried_settings.rotate(-1)
