"""The changed settings on disk (table `settings`): the `SettingsStore` of a station."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from station.storage.database import Database

T = TypeVar("T")


class SettingsTable:
    """The changed settings of a station on disk: the text of each one under its name, in table `settings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> dict[str, str]:
        """Read all stored texts from disk, by setting name, including settings unknown to this version.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT name, value FROM settings")
        return {str(name): str(value) for name, value in rows}

    def read(self, name: str, parse: Callable[[str], T], text: str) -> T | None:
        """Return `parse(text)` for the loaded text of a setting; reads no disk.

        None if `parse` fails: the row is then listed as unreadable, and stays on disk.
        """
        return self._database.unreadable.read(parse, text, RowAddress("settings", name))

    async def save(self, name: str, text: str) -> None:
        """Write the text of a setting to disk, replacing the earlier one.

        Raises:
            StorageError: the text is not stored.
        """
        await self._database.write(
            "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, text),
        )
        self._database.unreadable.remove(RowAddress("settings", name))  # it is overwritten
