"""Block O: sets, reports and clears the messages of the CSMS for the displays."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.translate.display_messages import display_message_from_wire, display_message_to_wire
from ocpp_handlers.translate.pending_reports import PendingReports
from ocpp_handlers.translate.translate import parse_integer
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError
from ocpp_handlers.wire.session import HandlerResult, Handlers, PayloadError
from station.core.csms import NoAnswerError
from station.display.display_message import MessagePriority, MessageState
from station.display.message_store import MAX_MESSAGES
from station.storage.database import StorageError
from station.storage.set_aside_rows import DISPLAY_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.supervision import FollowUp
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.display.display_message import DisplayMessage
    from station.display.message_store import DisplayMessages
    from station.storage.set_aside_rows import SetAsideRows

_log = logging.getLogger(__name__)

MESSAGES_PER_NOTIFICATION = 10
"""messages in one NotifyDisplayMessagesRequest: some 3 kB, at most 35 kB"""
_STATES: Final = {state.value: state for state in MessageState}
"""by name: those that the station distinguishes, of OCPP 2.1 without Suspended and Discharging"""
MAX_AT_ONCE = 4
"""pending reports; a further request is answered with Unknown"""


class DisplayMessageBlock:
    """Handles Set-, Get- and ClearDisplayMessage(s); the messages are kept by the station."""

    def __init__(self, link: Link, messages: DisplayMessages, set_aside_rows: SetAsideRows) -> None:
        """`set_aside_rows`: messages that a safe start has set aside, which the CSMS may clear too."""
        self._link = link
        self._messages = messages
        self._set_aside_rows = set_aside_rows
        self._pending_reports = PendingReports(MAX_AT_ONCE)

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of Set-, Get- and ClearDisplayMessage(s)."""
        handlers.on(actions.SET_DISPLAY_MESSAGE, self.set_display_message)
        handlers.on(actions.GET_DISPLAY_MESSAGES, self.get_display_messages)
        handlers.on(actions.CLEAR_DISPLAY_MESSAGE, self.clear_display_message)

    async def set_display_message(
        self, request: m.SetDisplayMessageRequest
    ) -> HandlerResult[m.SetDisplayMessageResponse]:
        """Store a message, in place of the one with its id (O01, O02, O06); it is on disk before it is accepted.

        Raises:
            PayloadError: a field is malformed.
        """
        if (unsupported := _unsupported(request["message"])) is not None:
            return HandlerResult(unsupported)
        message = display_message_from_wire(request["message"])
        try:
            refusal = await self._messages.put(message)
        except StorageError as error:  # O01.FR.10, O02.FR.10
            _log.error("display message %d could not be stored: %s", message.id, error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}})
        if refusal is None:
            return HandlerResult({"status": "Accepted"})
        info: m.StatusInfoType = {"reasonCode": refusal.reason_code, "additionalInfo": refusal.sentence}
        return HandlerResult({"status": refusal.status.value, "statusInfo": info})

    async def get_display_messages(
        self, request: m.GetDisplayMessagesRequest
    ) -> HandlerResult[m.GetDisplayMessagesResponse]:
        """Answer GetDisplayMessages; follow-up: send the matching messages in NotifyDisplayMessages (O03, O04).

        Unknown if none matches, before the CSMS has accepted the station, or with too many pending reports.

        Raises:
            PayloadError: more ids than there can be messages, or a number beyond 32 bits.
        """
        ids, priority, state = request.get("id"), request.get("priority"), request.get("state")
        if ids is not None and len(ids) > MAX_MESSAGES:
            raise PayloadError("OccurrenceConstraintViolation", f"id must have at most {MAX_MESSAGES} items")
        found = self._messages.matching(
            frozenset(ids) if ids is not None else None,
            MessagePriority(priority) if priority is not None else None,
            _STATES.get(state) if state is not None else None,
        )
        if state is not None and state not in _STATES:
            found = []
        request_id = parse_integer(request["requestId"], "requestId")
        if not found:  # O03.FR.06, O04.FR.02, O04.FR.07
            return HandlerResult({"status": "Unknown"})
        if not self._link.accepted:  # they could not be reported (B02.FR.02)
            return HandlerResult({"status": "Unknown", "statusInfo": {"reasonCode": "CSNotAccepted"}})
        if self._pending_reports.is_full:
            return HandlerResult({"status": "Unknown", "statusInfo": {"reasonCode": "OutOfMemory"}})
        return self._pending_reports.response_with_report({"status": "Accepted"}, self._report(request_id, found))

    async def clear_display_message(
        self, request: m.ClearDisplayMessageRequest
    ) -> HandlerResult[m.ClearDisplayMessageResponse]:
        """Remove a message; Unknown if there is none with this id (O05.FR.01, O05.FR.02).

        Raises:
            PayloadError: the message could not be deleted from disk, and is still there.
        """
        identity = parse_integer(request["id"], "id")
        try:
            removed = await self._messages.remove(identity)
            removed |= bool(await self._set_aside_rows.delete_ids(DISPLAY_MESSAGES, [identity]))
        except StorageError as error:
            _log.error("display message %d could not be deleted: %s", identity, error)
            raise PayloadError("InternalError", "the message could not be deleted from disk") from error
        return HandlerResult({"status": "Accepted" if removed else "Unknown"})

    def _report(self, request_id: int, messages: Sequence[DisplayMessage]) -> FollowUp:
        async def send() -> None:
            """Send the messages (O03.FR.02 to O03.FR.05, O04.FR.03 to O04.FR.06)."""
            delays = repetition_delays()
            try:
                for start in range(0, len(messages), MESSAGES_PER_NOTIFICATION):
                    part = messages[start : start + MESSAGES_PER_NOTIFICATION]
                    report: m.NotifyDisplayMessagesRequest = {
                        "requestId": request_id,
                        "tbc": start + MESSAGES_PER_NOTIFICATION < len(messages),
                        "messageInfo": [display_message_to_wire(message) for message in part],
                    }
                    try:
                        await self._link.notify(actions.NOTIFY_DISPLAY_MESSAGES, report, delays=delays)
                    except CallRefusedError as error:  # the CSMS may still accept the next part
                        _log.warning("the CSMS refused a part of display message report %d: %s", request_id, error)
            except NoAnswerError as error:
                _log.warning("display message report %d was not sent completely: %s", request_id, error)

        return send


def _unsupported(message: m.MessageInfoType) -> m.SetDisplayMessageResponse | None:
    """The refusal of a message that needs what OCPP 2.1 has added and the station does not have, or None."""
    if (state := message.get("state")) is not None and state not in _STATES:  # O01.FR.02
        info: m.StatusInfoType = {"reasonCode": "UnsupportedParam", "additionalInfo": f"state {state}"}
        return {"status": "NotSupportedState", "statusInfo": info}
    if "messageExtra" in message:  # O01.FR.19: there is no DisplayMessageLanguage
        info = {"reasonCode": "UnsupportedParam", "additionalInfo": "messageExtra: one language at a time"}
        return {"status": "Rejected", "statusInfo": info}
    return None
