"""The uvicorn server of page and API. Loads uvicorn: imported for the first visitor."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from typing import TYPE_CHECKING

import uvicorn

from station.interfaces.http.bounded_protocol import BoundedProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from station.interfaces.http.connection_limits import ConnectionLimits
    from station.interfaces.http.open_connections import ProtocolFactory


class UvicornServer(uvicorn.Server):
    """A uvicorn server that installs no signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to `HostProcess`."""
        yield


def uvicorn_server(application: ASGIApp, limits: ConnectionLimits) -> tuple[uvicorn.Server, ProtocolFactory]:
    """Create the loaded server of an application, and the factory of the protocols of its connections."""
    config = uvicorn.Config(
        application,
        http=BoundedProtocol,
        proxy_headers=False,  # a request through a proxy does not count as from this machine (access/visitor.py)
        server_header=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=math.ceil(limits.idle_s),
        ws="none",
    )
    config.load()
    server = UvicornServer(config)
    return server, lambda place: BoundedProtocol(config, server.server_state, place, limits)
