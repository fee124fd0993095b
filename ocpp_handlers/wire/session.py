"""One websocket session: sends CALLs one at a time, and answers CALLs of the CSMS in their order.

Payloads stay plain JSON. Each is validated against its schema, in both directions (those that are sent by `outgoing`);
this module is the only place where a validated payload is cast to its type.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from websockets.exceptions import ConnectionClosed

from foundation.events import Event
from foundation.frozen import Frozen
from foundation.supervision import FollowUp, FollowUpTasks, result_or_exception
from foundation.waiting import Flag
from ocpp_handlers.wire import frame
from ocpp_handlers.wire.call_errors import CallRefusedError, CallTimeoutError, InvalidResponseError, LinkLostError
from ocpp_handlers.wire.call_texts import call_text, refusal_text
from ocpp_handlers.wire.edition import CALLRESULTERROR, V201
from ocpp_handlers.wire.frame import Call, CallError, CallResult, CallResultError, InvalidFrame, Send
from ocpp_handlers.wire.outgoing import OutgoingFrames
from station.core.csms import NoAnswerError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.wire.actions import Action, UnansweredAction
    from ocpp_handlers.wire.edition import Edition
    from ocpp_handlers.wire.schema import Schemas
    from station.core.invalid_messages import InvalidMessage

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_log = logging.getLogger(__name__)
_frame_log = logging.getLogger("ocpp.frames")

_RESPONSE_WAIT_REAL_S = 0.5
"""real seconds for which a virtual clock stands still to wait for a response of the CSMS"""


class PayloadError(Exception):
    """Raised by a handler for an error that the schema cannot express; the session sends it as a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class HandlerResult(Frozen, Generic[ResponseT]):
    """Result of a handler: the response to a CALL, the task to start once it has been sent, and its undo function."""

    response: ResponseT
    follow_up: FollowUp | None = None
    """started after the response was sent; None: nothing follows"""
    undo: Callable[[], None] | None = None
    """called if the response could not be sent or the follow-up cannot be started, so it will not run"""


class UnknownValueResponse(Frozen, Generic[ResponseT]):
    """Response to a request whose only fault is an unknown value of one enumeration, instead of a CALLERROR.

    For requests whose response has a status for what the station does not support, such as NotSupported.
    """

    field: str
    """the field of the request with the enumeration, or with a list of its values"""
    response: ResponseT


class RegisteredHandler(Frozen):
    """The handler of an action."""

    handle: Callable[[object], Awaitable[HandlerResult[object]]]
    unknown_value: UnknownValueResponse[object] | None
    """how a request with an unknown value is answered; None: with a CALLERROR"""
    since: Edition
    """the first edition in whose sessions it is called"""


