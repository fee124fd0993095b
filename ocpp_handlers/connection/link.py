"""The link to the CSMS as the blocks see it: it is online or not, takes calls while it lasts, and says when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from foundation.events import Event
from foundation.frozen import frozen
from ocpp_handlers.wire.session import LinkLostError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.boot import BootMessageFilter
    from ocpp_handlers.wire.actions import Action
    from ocpp_handlers.wire.session import OcppSession
    from station.core.settings import Settings

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


@frozen
class LinkUp:
    """The CSMS has accepted the station, and everything may be sent on the new link."""

    report_all: bool
    """whether all statuses are reported: after the acceptance, or a long absence; else those that changed"""


class Link:
    """The present session with the CSMS, and what happens to it."""

    def __init__(self, gate: BootMessageFilter, settings: Settings, clock: Clock) -> None:
        self._gate = gate
        self._settings = settings
        self._clock = clock
        self._offline_since_s: float | None = None
        self.session: OcppSession | None = None
        """None while there is no websocket"""
        self.switched: Event[None] = Event()
        """a new link is by another network profile: the CSMS may be another one, which knows nothing (B10.FR.10)"""
        self.up: Event[LinkUp] = Event()
        self.lost: Event[None] = Event()
        """the websocket has ended, whether the CSMS had accepted the station or not"""

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
        """Send a CALL over the session of the moment.

        Raises:
            NoAnswerError: there is none, or as `Session.call`.
        """
        if self.session is None:
            raise LinkLostError("there is no link to the CSMS")
        return await self.session.call(action, request, requested=requested)

    def _offline_too_long(self) -> bool:
        """B04.FR.01: after a long absence all statuses are reported anew, however the time was set meanwhile."""
        if self._offline_since_s is None:
            return True
        return self._clock.monotonic() - self._offline_since_s > self._settings.offline_threshold_s
