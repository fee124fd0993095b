"""A signal that wakes waiting tasks, with a counter so that none of them misses it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


class ChangeSignal:
    """Wakes tasks that wait for a change of some state, and counts how often it was fired, so that none can miss it.

    A task reads `count`, then the state that the signal announces, and passes that count when it waits: if the signal
    was fired in between, the wait ends at once, however long reading the state took.
    """

    __slots__ = ("_count", "_waiters")

    def __init__(self) -> None:
        self._count = 0
        self._waiters: list[asyncio.Future[bool]] = []

    @property
    def count(self) -> int:
        """Number of times the signal was fired; read it before the state that the signal announces."""
        return self._count

    def notify(self) -> None:
        """Fire the signal: increase the count and wake every waiting task."""
        self._count += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _wake(waiter, True)

    async def wait(self, count_before: int) -> int:
        """Wait until the signal is fired after `count` was `count_before`; returns the new count."""
        if self._count != count_before:
            await asyncio.sleep(0)  # a task that is always behind must let the others run
            return self._count
        waiter = self._add_waiter()
        try:
            await waiter
        finally:
            self._remove_waiter(waiter)
        return self._count

    async def wait_for(self, count_before: int, clock: Clock, timeout_s: float) -> bool:
        """Wait as `wait` does, for at most `timeout_s` seconds of `clock`; returns whether the signal was fired."""
        if self._count != count_before:
            await asyncio.sleep(0)  # as in `wait`
            return True
        waiter = self._add_waiter()
        handle = clock.call_later(timeout_s, partial(_wake, waiter, False))
        try:
            return await waiter
        finally:
            handle.cancel()
            self._remove_waiter(waiter)

    def _add_waiter(self) -> asyncio.Future[bool]:
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def _remove_waiter(self, waiter: asyncio.Future[bool]) -> None:
        if waiter in self._waiters:  # not after `notify`
            self._waiters.remove(waiter)


def _wake(waiter: asyncio.Future[bool], fired: bool) -> None:
    if not waiter.done():
        waiter.set_result(fired)
