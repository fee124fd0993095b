"""Persistent storage of small facts: a name and a text each (table `facts`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from station.storage.database import Database
    from station.storage.sql import Statement

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


_TABLE = "facts"


class FactStore:
    """Texts of one kind on disk, by name, such as the retained cable of each EVSE; each feature has its own kind.

    Stored in table `facts` under `kind/name`; nothing is kept in memory.
    """

    def __init__(self, database: Database, kind: str) -> None:
        self._database = database
        self._kind = kind

    async def load(self) -> dict[str, str]:
        """Read all texts of this kind from disk, by name without the kind.

        Raises:
            StorageError: the disk cannot be read.
        """
        start = f"{self._kind}/"
        rows = await self._database.rows(
            "SELECT name, value FROM facts WHERE substr(name, 1, ?) = ?", (len(start), start)
        )
        return {str(name)[len(start) :]: str(value) for name, value in rows}

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
        await self._database.write("DELETE FROM facts WHERE name = ?", (f"{self._kind}/{name}",))
        self._database.unreadable.remove(self._address(name))

    async def save(self, name: str, value: str) -> None:
        """Store a text on disk under this name, replacing the earlier one.

        Raises:
            StorageError: the fact is not stored.
        """
        await save_fact(self._database, f"{self._kind}/{name}", value)
        self._database.unreadable.remove(self._address(name))
