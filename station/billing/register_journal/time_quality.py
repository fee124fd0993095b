"""Quality of the station's time: its source and its status (OCMF time status)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from foundation.clock import machine_time
from foundation.events import Event
from foundation.frozen import Frozen
from metering.time_quality import UNKNOWN_TIME, TimeQuality, TimeSource, TimeStatus

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.clock_settings import ClockSettings

_log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 64.0
"""poll interval of the machine's time service; its own polls are no more frequent"""
_MISSED_HEARTBEATS = 2
"""after this many intervals without a time from the CSMS, the CSMS counts as absent"""
_TOLERANCE = timedelta(seconds=1)
"""a larger difference to the machine's clock is corrected"""
UNSET_SOURCES = frozenset({TimeSource.NONE, TimeSource.MACHINE})
"""sources without a known reference: the time may turn out to be wrong"""
_EARLIEST = datetime(2024, 1, 1, tzinfo=UTC)
"""an earlier time is wrong: the program did not exist yet"""
_STA_UNSYNC = 0x0040
"""the kernel's clock is not synchronized (adjtimex(2))"""
_TIME_ERROR = 5


def kernel_synchronized() -> bool:
    """Ask the kernel whether a time service synchronizes the clock of this machine; False if it is not Linux."""
    import ctypes  # late: rarely needed

    class Timex(ctypes.Structure):
        """struct timex of adjtimex(2), the fields that are read; the rest is space for what the kernel writes."""

        _fields_ = (
            ("modes", ctypes.c_uint),  # 0: read only
            ("offset", ctypes.c_long),
            ("frequency", ctypes.c_long),
            ("maximum_error", ctypes.c_long),
            ("estimated_error", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 256),
        )

    timex = Timex()
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:  # not Linux
        return False
    return adjtimex(ctypes.byref(timex)) not in {-1, _TIME_ERROR} and not timex.status & _STA_UNSYNC


class ClockCorrection(Frozen):
    """A correction of the station's clock, as `TimeQualityMonitor.corrected` publishes it."""

    by: timedelta
    """added to the clock; negative: it was set back"""
    before: TimeQuality
    """time quality before the correction"""


