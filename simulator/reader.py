"""A simulated token reader: cards are presented through the API, and handled as those of a real reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from station.core.hardware.token_reader import ReaderError


class SimulatedReader:
    """A token reader that yields presented cards, until it fails."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failing = False
        self._read: asyncio.Queue[str | None] = asyncio.Queue()
        """UIDs; None: it fails"""

    def __str__(self) -> str:
        return f"simulated token reader {self._name}"

    def present_card(self, digits: str) -> None:
        """Present a card with any digits; ignored if the reader is failing."""
        if not self._failing:
            self._read.put_nowait(digits)

    def set_failing(self, failing: bool) -> None:
        """Let the reader fail, or work again."""
        self._failing = failing
        if failing:
            self._read.put_nowait(None)

    async def reads(self) -> AsyncGenerator[str | None]:
        """Yield None at once, then after each card its digits; cards presented before are dropped.

        Raises:
            ReaderError: the reader is failing.
        """
        while not self._read.empty():
            self._read.get_nowait()
        while not self._failing:
            yield None
            if (digits := await self._read.get()) is not None:
                yield digits
        raise ReaderError("the simulated token reader fails")
