"""Something that happens now and then, and that tasks wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metering.clock import Clock


class Pulse:
    """Wakes every task that waits at the moment; nobody who comes later is told."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[bool]] = set()

    def fire(self) -> None:
        """Wake those who wait."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            _wake(waiter, True)

    async def wait(self) -> None:
        """Wait for the next pulse."""
        waiter = self._join()
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def wait_at_most(self, clock: Clock, delay_s: float) -> bool:
        """Wait for the next pulse, `delay_s` seconds at the most; returns whether it came."""
        waiter = self._join()
        handle = clock.call_later(delay_s, lambda: _wake(waiter, False))
        try:
            return await waiter
        finally:
            handle.cancel()
            self._waiters.discard(waiter)

    def _join(self) -> asyncio.Future[bool]:
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        return waiter


def _wake(waiter: asyncio.Future[bool], fired: bool) -> None:
    if not waiter.done():
        waiter.set_result(fired)
