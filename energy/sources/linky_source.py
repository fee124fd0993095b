"""Grid source for a Linky meter on a serial device: detects its speed and yields samples."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from energy.sources.byte_stream import LineSettings
from energy.sources.line_search import LineCandidate, LineSearchSource
from energy.sources.linky_interpreter import LinkyInterpreter
from energy.sources.tic import TicGroup, TicMode, TicParser

if TYPE_CHECKING:
    from energy.grid import GridSample
    from energy.sources.source_context import SourceContext
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_SPEED_TIMEOUT_S: Final = 5.0
"""time for which one speed is tried: more than two of the longest frames, 2.3 s each"""
_MIN_VALID_GROUPS: Final = 3
"""number of valid groups that confirm the speed: the checksum has six bits, so noise may pass it once"""


def linky_source(
    device: str, mode: Literal["auto", "historique", "standard"], clock: Clock, context: SourceContext
) -> LineSearchSource:
    """Make the source: a sample for each frame that has a current of every phase."""
    modes = tuple(TicMode) if mode == "auto" else (TicMode[mode.upper()],)
    candidates = [
        LineCandidate(
            LineSettings(tried.value, seven_bits=True),
            lambda searching: _LinkyReceiver(clock, searching=searching),
            f"no readable data at {tried.value} baud",
        )
        for tried in modes
    ]
    return LineSearchSource("linky", device, candidates, clock, context)


class _LinkyReceiver:
    """Decodes the bytes received at one speed, and decides how long to try it."""

    def __init__(self, clock: Clock, *, searching: bool) -> None:
        self._clock = clock
        self._parser = TicParser()
        self._interpreter = LinkyInterpreter()
        self._valid_groups = 0
        self.until_s = clock.monotonic() + _SPEED_TIMEOUT_S if searching else None

    def take(self, data: bytes) -> Iterator[GridSample]:
        """Yield the samples completed by these bytes."""
        received_at = self._clock.now()
        for event in self._parser.feed(data):
            if isinstance(event, TicGroup):
                self._count_group(event)
            sample = self._interpreter.process(event, received_at)
            if sample is not None:
                yield sample

    def _count_group(self, group: TicGroup) -> None:
        self._valid_groups += 1
        if self._valid_groups == _MIN_VALID_GROUPS:
            _log.info("Linky detected: %s mode", group.mode.name.lower())
        if self._valid_groups >= _MIN_VALID_GROUPS and self.until_s is not None:
            self.until_s = self._clock.monotonic() + _SPEED_TIMEOUT_S
