"""Block I: passes tariffs and costs of the CSMS on for display at the EVSE."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING

from ocpp_handlers.translate.translate import message_content_from_wire
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers, PayloadError
from station.billing.tariff_and_cost import MAX_COST
from station.core.model import EventType

if TYPE_CHECKING:
    from ocpp_handlers.wire import messages as m
    from station.billing.tariff_and_cost import TariffAndCost
    from station.core.model import TransactionEvent

_log = logging.getLogger(__name__)


class TariffBlock:
    """Passes tariffs and costs of the CSMS (CostUpdated, TransactionEvent responses) to the station's display."""

    def __init__(self, tariff_and_cost: TariffAndCost) -> None:
        self._display = tariff_and_cost

    def register(self, handlers: Handlers) -> None:
        """Register the handler of CostUpdated."""
        handlers.on(actions.COST_UPDATED, self.cost_updated)

    async def cost_updated(self, request: m.CostUpdatedRequest) -> HandlerResult[m.CostUpdatedResponse]:
        """Show the cost of CostUpdated; ignored for an unknown transaction (I02.FR.02, I02.FR.03).

        Raises:
            PayloadError: the cost is not finite or implausibly large.
        """
        amount = _amount(request["totalCost"])
        if amount is None:
            raise PayloadError("PropertyConstraintViolation", "totalCost is not a valid amount")
        self._display.set_cost(request["transactionId"], amount)
        return HandlerResult({})

    def apply_response(self, event: TransactionEvent, answer: m.TransactionEventResponse) -> None:
        """Show tariff and cost of a TransactionEvent response (I01, I02.FR.04, I03.FR.03, I06.FR.03).

        updatedPersonalMessage replaces personalMessage of the id token.
        """
        info = answer.get("idTokenInfo")
        for wire in (info.get("personalMessage") if info is not None else None, answer.get("updatedPersonalMessage")):
            if wire is not None:
                self._display.set_tariff(event.transaction_id, message_content_from_wire(wire))
        total_cost = answer.get("totalCost")
        amount = _amount(total_cost) if total_cost is not None else None
        if total_cost is not None and amount is None:
            _log.warning("totalCost %r of the CSMS is not a valid amount and is ignored", total_cost)
        if event.event_type is EventType.ENDED:
            self._display.apply_end_response(event.transaction_id, amount)
        elif amount is not None:
            self._display.set_running_cost(event.transaction_id, amount)


def _amount(number: float) -> Decimal | None:
    """A cost as Decimal, with the digits of the message; None if it is not finite or implausibly large."""
    amount = Decimal(repr(number))
    return amount if amount.is_finite() and abs(amount) <= MAX_COST else None
