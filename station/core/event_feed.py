"""The live event feed of the station, for the page, scripts and test benches."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable, Generator
from typing import Final

from foundation.frozen import Frozen

_MAX_WAITING: Final = 500
_MAX_BYTES: Final = 256 * 1024
"""limit of one listener's queue; a single OCPP frame may have 100,000 bytes"""
_OVERHEAD_BYTES: Final = 500
"""upper bound of the memory of an event without its strings"""


class FeedEvent(Frozen):
    """An event of the live feed, as its subscribers receive it."""

    event_type: str
    """`frame` (an OCPP frame), `evse` (the state of an EVSE changed), `light` (the status light changed), `display`
    (a display shows another screen) or `device-event` (a monitor was triggered, or a fault occurred or cleared)"""
    data: dict[str, object]

    @property
    def size_bytes(self) -> int:
        """Estimated memory of this event, bytes."""
        return _OVERHEAD_BYTES + sum(sys.getsizeof(value) for value in self.data.values() if isinstance(value, str))


class FeedQueue:
    """The queue of events for one listener; the oldest are dropped if the listener is too slow."""

    def __init__(self, accepts: Callable[[str], bool]) -> None:
        self.accepts = accepts
        """returns whether the listener accepts events of a type"""
        self._queued: deque[tuple[FeedEvent, int]] = deque()
        self._size_bytes = 0
        self._not_empty = asyncio.Event()

    def offer(self, event: FeedEvent, size_bytes: int) -> None:
        """Add an event if the listener accepts its type; the newest event is never dropped, whatever its size."""
        if not self.accepts(event.event_type):
            return
        self._queued.append((event, size_bytes))
        self._size_bytes += size_bytes
        while len(self._queued) > 1 and (len(self._queued) > _MAX_WAITING or self._size_bytes > _MAX_BYTES):
            self._drop_oldest()
        self._not_empty.set()

    async def get(self) -> FeedEvent:
        """Remove and return the oldest event; wait for one if the queue is empty."""
        while not self._queued:
            self._not_empty.clear()
            await self._not_empty.wait()
        return self._drop_oldest()

    def __len__(self) -> int:
        """The number of events in the queue."""
        return len(self._queued)

    def _drop_oldest(self) -> FeedEvent:
        event, size_bytes = self._queued.popleft()
        self._size_bytes -= size_bytes
        return event


class EventFeed:
    """Publishes events to all subscribers without waiting; a slow subscriber loses its oldest events."""

    def __init__(self) -> None:
        self._listeners: set[FeedQueue] = set()

    def has_listener(self, kind: str) -> bool:
        """Return whether a current subscriber accepts events of this type; else there is no need to publish one."""
        return bool(self._listeners) and any(queue.accepts(kind) for queue in self._listeners)

    def publish(self, kind: str, **data: object) -> None:
        """Publish an event of type `kind` with these data to all current subscribers, which share one `FeedEvent`."""
        if not self._listeners:
            return
        event = FeedEvent(kind, data)
        size_bytes = event.size_bytes
        for queue in self._listeners:
            queue.offer(event, size_bytes)

    @contextlib.contextmanager
    def subscribe(self, accepts: Callable[[str], bool]) -> Generator[FeedQueue]:
        """Context manager: yield a queue of the events whose type passes the filter `accepts`, until the block ends."""
        queue = FeedQueue(accepts)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
