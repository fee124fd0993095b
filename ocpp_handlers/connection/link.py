"""The link to the CSMS as the functional blocks use it: its state, sending CALLs, and events when it changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.wire.call_errors import CallRefusedError, LinkLostError
from ocpp_handlers.wire.edition import EDITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foundation.clock import Clock
    from ocpp_handlers.connection.boot import BootMessageFilter
    from ocpp_handlers.connection.link_settings import CsmsLinkSettings
    from ocpp_handlers.wire.actions import Action, UnansweredAction
    from ocpp_handlers.wire.session import OcppSession

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_log = logging.getLogger(__name__)


class LinkUp(Frozen):
    """Published by `Link.up` when the station is accepted on a new link, so any message may be sent."""

    report_all: bool
    """whether all statuses must be reported (acceptance on this link, or offline longer than OfflineThreshold), or only
    those that changed"""


class Link:
    """What functional blocks send CALLs through: the current session with the CSMS, its state, and events of it."""

    def __init__(self, gate: BootMessageFilter, settings: CsmsLinkSettings, clock: Clock) -> None:
        self._gate = gate
        self._settings = settings
        self._clock = clock
        self._offline_since_s: float | None = None
        self._closed = ChangeSignal()
        self.session: OcppSession | None = None
        """None while there is no websocket"""
        self.edition = EDITIONS[0]
        """the edition of the session, or of the last one; before the first, the one that the station prefers"""
        self.switched: Event[None] = Event()
        """the new link uses another network profile: the CSMS may be another one, without any state (B10.FR.10)"""
        self.up: Event[LinkUp] = Event()
        """the station is accepted on a new link; before any task of the link starts"""
        self.lost: Event[None] = Event()
        """the websocket has closed, whether the CSMS had accepted the station or not"""

    @property
    def online(self) -> bool:
        """Whether the websocket is open and the CSMS has accepted the station."""
        return self.session is not None and self._gate.accepted

    @property
    def accepted(self) -> bool:
        """Whether the registration status is Accepted, connected or not; False again after a change of CSMS."""
        return self._gate.accepted

    @property
    def boot_status(self) -> str:
        """The registration status of the station at the CSMS: Unknown, Pending, Rejected or Accepted."""
        return self._gate.state.value

    def open(self, session: OcppSession) -> None:
        """Use this session for calls from now on; publishes nothing: the station may not be accepted yet."""
        self.session = session
        self.edition = session.edition

    def begin(self, *, newly_accepted: bool) -> None:
        """Publish `up`: everything may be sent. `newly_accepted`: the CSMS accepted the station on this link."""
        self.up.publish(LinkUp(report_all=newly_accepted or self._exceeded_offline_threshold()))

    def close(self) -> None:
        """Drop the session, so that calls raise LinkLostError, and publish `lost`; closes no websocket."""
        self.session = None
        self._offline_since_s = self._clock.monotonic()
        self._closed.notify()
        self.lost.publish(None)

    async def call(
        self, action: Action[RequestT, ResponseT], request: RequestT, *, requested: bool = False
    ) -> ResponseT:
        """Send a CALL over the current session, and wait for the response. `requested`: the CSMS has asked for it.

        Raises:
            NoAnswerError: there is no session (LinkLostError), or as `OcppSession.call`.
        """
        if self.session is None:
            raise LinkLostError("the station is not connected to the CSMS")
        return await self.session.call(action, request, requested=requested)

    async def send(self, action: UnansweredAction[RequestT], message: RequestT) -> None:
        """Send a message that is not answered over the current session.

        Raises:
            NoAnswerError: there is no session (LinkLostError), or as `OcppSession.send`.
        """
        if self.session is None:
            raise LinkLostError("the station is not connected to the CSMS")
        await self.session.send(action, message)

    async def notify(
        self,
        action: Action[RequestT, ResponseT],
        request: RequestT,
        *,
        requested: bool = False,
        delays: Iterator[float] | None = None,
    ) -> ResponseT:
        """Send a notification as `call`; send it again, at growing intervals, if it is refused temporarily.

        `delays`: the seconds to wait before each remaining repetition, shared by the parts of a report; None: those of
        a single notification.

        Raises:
            CallRefusedError: the refusal is final, or no repetition is left.
            NoAnswerError: as `call`; LinkLostError also if the link has ended in between, even if there is a new one.
        """
        delays = repetition_delays() if delays is None else delays
        closed = self._closed.count
        while True:
            try:
                return await self.call(action, request, requested=requested)
            except CallRefusedError as error:
                delay_s = next(delays, None) if error.temporary else None
                if delay_s is None:
                    raise
                _log.warning("the CSMS refused %s, which is sent again in %g s: %s", action.name, delay_s, error)
            if await self._closed.wait_for(closed, self._clock, delay_s):
                raise LinkLostError("the connection to the CSMS ended")

    def _exceeded_offline_threshold(self) -> bool:
        """Return whether the station was offline longer than OfflineThreshold, by monotonic time (B04.FR.01)."""
        if self._offline_since_s is None:
            return True
        return self._clock.monotonic() - self._offline_since_s > self._settings.offline_threshold_s
