"""Checks what a session sends, and narrows it to the edition of the session: nothing invalid leaves the station.

The station writes its messages as OCPP 2.1 has them, of which 2.0.1 is a part.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ocpp_handlers.wire import actions, frame, narrowing
from ocpp_handlers.wire.call_errors import InvalidRequestError
from ocpp_handlers.wire.edition import SEND, V21
from ocpp_handlers.wire.frame import Call, CallError, CallResult, Send
from ocpp_handlers.wire.schema_violation import SchemaViolation
from ocpp_handlers.wire.transaction_event_form import reduce_event
from station.core.invalid_messages import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.events import Event
    from ocpp_handlers.wire.schema import Schemas

_log = logging.getLogger(__name__)

_MAX_NAMED_FIELDS: Final = 10
"""fields of one message that are named in the log"""


class OutgoingFrames:
    """Writes the frames that a session sends.

    A message that its schema refuses is a defect of the station, reported by a line of the log without values and by
    `invalid`. A field too many is cut; a TransactionEvent is reduced as far as needed. What is still invalid is not
    sent.
    """

    def __init__(self, schemas: Schemas, invalid: Event[InvalidMessage]) -> None:
        """`schemas`: those of the edition of the session; `invalid`: published for each message that they refuse."""
        self._schemas = schemas
        self._invalid = invalid
        self._narrows = not schemas.edition.includes(V21)

    def call(self, message_id: str, action: str, request: object) -> str:
        """Return the frame of a CALL.

        Raises:
            InvalidRequestError: no valid form of the request can be sent.
        """
        written = self._write_call(message_id, action, request)
        if isinstance(written, SchemaViolation) and self._narrows:
            request = narrowing.to_201(f"{action}Request", request)
            if request is narrowing.NOTHING:
                edition = self._schemas.edition.name
                raise InvalidRequestError("NotSupported", f"OCPP {edition} has no words for this {action}")
            written = self._write_call(message_id, action, request)
        return written if isinstance(written, str) else self._write_reduced_call(message_id, action, request)

    def unanswered(self, message_id: str, action: str, message: object) -> str:
        """Return the frame of a SEND.

        Raises:
            InvalidRequestError: the edition has no such frames, or the message is not valid.
        """
        if SEND not in self._schemas.edition.frame_kinds:
            raise InvalidRequestError("NotSupported", f"OCPP {self._schemas.edition.name} has no {action}")
        if (fault := self._schemas.check_unanswered(action, message)) is not None:
            self._report(action, action, (), fault)
            raise InvalidRequestError(fault.code, f"{action} was not sent: {fault.description}")
        return frame.encode(Send(message_id, action, message))

    def result(self, call: Call, response: object) -> str | CallError:
        """Return the frame of the response to a CALL, or the error to send instead."""
        fault = self._schemas.check_response(call.action, response)
        if fault is not None and self._narrows:
            response = narrowing.to_201(f"{call.action}Response", response)
            if response is narrowing.NOTHING:
                edition = self._schemas.edition.name
                return CallError(call.id, "NotSupported", f"OCPP {edition} has no words for this response")
            fault = self._schemas.check_response(call.action, response)
        if fault is not None:
            response, cut = self._schemas.cut_response(call.action, response)
            fault = self._schemas.check_response(call.action, response) if cut else fault
            self._report(call.action, f"{call.action}Response", cut, fault)
            if fault is not None:
                return CallError(call.id, "InternalError", f"{call.action} failed with an internal error")
        try:
            return frame.encode(CallResult(call.id, response))
        except ValueError as error:  # an echoed value, such as customData, can be parsed but not written: 1e999
            _log.warning("the response to %s cannot be encoded: %s", call.action, error)
            return CallError(call.id, "FormatViolation", f"the response cannot be encoded: {error}")

    def _write_call(self, message_id: str, action: str, request: object) -> str | SchemaViolation:
        if (fault := self._schemas.check_request(action, request)) is not None:
            return fault
        try:
            return frame.encode(Call(message_id, action, request))
        except ValueError as error:
            return SchemaViolation("FormatViolation", f"The payload cannot be encoded ({type(error).__name__}).")

    def _write_reduced_call(self, message_id: str, action: str, request: object) -> str:
        request, cut = self._schemas.cut_request(action, request)
        written = self._write_call(message_id, action, request)
        if isinstance(written, SchemaViolation) and action == actions.TRANSACTION_EVENT.name:
            reduced = reduce_event(request, lambda event: isinstance(self._write_call(message_id, action, event), str))
            if reduced is not None:
                written, cut = self._write_call(message_id, action, reduced.payload), [*cut, *reduced.dropped]
        fault = written if isinstance(written, SchemaViolation) else None
        self._report(action, f"{action}Request", cut, fault)
        if isinstance(written, SchemaViolation):
            raise InvalidRequestError(written.code, f"{action} was not sent: {written.description}")
        return written

    def _report(self, action: str, message: str, cut: Sequence[str], fault: SchemaViolation | None) -> None:
        """Report that a message is invalid: which fields it is sent without, or the fault for which it is not sent."""
        if fault is not None:
            _log.error("%s of this station is not sent, since it is not valid: %s", message, fault.description)
        else:
            edition = self._schemas.edition.name
            for name in cut[:_MAX_NAMED_FIELDS]:
                _log.error("%s of this station is sent without %s, not valid in OCPP %s", message, name, edition)
            if len(cut) > _MAX_NAMED_FIELDS:
                _log.error("%s of this station is sent without %d more fields", message, len(cut) - _MAX_NAMED_FIELDS)
        self._invalid.publish(InvalidMessage(action, sent=fault is None))
