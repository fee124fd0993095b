"""Persistent storage of one value per EVSE, updated at each change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from foundation.supervision import run_together

if TYPE_CHECKING:
    from foundation.change_signal import ChangeSignal
    from station.storage.fact_store import FactStore


class ObservedEvse(Protocol):
    """The members of `Evse` that `EvseFacts` needs: its number and the signal of its changes."""

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
    """Keeps one text per EVSE on disk, such as its contactor count: `run` stores what `text_of(evse)` returns.

    `text_of` is called after each change of the EVSE; None deletes its text. `facts`: by EVSE number.
    """

    def __init__(self, evses: Mapping[int, E], facts: FactStore, text_of: Callable[[E], str | None]) -> None:
        self._evses = evses
        self._facts = facts
        self._text_of = text_of
        self._on_disk: dict[int, str] = {}

    async def load(self) -> list[tuple[E, str]]:
        """Read the stored texts from disk, each with its EVSE; call before the EVSEs run.

        EVSEs without a text are left out.

        Raises:
            StorageError: the disk cannot be read.
        """
        found = await self._facts.load()
        self._on_disk = {int(name): text for name, text in found.items() if name.isdecimal()}
        return [(self._evses[number], text) for number, text in self._on_disk.items() if number in self._evses]

    def read(self, evse: E, parse: Callable[[str], T], text: str) -> T | None:
        """Return `parse(text)` for the loaded text of an EVSE; if it fails, list it as unreadable and return None."""
        return self._facts.read(str(evse.id), parse, text)

    async def run(self) -> None:
        """Task until cancelled: write each changed text to disk.

        Raises:
            StorageError: a change was not stored; run again to retry.
        """
        await run_together({f"facts-{evse.id}": self._store_changes(evse) for evse in self._evses.values()})

    async def _store_changes(self, evse: E) -> None:
        while True:
            count_before, text = evse.changed.count, self._text_of(evse)
            if text == self._on_disk.get(evse.id):
                await evse.changed.wait(count_before)
            elif text is None:
                await self._facts.remove(str(evse.id))
                del self._on_disk[evse.id]
            else:
                await self._facts.save(str(evse.id), text)
                self._on_disk[evse.id] = text
