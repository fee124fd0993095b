"""Which station of a process a log line is about: the one in whose context the line is written.

Tasks, callbacks and threads of `asyncio.to_thread` run in a copy of the context in which they were made, and so does
what a library makes in them, such as the transports of pymodbus. A thread of its own has to be given a copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from typing import Final

_STATION: Final[ContextVar[str | None]] = ContextVar("station", default=None)


def current_station() -> str | None:
    """The identity of the station in whose context this is called; None in the context of the process."""
    return _STATION.get()


@contextlib.contextmanager
def station_context(identity: str) -> Generator[None]:
    """Run the block, and all that is started in it, in the context of a station."""
    token = _STATION.set(identity)
    try:
        yield
    finally:
        _STATION.reset(token)
