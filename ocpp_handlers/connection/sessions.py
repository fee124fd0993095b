"""Opens a session on each websocket; all sessions use the same handlers and publish to the same events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from foundation.events import Event
from ocpp_handlers.wire.schema import Schemas
from ocpp_handlers.wire.session import Handlers, OcppSession

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import FollowUpTasks
    from ocpp_handlers.wire.session import FrameTransport, FunctionalBlock, MessageFilter, ObservedFrame
    from ocpp_handlers.wire.transport_tap import TransportTap
    from station.security.network_profiles import NetworkProfiles


class SessionFactory:
    """Creates the OCPP session of each new websocket, with the same handlers; its events cover all sessions."""

    def __init__(
        self,
        blocks: Iterable[FunctionalBlock],
        gate: MessageFilter,
        network: NetworkProfiles,
        follow_ups: FollowUpTasks,
        clock: Clock,
        *,
        tap: TransportTap | None = None,
    ) -> None:
        """`blocks` answer the requests of the CSMS; `network` says how long the CSMS may take to answer.

        `tap`: observes each websocket; None: nobody does.
        """
        self._handlers = Handlers()
        for block in blocks:
            block.register(self._handlers)
        self._gate = gate
        self._network = network
        self._follow_ups = follow_ups
        self._clock = clock
        self._schemas = Schemas()
        self._tap = tap
        self.frame_observed: Event[ObservedFrame] = Event()
        """each frame of every session"""
        self.invalid_message: Event[str] = Event()
        """the reason why a frame of the CSMS is not a valid OCPP message"""

    def open(self, transport: FrameTransport) -> OcppSession:
        """Create a session on an open websocket, with the current profile's message timeout; the caller runs it."""
        session = OcppSession(
            self._tap.observe(transport) if self._tap is not None else transport,
            self._handlers,
            self._gate,
            self._schemas,
            self._follow_ups,
            self._clock,
            timeout_s=self._network.message_timeout_s,
        )
        session.frame_observed.subscribe(self.frame_observed.publish)
        session.invalid_message.subscribe(self.invalid_message.publish)
        return session
