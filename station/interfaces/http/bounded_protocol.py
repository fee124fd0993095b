"""uvicorn's HTTP protocol with a deadline for each step of a request and a limit on the memory of unfinished requests.

uvicorn itself waits without limit for the first byte, the rest of the headers and the rest of a body.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from station.interfaces.http.connection_limits import LARGEST_BODY
from station.interfaces.http.delivery_progress import delivery_progress

if TYPE_CHECKING:
    import uvicorn
    from uvicorn.server import ServerState

    from station.interfaces.http.connection_limits import ConnectionLimits
    from station.interfaces.http.open_connections import ConnectionSlot


_MIN_READ: Final = 4096
"""bytes of a response that a slow peer must read in each `stalled_s` to keep its connection"""
_MAX_PIPELINED: Final = 16 * 1024
"""bytes of pipelined requests that wait for the current response, which may be an endless stream"""


class _Step(Enum):
    """The next action expected from the peer; the value is the reason in the log if it takes too long."""

    FIRST_BYTE = "the client sends no request"
    HEAD = "the client does not complete its headers"
    BODY = "the client does not complete the request body"
    REFUSED_BODY = "the client keeps sending a body after the response"
    READ = "the client does not read the response"
    IDLE = "idle"
    CLOSE = "the client does not read the end of the response"


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP protocol of one connection, which closes it if a step takes too long or too much memory."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, place: ConnectionSlot, limits: ConnectionLimits
    ) -> None:
        super().__init__(config, server_state, app_state={})
        self._place = place
        self._deadline: asyncio.TimerHandle | None = None
        self._watched: tuple[_Step, int] | None = None
        self._acknowledged = 0
        """bytes that the peer had acknowledged when the current step began"""
        self._received = 0
        """bytes received since the last response was complete"""
        self._is_new = True
        self._seconds = {
            _Step.FIRST_BYTE: limits.first_byte_s,
            _Step.HEAD: limits.head_s,
            _Step.BODY: limits.body_s,
            _Step.REFUSED_BODY: limits.body_s,
            _Step.READ: limits.stalled_s,
            _Step.IDLE: limits.idle_s,
            _Step.CLOSE: limits.stalled_s,
        }

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the deadline for the first byte of the first request; called by asyncio."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline, and release the connection slot with its memory; called by asyncio."""
        self._stop_watching()
        self._place.release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process received bytes of a request; abort the connection if a memory limit is reached. Called by asyncio."""
        self._is_new = False
        self._received += len(data)
        if not self._place.reserve_memory(min(self._received, LARGEST_BODY)):
            self._abort("the buffer for unfinished requests is full")
            return
        super().data_received(data)
        step = self._step()
        if step is _Step.REFUSED_BODY:  # uvicorn drops the rest of it
            self._received = 0
            self._place.reserve_memory(0)
        if step is None and len(self.conn.trailing_data[0]) > _MAX_PIPELINED:
            self._abort("the client sends too many requests before their responses")
            return
        self._watch()

    def on_response_complete(self) -> None:
        """Free the memory of the request whose response is complete, and start the next deadline; called by uvicorn."""
        self._received = len(self.conn.trailing_data[0])  # bytes of a pipelined next request
        self._place.reserve_memory(self._received)
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Stop writing, and start the deadline of a peer that does not read; called by asyncio with a full buffer."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Write again, and end the deadline of a peer that reads again; called by asyncio."""
        super().resume_writing()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Log invalid HTTP and respond with 400; only close if the response to its request has already begun."""
        self._place.log_refusal("the client sends invalid HTTP")
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Do nothing: uvicorn would close an idle connection although its last response is not delivered yet."""

    def _watch(self) -> None:
        """Start the deadline of the current step, unless it is running already."""
        step = self._step()
        watched = (step, self._received // LARGEST_BODY if step is _Step.BODY else 0) if step is not None else None
        if watched == self._watched:
            return
        self._stop_watching()
        if step is not None:
            self._watched = watched
            self._begin(step)

    def _begin(self, step: _Step) -> None:
        """Set the deadline of a step."""
        self._acknowledged = delivery_progress(self.transport).acknowledged
        self._deadline = self.loop.call_later(self._seconds[step], self._overdue, step)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._watched = None

    def _step(self) -> _Step | None:
        """The next action expected from the peer; None if it waits for the station."""
        if self.transport.is_closing():
            return _Step.CLOSE
        if self.flow.write_paused:
            return _Step.READ
        if self.conn.their_state is h11.SEND_BODY:
            return _Step.REFUSED_BODY if self.cycle.response_complete else _Step.BODY
        if self.conn.their_state is not h11.IDLE:
            return None
        if self._is_new:
            return _Step.FIRST_BYTE
        return _Step.HEAD if self.conn.trailing_data[0] else _Step.IDLE

    def _overdue(self, step: _Step) -> None:
        """Close the connection, unless the peer makes progress or the station itself is slow."""
        if step is _Step.BODY and self.flow.read_paused:
            self._begin(step)
        elif step in {_Step.READ, _Step.CLOSE, _Step.IDLE}:
            self._overdue_reader(step)
        else:
            self._abort(step.value)

    def _overdue_reader(self, step: _Step) -> None:
        now = delivery_progress(self.transport)
        if step is _Step.IDLE and now.pending:  # its last response is not delivered yet
            self._begin(_Step.READ)
        elif step is not _Step.IDLE and now.acknowledged - self._acknowledged >= _MIN_READ:
            self._begin(step)
        elif self._step() is _Step.IDLE and not now.pending:
            self._stop_watching()
            super().timeout_keep_alive_handler()
            self._watch()
        else:
            self._abort(step.value if step is not _Step.IDLE else _Step.READ.value)

    def _abort(self, reason: str) -> None:
        self._place.log_refusal(reason)
        self._stop_watching()
        self.transport.abort()
