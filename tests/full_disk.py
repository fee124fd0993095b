"""A disk that is full for some of what a station stores."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterable
from typing import Any, Final

_WRITES: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class FullDisk:
    """Refuses statements that write, as SQLite does on a full disk; a test says which."""

    def __init__(self) -> None:
        self._refused: tuple[str, ...] = ()
        self._count = 0

    @contextlib.contextmanager
    def refusing(self, *texts: str) -> Generator[None]:
        """During the block, refuse each statement that writes with one of these texts in its SQL or its values.

        There must be one: else the block proves nothing.
        """
        self._refused, self._count = texts, 0
        yield
        self._refused = ()
        assert self._count > 0, f"nobody has written {texts}"

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        """Connect to a database on this disk, in place of `sqlite3.connect`."""
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                disk.check(sql, parameters)
                return super().execute(sql, parameters)

            def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
                rows = list(parameters)
                disk.check(sql, rows)
                return super().executemany(sql, rows)

        return _connect(*args, **options, factory=Connection)

    def check(self, sql: str, values: object) -> None:
        """Refuse a statement, unless there is room for it.

        Raises:
            sqlite3.OperationalError: there is none.
        """
        if sql.lstrip().startswith(_WRITES) and any(text in f"{sql} {values}" for text in self._refused):
            self._count += 1
            raise sqlite3.OperationalError("database or disk is full")


_connect: Final = sqlite3.connect
