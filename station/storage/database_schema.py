"""The schema of the station's database: numbered scripts, applied once each, and the content of a new database."""

from __future__ import annotations

import functools
import logging
import sqlite3
from pathlib import Path
from typing import Final

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from station.storage import compaction, private_files
from station.storage.sql import STATEMENT_ERRORS, Row, Value

MIGRATIONS: Final = Path(__file__).with_name("migrations")
_WAL_FORMAT: Final = 2
"""file format of a database with a write-ahead log (https://www.sqlite.org/fileformat2.html, 1.3.3)"""
_FORMAT_BYTES: Final = slice(18, 20)
"""where the header has the file formats needed to write and to read"""
_log = logging.getLogger(__name__)


class NewerDatabaseError(ExpectedError):
    """A database was written by a newer version of this program; the message names the number of its last script."""


class Migration(Frozen):
    """One script of the schema."""

    number: int
    """its position, from 1; `user_version` of the database once it is applied"""
    sql: str


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """All scripts, by number; read once per process."""
    scripts = sorted(MIGRATIONS.glob("*.sql"))
    return tuple(Migration(int(script.name.split("_", 1)[0]), script.read_text(encoding="utf-8")) for script in scripts)


def migrate(connection: sqlite3.Connection, up_to: int | None = None) -> int:
    """Apply each script that the database does not have yet, each in a transaction; return how many were applied.

    `up_to`: number of the last script to apply; None: that of this version.

    Raises:
        NewerDatabaseError: the database has more scripts than this program.
        sqlite3.Error: a script fails; the ones before it stay applied.
    """
    ((current_version,),) = connection.execute("PRAGMA user_version")
    if current_version > len(migrations()):
        raise NewerDatabaseError(
            f"the database has version {current_version}, which was written by a newer version of this program"
        )
    wanted = migrations()[:up_to]
    pending = [migration for migration in wanted if migration.number > current_version]
    for migration in pending:
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{migration.sql}\nPRAGMA user_version={migration.number};\nCOMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return len(pending)


def create(path: Path) -> bool:
    """Create the file of a new database, with the schema, unless one with content exists; it is synced to disk.

    Returns whether it was created. A power cut leaves no file, an empty one or the complete one. The file is private,
    since it names cards and customers (C10.FR.12).

    Raises:
        OSError: the file cannot be written.
    """
    if path.exists() and path.stat().st_size > 0:
        path.chmod(0o600)
        return False
    # The log of a deleted database is removed first: SQLite would apply it to the new one.
    for suffix in ("-wal", "-shm", "-journal"):
        private_files.remove(path.with_name(path.name + suffix))
    private_files.write_bytes(path, new_database())
    _log.info("database created with version %d", len(migrations()))
    return True


@functools.cache
def new_database() -> bytes:
    """The content of a new database file: the schema, and no rows. Made once per process, in memory.

    So a new station costs one write, instead of one synced transaction for each script.
    """
    content = bytearray(_new_in_memory().serialize())
    content[_FORMAT_BYTES] = bytes((_WAL_FORMAT, _WAL_FORMAT))  # else the first start would write the header again
    return bytes(content)


@functools.lru_cache(maxsize=256)
def rows_in_new_database(sql: str, values: tuple[Value, ...]) -> tuple[Row, ...] | None:
    """The rows of a SELECT in a new database, executed in memory; None if it fails."""
    try:
        return tuple(_new_in_memory().execute(sql, values))
    except STATEMENT_ERRORS:
        return None


@functools.cache
def _new_in_memory() -> sqlite3.Connection:
    """A new database in memory, which nobody changes."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA auto_vacuum={compaction.INCREMENTAL}")  # only possible in an empty file
    migrate(connection)
    return connection
