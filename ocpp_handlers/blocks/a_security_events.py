"""Block A: sends security events in order, each until it is answered, and creates those of the link (A04)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.call_errors import CallRefusedError, InvalidRequestError, LinkLostError
from station.core.csms import NoAnswerError
from station.security.security_events import SecurityEventType
from station.storage.database import StorageError

if TYPE_CHECKING:
    from datetime import timedelta

    from foundation.clock import Clock
    from foundation.supervision import FollowUpTasks
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.connection.link_settings import CsmsLinkSettings
    from ocpp_handlers.wire import messages as m
    from station.core.clock_settings import ClockSettings
    from station.security.security_events import SecurityEvent, SecurityEvents

_log = logging.getLogger(__name__)

_STORAGE_RETRY_S = 5.0
_LONGEST_RETRY_S = 600.0
_INVALID_MESSAGES_INTERVAL_S = 60.0
"""the shortest time between two InvalidMessages: a CSMS that sends many does not fill the security log"""
_UNSUPPORTED_CODES = frozenset({"NotImplemented", "NotSupported"})
"""error codes of a CSMS that does not support the message, which is then not repeated (part 4 §4.3)"""


class LinkSecurityReports:
    """Reports security events of the link (invalid messages, clock corrections) in background tasks."""

    def __init__(
        self, events: SecurityEvents, follow_ups: FollowUpTasks, settings: ClockSettings, clock: Clock
    ) -> None:
        self._events = events
        self._follow_ups = follow_ups
        self._settings = settings
        self._clock = clock
        self._invalid_message_reported_s: float | None = None

    def report_invalid_message(self, why: str) -> None:
        """Report the security event InvalidMessages: a frame was not valid OCPP (part 2, appendix 1).

        At most one a minute; further ones are dropped. `why` becomes its techInfo.
        """
        now_s = self._clock.monotonic()
        if (
            self._invalid_message_reported_s is None
            or now_s - self._invalid_message_reported_s >= _INVALID_MESSAGES_INTERVAL_S
        ):
            self._invalid_message_reported_s = now_s
            self._report(SecurityEventType.INVALID_MESSAGES, why)

    def report_clock_correction(self, correction: timedelta) -> None:
        """Report the event SettingSystemTime if the correction exceeds ClockCtrlr.TimeAdjustmentReportingThreshold.

        Called after the clock was corrected; the clock is not changed here.
        """
        if abs(correction.total_seconds()) > self._settings.time_adjustment_reporting_threshold_s:
            self._report(SecurityEventType.SETTING_SYSTEM_TIME, f"{correction.total_seconds():+.1f} s")

    def _report(self, kind: SecurityEventType, info: str) -> None:
        self._follow_ups.submit("security event", lambda: self._events.report(kind, info))


class SecurityEventDelivery:
    """Sends the queued security events of the station to the CSMS, the oldest first; the only reader of the queue."""

    def __init__(self, events: SecurityEvents, link: Link, settings: CsmsLinkSettings, clock: Clock) -> None:
        self._events = events
        self._link = link
        self._settings = settings
        self._clock = clock
        self._last_refusal: tuple[int, int] = (0, 0)
        """id of the event refused last and its number of refusals, counted over all links"""

    async def run(self) -> None:
        """Send queued events (SecurityEventNotification) until the link ends; remove each when answered or given up.

        Raises:
            LinkLostError: the session has ended; the event stays in the queue (A04.FR.02).
        """
        while True:
            try:
                event = await self._events.oldest()
                if event is None:
                    await self._events.wait()
                else:
                    await self._deliver(event)
                    await self._events.settle(event)
            except StorageError as error:
                _log.error("security events cannot be read from or settled in the storage: %s", error)
                await self._clock.sleep(_STORAGE_RETRY_S)

    async def _send(self, event: SecurityEvent) -> None:
        """Send one event once; without its techInfo if that is not valid."""
        try:
            await self._link.call(actions.SECURITY_EVENT_NOTIFICATION, _notification(event))
        except InvalidRequestError:
            await self._link.call(actions.SECURITY_EVENT_NOTIFICATION, _notification(replace(event, info="")))

    async def _deliver(self, event: SecurityEvent) -> None:
        """Send one event until the CSMS has accepted it or finally refused it.

        Delivery is guaranteed (A04.FR.02): an unanswered event is sent again. If the CSMS does not support the
        message, or has refused it MessageAttempts times (as E13.FR.02, E13.FR.04), it has received the event: it is
        not sent again. Nor is one that is not valid.
        """
        attempts = 0
        while True:
            try:
                await self._send(event)
            except LinkLostError:
                raise
            except InvalidRequestError as error:
                _log.error("security event %s is only in the security log: %s", event.type, error)
                return
            except CallRefusedError as error:
                if error.code in _UNSUPPORTED_CODES:
                    _log.warning(
                        "the CSMS does not support security events; %s is only in the security log", event.type
                    )
                    return
                _log.warning("the CSMS refused security event %s: %s", event.type, error)
                if self._count_refusal(event) >= self._settings.message_attempts:
                    _log.error(
                        "security event %s is not sent again after too many refusals; it stays in the security log",
                        event.type,
                    )
                    return
            except NoAnswerError as error:
                _log.warning("security event %s was not answered and will be sent again: %s", event.type, error)
            else:
                return
            attempts += 1
            await self._clock.sleep(min(self._settings.message_attempt_interval_s * attempts, _LONGEST_RETRY_S))

    def _count_refusal(self, event: SecurityEvent) -> int:
        """Count a refusal of this event; returns how often it has been refused."""
        identity, refusals = self._last_refusal
        self._last_refusal = (event.id, refusals + 1 if identity == event.id else 1)
        return self._last_refusal[1]


def _notification(event: SecurityEvent) -> m.SecurityEventNotificationRequest:
    request: m.SecurityEventNotificationRequest = {
        "type": event.type,
        "timestamp": timestamps.encode(event.occurred_at),
    }
    if event.info:
        request["techInfo"] = event.info
    return request
