"""The tamper switch: who opened the station without leave, and that nobody charges until it has been looked at."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from station.model import Fault
from station.records.fact_store import save_fact
from station.security.security_events import SecurityEvents, SecurityEventType

if TYPE_CHECKING:
    from station.evse import Evse
    from station.records.database import Database

_log = logging.getLogger(__name__)

_FACT = "tamper"


class Tamper:
    """Remembers an opening, across power cuts, until somebody answers for it."""

    def __init__(self, evses: Iterable[Evse], database: Database, security_events: SecurityEvents) -> None:
        self._evses = tuple(evses)
        self._database = database
        self._security_events = security_events
        self.flap_open: Callable[[], bool] = lambda: False
        """whether the flap is open now"""
        self.alarm = False
        """the station was opened, and nobody has answered for it"""

    async def load(self) -> None:
        """Take the alarm that is on disk.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT value FROM facts WHERE name = ?", (_FACT,))
        if rows and rows[0][0] == "alarm":
            self._raise_alarm(True)

    async def opened(self) -> None:
        """The station is being opened: no energy from now on, and the CSMS learns it (TamperDetectionActivated).

        Raises:
            StorageError: the alarm is in force, but a power cut would end it.
        """
        if self.alarm:
            return
        self._raise_alarm(True)
        await self._security_events.report(SecurityEventType.TAMPER_DETECTION_ACTIVATED)
        await self._save("alarm")

    async def answer_for(self) -> None:
        """Somebody who may do so has looked at it.

        Raises:
            ValueError: the flap is still open.
            StorageError: the alarm stays.
        """
        if self.flap_open():
            raise ValueError("the flap is still open")
        await self._save("none")
        self._raise_alarm(False)

    def _raise_alarm(self, alarm: bool) -> None:
        self.alarm = alarm
        for evse in self._evses:
            evse.report_fault(Fault.TAMPER, alarm)

    async def _save(self, value: str) -> None:
        await save_fact(self._database, _FACT, value)
