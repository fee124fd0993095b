"""The security log, and the queue of those events that the CSMS must learn of (OCPP 2.0.1 A04, part 2 appendix 1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from station.storage.database import Database, StorageError
from station.storage.unreadable_rows import RowAddress, select_unreadable

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.sql import Row

_log = logging.getLogger(__name__)

MAX_LOG_ENTRIES = 2_000
"""events that stay in the log; it rolls (A04.FR.04)"""
MAX_UNSENT = 10_000
"""beyond so many later ones an event is forgotten even if the CSMS never took it: the disk is finite"""
_TABLE = "security_events"
_KEEP_UNSAVED = 50
_LONGEST_INFO = 255
"""techInfo of SecurityEventNotificationRequest"""


class SecurityEventType(StrEnum):
    """The security events of part 2, appendix 1."""

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
    """of our own, since none of the list matches: a stored row, such as a transaction event, cannot be read; critical,
    since the CSMS misses what it says until it can be read again"""
    LOCAL_CHANGE = "LocalChange"
    """of our own, for the log only: somebody changed something through the local API or page"""

    @property
    def critical(self) -> bool:
        """Whether the CSMS must be told."""
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


@frozen
class SecurityEvent:
    """One entry of the security log."""

    id: int
    type: str
    """a SecurityEventType; a text, since an older program may have known others"""
    occurred_at: datetime
    info: str
    to_tell: bool
    """whether it waits for the CSMS"""


class SecurityEvents:
    """Keeps security events, on disk before anything else, and gives the oldest one that the CSMS has to be told."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._unsaved: deque[tuple[SecurityEventType, datetime, str]] = deque(maxlen=_KEEP_UNSAVED)
        self._arrived = asyncio.Event()
        self._settled = 0
        """id of the newest settled event, whether or not that is stored"""

    async def report(self, kind: SecurityEventType, info: str = "") -> None:
        """Log an event, and queue it for the CSMS when it is critical (A04.FR.01, A04.FR.02, A04.FR.04).

        `info` tells a technician more, without secrets. Never raises: what the disk refuses is kept in memory and
        saved with the next one.
        """
        info = info[:_LONGEST_INFO]
        _log.info("security event %s %s", kind, info)
        self._unsaved.append((kind, self._clock.now(), info))
        await self._save()
        self._arrived.set()

    async def entries(
        self, *, oldest: datetime | None = None, latest: datetime | None = None, most: int = MAX_LOG_ENTRIES
    ) -> list[SecurityEvent]:
        """The log between two moments, in order; of more than `most` the newest.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT id, type, occurred_at, info, to_tell FROM security_events"
            " WHERE occurred_at >= ? AND occurred_at <= ? ORDER BY id DESC LIMIT ?",
            (
                _text(oldest) if oldest is not None else "",
                _text(latest) if latest is not None else "9999",
                most,
            ),
        )
        return [event for row in reversed(rows) if (event := self._read(row)) is not None]

    async def oldest(self) -> SecurityEvent | None:
        """The event that the CSMS is told next; None when it knows them all.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._arrived.clear()
        await self._save()
        after = self._settled
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
        """The event of a row; one that cannot be read is set aside, and holds no other up."""
        return self._database.unreadable.read(event_from_row, row, RowAddress(_TABLE, str(row[0])))

    async def wait(self) -> None:
        """Wait until an event may have come since `oldest` was last asked."""
        await self._arrived.wait()

    async def settle(self, event: SecurityEvent) -> None:
        """Mark an event, the oldest one that waits, as answered by the CSMS.

        Raises:
            StorageError: not stored; the next event stores it too, else this one is sent again after a restart.
        """
        self._settled = event.id
        await self._database.unreadable.save()
        await self._database.write(
            "UPDATE security_events SET to_tell = 0 WHERE to_tell = 1 AND id <= ?"
            f" AND id NOT IN ({select_unreadable(_TABLE)})",
            (event.id,),
        )

    async def _save(self) -> None:
        while self._unsaved:
            unsaved = self._unsaved.popleft()
            try:
                await self._database.write(
                    "INSERT INTO security_events (type, occurred_at, info, to_tell) VALUES (?, ?, ?, ?)",
                    (unsaved[0].value, _text(unsaved[1]), unsaved[2], int(unsaved[0].critical)),
                )
            except BaseException as error:
                self._unsaved.appendleft(unsaved)
                if not isinstance(error, StorageError):
                    raise
                _log.error("security events are not saved: %s", error)
                return
            with contextlib.suppress(StorageError):  # the next one will make room
                await self._roll()

    async def _roll(self) -> None:
        await self._database.write(
            "DELETE FROM security_events"
            " WHERE id <= (SELECT MAX(id) FROM security_events) - CASE to_tell WHEN 0 THEN ? ELSE ? END",
            (MAX_LOG_ENTRIES, MAX_UNSENT),
        )


def _text(moment: datetime) -> str:
    """A form whose order as text is the order in time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def event_from_row(row: Row) -> SecurityEvent:
    """The event of a row.

    Raises:
        ValueError: the row cannot be read.
    """
    identity, kind, occurred_at, info, to_tell = row
    return SecurityEvent(
        int(str(identity)), str(kind), datetime.fromisoformat(str(occurred_at)), str(info), to_tell == 1
    )
