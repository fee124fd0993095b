"""Block N: sends the events of monitors (N07, N08)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.translate.variable_address import component_to_wire, variable_to_wire
from ocpp_handlers.variables.monitored_model import came_later
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.call_errors import CallRefusedError, LinkLostError
from station.core.csms import NoAnswerError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.connection.link_settings import CsmsLinkSettings
    from ocpp_handlers.variables.device_model import DeviceModel
    from ocpp_handlers.wire import messages as m
    from station.maintenance.monitoring.event_queue import EventQueue, WaitingEvent
    from station.maintenance.monitoring.monitor import MonitoringEvent

_log = logging.getLogger(__name__)

_COLLECTION_S: Final = 0.2
"""events that follow each other within this time are sent in one NotifyEventRequest"""
_MAX_EVENTS: Final = 50
_MAX_BYTES: Final = 32_768
"""of one NotifyEventRequest, about"""
_SHORTEST_RETRY_S: Final = 5.0
"""so that a CSMS that does not answer events still answers other messages, also if MessageAttemptInterval is 0"""
_LONGEST_RETRY_S: Final = 600.0
_CODES_FOR_ANY_EVENT: Final = frozenset({"NotImplemented", "NotSupported"})
"""error codes of a refusal that does not depend on the events: the CSMS does not know the message"""


class MonitoringEventDelivery:
    """Sends the waiting events of monitors to the CSMS, the oldest first, several in a message; empties the queue.

    Events of variables that came with a later edition than that of the session are not sent.
    """

    def __init__(
        self, queue: EventQueue, model: DeviceModel, link: Link, settings: CsmsLinkSettings, clock: Clock
    ) -> None:
        self._queue = queue
        self._model = model
        self._link = link
        self._settings = settings
        self._clock = clock
        self._delays = repetition_delays()
        """delays before the remaining repetitions, in seconds, until the CSMS accepts an event"""

    async def run(self) -> None:
        """Send events (NotifyEvent) until the link ends; each stays in the queue until it is answered.

        Raises:
            LinkLostError: the session has ended.
        """
        self._delays = repetition_delays()
        while True:
            count_before = self._queue.changed.count
            if not len(self._queue):
                await self._queue.changed.wait(count_before)
                await self._clock.sleep(_COLLECTION_S)
            events = self._queue.oldest(_MAX_EVENTS, _MAX_BYTES)
            hidden = [waiting for waiting in events if self._is_hidden(waiting)]
            if hidden:
                self._queue.settle(hidden)
                await asyncio.sleep(0)  # other tasks may run, also if none of thousands is to be sent
            elif events:
                await self._deliver(events)

    def _is_hidden(self, waiting: WaitingEvent) -> bool:
        """Return whether an event is of a variable that the CSMS does not know."""
        return came_later(self._model, waiting.event.address, self._link.edition)

    async def _deliver(self, events: list[WaitingEvent]) -> None:
        """Send events; if the CSMS refuses several because of one of them, each for itself."""
        refusal = await self._send(events)
        if refusal is not None and refusal.code not in _CODES_FOR_ANY_EVENT and len(events) > 1:
            for event in events:
                await self._deliver([event])
        else:
            self._queue.settle(events)

    async def _send(self, events: Sequence[WaitingEvent]) -> CallRefusedError | None:
        """Send events until the CSMS answers, at intervals that grow (N07.FR.04); returns its refusal, or None.

        A single event is sent again if it is refused temporarily; several are first sent one by one.
        """
        attempts = 0
        send = self._link.call if len(events) > 1 else partial(self._link.notify, delays=self._delays)
        while True:
            try:
                await send(actions.NOTIFY_EVENT, self._notification(events))
                self._delays = repetition_delays()
                return None
            except LinkLostError:
                raise
            except CallRefusedError as error:
                _log.warning("the CSMS refused %d events of monitors: %s", len(events), error)
                return error
            except NoAnswerError as error:
                _log.warning("%d events of monitors were not answered and will be sent again: %s", len(events), error)
            attempts += 1
            interval_s = max(_SHORTEST_RETRY_S, self._settings.message_attempt_interval_s)
            await self._clock.sleep(min(interval_s * attempts, _LONGEST_RETRY_S))

    def _notification(self, events: Sequence[WaitingEvent]) -> m.NotifyEventRequest:
        """One message with these events, complete in itself (N07.FR.07, N08.FR.04)."""
        return {
            "generatedAt": timestamps.encode(self._clock.now()),
            "seqNo": 0,
            "eventData": [_event_to_wire(waiting.event) for waiting in events],
        }


def _event_to_wire(event: MonitoringEvent) -> m.EventDataType:
    """Translate an event (N07.FR.06, N07.FR.10, N08.FR.05)."""
    data: m.EventDataType = {
        "eventId": event.id,
        "timestamp": timestamps.encode(event.occurred_at),
        "trigger": event.trigger.value,
        "actualValue": event.value,
        "eventNotificationType": event.notification_type.value,
        "severity": event.severity,
        "component": component_to_wire(event.address),
        "variable": variable_to_wire(event.address),
    }
    if event.cleared is not None:
        data["cleared"] = event.cleared
    if event.monitor_id is not None:
        data["variableMonitoringId"] = event.monitor_id
    if event.cause is not None:
        data["cause"] = event.cause
    if event.transaction_id is not None:
        data["transactionId"] = event.transaction_id
    if event.tech_code is not None:
        data["techCode"] = event.tech_code
    if event.tech_info is not None:
        data["techInfo"] = event.tech_info
    return data
