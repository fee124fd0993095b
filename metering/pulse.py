"""Something that happens now and then, and that tasks wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metering.clock import Clock


class Pulse:
    """Wakes every task that waits at the moment; nobody who comes later is told."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        """Wake those who wait."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self) -> None:
        """Wait for the next pulse."""
        await self._event.wait()

    async def wait_at_most(self, clock: Clock, delay_s: float) -> bool:
        """Wait for the next pulse, `delay_s` seconds at the most; returns whether it came."""
        event = self._event
        handle = clock.call_later(delay_s, event.set)
        try:
            await event.wait()
        finally:
            handle.cancel()
        return event is not self._event
