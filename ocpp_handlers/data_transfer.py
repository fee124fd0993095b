"""Block P, data transfer: no vendor extension is known, and data is never touched (P01)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpp_handlers import actions
from ocpp_handlers.session import Answer, Handlers

if TYPE_CHECKING:
    from ocpp_handlers import messages as m


class DataTransfer:
    """Answers DataTransfer."""

    def __init__(self) -> None:
        self._canned: dict[tuple[str, str | None], m.DataTransferResponse] = {}

    def register(self, handlers: Handlers) -> None:
        """Answer what the CSMS asks of this block."""
        handlers.on(actions.DATA_TRANSFER, self.data_transfer)

    def answer_with(self, vendor_id: str, message_id: str | None, response: m.DataTransferResponse) -> None:
        """From now on answer this vendor's message so (a test bench asks for that)."""
        self._canned[vendor_id, message_id] = response

    async def data_transfer(self, request: m.DataTransferRequest) -> Answer[m.DataTransferResponse]:
        """P01.FR.05, P01.FR.06."""
        vendor_id, message_id = request["vendorId"], request.get("messageId")
        if (canned := self._canned.get((vendor_id, message_id))) is not None:
            return Answer(canned)
        if any(vendor == vendor_id for vendor, _ in self._canned):
            return Answer({"status": "UnknownMessageId"})
        return Answer({"status": "UnknownVendorId"})
