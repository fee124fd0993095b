"""Block G: reports the status of each connector, and changes availability for the CSMS (G01, G03, G04, B04)."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.supervision import run_together
from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.call_errors import CallRefusedError, LinkLostError
from ocpp_handlers.wire.reason_codes import unknown_evse_code
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.charging.availability import ChangeAvailabilityStatus
from station.core.csms import NoAnswerError
from station.core.model import ConnectorStatus, EvseRef
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from foundation.clock import Clock
    from ocpp_handlers.blocks.f_trigger_message import TriggerResult
    from ocpp_handlers.connection.link import Link, LinkUp
    from ocpp_handlers.wire import messages as m
    from station.charging.availability import AvailabilityOrders as Orders
    from station.charging.evse import Evse
    from station.charging.transaction_settings import TransactionSettings

_log = logging.getLogger(__name__)

MAX_WAITING = 50
"""queued status reports; beyond that the oldest are dropped"""
_RETRY_S = 10.0


class _StatusChange(Frozen):
    evse_id: int
    status: ConnectorStatus
    at: datetime


class AvailabilityBlock:
    """Sends StatusNotifications of the connectors, and handles ChangeAvailability.

    While online each change is reported that lasts for MinimumStatusDuration; on a new link only the statuses that
    differ from the last reported ones. After a report that was not answered, or was refused temporarily, the
    status current by then is sent.
    """

    def __init__(
        self, link: Link, evses: Mapping[int, Evse], orders: Orders, settings: TransactionSettings, clock: Clock
    ) -> None:
        self._link = link
        self._orders = orders
        self._evses = evses
        self._settings = settings
        self._clock = clock
        self._stable_status: dict[int, ConnectorStatus] = {}
        """the last status of each EVSE that lasted for MinimumStatusDuration"""
        self._reported: dict[int, ConnectorStatus] = {}
        self._queued_changes: deque[_StatusChange] = deque(maxlen=MAX_WAITING)
        self._repeat_at_s: dict[int, float] = {}
        """by EVSE id, the monotonic time before which its status is not sent again after a failed report"""
        self._delays: dict[int, Iterator[float]] = {}
        """by EVSE id, the delays before the remaining repetitions of a status refused temporarily, seconds"""
        self._changed = ChangeSignal()

    def register(self, handlers: Handlers) -> None:
        """Register the handler of ChangeAvailability."""
        handlers.on(actions.CHANGE_AVAILABILITY, self.change_availability)

    async def change_availability(
        self, request: m.ChangeAvailabilityRequest
    ) -> HandlerResult[m.ChangeAvailabilityResponse]:
        """Apply and store ChangeAvailability (G03.FR.01–G03.FR.05, G04.FR.01–G04.FR.06).

        Accepted: the follow-up sends a StatusNotification of each EVSE whose status did not change; changed statuses
        are reported as always.
        """
        wire = request.get("evse")
        place = EvseRef(wire["id"], wire.get("connectorId")) if wire is not None else None
        if place is not None and not self._orders.exists(place):
            code = unknown_evse_code(self._evses, place.evse_id)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": code}})
        before = {evse.id: evse.connector_status for evse in self._orders.affected_evses(place)}
        try:
            answer = await self._orders.apply_order(place, operative=request["operationalStatus"] == "Operative")
        except StorageError as error:  # G03.FR.08, G04.FR.09: it would be lost at a power cut
            _log.error("ChangeAvailability to %s could not be stored: %s", request["operationalStatus"], error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}})

        async def confirm() -> None:
            for evse in self._orders.affected_evses(place):
                await evse.wait_for_observation()
                if evse.connector_status is before[evse.id]:
                    await self.report_again(evse)

        # TC_G_13_CS: after an accepted order without a change of status, the status is reported too.
        return HandlerResult({"status": answer.value}, confirm if answer is ChangeAvailabilityStatus.ACCEPTED else None)

    async def run(self) -> None:
        """Watch the status of the EVSEs and queue each debounced change until cancelled; `report` sends them."""
        await run_together({f"status-{evse.id}": self._watch(evse) for evse in self._evses.values()})

    async def _watch(self, evse: Evse) -> None:
        """Queue each change of an EVSE's status until cancelled, beginning with its first observed status."""
        await evse.wait_for_observation()
        self._stable_status[evse.id] = evse.connector_status
        self._queued_changes.extend(found for found in self._unreported() if found.evse_id == evse.id)
        self._changed.notify()
        while True:
            count_before = evse.changed.count
            change = await self._debounced_status(evse)
            if change.status is not self._stable_status[evse.id]:
                self._stable_status[evse.id] = change.status
                self._delays.pop(evse.id, None)
                self._queued_changes.append(change)
                self._changed.notify()
            await evse.changed.wait(count_before)

    async def _debounced_status(self, evse: Evse) -> _StatusChange:
        """Wait until a new status has lasted for MinimumStatusDuration; returns it with the time of the change."""
        change, since_s = self._present_status(evse), self._clock.monotonic()
        count_before = evse.changed.count
        while change.status is not self._stable_status[evse.id]:
            left_s = since_s + self._settings.minimum_status_duration_s - self._clock.monotonic()
            if left_s <= 0:
                break
            await evse.changed.wait_for(count_before, self._clock, left_s)
            count_before = evse.changed.count
            if evse.connector_status is not change.status:
                change, since_s = self._present_status(evse), self._clock.monotonic()
        return change

    def _present_status(self, evse: Evse) -> _StatusChange:
        return _StatusChange(evse.id, evse.connector_status, self._clock.now())

    def prepare_reports(self, link: LinkUp) -> None:
        """Forget what was reported if this link requires all statuses again (B01.FR.05, B04.FR.01).

        Called when the station is accepted on a new link, before `report`; sends nothing.
        """
        if link.report_all:
            self._reported.clear()

    async def report(self) -> None:
        """Send StatusNotifications until the link ends; first the statuses that the CSMS does not have (B04).

        Changes queued before the call are dropped: only their latest status is sent.

        Raises:
            LinkLostError: the session has ended.
        """
        self._queued_changes.clear()
        self._repeat_at_s.clear()
        self._delays.clear()
        while True:
            count_before = self._changed.count
            queued = {change.evse_id for change in self._queued_changes}
            self._queued_changes.extend(
                change
                for change in self._unreported()
                if change.evse_id not in queued and self._repetition_wait_s(change) <= 0
            )
            while self._queued_changes:
                await self._send_status(self._queued_changes[0])
                self._queued_changes.popleft()
            if unreported := self._unreported():
                await self._changed.wait_for(
                    count_before, self._clock, max(0.0, min(map(self._repetition_wait_s, unreported)))
                )
            else:
                await self._changed.wait(count_before)

    def _unreported(self) -> list[_StatusChange]:
        """The current statuses that differ from the last reported ones, of observed EVSEs (B01.FR.05)."""
        return [
            _StatusChange(evse_id, status, self._clock.now())
            for evse_id, status in self._stable_status.items()
            if self._reported.get(evse_id) is not status
        ]

    def _repetition_wait_s(self, change: _StatusChange) -> float:
        """Seconds until the status of an EVSE may be sent again after a failed report; 0 or negative: now."""
        return self._repeat_at_s.get(change.evse_id, 0.0) - self._clock.monotonic()

    async def report_again(self, evse: Evse) -> None:
        """Send the current status of an EVSE, changed or not, to confirm an accepted request; only while online.

        Raises:
            LinkLostError: the session has ended.
        """
        if self._link.online:
            await self._send_status(self._present_status(evse))

    def trigger(self, evses: Sequence[Evse]) -> TriggerResult:
        """Return Accepted and the follow-up that sends the current status of these EVSEs (F06.FR.09).

        For TriggerMessage; sends nothing itself.
        """

        async def report() -> None:
            for evse in evses:
                await evse.wait_for_observation()
                await self._send_status(self._present_status(evse), requested=True)

        return "Accepted", report

    async def _send_status(self, change: _StatusChange, *, requested: bool = False) -> None:
        connector_id = self._evses[change.evse_id].layout.connector_id
        try:
            await self._link.call(
                actions.STATUS_NOTIFICATION,
                {
                    "timestamp": timestamps.encode(change.at),
                    "connectorStatus": change.status.value,
                    "evseId": change.evse_id,
                    "connectorId": connector_id,
                },
                requested=requested,
            )
        except LinkLostError:
            raise
        except NoAnswerError as error:
            _log.warning("StatusNotification of EVSE %d failed: %s", change.evse_id, error)
            if (delay_s := self._repetition_delay_s(change.evse_id, error)) is not None:
                self._repeat_at_s[change.evse_id] = self._clock.monotonic() + delay_s
                if isinstance(error, CallRefusedError):  # also if it repeated a status that the CSMS had accepted
                    self._reported.pop(change.evse_id, None)
                    self._changed.notify()
                return
        self._repeat_at_s.pop(change.evse_id, None)
        self._delays.pop(change.evse_id, None)
        self._reported[change.evse_id] = change.status

    def _repetition_delay_s(self, evse_id: int, error: NoAnswerError) -> float | None:
        """Seconds until the status of an EVSE is sent again; None: it is refused for good, or often enough."""
        if not isinstance(error, CallRefusedError):
            return _RETRY_S  # it may not have arrived
        return next(self._delays.setdefault(evse_id, repetition_delays()), None) if error.temporary else None
