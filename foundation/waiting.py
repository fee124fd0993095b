"""A flag and a queue for tasks to wait on, as those of asyncio, but small: for processes with a thousand stations.

`asyncio.Event` takes 700 bytes and `asyncio.Queue` three times as much, since each creates empty deques; a station has
two dozen of them.
"""

from __future__ import annotations

import asyncio
from typing import Generic, Literal, TypeVar

T = TypeVar("T")


class Flag:
    """A flag that is set or not; tasks wait until it is set. As `asyncio.Event`."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters: tuple[asyncio.Future[None], ...] = ()
        """most flags have one waiter or none"""

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return self._set

    def set(self) -> None:
        """Set the flag, and wake the tasks that wait for it, even if it is cleared before they run."""
        self._set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """Reset the flag: tasks that wait from now on wait until it is set again."""
        self._set = False

    async def wait(self) -> Literal[True]:
        """Wait until the flag is set; returns at once if it is."""
        if self._set:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters = (*self._waiters, waiter)
        try:
            await waiter
            return True
        finally:
            self._waiters = tuple(other_waiter for other_waiter in self._waiters if other_waiter is not waiter)


class WaitingQueue(Generic[T]):
    """A short queue, first in, first out; tasks wait until it has an item. As `asyncio.Queue` with `put_nowait`.

    Each item goes to one task. Several tasks do not take turns: one that asks again at once may get the next item too.
    """

    __slots__ = ("_filled", "_items", "_max_items")

    def __init__(self, max_items: int | None = None) -> None:
        """`max_items`: how many items it takes; None: any number, where the caller limits them."""
        self._max_items = max_items
        self._items: list[T] = []
        self._filled = Flag()

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Append an item.

        Raises:
            asyncio.QueueFull: the queue has `max_items` items.
        """
        if self._max_items is not None and len(self._items) >= self._max_items:
            raise asyncio.QueueFull
        self._items.append(item)
        self._filled.set()

    async def get(self) -> T:
        """Wait until there is an item; remove the oldest one and return it."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self._items.pop(0)

    def clear(self) -> None:
        """Remove all items."""
        self._items.clear()
