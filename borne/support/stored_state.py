"""What the storage of a station says of it, read without starting it, and also while it runs."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from metering.journal import JournalError, RegisterJournal
from metering.journal_entry import JournalEvent
from station.security.security_events import SecurityEventType
from station.storage.disk_space import free_bytes
from station.storage.read_only_access import read_only_access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metering.journal_entry import JournalEntry

_DATABASE: Final = "borne.sqlite"
_FAULTS: Final = frozenset({JournalEvent.FAULT, JournalEvent.METER_FAULT, JournalEvent.DAMAGED, JournalEvent.TAMPER})
_MAX_ENTRIES: Final = 2_000
"""entries of the register journal that are searched for the last fault"""
_MAX_TRANSACTIONS: Final = 20


class Boot(Frozen):
    """A start of the station."""

    at: str
    """by the clock of the station (ISO 8601, UTC)"""
    reason: str
    """as reported to the CSMS (BootReasonEnumType), such as `PowerUp` or `Watchdog`"""


class StoredFault(Frozen):
    """A fault in the register journal."""

    at: str
    """by the clock of the station (ISO 8601)"""
    event: str
    """kind of journal entry: `fault`, `meter-fault`, `tamper` or `damaged`"""
    evse: int | None
    """null: it concerns the whole station"""
    fault: str | None
    """which one, or what was found; null: not stated"""


class StoredState(Frozen):
    """The state of a station on its disk; what cannot be read is null."""

    folder: str
    """the storage folder"""
    free_bytes: int | None
    """free space of its file system"""
    database_bytes: int | None
    """size of the database with its log; null: the station was never started"""
    database_version: int | None
    """number of the last migration"""
    open_transactions: tuple[str, ...]
    """ids of transactions without an end, at most 20"""
    queued_events: int | None
    """transaction events that the CSMS still has to receive"""
    queued_security_events: int | None
    """security events that the CSMS still has to receive"""
    unreadable_rows: int | None
    """rows that the station could not read"""
    last_boot: Boot | None
    """the last start"""
    last_fault: StoredFault | None
    """the last fault in the register journal"""
    program: str | None
    """version of the program at its last start that the register journal knows"""
    time_source: str | None
    """who set the clock when the last entry of the register journal was written: `ntp`, `csms`, `machine`, `none`"""
    error: str | None
    """why the database or the journal cannot be read; null: they can"""


def read_stored_state(storage: Path) -> StoredState:
    """Read the state of a station from its storage folder, read-only; raises nothing."""
    journal, journal_error = _read_journal(storage)
    fault = next((entry for entry in journal if entry.note.event in _FAULTS), None)
    boot = next((entry for entry in journal if entry.note.event is JournalEvent.BOOT), None)
    program = boot.note.details.get("program") if boot is not None else None
    database = _read_database(storage / _DATABASE)
    return StoredState(
        folder=str(storage),
        free_bytes=_free_bytes(storage),
        database_bytes=_size(storage / _DATABASE),
        database_version=database.version,
        open_transactions=database.open_transactions,
        queued_events=database.queued_events,
        queued_security_events=database.queued_security_events,
        unreadable_rows=database.unreadable_rows,
        last_boot=database.last_boot,
        last_fault=_fault_of(fault) if fault is not None else None,
        program=str(program) if program is not None else None,
        time_source=journal[0].note.time.source.value if journal else None,
        error=database.error or journal_error,
    )


class _DatabaseState(Frozen):
    """What the database says."""

    version: int | None = None
    open_transactions: tuple[str, ...] = ()
    queued_events: int | None = None
    queued_security_events: int | None = None
    unreadable_rows: int | None = None
    last_boot: Boot | None = None
    error: str | None = None


def _read_database(file: Path) -> _DatabaseState:
    try:
        if not file.is_file():
            return _DatabaseState()
        with contextlib.closing(sqlite3.connect(read_only_access(file).address, uri=True)) as connection:
            connection.execute("BEGIN")
            return _query(connection)
    except (OSError, sqlite3.Error) as error:
        return _DatabaseState(error=f"{file}: {error}")


def _query(connection: sqlite3.Connection) -> _DatabaseState:
    """Read the state in one transaction.

    Raises:
        sqlite3.Error: it cannot be read, or has the tables of an old version.
    """
    kinds = (SecurityEventType.STARTUP_OF_THE_DEVICE, SecurityEventType.RESET_OR_REBOOT)
    boot = connection.execute(
        "SELECT occurred_at, info FROM security_events WHERE type IN (?, ?) ORDER BY id DESC LIMIT 1", kinds
    ).fetchone()
    running = connection.execute(
        "SELECT transaction_id FROM transactions WHERE ended_at IS NULL ORDER BY number LIMIT ?", (_MAX_TRANSACTIONS,)
    )
    return _DatabaseState(
        version=_number(connection, "PRAGMA user_version"),
        open_transactions=tuple(str(identity) for (identity,) in running),
        queued_events=_number(connection, "SELECT COUNT(*) FROM events WHERE settled_at IS NULL"),
        queued_security_events=_number(connection, "SELECT COUNT(*) FROM security_events WHERE to_tell = 1"),
        unreadable_rows=_number(connection, "SELECT COUNT(*) FROM unreadable_rows"),
        last_boot=Boot(str(boot[0]), str(boot[1])) if boot is not None else None,
    )


def _number(connection: sqlite3.Connection, sql: str) -> int:
    ((number,),) = connection.execute(sql).fetchall()
    return int(number)


def _read_journal(storage: Path) -> tuple[Sequence[JournalEntry], str | None]:
    """The newest entries of the register journal, the newest first, and why it cannot be read, or None."""
    found: list[JournalEntry] = []
    try:
        for entry in RegisterJournal(storage).entries():
            found.append(entry)
            if len(found) >= _MAX_ENTRIES:
                break
    except JournalError as error:
        return found, str(error)
    return found, None


def _fault_of(entry: JournalEntry) -> StoredFault:
    details = entry.note.details
    fault = details.get("fault") or details.get("reason") or details.get("damage")
    return StoredFault(
        entry.note.at.isoformat(), entry.note.event.value, entry.note.evse, str(fault) if fault is not None else None
    )


def _free_bytes(storage: Path) -> int | None:
    try:
        return free_bytes(storage)
    except OSError:
        return None


def _size(file: Path) -> int | None:
    try:
        log = Path(f"{file}-wal")
        return file.stat().st_size + (log.stat().st_size if log.exists() else 0)
    except OSError:
        return None
