"""Persistent storage of small facts: a name and a text each (table `facts`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from station.storage.database import Database
    from station.storage.sql import Statement, Value

T = TypeVar("T")
_SAVE = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


async def save_fact(database: Database, name: str, value: str) -> None:
    """Store a text in table `facts` under its full name (kind/name), replacing the earlier text.

    Unlike `FactStore.save`, it does not remove the fact from the list of unreadable rows.

    Raises:
        StorageError: the fact is not stored.
    """
    await database.write(_SAVE, (name, value))


def fact_statement(kind: str, name: str, value: str) -> Statement:
    """The statement that stores a fact, for a transaction with others (`Database.write_together`)."""
    return _SAVE, [(f"{kind}/{name}", value)]


def _as_text(value: Value) -> str:
    """The value of a fact as text, also if the disk has made something else of it."""
    return value if isinstance(value, str) else str(value)


_TABLE = "facts"
_MAX_CHARS_AT_START = 1_000_000
"""of the texts of all kinds that are read at once"""


class FactsAtStart:
    """The facts of all kinds, read with one query while a station starts, since each of its parts loads its kind then.

    A kind is handed out once, and not after it was saved through its `FactStore`: then the disk is read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._texts: dict[str, dict[str, str]] | None = None
        """texts by kind and name; None: nothing was read, or the start has ended"""
        self._consumed_kinds: set[str] = set()
        """kinds that were handed out or written since the start"""

    async def read(self) -> None:
        """Read the facts of all kinds; without effect if they are unusually long.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows, complete = await self._database.first_rows(
            "SELECT name, value FROM facts", (), max_chars=_MAX_CHARS_AT_START
        )
        if not complete:
            return
        self._texts = {}
        for full_name, value in rows:
            kind, _, name = str(full_name).partition("/")
            self._texts.setdefault(kind, {})[name] = _as_text(value)

    def take(self, kind: str) -> dict[str, str] | None:
        """Return the texts of one kind, by name; None: read them from disk."""
        if self._texts is None or kind in self._consumed_kinds:
            return None
        self._consumed_kinds.add(kind)
        return self._texts.pop(kind, {})

    def discard(self, kind: str) -> None:
        """Forget the texts of a kind that is written."""
        self._consumed_kinds.add(kind)

    def end(self) -> None:
        """Forget all texts: the station has started."""
        self._texts = None
        self._consumed_kinds.clear()


class FactStore:
    """Texts of one kind on disk, by name, such as the retained cable of each EVSE; each feature has its own kind.

    Stored in table `facts` under `kind/name`; nothing is kept in memory.
    """

    def __init__(self, database: Database, kind: str, at_start: FactsAtStart | None = None) -> None:
        """`at_start`: facts that were read already; None: none."""
        self._database = database
        self._kind = kind
        self._at_start = at_start or FactsAtStart(database)

    async def load(self) -> dict[str, str]:
        """Read all texts of this kind from disk, by name without the kind.

        Raises:
            StorageError: the disk cannot be read.
        """
        if (texts := self._at_start.take(self._kind)) is not None:
            return texts
        prefix = f"{self._kind}/"
        rows = await self._database.rows(
            "SELECT name, value FROM facts WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)
        )
        return {str(name)[len(prefix) :]: _as_text(value) for name, value in rows}

    def read(self, name: str, parse: Callable[[str], T], text: str) -> T | None:
        """Return `parse(text)` for a text that `load` returned; reads no disk.

        None if `parse` fails: the fact is then listed as unreadable, and stays on disk; else it is not listed any more.
        """
        return self._database.unreadable.read(parse, text, self._address(name))

    def _address(self, name: str) -> RowAddress:
        return RowAddress(_TABLE, f"{self._kind}/{name}")

    async def remove(self, name: str) -> None:
        """Delete the fact of this name from disk, if it exists.

        Raises:
            StorageError: the fact is not deleted.
        """
        self._at_start.discard(self._kind)
        await self._database.write("DELETE FROM facts WHERE name = ?", (f"{self._kind}/{name}",))
        self._database.unreadable.remove(self._address(name))

    async def save(self, name: str, text: str) -> None:
        """Store a text on disk under this name, replacing the earlier one.

        Raises:
            StorageError: the fact is not stored.
        """
        self._at_start.discard(self._kind)
        await save_fact(self._database, f"{self._kind}/{name}", text)
        self._database.unreadable.remove(self._address(name))
