"""Opens a database for a test, with a database thread of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from foundation.clock import Clock
from station.storage import database
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import ReadConnections


@contextlib.asynccontextmanager
async def open_database(path: Path, clock: Clock) -> AsyncGenerator[database.Database]:
    """Open a database in a thread of its own, with read connections of its own."""
    with DatabaseThread() as thread:
        async with database.open_database(path, clock, thread, ReadConnections(clock)) as opened:
            yield opened
