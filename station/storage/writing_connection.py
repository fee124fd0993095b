"""Opens the SQLite connections with which a station writes, and sets them up."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Final

from station.storage import compaction
from station.storage.database_thread import is_busy
from station.storage.sql import decode_text

_LOG_BYTES: Final = 4 * 1024 * 1024
"""size to which the write-ahead log is truncated; kept as reserve for the next records on a full disk"""
_log = logging.getLogger(__name__)


def connect(path: Path, statements: int) -> sqlite3.Connection:
    """Connect, with a write-ahead log, so that a write needs one sync only. `statements`: how many to keep compiled.

    If a full disk has no room for the index file of the log, the index is kept in memory; then no other process can
    open the database until the next start.
    """
    try:
        return _connect_wal(path, "NORMAL", statements)
    except sqlite3.OperationalError as error:
        if is_busy(error):
            raise
        _log.error("%s: %s; the database is opened with its index in memory", path, error)
        return _connect_wal(path, "EXCLUSIVE", statements)


def _connect_wal(path: Path, locking_mode: str, statements: int) -> sqlite3.Connection:
    # Autocommit (isolation_level None): one statement is one transaction, one sync. SQLite must not wait for locks
    # (timeout 0), since that would block the other stations in this thread.
    connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, cached_statements=statements)
    connection.text_factory = decode_text
    try:
        connection.execute(f"PRAGMA locking_mode={locking_mode}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def shrinks(connection: sqlite3.Connection) -> bool:
    """Return whether the file can return its free pages."""
    ((mode,),) = connection.execute("PRAGMA auto_vacuum")
    return int(mode) == compaction.INCREMENTAL


def is_exclusive(connection: sqlite3.Connection) -> bool:
    """Return whether no other connection can open the file (`connect`)."""
    ((mode,),) = connection.execute("PRAGMA locking_mode")
    return mode == "exclusive"


def configure(connection: sqlite3.Connection, pages: int | None) -> None:
    """Sync every commit to disk. Cache `pages` pages at the most; SQLite allocates 20 at once, which are released."""
    connection.execute("PRAGMA synchronous=FULL")
    if pages is not None:
        connection.execute(f"PRAGMA cache_size={pages}")
        connection.execute("PRAGMA shrink_memory")
