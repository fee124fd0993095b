"""Small facts that must outlive a power cut: a name and a text each (table `facts`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from station.storage.database import Database

T = TypeVar("T")
_SAVE = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


async def save_fact(database: Database, name: str, value: str) -> None:
    """Keep a fact in the place of what it was.

    Raises:
        StorageError: it is not kept.
    """
    await database.write(_SAVE, (name, value))


_TABLE = "facts"


class FactStore:
    """The facts whose names begin with one word."""

    def __init__(self, database: Database, kind: str) -> None:
        self._database = database
        self._kind = kind

    async def load(self) -> dict[str, str]:
        """All of them.

        Raises:
            StorageError: the disk cannot be read.
        """
        start = f"{self._kind}/"
        rows = await self._database.rows(
            "SELECT name, value FROM facts WHERE substr(name, 1, ?) = ?", (len(start), start)
        )
        return {str(name)[len(start) :]: str(value) for name, value in rows}

    def read(self, name: str, parse: Callable[[str], T], text: str) -> T | None:
        """Return what a fact says, or None if it cannot be read; it is set aside then."""
        return self._database.unreadable.read(parse, text, self._place(name))

    def _place(self, name: str) -> RowAddress:
        return RowAddress(_TABLE, f"{self._kind}/{name}")

    async def remove(self, name: str) -> None:
        """Forget one; one that is not there is as good as forgotten.

        Raises:
            StorageError: it is still there.
        """
        await self._database.write("DELETE FROM facts WHERE name = ?", (f"{self._kind}/{name}",))
        self._database.unreadable.remove(self._place(name))

    async def save(self, name: str, value: str) -> None:
        """Keep one.

        Raises:
            StorageError: it is not kept.
        """
        await save_fact(self._database, f"{self._kind}/{name}", value)
        self._database.unreadable.remove(self._place(name))
