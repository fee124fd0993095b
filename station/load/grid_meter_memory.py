"""Keeps on disk what the grid meter has reported and for how long it has been silent: both outlive a start.

Without it, a start would forget a fuse that only the meter knows, and a station that starts again and again beside a
silent meter would hold the safe current for ever.
"""

from __future__ import annotations

import json
import logging
import math
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar, cast

from energy.failsafe import HOLD_S
from energy.meter_limits import MeterMemory, ReportedLimits
from foundation.bounds import POWER_W
from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from energy.connection import ConnectionMonitor
    from foundation.clock import Clock
    from station.storage.fact_store import FactStore

T = TypeVar("T")

_log = logging.getLogger(__name__)

WRITE_EVERY_S: Final = 60.0
"""shortest time between two writes of a fact, for the flash memory; a lower limit is written at once"""
LONGEST_S: Final = 86_400.0
"""A silence is not counted beyond this. Nor is a longer time without power: the station's clock may have been wrong at
its begin or its end."""
_STEP: Final = 0.1
"""part by which a silence has grown when it is written again"""
_LIMITS: Final = "limits"
_SILENCE: Final = "silence"
_MOST: Final = POWER_W.highest
"""amperes, volt-amperes or watts: no connection has more"""


class _Silence(Frozen):
    """A stored silence: how long it had lasted at a wall time; 0: the meter was heard."""

    silent_s: float
    at: datetime


class GridMeterMemory:
    """Stores the limits that the grid meter reports, and its silence, and reads them at the next start.

    What a meter of another type has left is not used: `source` is the configured type.
    """

    def __init__(self, facts: FactStore, source: str, clock: Clock) -> None:
        self._facts = facts
        self._source = source
        self._clock = clock
        self._stored_limits = ReportedLimits()
        self._stored_silent_s = 0.0
        self._limits_written_s = self._silence_written_s = -math.inf
        self._limits, self._silent_s = self._stored_limits, 0.0
        self._due = ChangeSignal()

    async def load(self) -> MeterMemory:
        """Read what an earlier run has left.

        Raises:
            StorageError: the disk cannot be read.
        """
        texts = await self._facts.load()
        if (limits := self._read(texts, _LIMITS, self._parse_limits)) is not None:
            self._stored_limits = self._limits = limits
        silence = self._read(texts, _SILENCE, self._parse_silence)
        if silence is None or silence.silent_s == 0.0:
            return MeterMemory(self._stored_limits)
        off_s = (self._clock.now() - silence.at).total_seconds()
        # Each start counts for a little, even if the clock cannot tell how long the program was off.
        silent_s = silence.silent_s + (off_s if HOLD_S <= off_s <= LONGEST_S else HOLD_S)
        self._stored_silent_s, self._silent_s = silence.silent_s, min(silent_s, LONGEST_S)
        return MeterMemory(self._stored_limits, self._silent_s)

    def update(self, monitor: ConnectionMonitor) -> None:
        """Take what the meter reports now, and its silence; called after each decision, writes nothing itself."""
        self._limits = monitor.reported
        self._silent_s = min(monitor.silent_s, LONGEST_S) if monitor.is_silent else 0.0
        if self._limits_due or self._silence_due:
            self._due.notify()

    async def run(self) -> None:
        """Task until cancelled: write what has changed, at most once in `WRITE_EVERY_S`."""
        seen = 0
        while True:
            try:
                if self._limits_due:
                    self._limits_written_s, limits = self._clock.monotonic(), self._limits
                    await self._facts.save(_LIMITS, self._limits_text(limits))
                    self._stored_limits = limits
                if self._silence_due:
                    self._silence_written_s, silent_s = self._clock.monotonic(), self._silent_s
                    await self._facts.save(_SILENCE, self._silence_text(silent_s))
                    self._stored_silent_s = silent_s
            except StorageError as error:
                _log.error("what the grid meter has reported cannot be stored: %s", error)
            seen = await self._due.wait(seen)

    @property
    def _limits_due(self) -> bool:
        if self._limits == self._stored_limits:
            return False
        waited_s = self._clock.monotonic() - self._limits_written_s
        return waited_s >= WRITE_EVERY_S or (
            self._limits.restrict_more_than(self._stored_limits) and waited_s >= HOLD_S
        )

    @property
    def _silence_due(self) -> bool:
        if self._clock.monotonic() - self._silence_written_s < WRITE_EVERY_S:
            return False
        if self._silent_s <= HOLD_S:  # the meter is heard, or the station has just started
            return self._stored_silent_s > 0.0 and self._silent_s == 0.0
        first = self._silence_written_s == -math.inf or self._stored_silent_s == 0.0
        step_s = 0.0 if first else max(WRITE_EVERY_S, _STEP * self._stored_silent_s)
        return self._silent_s > self._stored_silent_s + step_s

    def _read(self, texts: Mapping[str, str], name: str, parse: Callable[[dict[str, object]], T]) -> T | None:
        """Parse a stored fact; None: there is none, it is of another meter, or it cannot be read, which is logged."""
        if name not in texts:
            return None

        def parse_own(text: str) -> tuple[T] | tuple[()]:
            stored = cast("dict[str, object]", json.loads(text))
            return (parse(stored),) if stored["source"] == self._source else ()

        if (found := self._facts.read(name, parse_own, texts[name])) is None:
            _log.error("what the grid meter had reported before the start cannot be read and is ignored: %s", name)
            return None
        return found[0] if found else None

    @staticmethod
    def _parse_limits(stored: dict[str, object]) -> ReportedLimits:
        return ReportedLimits(
            subscribed_a=_positive(stored["subscribed_a"]),
            cut_off_va=_positive(stored["cut_off_va"]),
            fuse_a=_positive(stored["fuse_a"]),
            limiter_w=_positive(stored["limiter_w"]),
        )

    @staticmethod
    def _parse_silence(stored: dict[str, object]) -> _Silence:
        return _Silence(_positive(stored["silent_s"]) or 0.0, datetime.fromisoformat(str(stored["at"])))

    def _limits_text(self, limits: ReportedLimits) -> str:
        values: dict[str, object] = {
            "subscribed_a": limits.subscribed_a,
            "cut_off_va": limits.cut_off_va,
            "fuse_a": limits.fuse_a,
            "limiter_w": limits.limiter_w,
        }
        return json.dumps({"source": self._source} | values)

    def _silence_text(self, silent_s: float) -> str:
        at = self._clock.now().isoformat()
        return json.dumps({"source": self._source, "silent_s": round(silent_s, 1), "at": at})


def _positive(value: object) -> float | None:
    """A stored number, which is not negative; None is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= _MOST:
        raise ValueError(f"must be a number from 0 to {_MOST:g}")
    return float(value)
