"""What is known of the station's time: who set it, and whether it can be believed (OCMF time status)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from metering.clock import SystemClock
from metering.time_quality import UNKNOWN_TIME, TimeQuality, TimeSource, TimeStatus

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.settings import Settings

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 64.0
"""how often the machine's time service is asked; its own polls are no closer together"""
_CLOSE = timedelta(seconds=1)
"""a clock that is further from the machine's is not held by its time service"""
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


class TimeKeeper:
    """Says how good the time is, and tells whoever keeps records when it was corrected."""

    def __init__(
        self, clock: Clock, settings: Settings, synchronized: Callable[[], bool] = kernel_synchronized
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._synchronized = synchronized
        self._quality = UNKNOWN_TIME
        self.on_corrected: list[Callable[[timedelta, TimeQuality], None]] = []
        """told of each correction, and how good the time was before it"""

    @property
    def quality(self) -> TimeQuality:
        """How good the time is now."""
        return self._quality

    @property
    def status(self) -> TimeStatus:
        """The same as a letter of OCMF."""
        return self._quality.status

    def begin(self, latest_known: datetime | None) -> None:
        """The station starts. `latest_known` is the newest time on its records: before that it cannot be."""
        if latest_known is not None and self._clock.now() < latest_known:
            _log.warning("the clock stands before the last entry of the record: the time is not known")
            self._quality = UNKNOWN_TIME
        else:
            self._quality = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.MACHINE)

    def heard(self, source: TimeSource, correction: timedelta) -> None:
        """Somebody told the time. The clock was corrected by this, nothing when it was right."""
        before = self._quality
        status = TimeStatus.SYNCHRONIZED if source is TimeSource.NTP else TimeStatus.INFORMATIVE
        if source is TimeSource.NTP or correction or before.status is not TimeStatus.SYNCHRONIZED:
            self._quality = TimeQuality(status, source)
        if correction:
            for told in self.on_corrected:
                told(correction, before)

    async def run(self) -> None:
        """Follow the machine's time service until cancelled, where NTP is a time source (ClockCtrlr.TimeSource)."""
        machine = SystemClock()
        while True:
            if "NTP" in self._settings.time_source:
                self._look(machine)
            await self._clock.sleep(_LOOK_EVERY_S)

    def _look(self, machine: Clock) -> None:
        if not self._synchronized():
            if self._quality.source is TimeSource.NTP:
                self._quality = TimeQuality(TimeStatus.INFORMATIVE, TimeSource.NTP)
            return
        correction = machine.now() - self._clock.now()
        if abs(correction) < _CLOSE:
            correction = timedelta(0)
        else:
            self._clock.adjust(correction)
        self.heard(TimeSource.NTP, correction)
