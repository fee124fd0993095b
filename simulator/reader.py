"""A simulated token reader: cards are presented through the API, and processed like those of a real reader."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from foundation.waiting import WaitingQueue
from station.core.hardware.token_reader import ReaderError


class SimulatedReader:
    """A `TokenReader` without hardware: a test bench presents cards to it, or makes it fail by `set_failing`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failing = False
        self._read_tokens: WaitingQueue[str | None] = WaitingQueue()
        """UIDs; None: it fails"""

    def __str__(self) -> str:
        return f"simulated token reader {self._name}"

    def present_card(self, digits: str) -> None:
        """Present a card whose UID has these digits, even invalid ones; ignored if the reader is failing."""
        if not self._failing:
            self._read_tokens.put_nowait(digits)

    def set_failing(self, failing: bool) -> None:
        """Make the reader fail, so that `reads` raises, or let it work again when `reads` is called again."""
        self._failing = failing
        if failing:
            self._read_tokens.put_nowait(None)

    async def reads(self) -> AsyncGenerator[str | None]:
        """Yield None at once and after each card, and the UID digits of each card presented from now on.

        Raises:
            ReaderError: the reader is failing.
        """
        self._read_tokens.clear()
        while not self._failing:
            yield None
            if (digits := await self._read_tokens.get()) is not None:
                yield digits
        raise ReaderError("the simulated token reader fails")
