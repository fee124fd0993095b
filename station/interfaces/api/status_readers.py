"""Reads the parts of the status report on time and storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from station.core.local_time import local_time

if TYPE_CHECKING:
    from datetime import datetime

    from foundation.clock import Clock
    from station.billing.register_journal.time_quality import TimeQualityMonitor
    from station.core.clock_settings import ClockSettings
    from station.interfaces.status_report import QueueStatus, SafeStartStatus, UnreadableRowsStatus
    from station.maintenance.safe_start import SafeStart
    from station.storage.outbox import Outbox
    from station.storage.unreadable_rows import UnreadableRows

_MAX_UNREADABLE: Final = 20


class TimeStatusReader:
    """Provides the parts of the status report on the station's time."""

    def __init__(self, settings: ClockSettings, time: TimeQualityMonitor, clock: Clock) -> None:
        self._settings = settings
        self._time = time
        self._clock = clock

    @property
    def follows_csms(self) -> bool:
        """Whether the station sets its clock by the time of the CSMS."""
        return self._time.follows_csms

    @property
    def time_zone(self) -> str:
        """The name of the time zone, as it is set."""
        return self._settings.time_zone

    def local_time(self) -> datetime:
        """The time now, in the zone of the station."""
        return local_time(self._clock.now(), self._settings)


class StorageStatusReader:
    """Provides the parts of the status report on stored data."""

    def __init__(self, outbox: Outbox, unreadable_rows: UnreadableRows, safe_start: SafeStart) -> None:
        self._outbox = outbox
        self._unreadable_rows = unreadable_rows
        self._safe_start = safe_start

    async def queue(self) -> QueueStatus:
        """How many transaction events wait for the CSMS.

        Raises:
            StorageError: the records cannot be read.
        """
        return {"transaction_events": await self._outbox.count_waiting()}

    def safe_start(self) -> SafeStartStatus | None:
        """The safe start with what it has set aside; None: the station started normally."""
        state = self._safe_start.state
        if state.since is None:
            return None
        return {
            "since": state.since.isoformat(),
            "cause": state.cause,
            "set_aside": [
                {"kind": name, "rows": count, "failed": name in state.suspects}
                for name, count in self._safe_start.rows.counts.items()
            ],
            "trial": state.trial,
            "ends": state.ends,
        }

    def unreadable_rows(self) -> UnreadableRowsStatus:
        """The stored rows that cannot be read: their number, and the first of them."""
        rows = self._unreadable_rows.all()
        return {
            "count": len(rows),
            "rows": [
                {
                    "table": row.address.source,
                    "row": row.address.key,
                    "transaction_id": row.address.transaction_id,
                    "seq_no": row.address.seq_no,
                    "problem": row.problem,
                    "found_at": row.found_at.isoformat(),
                }
                for row in rows[:_MAX_UNREADABLE]
            ],
        }
