"""Stores the limits that the grid meter reports, and how long it has been silent, over restarts.

Without it, a restart would forget a fuse that only the meter knows, and a station that restarts again and again beside
a silent meter would allow the safe current for ever.
"""

from __future__ import annotations

import json
import logging
import math
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from energy.failsafe import HOLD_S
from energy.meter_limits import ReportedLimits, StoredMeterState
from foundation.bounds import POWER_W
from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.json_values import parse_object
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
"""Longest silence that is counted. A longer time between two runs is not added: the clock may have been wrong."""
_MIN_GROWTH: Final = 0.1
"""part by which a stored silence must have grown to be written again"""
_LIMITS: Final = "limits"
_SILENCE: Final = "silence"
_HIGHEST: Final = POWER_W.highest
"""in amperes, volt-amperes, watts or seconds: a higher stored value is damaged"""


class _Silence(Frozen):
    """A stored silence of the meter."""

    silent_s: float
    """seconds that it had lasted; 0: the meter was sending"""
    at: datetime
    """wall time at which it was stored"""


class GridMeterStateStore:
    """Stores the limits that the grid meter reports, and its silence, and reads them at the next start.

    Values of a meter of another type are ignored. `source`: the configured type.
    """

    def __init__(self, facts: FactStore, source: str, clock: Clock) -> None:
        self._facts = facts
        self._source = source
        self._clock = clock
        self._stored_limits = ReportedLimits()
        self._stored_silent_s = 0.0
        self._limits_written_s = self._silence_written_s = -math.inf
        self._limits, self._silent_s = self._stored_limits, 0.0
        self._write_due = ChangeSignal()

    async def load(self) -> StoredMeterState:
        """Read the state that an earlier run has stored.

        Raises:
            StorageError: the disk cannot be read.
        """
        texts = await self._facts.load()
        if (limits := self._read_fact(texts, _LIMITS, self._parse_limits)) is not None:
            self._stored_limits = self._limits = limits
        silence = self._read_fact(texts, _SILENCE, self._parse_silence)
        if silence is None or silence.silent_s == 0.0:
            return StoredMeterState(self._stored_limits)
        off_s = (self._clock.now() - silence.at).total_seconds()
        # Each start adds HOLD_S, even if the clock cannot show how long the program was off.
        silent_s = silence.silent_s + (off_s if HOLD_S <= off_s <= LONGEST_S else HOLD_S)
        self._stored_silent_s, self._silent_s = silence.silent_s, min(silent_s, LONGEST_S)
        return StoredMeterState(self._stored_limits, self._silent_s)

    def update(self, monitor: ConnectionMonitor) -> None:
        """Take over limits and silence from the monitor, for `run` to store; called after each decision."""
        self._limits = monitor.reported
        self._silent_s = min(monitor.silent_s, LONGEST_S) if monitor.is_silent else 0.0
        if self._limits_due or self._silence_due:
            self._write_due.notify()

    async def run(self) -> None:
        """Store changes until cancelled, each fact at most once in `WRITE_EVERY_S`, a lower limit sooner."""
        count_before = 0
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
                _log.error("limits and silence of the grid meter cannot be stored: %s", error)
            count_before = await self._write_due.wait(count_before)

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
        if self._silent_s <= HOLD_S:  # the meter sends, or the station has just started
            return self._stored_silent_s > 0.0 and self._silent_s == 0.0
        is_first = self._silence_written_s == -math.inf or self._stored_silent_s == 0.0
        step_s = 0.0 if is_first else max(WRITE_EVERY_S, _MIN_GROWTH * self._stored_silent_s)
        return self._silent_s > self._stored_silent_s + step_s

    def _read_fact(self, texts: Mapping[str, str], name: str, parse: Callable[[dict[str, object]], T]) -> T | None:
        """Parse a stored fact; None: there is none, it is of another meter, or it cannot be read, which is logged."""
        if name not in texts:
            return None

        def parse_own(text: str) -> tuple[T] | tuple[()]:
            stored = parse_object(text)
            return (parse(stored),) if stored["source"] == self._source else ()

        if (parsed := self._facts.read(name, parse_own, texts[name])) is None:
            _log.error("the stored fact %s of the grid meter cannot be read and is ignored", name)
            return None
        return parsed[0] if parsed else None

    @staticmethod
    def _parse_limits(stored: dict[str, object]) -> ReportedLimits:
        return ReportedLimits(
            subscribed_a=_non_negative(stored["subscribed_a"]),
            cut_off_va=_non_negative(stored["cut_off_va"]),
            fuse_a=_non_negative(stored["fuse_a"]),
            limiter_w=_non_negative(stored["limiter_w"]),
        )

    @staticmethod
    def _parse_silence(stored: dict[str, object]) -> _Silence:
        at = datetime.fromisoformat(str(stored["at"]))
        if at.tzinfo is None:
            raise ValueError("at: must have an offset from UTC")
        return _Silence(_non_negative(stored["silent_s"]) or 0.0, at)

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


def _non_negative(value: object) -> float | None:
    """Parse a stored number that must not be negative; None stays None.

    Raises:
        ValueError: it is not a number, or outside the bounds.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= _HIGHEST:
        raise ValueError(f"must be a number from 0 to {_HIGHEST:g}")
    return float(value)
