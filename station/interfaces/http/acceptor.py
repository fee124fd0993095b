"""Accept the connections of the local API, up to its limits; pause while no file descriptor is free."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from foundation.supervision import result_or_exception

if TYPE_CHECKING:
    from station.interfaces.http.connection_limits import ConnectionLimits
    from station.interfaces.http.open_connections import ConnectionSlot, OpenConnections

_log = logging.getLogger(__name__)

_MAX_AT_ONCE: Final = 64
"""connections accepted before other tasks run"""
_PAUSE_S: Final = 1.0
"""delay before the next attempt if the kernel has no file descriptor or memory for another connection"""
_LOG_EVERY_S: Final = 60.0
_CLOSE_S: Final = 600.0
"""deadline of the TLS shutdown, including a pending response; the protocol closes earlier if the peer reads nothing"""


class Acceptor:
    """Accepts connections on the listening socket, and creates a protocol for each one that the limits admit.

    It replaces asyncio's server, which logs tracebacks in a loop while no file descriptor is free.
    """

    def __init__(
        self,
        listener: socket.socket,
        connections: OpenConnections,
        limits: ConnectionLimits,
        protocol: Callable[[ConnectionSlot], asyncio.Protocol],
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        """`tls` returns the TLS context for the next connection; None: connections are not encrypted."""
        self._listener = listener
        self._connections = connections
        self._handshake_s = limits.first_byte_s
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._resume_timer: asyncio.TimerHandle | None = None
        self._logged_at_s: float | None = None

    @contextmanager
    def accepting(self, group: asyncio.TaskGroup) -> Generator[None]:
        """Context manager: accept connections while its block runs; `group` runs the TLS handshakes as tasks."""
        self._start_accepting(group)
        try:
            yield
        finally:
            if self._resume_timer is not None:
                self._resume_timer.cancel()
            self._loop.remove_reader(self._listener)

    def _start_accepting(self, group: asyncio.TaskGroup) -> None:
        self._resume_timer = None
        self._loop.add_reader(self._listener, self._accept, group)

    def _accept(self, group: asyncio.TaskGroup) -> None:
        for _ in range(_MAX_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause_accepting(group, error)
                return
            slot = self._connections.admit(address[0])
            if slot is None:
                connection.close()
                continue
            connection.setblocking(False)
            group.create_task(self._connect(connection, slot))

    def _pause_accepting(self, group: asyncio.TaskGroup, error: OSError) -> None:
        """Stop accepting for a while: the listener stays readable although nothing can be accepted."""
        self._loop.remove_reader(self._listener)
        self._resume_timer = self._loop.call_later(_PAUSE_S, self._start_accepting, group)
        now_s = self._loop.time()
        if self._logged_at_s is None or now_s - self._logged_at_s >= _LOG_EVERY_S:
            self._logged_at_s = now_s
            _log.warning("local API: cannot accept connections: %s; trying again", error.strerror)

    async def _connect(self, connection: socket.socket, slot: ConnectionSlot) -> None:
        """Hand a connection to its protocol, after the TLS handshake if there is one."""
        try:
            outcome = await result_or_exception(
                self._loop.connect_accepted_socket(
                    lambda: self._protocol(slot),
                    connection,
                    ssl=self._tls() if self._tls is not None else None,
                    ssl_handshake_timeout=self._handshake_s if self._tls is not None else None,
                    ssl_shutdown_timeout=_CLOSE_S if self._tls is not None else None,
                )
            )
        except asyncio.CancelledError:
            slot.release()
            raise
        if isinstance(outcome, Exception):  # asyncio has closed the socket; the protocol was not called
            slot.log_refusal("TLS handshake failed" if self._tls is not None else "connection lost")
            slot.release()
