"""The tamper alarm: opening the station stops charging until an authorized person acknowledges it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from station.core.model import Fault
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.database import StorageError
from station.storage.fact_store import save_fact
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.core.hardware.back_plate import BackPlate
    from station.storage.database import Database

_log = logging.getLogger(__name__)

_FACT: Final = "tamper"
_ALARM: Final = "alarm"
_NONE: Final = "none"
_RETRY_S: Final = 10.0
"""seconds until a failed write of the alarm is retried"""


class TamperAlarm:
    """Stops charging at all EVSEs once the station was opened, also across power cuts, until it is acknowledged."""

    def __init__(
        self,
        evses: Iterable[Evse],
        back_plate: BackPlate,
        database: Database,
        security_events: SecurityEvents,
        clock: Clock,
    ) -> None:
        self._evses = tuple(evses)
        self._back_plate = back_plate
        self._database = database
        self._security_events = security_events
        self._clock = clock
        self.alarm = False
        """the station was opened, and this has not been acknowledged"""
        self.alarm_changed: Event[None] = Event()
        """published when the alarm is raised or acknowledged"""
        self._stored = False
        """whether the alarm is on disk"""
        self._event_pending = False
        """whether the security event is still to be reported"""
        self._write_lock = asyncio.Lock()  # serializes writes, so that the disk holds the newest state
        self._opened = ChangeSignal()

    async def load(self) -> None:
        """Load the alarm from disk and set it as a fault of the EVSEs. An unreadable value counts as an alarm.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT value FROM facts WHERE name = ?", (_FACT,))
        text = rows[0][0] if rows else _NONE
        if self._database.unreadable.read(_is_alarm, str(text), RowAddress("facts", _FACT)) is None:
            _log.error("the stored tamper alarm cannot be read: the station counts as opened")
        self._stored = text == _ALARM
        self._raise_alarm(text != _NONE)

    async def run(self) -> None:
        """Store the alarm and report it to the CSMS, until cancelled; failed writes are retried."""
        while True:
            count_before = self._opened.count
            if self._event_pending:
                self._event_pending = False
                await self._security_events.report(SecurityEventType.TAMPER_DETECTION_ACTIVATED)
            async with self._write_lock:
                write_failed = self.alarm and not self._stored and not await self._store_alarm()
            if write_failed:
                await self._clock.sleep(_RETRY_S)
            else:
                await self._opened.wait(count_before)

    def report_opened(self) -> None:
        """Raise the alarm, unless it is raised: set the fault at all EVSEs at once.

        `run` stores it and reports the security event TamperDetectionActivated.
        """
        if not self.alarm:
            self._raise_alarm(True)
            self._event_pending = True
            self._opened.notify()

    async def acknowledge(self) -> None:
        """Clear the alarm, on disk and at all EVSEs, on behalf of an authorized person.

        Raises:
            ValueError: the flap is still open, or open again.
            StorageError: not saved; the alarm stays.
        """
        async with self._write_lock:
            if self._back_plate.view.flap_open:
                raise ValueError("the flap is still open")
            await save_fact(self._database, _FACT, _NONE)
            self._stored = False
            if self._back_plate.view.flap_open:  # opened during the write
                self._opened.notify()
                raise ValueError("the flap is open again")
            self._raise_alarm(False)

    def _raise_alarm(self, alarm: bool) -> None:
        self.alarm = alarm
        for evse in self._evses:
            evse.report_fault(Fault.TAMPER, alarm)
        self.alarm_changed.publish(None)

    async def _store_alarm(self) -> bool:
        try:
            await save_fact(self._database, _FACT, _ALARM)
        except StorageError as error:
            _log.error("the tamper alarm cannot be stored, so a power cut would clear it: %s", error)
            return False
        self._stored = True
        return True


def _is_alarm(text: str) -> bool:
    if text not in {_ALARM, _NONE}:
        raise ValueError(f"must be {_ALARM} or {_NONE}")
    return text == _ALARM
