"""The security log, and the queue of critical security events to the CSMS (OCPP 2.0.1 A04, part 2 appendix 1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.events import Event
from foundation.frozen import Frozen
from foundation.waiting import Flag
from station.storage.database import Database, StorageError
from station.storage.unreadable_rows import RowAddress, select_unreadable

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.sql import Row

_log = logging.getLogger(__name__)

MAX_LOG_ENTRIES = 2_000
"""maximum number of entries; the oldest are deleted (A04.FR.04)"""
MAX_UNSENT = 10_000
"""an event is deleted after this many later ones, even if not sent"""
_TABLE = "security_events"
_INSERT = "INSERT INTO security_events (type, occurred_at, info, to_tell) VALUES (?, ?, ?, ?)"
_DELETE_OLD = """
    DELETE FROM security_events
    WHERE id <= (SELECT MAX(id) FROM security_events) - CASE to_tell WHEN 0 THEN ? ELSE ? END
"""
_MAX_UNSAVED = 50
_LONGEST_INFO = 255
"""techInfo of SecurityEventNotificationRequest"""


class SecurityEventType(StrEnum):
    """The types of security events: those of part 2, appendix 1, and three of this station."""

    FIRMWARE_UPDATED = "FirmwareUpdated"
    FAILED_TO_AUTHENTICATE_AT_CSMS = "FailedToAuthenticateAtCsms"
    CSMS_FAILED_TO_AUTHENTICATE = "CsmsFailedToAuthenticate"
    SETTING_SYSTEM_TIME = "SettingSystemTime"
    STARTUP_OF_THE_DEVICE = "StartupOfTheDevice"
    RESET_OR_REBOOT = "ResetOrReboot"
    SECURITY_LOG_WAS_CLEARED = "SecurityLogWasCleared"
    RECONFIGURATION_OF_SECURITY_PARAMETERS = "ReconfigurationOfSecurityParameters"
    MEMORY_EXHAUSTION = "MemoryExhaustion"
    INVALID_MESSAGES = "InvalidMessages"
    ATTEMPTED_REPLAY_ATTACKS = "AttemptedReplayAttacks"
    TAMPER_DETECTION_ACTIVATED = "TamperDetectionActivated"
    INVALID_FIRMWARE_SIGNATURE = "InvalidFirmwareSignature"
    INVALID_FIRMWARE_SIGNING_CERTIFICATE = "InvalidFirmwareSigningCertificate"
    INVALID_CSMS_CERTIFICATE = "InvalidCsmsCertificate"
    INVALID_CHARGING_STATION_CERTIFICATE = "InvalidChargingStationCertificate"
    INVALID_TLS_VERSION = "InvalidTLSVersion"
    INVALID_TLS_CIPHER_SUITE = "InvalidTLSCipherSuite"
    MAINTENANCE_LOGIN_ACCEPTED = "MaintenanceLoginAccepted"
    MAINTENANCE_LOGIN_FAILED = "MaintenanceLoginFailed"
    DISCARDED_RENEWED_CLIENT_CERTIFICATE = "DiscardedRenewedClientCertificate"
    """A02.FR.29, added by the errata 2025-09"""
    UNREADABLE_RECORD = "UnreadableRecord"
    """not in the standard: a stored row, such as a transaction event, is unreadable; critical, since the CSMS does not
    receive its data until it is readable again"""
    SAFE_START = "SafeStart"
    """not in the standard: after failed starts the station has set stored rows aside, such as charging profiles;
    critical, since the CSMS has to set them again, or to end the safe start"""
    LOCAL_CHANGE = "LocalChange"
    """not in the standard, for the log only: a change through the local API or page"""

    @property
    def critical(self) -> bool:
        """Whether events of this type must be sent to the CSMS; the others are only logged."""
        return self not in _NOT_CRITICAL


_NOT_CRITICAL = frozenset(
    {
        SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS,
        SecurityEventType.CSMS_FAILED_TO_AUTHENTICATE,
        SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS,
        SecurityEventType.INVALID_MESSAGES,
        SecurityEventType.ATTEMPTED_REPLAY_ATTACKS,
        SecurityEventType.LOCAL_CHANGE,
    }
)


class SecurityEvent(Frozen):
    """One entry of the security log."""

    id: int
    """consecutive number of the entry"""
    type: str
    """a SecurityEventType; as text, since another version may have stored other types"""
    occurred_at: datetime
    """when it occurred, by the clock of the station"""
    info: str
    """details as text (techInfo); empty: none"""
    to_tell: bool
    """whether it is critical and not sent to the CSMS yet"""


class SecurityEvents:
    """The security log on disk, and the queue of critical events that the CSMS has not answered yet."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._unsaved: deque[tuple[SecurityEventType, datetime, str]] = deque(maxlen=_MAX_UNSAVED)
        self._save_lock = asyncio.Lock()
        self._event_stored = Flag()
        self._stored_waiting = 0
        """how many critical events on disk are not sent to the CSMS yet, when they were counted last"""
        self.waiting_changed: Event[None] = Event()
        self._last_settled_id = 0
        """id of the newest settled event, whether or not that is stored"""

    async def load(self) -> None:
        """Count the critical events on disk that are not sent yet, at the start.

        Raises:
            StorageError: the disk cannot be read.
        """
        await self._count_waiting()

    @property
    def waiting(self) -> int:
        """How many critical events are not sent to the CSMS yet, those included that are not on disk."""
        unsaved = sum(kind.critical for kind, _, _ in self._unsaved)
        return min(MAX_UNSENT, self._stored_waiting + unsaved)

    async def _count_waiting(self) -> None:
        """Count the critical events on disk that are not sent.

        Raises:
            StorageError: the disk cannot be read; the number stays as it was.
        """
        rows = await self._database.rows(
            "SELECT COUNT(*) FROM security_events WHERE to_tell = 1 AND id > ?"
            f" AND id NOT IN ({select_unreadable(_TABLE)})",
            (self._last_settled_id,),
        )
        self._stored_waiting = int(str(rows[0][0]))
        self.waiting_changed.publish(None)

    async def report(self, kind: SecurityEventType, info: str = "") -> None:
        """Log an event, and queue it for the CSMS if it is critical (A04.FR.01, A04.FR.02, A04.FR.04).

        `info`: details for a technician, without secrets. Does not raise StorageError: an event that cannot be stored
        is kept in memory and stored with the next one.
        """
        info = info[:_LONGEST_INFO]
        _log.info("security event %s: %s", kind, info)
        self._unsaved.append((kind, self._clock.now(), info))
        if kind.critical:
            self.waiting_changed.publish(None)
        await self._save()
        self._event_stored.set()

    async def entries(
        self, *, oldest: datetime | None = None, latest: datetime | None = None, max_count: int = MAX_LOG_ENTRIES
    ) -> list[SecurityEvent]:
        """The log entries in a time span, in order; at most the `max_count` newest.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.long_query(
            "SELECT id, type, occurred_at, info, to_tell FROM security_events"
            " WHERE occurred_at >= ? AND occurred_at <= ? ORDER BY id DESC LIMIT ?",
            (
                _time_text(oldest) if oldest is not None else "",
                _time_text(latest) if latest is not None else "9999",
                max_count,
            ),
        )
        return [event for row in reversed(rows) if (event := self._read(row)) is not None]

    async def oldest(self) -> SecurityEvent | None:
        """The oldest critical event that is not sent yet; None if all are. It stays queued until `settle`.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._event_stored.clear()
        await self._save()
        after = self._last_settled_id
        while rows := await self._database.rows(
            "SELECT id, type, occurred_at, info, to_tell FROM security_events"
            " WHERE to_tell = 1 AND id > ? ORDER BY id LIMIT 1",
            (after,),
        ):
            if (event := self._read(rows[0])) is not None:
                return event
            after = int(str(rows[0][0]))
        return None

    def _read(self, row: Row) -> SecurityEvent | None:
        """Parse a row; None if unreadable, the row is then listed as such."""
        return self._database.unreadable.read(event_from_row, row, RowAddress(_TABLE, str(row[0])))

    async def wait(self) -> None:
        """Wait until an event is reported, or return at once if one was since the last call of `oldest`."""
        await self._event_stored.wait()

    async def settle(self, event: SecurityEvent) -> None:
        """Mark this event and all older ones as sent: the CSMS has answered, or sending was given up.

        Raises:
            StorageError: not stored; the next event stores it too, else this one is sent again after a restart.
        """
        self._last_settled_id = event.id
        try:
            await self._database.unreadable.save()
            await self._database.write(
                "UPDATE security_events SET to_tell = 0 WHERE to_tell = 1 AND id <= ?"
                f" AND id NOT IN ({select_unreadable(_TABLE)})",
                (event.id,),
            )
        finally:
            await self._try_count_waiting()

    async def _save(self) -> None:
        async with self._save_lock:
            while self._unsaved:
                unsaved = self._unsaved[0]
                try:
                    await self._store(*unsaved)
                except StorageError as error:
                    _log.error("security events are not stored yet: %s", error)
                    return
                if self._unsaved and self._unsaved[0] is unsaved:  # else it was the oldest of too many
                    self._unsaved.popleft()
                if unsaved[0].critical:
                    await self._try_count_waiting()

    async def _try_count_waiting(self) -> None:
        """Count the waiting events after a change; if the disk cannot be read, the next change counts them."""
        with contextlib.suppress(StorageError):
            await self._count_waiting()

    async def _store(self, kind: SecurityEventType, occurred_at: datetime, info: str) -> None:
        """Store an event and delete old ones, in one transaction; without the deletion if that fails."""
        values = (kind.value, _time_text(occurred_at), info, int(kind.critical))
        try:
            await self._database.write_together((_INSERT, [values]), (_DELETE_OLD, [(MAX_LOG_ENTRIES, MAX_UNSENT)]))
        except StorageError:  # old events may be damaged, or the disk too full; the next event makes room
            await self._database.write(_INSERT, values)


def _time_text(moment: datetime) -> str:
    """Format a moment as UTC text that sorts chronologically."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def event_from_row(row: Row) -> SecurityEvent:
    """Parse a row of the table security_events: id, type, time, info, to_tell.

    Raises:
        ValueError: the row cannot be read.
    """
    identity, kind, occurred_at, info, to_tell = row
    return SecurityEvent(
        int(str(identity)), str(kind), datetime.fromisoformat(str(occurred_at)), str(info), to_tell == 1
    )
