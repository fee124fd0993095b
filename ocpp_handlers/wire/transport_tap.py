"""The interface by which measurements and simulated faults get between a session and its websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ocpp_handlers.wire.session import FrameTransport, SessionEvents


class TransportTap(Protocol):
    """Gets the websockets of a station, to measure or, on simulated hardware, to disturb what passes.

    Without one, a session uses its websocket directly.
    """

    def observe(self, transport: FrameTransport, events: SessionEvents, /) -> FrameTransport:
        """Return what a new session is to use in place of an open websocket, or of what another tap has returned.

        `events`: those of the session.
        """
        ...
