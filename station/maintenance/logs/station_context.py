"""The station that a log line is about, for a process that hosts several: taken from the context of the caller.

Tasks, callbacks and threads of `asyncio.to_thread` run in a copy of the context in which they were created, and so do
those created by libraries in them, such as the transports of pymodbus. Other threads need an explicit copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from typing import Final

_STATION: Final[ContextVar[str | None]] = ContextVar("station", default=None)


def current_station() -> str | None:
    """The identity of the station in the present context; None outside any station."""
    return _STATION.get()


@contextlib.contextmanager
def station_context(identity: str) -> Generator[None]:
    """Context manager: log lines of its block, and of all tasks started in it, are about this station."""
    token = _STATION.set(identity)
    try:
        yield
    finally:
        _STATION.reset(token)
