"""Types for SQL statements, values and rows, and the interface that executes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

Value = str | int | float | bytes | None
Row = tuple[Value, ...]
Statement = tuple[str, Iterable[Sequence[Value]]]
"""SQL, and one sequence of values for each execution"""
STATEMENT_ERRORS: Final = (sqlite3.Error, ValueError, OverflowError)
"""exceptions of statements; the last two: of a value that SQLite cannot store"""


class SqlStore(Protocol):
    """The methods of `Database` that the list of unreadable rows needs; each may raise a StorageError."""

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Execute a query and return all its rows."""
        ...

    async def write_together(self, *writes: Statement) -> None:
        """Execute each statement for each of its rows, in one database transaction: all or nothing."""
        ...


def decode_text(raw: bytes) -> str:
    """Decode a text; invalid bytes are replaced, so that one corrupted text does not fail a whole query."""
    return raw.decode(errors="replace")
