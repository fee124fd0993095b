"""Persistent storage of one value per EVSE, updated at each change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from foundation.change_signal import ChangeSignal
    from station.storage.fact_store import FactStore


class ObservedEvse(Protocol):
    """An EVSE with a signal for its changes."""

    @property
    def id(self) -> int:
        """The number of the EVSE, from 1."""
        ...

    @property
    def changed(self) -> ChangeSignal:
        """Fires after each change."""
        ...


T = TypeVar("T")
E = TypeVar("E", bound=ObservedEvse)


class EvseFacts(Generic[E]):
    """Stores the text returned by `text_of` for every EVSE; None removes it."""

    def __init__(self, evses: Mapping[int, E], facts: FactStore, text_of: Callable[[E], str | None]) -> None:
        self._evses = evses
        self._facts = facts
        self._text_of = text_of
        self._on_disk: dict[int, str] = {}

    async def load(self) -> list[tuple[E, str]]:
        """Load the stored text of each EVSE; call before the EVSEs run.

        Raises:
            StorageError: the disk cannot be read.
        """
        found = await self._facts.load()
        self._on_disk = {int(name): text for name, text in found.items() if name.isdecimal()}
        return [(self._evses[number], text) for number, text in self._on_disk.items() if number in self._evses]

    def read(self, evse: E, parse: Callable[[str], T], text: str) -> T | None:
        """Parse the stored text of an EVSE; None if unreadable, the text is then listed as unreadable."""
        return self._facts.read(str(evse.id), parse, text)

    async def run(self) -> None:
        """Store each change, until cancelled.

        Raises:
            StorageError: a change was not stored; run again to retry.
        """
        async with asyncio.TaskGroup() as group:
            for evse in self._evses.values():
                group.create_task(self._follow(evse))

    async def _follow(self, evse: E) -> None:
        while True:
            seen, text = evse.changed.count, self._text_of(evse)
            if text == self._on_disk.get(evse.id):
                await evse.changed.wait(seen)
            elif text is None:
                await self._facts.remove(str(evse.id))
                del self._on_disk[evse.id]
            else:
                await self._facts.save(str(evse.id), text)
                self._on_disk[evse.id] = text
