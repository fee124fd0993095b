"""TCP connections of the bundled CSMS: their number is limited, and silent ones are aborted."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from websockets.asyncio.server import ServerConnection

SPARE_CONNECTIONS: Final = 24
"""connections beyond those of the stations: for requests of the bills, and for refusals"""


def bounded_connection(most_stations: int, first_byte_s: float) -> type[ServerConnection]:
    """The class of the connections of a server for at most `most_stations` stations.

    A connection is aborted if there are too many, or if its peer sends no byte within `first_byte_s` real seconds.
    """

    class BoundedConnection(ServerConnection):
        """One connection of a bounded server."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            """Start the deadline for the first byte; called by asyncio."""
            super().connection_made(transport)
            abort = cast("asyncio.Transport", transport).abort
            if len(self.server.handler_tasks) > most_stations + SPARE_CONNECTIONS:
                abort()
            else:
                self._deadline = self.loop.call_later(first_byte_s, abort)

        def data_received(self, data: bytes) -> None:
            """Receive bytes; the first ones end the deadline. Called by asyncio."""
            self._end_deadline()
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            """End the deadline; called by asyncio."""
            self._end_deadline()
            super().connection_lost(exc)

        def _end_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return BoundedConnection
