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


_MIN_BYTES_READ: Final = 4096
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
        self, config: uvicorn.Config, server_state: ServerState, slot: ConnectionSlot, limits: ConnectionLimits
    ) -> None:
        super().__init__(config, server_state, app_state={})
        self._slot = slot
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_key: tuple[_Step, int] | None = None
        self._acknowledged_before = 0
        """bytes that the peer had acknowledged when the current step began"""
        self._received = 0
        """bytes received since the last response was complete"""
        self._is_new = True
        self._timeouts_s = {
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
        self._update_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline, and release the connection slot with its memory; called by asyncio."""
        self._cancel_deadline()
        self._slot.release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process received bytes of a request; abort the connection if a memory limit is reached. Called by asyncio."""
        self._is_new = False
        self._received += len(data)
        if not self._slot.reserve_memory(min(self._received, LARGEST_BODY)):
            self._abort("the buffer for unfinished requests is full")
            return
        super().data_received(data)
        step = self._current_step()
        if step is _Step.REFUSED_BODY:  # uvicorn drops the rest of it
            self._received = 0
            self._slot.reserve_memory(0)
        if step is None and len(self.conn.trailing_data[0]) > _MAX_PIPELINED:
            self._abort("the client sends too many requests before their responses")
            return
        self._update_deadline()

    def on_response_complete(self) -> None:
        """Free the memory of the request whose response is complete, and start the next deadline; called by uvicorn."""
        self._received = len(self.conn.trailing_data[0])  # bytes of a pipelined next request
        self._slot.reserve_memory(self._received)
        super().on_response_complete()
        self._update_deadline()

    def pause_writing(self) -> None:
        """Stop writing, and start the deadline of a peer that does not read; called by asyncio with a full buffer."""
        super().pause_writing()
        self._update_deadline()

    def resume_writing(self) -> None:
        """Write again, and end the deadline of a peer that reads again; called by asyncio."""
        super().resume_writing()
        self._update_deadline()

    def send_400_response(self, msg: str) -> None:
        """Log invalid HTTP and respond with 400; only close if the response to its request has already begun."""
        self._slot.log_refusal("the client sends invalid HTTP")
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Do nothing: uvicorn would close an idle connection although its last response is not delivered yet."""

    def _update_deadline(self) -> None:
        """Start the deadline of the current step, unless it is running already."""
        step = self._current_step()
        key = (step, self._received // LARGEST_BODY if step is _Step.BODY else 0) if step is not None else None
        if key == self._deadline_key:
            return
        self._cancel_deadline()
        if step is not None:
            self._deadline_key = key
            self._start_deadline(step)

    def _start_deadline(self, step: _Step) -> None:
        """Set the deadline of a step."""
        self._acknowledged_before = delivery_progress(self.transport).acknowledged
        self._deadline = self.loop.call_later(self._timeouts_s[step], self._on_deadline, step)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._deadline_key = None

    def _current_step(self) -> _Step | None:
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

    def _on_deadline(self, step: _Step) -> None:
        """Close the connection, unless the peer makes progress or the station itself is slow."""
        if step is _Step.BODY and self.flow.read_paused:
            self._start_deadline(step)
        elif step in {_Step.READ, _Step.CLOSE, _Step.IDLE}:
            self._on_reader_deadline(step)
        else:
            self._abort(step.value)

    def _on_reader_deadline(self, step: _Step) -> None:
        progress = delivery_progress(self.transport)
        if step is _Step.IDLE and progress.pending:  # its last response is not delivered yet
            self._start_deadline(_Step.READ)
        elif step is not _Step.IDLE and progress.acknowledged - self._acknowledged_before >= _MIN_BYTES_READ:
            self._start_deadline(step)
        elif self._current_step() is _Step.IDLE and not progress.pending:
            self._cancel_deadline()
            super().timeout_keep_alive_handler()
            self._update_deadline()
        else:
            self._abort(step.value if step is not _Step.IDLE else _Step.READ.value)

    def _abort(self, reason: str) -> None:
        self._slot.log_refusal(reason)
        self._cancel_deadline()
        self.transport.abort()
