"""A disk that is full for some of what a station stores, or slower than what happens meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, Final

from tests.patience import PATIENCE_S

_WRITES: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class FullDisk:
    """Refuses or delays statements that write, as SQLite does on a full or slow disk; a test says which."""

    def __init__(self) -> None:
        self._refused: tuple[str, ...] = ()
        self._count = 0
        self._interrupted = ""
        self._action: Callable[[], Coroutine[object, object, object]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def refusing(self, *texts: str) -> Generator[None]:
        """During the block, refuse each statement that writes with one of these texts in its SQL or its values.

        There must be one: else the block proves nothing.
        """
        self._refused, self._count = texts, 0
        yield
        self._refused = ()
        assert self._count > 0, f"nobody has written {texts}"

    def meanwhile(self, text: str, action: Callable[[], Coroutine[object, object, object]]) -> None:
        """Before the next statement that writes with this text in its SQL or its values, run `action` to its end.

        It runs on the event loop of the caller; the statement waits for it in the database thread.
        """
        self._interrupted, self._action, self._loop = text, action, asyncio.get_running_loop()

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
        if not sql.lstrip().startswith(_WRITES):
            return
        if (action := self._action) is not None and self._interrupted in f"{sql} {values}":
            assert self._loop is not None
            self._action = None
            asyncio.run_coroutine_threadsafe(action(), self._loop).result(PATIENCE_S)
        if any(text in f"{sql} {values}" for text in self._refused):
            self._count += 1
            raise sqlite3.OperationalError("database or disk is full")


_connect: Final = sqlite3.connect
