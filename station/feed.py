"""What happens in the station, as it happens, for whoever listens: the page, a script, a test bench."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator

from metering.frozen import frozen

_MOST_WAITING = 500


@frozen
class Happening:
    """One thing that happened."""

    kind: str
    """`frame` (an OCPP frame), `evse` (an EVSE's state changed) or `light` (the status light did)"""
    data: dict[str, object]


class Feed:
    """Tells every listener; one that is too slow loses the oldest, and nobody waits for it."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Happening]] = set()

    def publish(self, kind: str, **data: object) -> None:
        """Tell those who listen now."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(Happening(kind, data))

    @contextlib.contextmanager
    def listening(self) -> Generator[asyncio.Queue[Happening]]:
        """Everything that happens from now on, as long as the block lasts."""
        queue: asyncio.Queue[Happening] = asyncio.Queue(_MOST_WAITING)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
