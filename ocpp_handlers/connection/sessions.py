"""Opens a session on each websocket; all sessions use the same handlers and publish to the same events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ocpp_handlers.wire.schema import shared_schemas
from ocpp_handlers.wire.session import Handlers, OcppSession, SessionEvents

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import FollowUpTasks
    from ocpp_handlers.wire.edition import Edition
    from ocpp_handlers.wire.session import FrameTransport, FunctionalBlock, MessageFilter
    from ocpp_handlers.wire.transport_tap import TransportTap
    from station.security.network_profiles import NetworkProfiles


class SessionFactory:
    """Creates the OCPP session of each new websocket, with the same handlers; all publish to the same events."""

    def __init__(
        self,
        blocks: Iterable[FunctionalBlock],
        gate: MessageFilter,
        network: NetworkProfiles,
        follow_ups: FollowUpTasks,
        clock: Clock,
        *,
        taps: Sequence[TransportTap] = (),
    ) -> None:
        """`blocks` answer the requests of the CSMS; `network` says how long the CSMS may take to answer.

        `taps`: get each websocket, the first one before the others.
        """
        self._handlers = Handlers()
        for block in blocks:
            block.register(self._handlers)
        self._gate = gate
        self._network = network
        self._follow_ups = follow_ups
        self._clock = clock
        self._taps = taps
        self.events = SessionEvents()
        """published by every session"""

    def open(self, transport: FrameTransport, edition: Edition) -> OcppSession:
        """Create a session of this edition on an open websocket, with the current profile's message timeout.

        The caller runs it.
        """
        for tap in self._taps:
            transport = tap.observe(transport, self.events)
        return OcppSession(
            transport,
            self._handlers,
            self._gate,
            shared_schemas(edition),
            self._follow_ups,
            self._clock,
            self.events,
            timeout_s=self._network.message_timeout_s,
        )
