"""What happens in the station, as it happens, for whoever listens: the page, a script, a test bench."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable, Generator
from typing import Final

from foundation.frozen import frozen

_MOST_WAITING: Final = 500
_MOST_BYTES: Final = 256 * 1024
"""in the queue of one listener; one OCPP frame may have a hundred thousand"""
_OVERHEAD_BYTES: Final = 500
"""an upper bound of what a happening takes besides its texts"""


@frozen
class FeedEvent:
    """One thing that happened."""

    event_type: str
    """`frame` (an OCPP frame), `evse` (an EVSE's state changed) or `light` (the status light did)"""
    data: dict[str, object]

    @property
    def size_bytes(self) -> int:
        """An estimate of the memory that this happening takes."""
        return _OVERHEAD_BYTES + sum(sys.getsizeof(value) for value in self.data.values() if isinstance(value, str))


class FeedQueue:
    """The happenings that one listener has not received yet; the oldest are dropped if it is too slow."""

    def __init__(self, wants: Callable[[str], bool]) -> None:
        self._wants = wants
        self._waiting: deque[tuple[FeedEvent, int]] = deque()
        self._size_bytes = 0
        self._filled = asyncio.Event()

    def offer(self, happening: FeedEvent, size_bytes: int) -> None:
        """Add a happening if its kind is wanted; the newest one is never dropped, however large it is."""
        if not self._wants(happening.event_type):
            return
        self._waiting.append((happening, size_bytes))
        self._size_bytes += size_bytes
        while len(self._waiting) > 1 and (len(self._waiting) > _MOST_WAITING or self._size_bytes > _MOST_BYTES):
            self._drop_oldest()
        self._filled.set()

    async def get(self) -> FeedEvent:
        """Wait for the oldest happening and remove it."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._drop_oldest()

    def __len__(self) -> int:
        """The number of happenings in the queue."""
        return len(self._waiting)

    def _drop_oldest(self) -> FeedEvent:
        happening, size_bytes = self._waiting.popleft()
        self._size_bytes -= size_bytes
        return happening


class EventFeed:
    """Publishes to every listener; one that is too slow loses the oldest, and nobody waits for it."""

    def __init__(self) -> None:
        self._listeners: set[FeedQueue] = set()

    def publish(self, kind: str, **data: object) -> None:
        """Publish to all present listeners, which share one object."""
        if not self._listeners:
            return
        happening = FeedEvent(kind, data)
        size_bytes = happening.size_bytes
        for queue in self._listeners:
            queue.offer(happening, size_bytes)

    @contextlib.contextmanager
    def subscribe(self, wants: Callable[[str], bool]) -> Generator[FeedQueue]:
        """Queue every happening whose kind `wants` accepts, as long as the block lasts."""
        queue = FeedQueue(wants)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
