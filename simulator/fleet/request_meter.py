"""Measures the requests of simulated stations at their websockets: latency, failures and sizes, by action."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from websockets.exceptions import ConnectionClosed

from foundation.frozen import Frozen
from simulator.fleet.histogram import DurationHistogram
from simulator.fleet.reports import Direction, RequestReport

if TYPE_CHECKING:
    from ocpp_handlers.wire.session import FrameTransport, SessionEvents

_BOOT_ACTION: Final = "BootNotification"
_ACCEPTED_STATUS: Final = '"Accepted"'
_TIMEOUT_REASON: Final = "timeout"
_OTHER_ACTION: Final = "other"
_MAX_ACTIONS: Final = 200
"""of both directions; OCPP 2.0.1 has 64"""
_MAX_NAME_CHARACTERS: Final = 64
_MAX_OPEN_REQUESTS: Final = 100
"""requests of a CSMS that a station has not answered; further ones are not measured"""


class RequestMeter:
    """The requests of any number of stations, by direction and action."""

    def __init__(self) -> None:
        self._action_meters: dict[tuple[Direction, str], _ActionMeter] = {}

    def action(self, direction: Direction, name: str) -> _ActionMeter:
        """The requests of one action in one direction. A CSMS that makes up names shares one for all: `other`."""
        key = (direction, name)
        if key not in self._action_meters and (
            len(self._action_meters) >= _MAX_ACTIONS or len(name) > _MAX_NAME_CHARACTERS
        ):
            key = (direction, _OTHER_ACTION)
        if (found := self._action_meters.get(key)) is None:
            found = self._action_meters[key] = _ActionMeter()
        return found

    def reports(self) -> tuple[RequestReport, ...]:
        """All requests so far."""
        return tuple(
            RequestReport(
                name, direction, meter.latency.data(), dict(meter.failures), meter.interrupted, meter.response_bytes
            )
            for (direction, name), meter in self._action_meters.items()
        )


class _ActionMeter:
    """The requests of one action in one direction."""

    __slots__ = ("failures", "interrupted", "latency", "response_bytes")

    def __init__(self) -> None:
        self.latency = DurationHistogram()
        self.failures: dict[str, int] = {}
        self.interrupted = 0
        self.response_bytes = 0

    def fail(self, reason: str) -> None:
        """Count a request without a valid response."""
        self.failures[reason] = self.failures.get(reason, 0) + 1


class _OpenRequest(Frozen):
    action: str
    sent_s: float


class ConnectionObserver:
    """The tap of one station (`TransportTap`): measures its requests, boots and reconnections.

    `real_s` returns real time; the clock of the station may be a virtual one.
    """

    def __init__(self, meter: RequestMeter, reconnections: DurationHistogram, real_s: Callable[[], float]) -> None:
        self._meter = meter
        self._reconnections = reconnections
        self._real_s = real_s
        self._lost_s: float | None = None
        self.boots = 0
        """number of times that the CSMS has accepted the station"""
        self.accepted_s: float | None = None
        """real time of the first acceptance"""
        self.accepted = asyncio.Event()
        """set by the first acceptance"""

    def observe(self, transport: FrameTransport, _events: SessionEvents, /) -> FrameTransport:
        """Return a transport that measures what passes."""
        if self._lost_s is not None:
            self._reconnections.record(self._real_s() - self._lost_s)
            self._lost_s = None
        return _MeasuredTransport(transport, self._meter, self, self._real_s)

    def note_lost(self) -> None:
        """Note that the connection is lost: the time until the next one counts as a reconnection."""
        self._lost_s = self._real_s()

    def note_power_cut(self) -> None:
        """Note that the station has no power: the time until the next connection does not count."""
        self._lost_s = None

    def note_acceptance(self) -> None:
        """Note that the CSMS has accepted the station."""
        self.boots += 1
        if self.accepted_s is None:
            self.accepted_s = self._real_s()
            self.accepted.set()


class _MeasuredTransport:
    """A websocket that measures the requests of both sides, from the beginning of each frame."""

    def __init__(
        self,
        transport: FrameTransport,
        meter: RequestMeter,
        observer: ConnectionObserver,
        real_s: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._meter = meter
        self._observer = observer
        self._real_s = real_s
        self._open_sent: dict[str, _OpenRequest] = {}
        self._open_received: dict[str, _OpenRequest] = {}

    async def send(self, message: str) -> None:
        """Send a text frame."""
        kind, parts = _parse_beginning(message)
        if kind == "2":
            self._expire_sent()
            self._open_sent[parts[1]] = _OpenRequest(parts[3], self._real_s())
        await self._transport.send(message)
        if kind in ("3", "4") and (request := self._open_received.pop(parts[1], None)) is not None:
            self._note_response("from CSMS", request, kind, parts, len(message))

    async def recv(self) -> str | bytes:
        """Wait for a frame."""
        try:
            message = await self._transport.recv()
        except (ConnectionClosed, asyncio.CancelledError):
            self._count_interrupted()
            raise
        if isinstance(message, str):
            kind, parts = _parse_beginning(message)
            if kind == "2":
                if len(self._open_received) < _MAX_OPEN_REQUESTS:
                    self._open_received[parts[1]] = _OpenRequest(parts[3], self._real_s())
            elif kind in ("3", "4") and (request := self._open_sent.pop(parts[1], None)) is not None:
                self._note_response("to CSMS", request, kind, parts, len(message))
                if request.action == _BOOT_ACTION and kind == "3" and _ACCEPTED_STATUS in message:
                    self._observer.note_acceptance()
        return message

    def _note_response(
        self, direction: Direction, request: _OpenRequest, kind: str, parts: list[str], length: int
    ) -> None:
        action = self._meter.action(direction, request.action)
        action.latency.record(self._real_s() - request.sent_s)
        action.response_bytes += length
        if kind == "4":
            action.fail(parts[3] if len(parts) > 3 else "CALLERROR")

    def _expire_sent(self) -> None:
        """Count requests of the station that are still open: it sends the next one after a response or a timeout."""
        for request in self._open_sent.values():
            action = self._meter.action("to CSMS", request.action)
            action.latency.record(self._real_s() - request.sent_s)
            action.fail(_TIMEOUT_REASON)
        self._open_sent.clear()

    def _count_interrupted(self) -> None:
        """Count what the end of the connection has interrupted."""
        for request in self._open_sent.values():
            self._meter.action("to CSMS", request.action).interrupted += 1
        for request in self._open_received.values():
            self._meter.action("from CSMS", request.action).interrupted += 1
        self._open_sent.clear()
        self._open_received.clear()
        self._observer.note_lost()


def _parse_beginning(text: str) -> tuple[str, list[str]]:
    """The message type of a frame, and its parts between the first quotation marks: `[2,"id","Action",…`.

    The type is empty if the frame has no id, or a request has no action: a CSMS under test may send anything.
    """
    kind, parts = text[1:3].strip(" ,"), text.split('"', 4)
    return kind if len(parts) > (3 if kind == "2" else 1) else "", parts
