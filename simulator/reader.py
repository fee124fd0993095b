"""A token reader that cards are held to through the API: what it reads goes the whole way that a real reader's does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from station.core.hardware.token_reader import ReaderError


class SimulatedReader:
    """Reads the cards that somebody holds to it, until it breaks."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failing = False
        self._read: asyncio.Queue[str | None] = asyncio.Queue()
        """UIDs; None: it breaks"""

    def __str__(self) -> str:
        return f"simulated token reader {self._name}"

    def present_card(self, digits: str) -> None:
        """Hold a card to it, whatever its digits look like; a broken reader sees nothing."""
        if not self._failing:
            self._read.put_nowait(digits)

    def set_failing(self, failing: bool) -> None:
        """Break it, or mend it."""
        self._failing = failing
        if failing:
            self._read.put_nowait(None)

    async def reads(self) -> AsyncGenerator[str | None]:
        """None at once, then the digits of each card; what was held to it while nobody read is gone.

        Raises:
            ReaderError: it is broken.
        """
        while not self._read.empty():
            self._read.get_nowait()
        while not self._failing:
            yield None
            if (digits := await self._read.get()) is not None:
                yield digits
        raise ReaderError("it is broken")
