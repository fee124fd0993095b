"""How another process opens the database of a station for reading, without a trace."""

from __future__ import annotations

from pathlib import Path

from foundation.frozen import Frozen


class ReadOnlyAccess(Frozen):
    """The address with which SQLite opens a database read-only, and whether it then ignores that others may write."""

    address: str
    """URI of the file"""
    immutable: bool
    """whether it is read without locks; what another process writes meanwhile may make rows unreadable"""


def read_only_access(file: Path) -> ReadOnlyAccess:
    """Return how to read a database file that a station may be using.

    Without a write-ahead log no process has the file open: it is opened as immutable, since otherwise SQLite would
    create the files of that log, owned by the user of this command. A process with many stations may open it meanwhile.
    """
    immutable = not file.with_name(f"{file.name}-wal").exists()
    return ReadOnlyAccess(f"{file.resolve().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}", immutable)
