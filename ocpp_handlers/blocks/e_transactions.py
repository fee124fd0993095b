"""Block E: sends transaction events, and applies the responses of the CSMS."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from foundation.supervision import result_or_exception
from ocpp_handlers.translate.translate import charging_priority_from_wire, event_to_wire, id_token_info_from_wire
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.model import EventType
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocpp_handlers.blocks.f_trigger_message import TriggerResult
    from ocpp_handlers.blocks.i_tariff import TariffBlock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.core.model import TransactionEvent
    from station.load.priorities import Priorities

_log = logging.getLogger(__name__)


class TransactionBlock:
    """Sends TransactionEvents and applies their responses; handles GetTransactionStatus."""

    def __init__(self, link: Link, station: ChargingStation, tariff: TariffBlock, priorities: Priorities) -> None:
        self._link = link
        self._tariff = tariff
        self._station = station
        self._priorities = priorities

    def register(self, handlers: Handlers) -> None:
        """Register the handler of GetTransactionStatus."""
        handlers.on(actions.GET_TRANSACTION_STATUS, self.get_transaction_status)

    async def send(self, event: TransactionEvent) -> None:
        """Send one recorded event, then apply priority, token info, tariff and cost of the response to its transaction.

        It sends once: `TransactionEventDelivery` repeats and removes queued events. An error of this program while it
        applies the response is logged, not raised.

        Raises:
            NoAnswerError: it was not accepted.
            StorageError: the response could not be applied.
        """
        answer = await self._link.call(actions.TRANSACTION_EVENT, event_to_wire(event))
        error = await result_or_exception(self._apply(event, answer))
        if isinstance(error, StorageError):
            raise error
        if error is not None:  # the CSMS has the event: sending it again would not help
            _log.error(
                "the response to an event of transaction %s could not be applied", event.transaction_id, exc_info=error
            )

    async def _apply(self, event: TransactionEvent, answer: m.TransactionEventResponse) -> None:
        info = answer.get("idTokenInfo")
        if "chargingPriority" in answer:
            priority = charging_priority_from_wire(answer["chargingPriority"])
            self._priorities.set_csms_priority(event.evse_id, event.transaction_id, priority, overrules=True)
        elif info is not None and "chargingPriority" in info and event.event_type is not EventType.ENDED:
            priority = charging_priority_from_wire(info["chargingPriority"])
            self._priorities.set_csms_priority(event.evse_id, event.transaction_id, priority, overrules=False)
        if info is not None:
            await self._station.apply_token_info(event, id_token_info_from_wire(info))
        self._tariff.apply_response(event, answer)

    def trigger(self, evses: Sequence[Evse]) -> TriggerResult:
        """Return the status and the follow-up that samples each running transaction of these EVSEs (F06.FR.07).

        For TriggerMessage: each sample becomes a TransactionEvent. Rejected without a running transaction or before the
        CSMS has accepted the station. Sends nothing itself.
        """
        charging = [evse for evse in evses if evse.transaction_id is not None]
        if not charging or not self._link.accepted:
            return "Rejected", None

        async def report() -> None:
            for evse in charging:
                await self._station.assemblies[evse.id].sampler.sample_now()

        return "Accepted", report

    async def get_transaction_status(
        self, request: m.GetTransactionStatusRequest
    ) -> HandlerResult[m.GetTransactionStatusResponse]:
        """Answer whether a transaction is ongoing and has queued events (E14.FR.01 to E14.FR.08)."""
        transaction_id = request.get("transactionId")
        waiting = await self._station.events_waiting(transaction_id)
        response: m.GetTransactionStatusResponse = {"messagesInQueue": waiting > 0}
        if transaction_id is not None:  # E14.FR.06: without an id, ongoingIndicator is omitted
            response["ongoingIndicator"] = self._station.is_ongoing(transaction_id)
        return HandlerResult(response)
