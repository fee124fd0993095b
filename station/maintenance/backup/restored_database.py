"""The database of a restore: that of the station, with the parts of the backup in place of its own."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from foundation.json_values import is_object
from station.maintenance.backup.backup_error import BackupError
from station.maintenance.backup.contents import Part
from station.maintenance.backup.table_rows import (
    insert_entry,
    replace_part,
    tolerant_connection,
    without_triggers,
)
from station.security.security_events import SecurityEventType
from station.storage import private_files
from station.storage.database_schema import NewerDatabaseError, migrate, new_database
from station.storage.read_only_access import read_only_access

_SOURCE: Final = "backup"
"""the name of the attached database with the rows of the backup"""
_COUNTED_TABLES: Final = ("events", "transactions", "signed_records")
"""tables of billing records whose highest id tells how far the records of a station have come"""
_KEEP_OWN: Final = (
    "CREATE TEMP TABLE own_requests AS SELECT * FROM main.customers_to_forget",
    "CREATE TEMP TABLE own_log AS SELECT * FROM main.security_events",
)
_ADD_OWN: Final = (
    "INSERT OR IGNORE INTO main.customers_to_forget SELECT * FROM temp.own_requests",
    """
    UPDATE main.security_events SET to_tell = 0 WHERE to_tell = 1 AND (type, occurred_at, info) IN
    (SELECT type, occurred_at, info FROM temp.own_log WHERE to_tell = 0)
    """,
    """
    INSERT INTO main.security_events (type, occurred_at, info, to_tell)
    SELECT type, occurred_at, info, to_tell FROM temp.own_log WHERE (type, occurred_at, info) NOT IN
    (SELECT type, occurred_at, info FROM main.security_events) ORDER BY id
    """,
)


class BackupRows:
    """A temporary database with the rows of a backup, in the schema of the station that made it."""

    def __init__(self, file: Path, version: int) -> None:
        """Create the file. `version`: number of the last migration of that station; 0: it had no database.

        Raises:
            sqlite3.Error: the disk is full.
        """
        self.file = file
        self._connection = _open_alone(file)
        migrate(self._connection, version)

    def insert(self, table: str, content: bytes) -> None:
        """Insert the rows of one entry.

        Raises:
            DamagedBackupError: they do not fit.
        """
        insert_entry(self._connection, table, content)

    @contextlib.contextmanager
    def being_filled(self) -> Generator[None]:
        """Within the block rows may be inserted; after it the database has the schema of this version.

        Raises:
            sqlite3.Error: the disk is full.
        """
        with contextlib.closing(self._connection):
            self._connection.execute("BEGIN")
            with without_triggers(self._connection):
                yield
            self._connection.execute("COMMIT")
            migrate(self._connection)


class RestoredDatabase:
    """The database that a restore prepares: a copy of the station's own, whose parts it replaces."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def copy_from(self, present: Path) -> None:
        """Copy the station's own database, or create a new one if it has none; in the schema of this version.

        Raises:
            BackupError: it cannot be read, or is of a newer version.
            sqlite3.Error: the disk is full.
        """
        if not present.exists() or present.stat().st_size == 0:
            private_files.write_bytes(self._file, new_database())
            return
        with contextlib.closing(_open_alone(self._file)) as copy:
            try:
                with contextlib.closing(tolerant_connection(read_only_access(present).address, uri=True)) as own:
                    own.backup(copy)
                migrate(copy)
            except NewerDatabaseError as error:
                raise BackupError(f"{present}: {error}") from error
            except sqlite3.DatabaseError as error:
                raise BackupError(f"{present}: {error}; move it away to restore without its records") from error

    def check_idle(self) -> None:
        """Check that the station has no open transaction, and no records that the CSMS still has to receive.

        Raises:
            BackupError: it has; the message says which.
        """
        with self._opened() as own:
            running = own.execute("SELECT transaction_id, evse_id FROM transactions WHERE ended_at IS NULL").fetchone()
            ends = own.execute("SELECT transaction_id FROM awaited_ends").fetchone()
            ((waiting,),) = own.execute("SELECT COUNT(*) FROM events WHERE settled_at IS NULL").fetchall()
        if running is not None:
            raise BackupError(
                f"transaction {running[0]} at EVSE {running[1]} is still open; start the station, which ends it, and"
                " stop it again once the CSMS has received its end"
            )
        if ends is not None:
            raise BackupError(
                f"the end of transaction {ends[0]} waits for its meter; start the station, and stop it later"
            )
        if waiting:
            raise BackupError(
                f"{waiting} transaction events wait to be sent to the CSMS; start the station until it has sent them"
            )

    def check_not_newer(self, backup: BackupRows) -> None:
        """Check that the station has no billing records that the backup does not have.

        Raises:
            BackupError: it has.
        """
        with self._attached(backup) as own:
            for table in _COUNTED_TABLES:
                if _last_id(own, "main", table) > _last_id(own, _SOURCE, table):
                    raise BackupError(f"the station has newer billing records than the backup ({table})")
            delivered = own.execute(
                f"SELECT own.transaction_id FROM main.events AS own JOIN {_SOURCE}.events AS other"
                " USING (transaction_id, seq_no) WHERE own.settled_at IS NOT NULL AND other.settled_at IS NULL LIMIT 1"
            ).fetchone()
            if delivered is not None:  # else they would be sent a second time
                raise BackupError(f"the station has delivered events since the backup (transaction {delivered[0]})")
            other = own.execute(
                f"SELECT own.transaction_id FROM main.transactions AS own JOIN {_SOURCE}.transactions AS other"
                " USING (number) WHERE own.transaction_id <> other.transaction_id LIMIT 1"
            ).fetchone()
            if other is not None:
                raise BackupError(f"the station has other billing records than the backup (transaction {other[0]})")
            before, after = _registers(own, "main"), _registers(own, _SOURCE)
        for meter, register_wh in before.items():
            if register_wh > after.get(meter, 0.0):
                raise BackupError(f"the register of the billing meter of EVSE {meter} is ahead of that in the backup")

    def take(self, parts: Sequence[Part], backup: BackupRows, occurred_at: str, sentence: str) -> None:
        """Replace parts by those of the backup, and add `sentence` to the security log.

        Customers whose data were to be cleared since the backup stay on that list, and what the security log has had
        since then stays in it; a security event that the CSMS has received since is not sent again.

        Raises:
            sqlite3.Error: the disk is full.
        """
        with self._attached(backup) as own:
            own.execute("BEGIN IMMEDIATE")
            with without_triggers(own):
                for statement in _KEEP_OWN:
                    own.execute(statement)
                for part in parts:
                    replace_part(own, part, _SOURCE)
                for statement in _ADD_OWN:
                    own.execute(statement)
                own.execute(
                    "INSERT INTO security_events (type, occurred_at, info, to_tell) VALUES (?, ?, ?, 0)",
                    (SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, occurred_at, sentence),
                )
            own.execute("COMMIT")

    @contextlib.contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        with contextlib.closing(_open_alone(self._file)) as connection:
            yield connection

    @contextlib.contextmanager
    def _attached(self, backup: BackupRows) -> Generator[sqlite3.Connection]:
        with self._opened() as connection:
            connection.execute(f"ATTACH ? AS {_SOURCE}", (str(backup.file),))
            yield connection


def _open_alone(file: Path) -> sqlite3.Connection:
    """Open a private database that no other process uses, and that is synced to disk once it is complete."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    connection = tolerant_connection(str(file))
    connection.execute("PRAGMA journal_mode=MEMORY")
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def _last_id(connection: sqlite3.Connection, database: str, table: str) -> int:
    found = connection.execute(f"SELECT seq FROM {database}.sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return int(found[0]) if found is not None else 0


def _registers(connection: sqlite3.Connection, database: str) -> dict[str, float]:
    """The stored registers of the billing meters, Wh, by EVSE."""
    registers: dict[str, float] = {}
    for name, text in connection.execute(f"SELECT name, value FROM {database}.facts WHERE name LIKE 'meter/%'"):
        with contextlib.suppress(ValueError):
            value = json.loads(text)
            register_wh = value.get("register_wh") if is_object(value) else None
            if isinstance(register_wh, int | float):
                registers[str(name).partition("/")[2]] = float(register_wh)
    return registers
