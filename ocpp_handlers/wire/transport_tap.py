"""The interface by which measurements observe the websockets of a station."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ocpp_handlers.wire.session import FrameTransport


class TransportTap(Protocol):
    """Observes the websockets of a station, for measurements; without one, a session uses its websocket directly."""

    def observe(self, transport: FrameTransport, /) -> FrameTransport:
        """Return what a new session is to use in place of an open websocket; it must pass on every frame."""
        ...
