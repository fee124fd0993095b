"""The link to the CSMS as the functional blocks use it: its state, sending CALLs, and events when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from foundation.events import Event
from foundation.frozen import Frozen
from ocpp_handlers.wire.session import LinkLostError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.boot import BootMessageFilter
    from ocpp_handlers.connection.link_settings import CsmsLinkSettings
    from ocpp_handlers.wire.actions import Action
    from ocpp_handlers.wire.session import OcppSession

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class LinkUp(Frozen):
    """Published when the station is accepted on a new link and any message may be sent."""

    report_all: bool
    """whether to report all statuses (after acceptance or a long time offline) or only those that changed"""


class Link:
    """The current session with the CSMS, and events for its start and end."""

    def __init__(self, gate: BootMessageFilter, settings: CsmsLinkSettings, clock: Clock) -> None:
        self._gate = gate
        self._settings = settings
        self._clock = clock
        self._offline_since_s: float | None = None
        self.session: OcppSession | None = None
        """None while there is no websocket"""
        self.switched: Event[None] = Event()
        """the new link uses another network profile: the CSMS may be another one, without any state (B10.FR.10)"""
        self.up: Event[LinkUp] = Event()
        self.lost: Event[None] = Event()
        """the websocket has closed, whether the CSMS had accepted the station or not"""

    @property
    def online(self) -> bool:
        """Connected, and accepted by the CSMS."""
        return self.session is not None and self._gate.accepted

    @property
    def accepted(self) -> bool:
        """Whether the CSMS has accepted the station since it started, connected or not."""
        return self._gate.accepted

    @property
    def boot_status(self) -> str:
        """The registration status of the station at the CSMS: Unknown, Pending, Rejected or Accepted."""
        return self._gate.state.value

    def open(self, session: OcppSession) -> None:
        """Send calls over this session from now on."""
        self.session = session

    def begin(self, *, newly_accepted: bool) -> None:
        """Publish that everything may be sent; `newly_accepted`: the CSMS accepted the station on this link."""
        self.up.publish(LinkUp(report_all=newly_accepted or self._offline_too_long()))

    def close(self) -> None:
        """Send no calls any more, and publish that the link is lost."""
        self.session = None
        self._offline_since_s = self._clock.monotonic()
        self.lost.publish(None)

    async def call(
        self, action: Action[RequestT, ResponseT], request: RequestT, *, requested: bool = False
    ) -> ResponseT:
        """Send a CALL over the current session.

        Raises:
            NoAnswerError: there is no session, or as `OcppSession.call`.
        """
        if self.session is None:
            raise LinkLostError("the station is not connected to the CSMS")
        return await self.session.call(action, request, requested=requested)

    def _offline_too_long(self) -> bool:
        """Return whether the station was offline longer than OfflineThreshold, by monotonic time (B04.FR.01)."""
        if self._offline_since_s is None:
            return True
        return self._clock.monotonic() - self._offline_since_s > self._settings.offline_threshold_s
