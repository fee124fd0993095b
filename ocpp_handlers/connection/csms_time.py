"""The station's clock follows the time that the CSMS sends in its responses (B01.FR.06, G02.FR.06)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from foundation.events import Event
from metering.time_quality import TimeSource

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.billing.register_journal.time_quality import TimeQualityMonitor

_log = logging.getLogger(__name__)

_SMALLEST_CORRECTION_S = 1.0


class ClockSynchronization:
    """Corrects the station's clock to the time of the CSMS, if TimeSource has Heartbeat and no better source works."""

    def __init__(self, time: TimeQualityMonitor, clock: Clock) -> None:
        self._time = time
        self._clock = clock
        self.corrected: Event[timedelta] = Event()
        """the correction of the clock; negative if it was set back"""

    def synchronize(self, moment: datetime) -> None:
        """Correct the station's clock if it differs by a second or more from `moment`, the present time of the CSMS.

        If the station does not follow the CSMS, the difference is only noted.
        """
        correction = moment - self._clock.now()
        if not self._time.follows_csms:
            self._time.note_ignored_csms(correction)
        elif abs(correction.total_seconds()) >= _SMALLEST_CORRECTION_S:
            _log.info("clock corrected by %+.1f s to the time of the CSMS", correction.total_seconds())
            self._clock.adjust(correction)
            self._time.note_time_set(TimeSource.CSMS, correction)
            self.corrected.publish(correction)
        else:
            self._time.note_time_set(TimeSource.CSMS, timedelta(0))