class Handlers:
    """Maps each action to the handlers that answer its CALLs, one from each edition that changed it."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[RegisteredHandler]] = {}
        """the handlers of each action, those of the latest edition first"""

    def on(
        self,
        action: Action[RequestT, ResponseT],
        handler: Callable[[RequestT], Awaitable[HandlerResult[ResponseT]]],
        *,
        unknown_value: UnknownValueResponse[ResponseT] | None = None,
        since: Edition = V201,
    ) -> None:
        """Register a handler of an action; it is called with payloads that fit the schema.

        `unknown_value`: how requests with an unknown value are answered; None: with a CALLERROR, as other invalid ones.
        `since`: sessions of earlier editions keep the handler that they have; one with the same `since` is replaced.
        """
        handle = cast("Callable[[object], Awaitable[HandlerResult[object]]]", handler)
        unknown = cast("UnknownValueResponse[object] | None", unknown_value)
        kept = [other for other in self._handlers.get(action.name, ()) if other.since is not since]
        kept.append(RegisteredHandler(handle, unknown, since))
        self._handlers[action.name] = sorted(kept, key=lambda registered: registered.since.order, reverse=True)

    def get(self, action: str, edition: Edition) -> RegisteredHandler | None:
        """Return the latest handler of the action that sessions of this edition have; None if there is none."""
        for found in self._handlers.get(action, ()):
            if edition.includes(found.since):
                return found
        return None


class FunctionalBlock(Protocol):
    """A functional block of OCPP that answers requests of the CSMS."""

    def register(self, handlers: Handlers) -> None:
        """Register a handler for each action that belongs to the block."""
        ...


class MessageFilter(Protocol):
    """Decides which CALLs the station may send and answer while the CSMS has not accepted it (boot.py)."""

    def refusal_to_answer(self, action: str, /) -> CallError | None:
        """The CALLERROR for a CALL of the CSMS that is refused now, without message id; None: it is answered."""
        ...

    def may_send(self, action: str, *, requested: bool) -> bool:
        """Return whether a CALL may be sent now; `requested`: the CSMS has asked for it."""
        ...

    async def decided(self) -> None:
        """Wait until the CSMS has answered a BootNotification."""
        ...


class FrameTransport(Protocol):
    """The methods of a websocket that a session uses; both raise ConnectionClosed once it is closed."""

    async def send(self, message: str) -> None:
        """Send a text frame."""
        ...

    async def recv(self) -> str | bytes:
        """Wait for a frame."""
        ...


class ObservedFrame:
    """A frame that a session has received or is about to send, for logs and pages.

    Most frames are never read by anybody, so secrets are masked at the first reading.
    """

    __slots__ = ("_is_masked", "_text", "direction", "length", "note")

    def __init__(self, direction: str, text: str, note: str = "") -> None:
        """`direction`: `in` or `out`; `text`: as received or sent, with its secrets.

        `note`: what the simulated misbehaviour of a station has done; the text is then that of the frame which went on
        or came instead, or empty.
        """
        self.direction = direction
        self.note = note
        self.length = len(text)
        """number of characters as received or sent"""
        self._text = text
        self._is_masked = False

    @property
    def text(self) -> str:
        """The text with passwords and other secrets masked; once it was read, the secrets are no longer in memory."""
        if not self._is_masked:
            self._text = frame.without_secrets(self._text)
            self._is_masked = True
        return self._text

    @property
    def anonymous_text(self) -> str:
        """The text with shortened id tokens and without other personal data, for the disk."""
        return frame.anonymous(self.text)


class SessionEvents:
    """Events that all sessions of a station publish."""

    def __init__(self) -> None:
        self.frame_observed: Event[ObservedFrame] = Event()
        """each frame received or about to be sent"""
        self.invalid_message: Event[str] = Event()
        """the reason why a received frame is not a valid OCPP message"""
        self.invalid_own_message: Event[InvalidMessage] = Event()
        """a message of the station that its schema refuses"""


class OcppSession:
    """An OCPP session of the station over one websocket: sends CALLs one at a time, answers those of the CSMS.

    Publishes each frame, and why a received frame is invalid, to `events`.
    """

    def __init__(  # noqa: PLR0913  # made in one place
        self,
        transport: FrameTransport,
        handlers: Handlers,
        gate: MessageFilter,
        schemas: Schemas,
        follow_ups: FollowUpTasks,
        clock: Clock,
        events: SessionEvents,
        *,
        timeout_s: float,
    ) -> None:
        """`schemas`: those of the edition of the session; `timeout_s`: the time that the CSMS has to answer a CALL."""
        self.edition = schemas.edition
        """the edition of OCPP that the CSMS has chosen for this session"""
        self._transport = transport
        self._handlers = handlers
        self._gate = gate
        self._schemas = schemas
        self._outgoing = OutgoingFrames(schemas, events.invalid_own_message)
        self._follow_ups = follow_ups
        self._clock = clock
        self._timeout_s = timeout_s
        self._events = events
        self._all_answered = Flag()
        self._all_answered.set()
        self._call_lock = asyncio.Lock()
        self._pending_call: tuple[str, asyncio.Future[CallResult | CallError]] | None = None
        self._ended = False

    async def run(self) -> None:
        """Receive frames, answer CALLs and match responses, until the transport raises; that exception is passed on.

        An open `call` then raises LinkLostError.
        """
        try:
            while True:
                text = await self._transport.recv()
                self._observe("in", text)
                await self._handle_frame(frame.decode(text, self.edition))
        finally:
            self._ended = True
            if self._pending_call is not None and not self._pending_call[1].done():
                self._pending_call[1].set_exception(LinkLostError("the connection to the CSMS ended"))

    async def wait_answered(self) -> None:
        """Wait until the CALL of the CSMS that is being handled has been answered."""
        await self._all_answered.wait()

    async def call(
        self, action: Action[RequestT, ResponseT], request: RequestT, *, requested: bool = False
    ) -> ResponseT:
        """Send a CALL after the CALLs before it, and wait for the response (GEN.FR.01: one at a time).

        `requested`: the CSMS has asked for it; it waits for the answer to the BootNotification, and may be sent while
        Pending.

        Raises:
            NoAnswerError: refused, timed out, not allowed now, or the link has ended.
            InvalidRequestError: the request is not valid, and was not sent.
        """
        if requested:
            await self._gate.decided()  # F06.FR.10, B07.FR.04: requested before the boot, sent after it
        await self._call_lock.acquire()
        try:
            if self._ended:
                raise LinkLostError("the connection to the CSMS ended")
            if not self._gate.may_send(action.name, requested=requested):
                raise NoAnswerError(f"{action.name} must not be sent before the CSMS has accepted the station")
            message_id = str(uuid.uuid4())
            text = self._outgoing.call(message_id, action.name, request)
            answer = await self._send_call(message_id, action.name, text)
        finally:
            self._release_call_lock()
        if isinstance(answer, CallError):
            raise CallRefusedError(answer.code, answer.description, answer.details)
        payload = self._schemas.remove_unknown_fields(action.name, answer.payload)
        fault = self._schemas.check_response(action.name, payload)
        if fault is not None:
            _log.warning("the response of the CSMS to %s is invalid: %s", action.name, fault.description)
            if CALLRESULTERROR in self.edition.frame_kinds:  # GEN.FR.06
                await self._send_text(frame.encode(CallResultError(message_id, fault.code, fault.description)))
            raise InvalidResponseError(fault.code, fault.description)
        return cast("ResponseT", payload)

    async def send(self, action: UnansweredAction[RequestT], message: RequestT) -> None:
        """Send a message that is not answered, also while a CALL is open (GEN.FR.07).

        Raises:
            NoAnswerError: the edition of the session has no such message, it is not allowed now, or the link has ended.
            InvalidRequestError: the message is not valid, and was not sent.
        """
        if self._ended:
            raise LinkLostError("the connection to the CSMS ended")
        if not self._gate.may_send(action.name, requested=False):
            raise NoAnswerError(f"{action.name} must not be sent before the CSMS has accepted the station")
        await self._send_text(self._outgoing.unanswered(str(uuid.uuid4()), action.name, message))

    async def _send_call(self, message_id: str, action: str, text: str) -> CallResult | CallError:
        answer: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_retrieve_exception)
        self._pending_call = (message_id, answer)
        try:
            with self._clock.outside_wait(_RESPONSE_WAIT_REAL_S):
                async with self._clock.timeout(self._timeout_s):
                    await self._send_text(text)
                    return await asyncio.shield(answer)  # if the caller is cancelled, the next CALL waits for it
        except TimeoutError:
            answer.cancel()
            raise CallTimeoutError(f"no response to {action} within {self._timeout_s:g} s") from None
        except Exception:
            answer.cancel()
            raise

    def _release_call_lock(self) -> None:
        """Let the next CALL be sent: now, or once one that nobody waits for any more is answered or has timed out."""
        if self._pending_call is None or self._pending_call[1].done():
            self._pending_call = None
            self._call_lock.release()
            return
        answer = self._pending_call[1]
        timer = self._clock.call_later(self._timeout_s, answer.cancel)

        def end(_: object) -> None:
            timer.cancel()
            self._pending_call = None
            self._call_lock.release()

        answer.add_done_callback(end)

    async def _handle_frame(self, received: frame.Frame) -> None:
        match received:
            case Call():
                self._all_answered.clear()
                try:
                    await self._handle_request(received)
                finally:
                    self._all_answered.set()
            case CallResult() | CallError():
                if (
                    self._pending_call is not None
                    and self._pending_call[0] == received.id
                    and not self._pending_call[1].done()
                ):
                    self._pending_call[1].set_result(received)
                else:
                    _log.warning("unexpected response ignored: message id %s", received.id)
            case CallResultError():
                description = received.description[:255]
                _log.warning("the CSMS cannot use a response of this station: %s: %s", received.code, description)
            case Send():
                _log.warning("a message of the CSMS that wants no answer is ignored: %s", received.action[:50])
            case InvalidFrame():
                _log.warning("invalid OCPP frame received: %s", received.reason)
                self._events.invalid_message.publish(received.reason)
                if received.reply is not None:
                    await self._send(received.reply)

    async def _handle_request(self, call: Call) -> None:
        answer = await self._handle_call(call)
        if isinstance(answer, CallError):
            description = call_text(call.action, call.payload)
            _log.info("%s of the CSMS is refused: %s: %s", description, answer.code, answer.description)
            await self._send(answer)
            return
        follows = False
        try:
            follows = await self._send_response(call, answer.response) and (
                answer.follow_up is None
                or self._follow_ups.submit(call_text(call.action, call.payload), answer.follow_up)
            )
        finally:
            if not follows and answer.undo is not None:
                answer.undo()

    async def _send_response(self, call: Call, response: object) -> bool:
        """Send a response; False if it cannot be sent, so that a CALLERROR was sent instead."""
        text = self._outgoing.result(call, response)
        if isinstance(text, CallError):
            await self._send(text)
            return False
        if (refusal := refusal_text(call.action, response)) is not None:
            _log.info("%s of the CSMS is answered %s", call_text(call.action, call.payload), refusal)
        await self._send_text(text)
        return True

    async def _handle_call(self, call: Call) -> HandlerResult[object] | CallError:
        if (refusal := self._gate.refusal_to_answer(call.action)) is not None:
            return CallError(call.id, refusal.code, refusal.description)
        if call.action not in self.edition.actions:
            return CallError(call.id, "NotImplemented", f"OCPP {self.edition.name} has no such action")
        if (handler := self._handlers.get(call.action, self.edition)) is None:
            return CallError(call.id, "NotSupported", f"{call.action} is not supported")
        if (fault := self._schemas.check_request(call.action, call.payload)) is not None:
            unknown = handler.unknown_value
            if unknown is not None and self._schemas.has_only_unknown_values(call.action, call.payload, unknown.field):
                return HandlerResult(unknown.response)
            self._events.invalid_message.publish(f"{call.action}: {fault.code}")
            return CallError(call.id, fault.code, fault.description)
        outcome = await result_or_exception(handler.handle(call.payload))
        if isinstance(outcome, PayloadError):
            return CallError(call.id, outcome.code, str(outcome))
        if isinstance(outcome, Exception):
            _log.error("%s of the CSMS failed with an unexpected error", call.action, exc_info=outcome)
            return CallError(call.id, "InternalError", f"{call.action} failed with an internal error")
        return outcome

    async def _send(self, error: CallError) -> None:
        await self._send_text(frame.encode(error))

    async def _send_text(self, text: str) -> None:
        self._observe("out", text)
        try:
            await self._transport.send(text)
        except ConnectionClosed as error:
            # The websocket may be closing while the reader still waits for its last messages.
            raise LinkLostError("the connection to the CSMS is closing") from error

    def _observe(self, direction: str, text: str | bytes) -> None:
        observed = ObservedFrame(direction, text if isinstance(text, str) else f"<{len(text)} bytes>")
        if _frame_log.isEnabledFor(logging.DEBUG):
            _frame_log.debug("%s %s", direction, observed.text)
        self._events.frame_observed.publish(observed)


def _retrieve_exception(answer: asyncio.Future[CallResult | CallError]) -> None:
    """Retrieve the exception of a call that has ended otherwise before, so that asyncio does not log it."""
    if not answer.cancelled():
        answer.exception()
