"""Small facts that must outlive a power cut: a name and a text each (table `facts`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from station.records.database import Database

_SAVE = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


async def save_fact(database: Database, name: str, value: str) -> None:
    """Keep a fact in the place of what it was.

    Raises:
        StorageError: it is not kept.
    """
    await database.write(_SAVE, (name, value))


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

    async def remove(self, name: str) -> None:
        """Forget one; one that is not there is as good as forgotten.

        Raises:
            StorageError: it is still there.
        """
        await self._database.write("DELETE FROM facts WHERE name = ?", (f"{self._kind}/{name}",))

    async def save(self, name: str, value: str) -> None:
        """Keep one.

        Raises:
            StorageError: it is not kept.
        """
        await save_fact(self._database, f"{self._kind}/{name}", value)