class TimeQualityMonitor:
    """Tracks how reliable the station's clock is, lets the machine's time correct it, and publishes all corrections."""

    def __init__(
        self,
        clock: Clock,
        settings: ClockSettings,
        heartbeat_interval_s: Callable[[], int],
        synchronized: Callable[[], bool] = kernel_synchronized,
    ) -> None:
        """`heartbeat_interval_s`: how often the CSMS states the time, as set now."""
        self._clock = clock
        self._settings = settings
        self._heartbeat_interval_s = heartbeat_interval_s
        self._is_synchronized = synchronized
        self._quality = UNKNOWN_TIME
        self._csms_time_received_at_s: float | None = None
        """when the CSMS last provided the time (Clock.monotonic); None: never"""
        self._ignored_csms_logged = False
        self.corrected: Event[ClockCorrection] = Event()
        """published at each correction of the clock"""
        self.offset: timedelta | None = None
        """what the clock lacked to the time of its source when that was last compared; None: never compared"""
        self.compared: Event[None] = Event()
        """published after each comparison of the clock with a source"""

    @property
    def quality(self) -> TimeQuality:
        """Source and status of the station's time now."""
        return self._quality

    @property
    def status(self) -> TimeStatus:
        """How reliable the station's time is now, as OCMF time status."""
        return self._quality.status

    def begin(self, latest_known: datetime | None) -> None:
        """Set the time quality at the start; `latest_known`: newest recorded time, an earlier clock is wrong.

        The status is also unknown (OCMF: U) if the clock stops without power and has not been set since.
        """
        if self._clock.now() < max(latest_known or _EARLIEST, _EARLIEST):
            _log.warning("the clock is set to a time in the past: the time is unknown until it is set")
            self._quality = UNKNOWN_TIME
        elif not self._clock.runs_without_power and not self._is_synchronized():
            _log.warning("the machine has no clock that runs without power: the time is unknown until it is set")
            self._quality = TimeQuality(TimeStatus.UNKNOWN, TimeSource.MACHINE)
        else:
            self._quality = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.MACHINE)

    def note_time_set(self, source: TimeSource, correction: timedelta) -> None:
        """Update the time quality after a source provided the time; publish the correction. Sets no clock.

        `correction`: what the caller has added to the clock; zero: it was right, nothing is published.
        """
        if source is TimeSource.CSMS:
            self._csms_time_received_at_s = self._clock.monotonic()
        before = self._quality
        status = TimeStatus.SYNCHRONIZED if source is TimeSource.NTP else TimeStatus.INFORMATIVE
        if source is TimeSource.NTP or correction or before.status is not TimeStatus.SYNCHRONIZED:
            self._quality = TimeQuality(status, source)
        self._note_offset(correction)
        if correction:
            self.corrected.publish(ClockCorrection(correction, before))

    def note_ignored_csms(self, difference: timedelta) -> None:
        """Log once, if the clock is simulated, why the time of the CSMS is not used; nothing else follows.

        `difference`: time of the CSMS less the station's.
        """
        self._note_offset(difference)
        if not self._clock.synchronizable and not self._ignored_csms_logged:
            self._ignored_csms_logged = True
            _log.info(
                "the time of the CSMS (%+.1f s) is ignored: the simulated clock has its own rate or was advanced"
                " (simulation.follow_csms_time = true would apply it)",
                difference.total_seconds(),
            )

    def _note_offset(self, offset: timedelta) -> None:
        self.offset = offset
        self.compared.publish(None)

    @property
    def follows_csms(self) -> bool:
        """Whether the CSMS sets the clock: not while a time service with precedence synchronizes it (TimeSource).

        Nor does the CSMS set a simulated clock that departs from real time.
        """
        if not self._clock.synchronizable:
            return False
        sources = self._settings.time_source
        return "Heartbeat" in sources and not (
            self._is_preferred_source("NTP") and self.status is TimeStatus.SYNCHRONIZED
        )

    async def run(self) -> None:
        """Correct the station's clock by the machine's, until cancelled.

        By its time service, if NTP is a time source and the CSMS has no precedence; by any change of the machine's
        clock while the time has no better source.
        """
        while True:
            if "NTP" in self._settings.time_source and self._clock.synchronizable and not self._csms_has_precedence:
                self._follow_time_service()
            if self._quality.source in UNSET_SOURCES and abs(step := self._clock.behind_machine()) >= _TOLERANCE:
                _log.info("the machine's clock was set: %+.1f s", step.total_seconds())
                self._clock.adjust(step)
                self.note_time_set(TimeSource.MACHINE, step)
            await self._clock.sleep(_POLL_INTERVAL_S)

    def _is_preferred_source(self, source: str) -> bool:
        return (
            next((configured for configured in self._settings.time_source if configured in {"NTP", "Heartbeat"}), None)
            == source
        )

    @property
    def _csms_has_precedence(self) -> bool:
        """Whether the CSMS has precedence, and has sent the time recently."""
        if not self._is_preferred_source("Heartbeat") or self._csms_time_received_at_s is None:
            return False
        return (
            self._clock.monotonic() - self._csms_time_received_at_s < _MISSED_HEARTBEATS * self._heartbeat_interval_s()
        )

    def _follow_time_service(self) -> None:
        """Correct the station's clock by the machine's while a time service (NTP) synchronizes the latter.

        Once it no longer does, the time that came from it is informative only.
        """
        if not self._is_synchronized():
            if self._quality.source is TimeSource.NTP:
                self._quality = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.NTP)
            return
        correction = machine_time() - self._clock.now()
        if abs(correction) < _TOLERANCE:
            correction = timedelta(0)
        else:
            self._clock.adjust(correction)
        self.note_time_set(TimeSource.NTP, correction)
