"""Serves pages and APIs of the bench to this machine; loads no web framework before the first visitor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Final

from station.interfaces.http.connection_limits import connection_limits
from station.interfaces.http.server import WebServer

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST: Final = "127.0.0.1"


@contextlib.asynccontextmanager
async def serving_page(build: Callable[[], ASGIApp], port: int, name: str) -> AsyncGenerator[int]:
    """Serve an application to this machine while the block runs; yields the port. Port 0: any free one.

    Connections are bounded as those of a station. `build` is called in a thread at the first connection; `name` is that
    of the task.

    Raises:
        OSError: the port cannot be bound.
    """
    server = WebServer(HOST, port, connection_limits(tls=False))
    server.bind()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.run(build, None), name=name)
        try:
            yield server.port
        finally:
            serving.cancel()
