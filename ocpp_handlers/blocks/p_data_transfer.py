"""Block P: vendor messages; none is built in, their data is passed on unchanged (P01, P02)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import Absent, VendorAnswer, VendorMessage

if TYPE_CHECKING:
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m

_MAX_ANSWERS = 100
"""limit of configured answers; more than any vendor's protocol has messages"""


class DataTransfer:
    """Sends DataTransfer, and answers that of the CSMS as set by the local API (`station.core.csms.VendorMessages`)."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._answers: dict[tuple[str, str | None], VendorAnswer] = {}

    def register(self, handlers: Handlers) -> None:
        """Register the handler of DataTransfer."""
        handlers.on(actions.DATA_TRANSFER, self.data_transfer)

    def set_response(self, vendor_id: str, message_id: str | None, answer: VendorAnswer) -> None:
        """Set the station's response to this message of a vendor from now on, in memory.

        `message_id` None: the response to a message without messageId.

        Raises:
            ValueError: too many answers are set already.
        """
        key = (vendor_id, message_id)
        if key not in self._answers and len(self._answers) >= _MAX_ANSWERS:
            raise ValueError(f"at most {_MAX_ANSWERS} DataTransfer responses can be set")
        self._answers[key] = answer

    async def send(self, message: VendorMessage) -> VendorAnswer:
        """Send one message and return the answer. It is never repeated: its effect when received twice is unknown.

        Raises:
            NoAnswerError: there is no answer, or the CSMS does not support DataTransfer.
        """
        request: m.DataTransferRequest = {"vendorId": message.vendor_id}
        if message.message_id is not None:
            request["messageId"] = message.message_id
        if message.data is not Absent.ABSENT:
            request["data"] = message.data
        if message.custom_data is not None:
            request["customData"] = cast("m.CustomData", message.custom_data)
        answer = await self._link.call(actions.DATA_TRANSFER, request)
        return VendorAnswer(answer["status"], answer.get("data", Absent.ABSENT), answer.get("customData"))

    async def data_transfer(self, request: m.DataTransferRequest) -> HandlerResult[m.DataTransferResponse]:
        """Answer DataTransfer as set by `set_response`, or that vendor or message is unknown (P01.FR.05, P01.FR.06)."""
        vendor_id, message_id = request["vendorId"], request.get("messageId")
        if (answer := self._answers.get((vendor_id, message_id))) is not None:
            response: m.DataTransferResponse = {"status": cast("m.DataTransferStatusEnumType", answer.status)}
            if answer.data is not Absent.ABSENT:
                response["data"] = answer.data
            if answer.custom_data is not None:
                response["customData"] = cast("m.CustomData", answer.custom_data)
            return HandlerResult(response)
        if any(vendor == vendor_id for vendor, _ in self._answers):
            return HandlerResult({"status": "UnknownMessageId"})
        return HandlerResult({"status": "UnknownVendorId"})
