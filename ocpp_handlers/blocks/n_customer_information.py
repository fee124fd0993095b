"""Block N: reports what the station has stored about a customer, clears it, or both (N09, N10)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from foundation.supervision import FollowUp
from ocpp_handlers.blocks.m_certificates import hash_from_wire
from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.translate import translate
from ocpp_handlers.translate.pending_reports import PendingReports
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import NoAnswerError
from station.maintenance.customer_information import Customer
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.maintenance.customer_information import CustomerInformation as Customers

_log = logging.getLogger(__name__)

MAX_AT_ONCE = 4
"""pending reports; a further request is Rejected"""
_LONGEST_PART = 512
"""characters of NotifyCustomerInformationRequest.data"""
_CLEARED = "The data of this customer has been cleared."
_STILL_NEEDED = "{} records of undelivered events or of a transaction in progress will be cleared afterwards."
_SIGNED = "{} signed records are kept: they prove what was billed."
_LISTED = "{} entries of the local authorization list are kept: only SendLocalList removes them."
_NO_DATA = ""
"""TC_N_62_CS: data is empty if nothing is found"""


class CustomerInformationBlock:
    """Handles CustomerInformation: reports and clears what the station has stored about a customer."""

    def __init__(self, link: Link, customers: Customers, clock: Clock) -> None:
        self._link = link
        self._customers = customers
        self._clock = clock
        self._pending_reports = PendingReports(MAX_AT_ONCE)

    def register(self, handlers: Handlers) -> None:
        """Register the handler of CustomerInformation."""
        handlers.on(actions.CUSTOMER_INFORMATION, self.customer_information)

    async def customer_information(
        self, request: m.CustomerInformationRequest
    ) -> HandlerResult[m.CustomerInformationResponse]:
        """Clear the customer's data if requested, then answer; follow-up: send the report.

        N09.FR.02, N09.FR.03, N09.FR.07, N09.FR.09, N10.FR.01, N10.FR.05, N10.FR.07.
        """
        request_id = translate.parse_integer(request["requestId"], "requestId")
        references = [name for name in ("idToken", "customerCertificate", "customerIdentifier") if name in request]
        if len(references) != 1:
            return HandlerResult({"status": "Invalid"})
        if not request["report"] and not request["clear"]:
            return HandlerResult({"status": "Rejected"})
        if not self._link.accepted:  # N09.FR.03, N10.FR.05: the report could not be sent (B02.FR.02)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "CSNotAccepted"}})
        if self._pending_reports.is_full:  # N09.FR.03, N10.FR.05
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfMemory"}})
        try:
            customer = await self._customer(request)
            text = await self._collect_and_clear(customer, report=request["report"], clear=request["clear"])
        except StorageError as error:
            _log.error("customer information could not be read or cleared: %s", error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "InternalError"}})
        return self._pending_reports.response_with_report(
            {"status": "Accepted"}, self._follow_up(request_id, _parts(text))
        )

    async def _customer(self, request: m.CustomerInformationRequest) -> Customer | None:
        """The customer of a request; None for a contract certificate that no vehicle has presented here.

        Raises:
            StorageError: the records of certificates cannot be read.
        """
        if (id_token := request.get("idToken")) is not None:
            return Customer(id_token=translate.id_token_from_wire(id_token))
        if (certificate := request.get("customerCertificate")) is not None:
            return await self._customers.customer_of_certificate(hash_from_wire(certificate))
        identifier = request.get("customerIdentifier")
        return Customer(identifier=identifier) if identifier is not None else None

    async def _collect_and_clear(self, customer: Customer | None, *, report: bool, clear: bool) -> str:
        """Collect and clear the data; returns the text of the report.

        N09.FR.05, N09.FR.06, N10.FR.03, N10.FR.04, N10.FR.06.
        """
        text = await self._customers.report(customer) if report and customer is not None else _NO_DATA
        remaining_records = await self._customers.clear(customer) if clear and customer is not None else None
        if report or remaining_records is None:
            return text if report else _CLEARED
        remaining_counts = (
            (_STILL_NEEDED, remaining_records.needed),
            (_SIGNED, remaining_records.signed),
            (_LISTED, remaining_records.listed),
        )
        return " ".join([_CLEARED, *(text.format(count) for text, count in remaining_counts if count)])

    def _follow_up(self, request_id: int, parts: Sequence[str]) -> FollowUp:
        async def send() -> None:
            try:
                await self._send(request_id, parts)
            except NoAnswerError as error:
                _log.warning("customer information report %d was not sent completely: %s", request_id, error)

        return send

    async def _send(self, request_id: int, parts: Sequence[str]) -> None:
        delays = repetition_delays()
        for number, part in enumerate(parts):
            message: m.NotifyCustomerInformationRequest = {
                "requestId": request_id,
                "seqNo": number,
                "tbc": number < len(parts) - 1,
                "generatedAt": timestamps.encode(self._clock.now()),
                "data": part,
            }
            await self._link.notify(actions.NOTIFY_CUSTOMER_INFORMATION, message, delays=delays)


def _parts(text: str) -> list[str]:
    """Split a text into parts of at most 512 characters, at line ends if possible; at least one part."""
    parts: list[str] = []
    rest = text
    while len(rest) > _LONGEST_PART:
        cut = rest.rfind("\n", 0, _LONGEST_PART) + 1 or _LONGEST_PART
        parts.append(rest[:cut])
        rest = rest[cut:]
    return [*parts, rest]
