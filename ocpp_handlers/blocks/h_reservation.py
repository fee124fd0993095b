"""Block H: reserves EVSEs, cancels reservations, and reports how others have ended (H01, H02, H04)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ocpp_handlers.translate.translate import id_token_from_wire, parse_date_time, parse_integer
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError, LinkLostError
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.charging.reservations.reservation import Reservation
from station.core.csms import NoAnswerError
from station.core.model import ConnectorStatus
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from foundation.clock import Clock
    from ocpp_handlers.blocks.g_availability import AvailabilityBlock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.evse import Evse
    from station.charging.reservations.reservation_store import EndedReservation
    from station.charging.reservations.reservations import Reservations

_log = logging.getLogger(__name__)

_RETRY_S = 10.0
_LONGEST_INFO = 512
"""characters of additionalInfo (StatusInfoType)"""


class ReservationBlock:
    """Handles ReserveNow and CancelReservation, and sends ReservationStatusUpdates."""

    def __init__(
        self,
        link: Link,
        evses: Collection[Evse],
        reservations: Reservations,
        statuses: AvailabilityBlock,
        clock: Clock,
    ) -> None:
        """`statuses`: reports the status of a connector that stays Reserved when its reservation is replaced."""
        self._link = link
        self._evses = evses
        self._statuses = statuses
        self._reservations = reservations
        self._clock = clock

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of ReserveNow and CancelReservation."""
        handlers.on(actions.RESERVE_NOW, self.reserve_now)
        handlers.on(actions.CANCEL_RESERVATION, self.cancel_reservation)

    async def reserve_now(self, request: m.ReserveNowRequest) -> HandlerResult[m.ReserveNowResponse]:
        """Accept and store a reservation, or refuse it (H01); the connector statuses change after the response.

        They change also if it cannot be sent: the reservation is in force.

        Raises:
            PayloadError: a number or the expiry time is malformed.
        """
        group, evse_id = request.get("groupIdToken"), request.get("evseId")
        reservation = Reservation(
            parse_integer(request["id"], "id"),
            id_token_from_wire(request["idToken"]),
            parse_date_time(request["expiryDateTime"], "expiryDateTime"),
            id_token_from_wire(group) if group is not None else None,
            parse_integer(evse_id, "evseId") if evse_id is not None else None,
            request.get("connectorType"),
        )
        try:
            result = await self._reservations.reserve(reservation)
        except StorageError as error:
            _log.error("reservation %d could not be stored: %s", reservation.reservation_id, error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}})
        answer: m.ReserveNowResponse = {"status": result.status.value}
        if result.reason is not None:
            answer["statusInfo"] = {"reasonCode": result.code, "additionalInfo": result.reason[:_LONGEST_INFO]}
        if not result.accepted:
            return HandlerResult(answer)

        async def confirm() -> None:
            places = [evse for evse in self._evses if reservation.covers(evse.id, evse.layout.connector_type)]
            before = [evse for evse in places if evse.connector_status is ConnectorStatus.RESERVED]
            self._reservations.update_evses()  # H01.FR.20, H01.FR.23, H01.FR.24
            for evse in before if result.replaced else ():  # TC_H_23_CS
                await self._statuses.report_again(evse)

        return HandlerResult(answer, confirm, undo=self._reservations.update_evses)

    async def cancel_reservation(
        self, request: m.CancelReservationRequest
    ) -> HandlerResult[m.CancelReservationResponse]:
        """Cancel a reservation; the connector statuses change after the response (H02.FR.03–H02.FR.06).

        Raises:
            PayloadError: the id is beyond 32 bits.
        """
        identity = parse_integer(request["reservationId"], "reservationId")
        try:
            found = await self._reservations.cancel(identity)
        except StorageError as error:
            _log.error("reservation %d could not be cancelled: %s", identity, error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}})
        if not found:  # H02.FR.01
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "NotFound"}})

        async def update() -> None:
            self._reservations.update_evses()

        return HandlerResult({"status": "Accepted"}, update, undo=self._reservations.update_evses)

    async def report(self) -> None:
        """Send a ReservationStatusUpdate for each stored end of a reservation, in order, until the link ends.

        H01.FR.16, H01.FR.17, H04.FR.01. An end that the CSMS has not answered is sent again.

        Raises:
            LinkLostError: the session has ended; the end is sent again on the next link.
        """
        while True:
            count_before = self._reservations.ended.count
            try:
                ended = await self._reservations.oldest_unreported()
                if ended is None:
                    await self._reservations.ended.wait(count_before)
                elif await self._send(ended):
                    await self._reservations.mark_reported(ended)
                else:
                    await self._clock.sleep(_RETRY_S)
            except StorageError as error:
                _log.error("ends of reservations cannot be read or stored: %s; trying again", error)
                await self._clock.sleep(_RETRY_S)

    async def _send(self, ended: EndedReservation) -> bool:
        """Send one end; returns whether it is settled, by an answer or because it was refused."""
        update: m.ReservationStatusUpdateRequest = {
            "reservationId": ended.reservation_id,
            "reservationUpdateStatus": ended.how.value,
        }
        try:
            await self._link.notify(actions.RESERVATION_STATUS_UPDATE, update)
        except LinkLostError:
            raise
        except NoAnswerError as error:
            _log.warning("the end of reservation %d was not accepted: %s", ended.reservation_id, error)
            return isinstance(error, CallRefusedError)  # it would be refused again
        return True
