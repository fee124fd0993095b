"""The tamper switch: who opened the station without leave, and that nobody charges until it has been looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
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
_REFUSED_S: Final = 10.0
"""a disk that does not take the alarm is asked again so much later"""


class TamperAlarm:
    """Remembers an opening, across power cuts, until somebody answers for it."""

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
        """the station was opened, and nobody has answered for it"""
        self._kept = False
        """whether the alarm is on disk"""
        self._to_report = False
        """whether it waits for its place in the security log"""
        self._turn = asyncio.Lock()  # what is written last is what is in force
        self._opened = ChangeSignal()

    async def load(self) -> None:
        """Take the alarm that is on disk. What cannot be read is one.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT value FROM facts WHERE name = ?", (_FACT,))
        word = rows[0][0] if rows else _NONE
        if self._database.unreadable.read(_alarm, str(word), RowAddress("facts", _FACT)) is None:
            _log.error("whether the station was opened cannot be read: it counts as opened")
        self._kept = word == _ALARM
        self._raise_alarm(word != _NONE)

    async def run(self) -> None:
        """Bring the alarm to the disk and to the CSMS, until cancelled; a disk that refuses is asked again."""
        while True:
            seen = self._opened.count
            if self._to_report:
                self._to_report = False
                await self._security_events.report(SecurityEventType.TAMPER_DETECTION_ACTIVATED)
            async with self._turn:
                refused = self.alarm and not self._kept and not await self._keep_alarm()
            if refused:
                await self._clock.sleep(_REFUSED_S)
            else:
                await self._opened.wait(seen)

    def opened(self) -> None:
        """The station is being opened: no energy from now on, and the CSMS learns it (TamperDetectionActivated)."""
        if not self.alarm:
            self._raise_alarm(True)
            self._to_report = True
            self._opened.notify()

    async def acknowledge(self) -> None:
        """Somebody who may do so has looked at it.

        Raises:
            ValueError: the flap is still open, or open again.
            StorageError: the alarm stays.
        """
        async with self._turn:
            if self._back_plate.view.flap_open:
                raise ValueError("the flap is still open")
            await save_fact(self._database, _FACT, _NONE)
            self._kept = False
            if self._back_plate.view.flap_open:  # while the disk wrote
                self._opened.notify()
                raise ValueError("the flap is open again")
            self._raise_alarm(False)

    def _raise_alarm(self, alarm: bool) -> None:
        self.alarm = alarm
        for evse in self._evses:
            evse.report_fault(Fault.TAMPER, alarm)

    async def _keep_alarm(self) -> bool:
        try:
            await save_fact(self._database, _FACT, _ALARM)
        except StorageError as error:
            _log.error("the alarm is in force, but a power cut would end it: %s", error)
            return False
        self._kept = True
        return True


def _alarm(word: str) -> bool:
    if word not in {_ALARM, _NONE}:
        raise ValueError("does not say whether the station was opened")
    return word == _ALARM
