"""What is known of the station's time: who set it, and whether it can be believed (OCMF time status)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from foundation.clock import machine_time
from foundation.events import Event
from foundation.frozen import frozen
from metering.time_quality import UNKNOWN_TIME, TimeQuality, TimeSource, TimeStatus

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.settings import Settings

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 64.0
"""how often the machine's time service is asked; its own polls are no closer together"""
_MISSED_HEARTBEATS = 2
"""a CSMS that has not told the time for so many intervals does not answer"""
_CLOSE = timedelta(seconds=1)
"""a clock that is further from the machine's is not held by its time service"""
UNSET_SOURCES = frozenset({TimeSource.NONE, TimeSource.MACHINE})
"""a clock as the machine has it: what it says may turn out to be wrong"""
_EARLIEST = datetime(2024, 1, 1, tzinfo=UTC)
"""before this program was written it cannot be"""
_STA_UNSYNC = 0x0040
"""the kernel's clock is not synchronized (adjtimex(2))"""
_TIME_ERROR = 5


def kernel_synchronized() -> bool:
    """Whether a time service holds the clock of this machine."""
    import ctypes  # only where somebody asks

    class Timex(ctypes.Structure):
        """struct timex of adjtimex(2), as far as it is read; the rest is room for what the kernel writes."""

        _fields_ = (
            ("modes", ctypes.c_uint),  # 0: ask only
            ("offset", ctypes.c_long),
            ("frequency", ctypes.c_long),
            ("maximum_error", ctypes.c_long),
            ("estimated_error", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 256),
        )

    timex = Timex()
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:  # another system than Linux
        return False
    return adjtimex(ctypes.byref(timex)) not in {-1, _TIME_ERROR} and not timex.status & _STA_UNSYNC


@frozen
class ClockCorrection:
    """The clock was set."""

    by: timedelta
    before: TimeQuality
    """how good the time was until then"""


class TimeQualityMonitor:
    """Says how good the time is, and tells whoever keeps records when it was corrected."""

    def __init__(
        self, clock: Clock, settings: Settings, synchronized: Callable[[], bool] = kernel_synchronized
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._synchronized = synchronized
        self._quality = UNKNOWN_TIME
        self._csms_told_s: float | None = None
        self._ignored_csms = False
        self.corrected = Event[ClockCorrection]()
        """each correction of the clock"""

    @property
    def quality(self) -> TimeQuality:
        """How good the time is now."""
        return self._quality

    @property
    def status(self) -> TimeStatus:
        """The same as a letter of OCMF."""
        return self._quality.status

    def begin(self, latest_known: datetime | None) -> None:
        """The station starts. `latest_known` is the newest time on its records: before that it cannot be.

        Nor is the time known where it stood still without power and nobody has told it since (OCMF: U).
        """
        if self._clock.now() < max(latest_known or _EARLIEST, _EARLIEST):
            _log.warning("the clock stands in the past: the time is not known")
            self._quality = UNKNOWN_TIME
        elif not self._clock.runs_without_power and not self._synchronized():
            _log.warning("the machine has no clock that goes on without power: the time is not known until it is told")
            self._quality = TimeQuality(TimeStatus.UNKNOWN, TimeSource.MACHINE)
        else:
            self._quality = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.MACHINE)

    def note_time_set(self, source: TimeSource, correction: timedelta) -> None:
        """Somebody told the time. The clock was corrected by this, nothing when it was right."""
        if source is TimeSource.CSMS:
            self._csms_told_s = self._clock.monotonic()
        before = self._quality
        status = TimeStatus.SYNCHRONIZED if source is TimeSource.NTP else TimeStatus.INFORMATIVE
        if source is TimeSource.NTP or correction or before.status is not TimeStatus.SYNCHRONIZED:
            self._quality = TimeQuality(status, source)
        if correction:
            self.corrected.publish(ClockCorrection(correction, before))

    def note_ignored_csms(self, difference: timedelta) -> None:
        """Note that a time of the CSMS is not used; logs the reason once if the clock is simulated."""
        if not self._clock.synchronizable and not self._ignored_csms:
            self._ignored_csms = True
            _log.info(
                "the time of the CSMS (%+.1f s) is not used: the simulated clock has its own rate or was advanced"
                " (simulation.follow_csms_time = true uses it)",
                difference.total_seconds(),
            )

    @property
    def follows_csms(self) -> bool:
        """Whether the CSMS sets the clock: not while a time service that comes first holds it (TimeSource).

        Nor does the CSMS set a simulated clock that departs from real time.
        """
        if not self._clock.synchronizable:
            return False
        sources = self._settings.time_source
        return "Heartbeat" in sources and not (self._comes_first("NTP") and self.status is TimeStatus.SYNCHRONIZED)

    async def run(self) -> None:
        """Follow the machine until cancelled: its time service, where that is a source, else whoever sets its clock."""
        while True:
            if "NTP" in self._settings.time_source and self._clock.synchronizable and not self._told_by_csms:
                self._look()
            if self._quality.source in UNSET_SOURCES and abs(step := self._clock.behind_machine()) >= _CLOSE:
                _log.info("the machine's clock was set: %+.1f s", step.total_seconds())
                self._clock.adjust(step)
                self.note_time_set(TimeSource.MACHINE, step)
            await self._clock.sleep(_LOOK_EVERY_S)

    def _comes_first(self, source: str) -> bool:
        return next((one for one in self._settings.time_source if one in {"NTP", "Heartbeat"}), None) == source

    @property
    def _told_by_csms(self) -> bool:
        """Whether the CSMS comes first, and has told the time lately."""
        if not self._comes_first("Heartbeat") or self._csms_told_s is None:
            return False
        return self._clock.monotonic() - self._csms_told_s < _MISSED_HEARTBEATS * self._settings.heartbeat_interval_s

    def _look(self) -> None:
        if not self._synchronized():
            if self._quality.source is TimeSource.NTP:
                self._quality = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.NTP)
            return
        correction = machine_time() - self._clock.now()
        if abs(correction) < _CLOSE:
            correction = timedelta(0)
        else:
            self._clock.adjust(correction)
        self.note_time_set(TimeSource.NTP, correction)
