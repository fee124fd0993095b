"""Block A, security events: the CSMS is told the critical ones, in order, until it has taken them (A04)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ocpp_handlers import actions, timestamps
from ocpp_handlers.session import LinkLostError, RefusedError
from station.ports import NoAnswerError
from station.records.database import StorageError

if TYPE_CHECKING:
    from metering.clock import Clock
    from ocpp_handlers import messages as m
    from ocpp_handlers.link import Link
    from station.security.security_events import SecurityEvent, SecurityEvents
    from station.settings import Settings

_log = logging.getLogger(__name__)

_STORAGE_RETRY_S = 5.0
_LONGEST_RETRY_S = 600.0
_UNKNOWN_TO_CSMS = frozenset({"NotImplemented", "NotSupported"})


class SecurityEventDelivery:
    """The only reader of the queue of security events."""

    def __init__(self, events: SecurityEvents, link: Link, settings: Settings, clock: Clock) -> None:
        self._events = events
        self._link = link
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """Deliver until the link ends, or until the CSMS says that it takes no security events.

        Raises:
            LinkLostError: the session has ended; the event stays the oldest (A04.FR.02).
        """
        while True:
            try:
                event = await self._events.oldest()
                if event is None:
                    await self._events.wait()
                elif not await self._deliver(event):
                    _log.warning("the CSMS takes no security events; they wait for the next connection")
                    return
            except StorageError as error:
                _log.error("security events: %s", error)
                await self._clock.sleep(_STORAGE_RETRY_S)

    async def _deliver(self, event: SecurityEvent) -> bool:
        """Send one event until the CSMS has answered; returns whether it knows the message at all.

        Delivery is guaranteed (A04.FR.02), so silence is answered by sending again. A CSMS that refuses the event
        as often as a TransactionEvent may be sent has received it, and the next one gets its turn.
        """
        refusals = attempts = 0
        while True:
            try:
                await self._link.call(actions.SECURITY_EVENT_NOTIFICATION, _notification(event))
            except LinkLostError:
                raise
            except RefusedError as error:
                if error.code in _UNKNOWN_TO_CSMS:
                    return False
                refusals += 1
                _log.warning("security event %s is refused: %s", event.type, error)
            except NoAnswerError as error:
                _log.warning("security event %s is not answered: %s", event.type, error)
            else:
                break
            if refusals >= self._settings.message_attempts:
                _log.error("security event %s is given up; it stays in the security log", event.type)
                break
            attempts += 1
            await self._clock.sleep(min(self._settings.message_attempt_interval_s * attempts, _LONGEST_RETRY_S))
        await self._events.settle(event)
        return True


def _notification(event: SecurityEvent) -> m.SecurityEventNotificationRequest:
    request: m.SecurityEventNotificationRequest = {
        "type": event.type,
        "timestamp": timestamps.encode(event.occurred_at),
    }
    if event.info:
        request["techInfo"] = event.info
    return request
