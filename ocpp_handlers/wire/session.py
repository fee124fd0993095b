"""One websocket session: calls out, one at a time; calls in, answered in their order.

Payloads stay plain JSON. Every one is checked against its schema, in both directions; after the check its type
is known, and here is the only place where that has to be claimed.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from foundation.events import Event
from foundation.frozen import frozen
from foundation.supervision import FollowUp, FollowUpTasks, result_or_exception
from ocpp_handlers.wire import frame
from ocpp_handlers.wire.frame import Call, CallError, CallResult, InvalidFrame
from station.core.csms import NoAnswerError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.wire.actions import Action
    from ocpp_handlers.wire.schema import Schemas

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_log = logging.getLogger(__name__)
_frames = logging.getLogger("ocpp.frames")

_WIRE_PATIENCE_S = 0.5
"""how long a virtual clock stands still for an answer of the CSMS"""


class CallRefusedError(NoAnswerError):
    """The CSMS answered with a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code


class CallTimeoutError(NoAnswerError):
    """The CSMS did not answer in time."""


class LinkLostError(NoAnswerError):
    """The link ended before the answer came."""


class PayloadError(Exception):
    """A handler finds something in a payload that the schema could not: becomes a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


@frozen
class HandlerResult(Generic[ResponseT]):
    """The answer to a CALL, and the errand that follows once it has left."""

    response: ResponseT
    follow_up: FollowUp | None = None
    undo: Callable[[], None] | None = None
    """called if the answer could not be sent or the errand cannot be started, so that nothing will follow"""


class Handlers:
    """What the station answers to each action."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[[object], Awaitable[HandlerResult[object]]]] = {}

    def on(
        self,
        action: Action[RequestT, ResponseT],
        handler: Callable[[RequestT], Awaitable[HandlerResult[ResponseT]]],
    ) -> None:
        """Answer an action with this handler."""
        self._handlers[action.name] = cast("Callable[[object], Awaitable[HandlerResult[object]]]", handler)

    def get(self, action: str) -> Callable[[object], Awaitable[HandlerResult[object]]] | None:
        """The handler of an action; None when there is none."""
        return self._handlers.get(action)


class FunctionalBlock(Protocol):
    """A functional block of OCPP that answers requests of the CSMS."""

    def register(self, handlers: Handlers) -> None:
        """Register a handler for each action that belongs to the block."""
        ...


class MessageFilter(Protocol):
    """Says what may pass while the CSMS has not accepted the station (boot.py)."""

    def refusal_to_answer(self, action: str, /) -> CallError | None:
        """Why a CALL of the CSMS is refused now; the message id is filled in by the session."""
        ...

    def may_send(self, action: str, *, requested: bool) -> bool:
        """Whether a CALL may be sent now; `requested`: the CSMS has asked for it."""
        ...

    async def decided(self) -> None:
        """Wait until the CSMS has said what it thinks of the station."""
        ...


class FrameTransport(Protocol):
    """The websocket, as far as a session needs it."""

    async def send(self, message: str) -> None:
        """Send a text frame."""
        ...

    async def recv(self) -> str | bytes:
        """Wait for a frame."""
        ...


@frozen
class ObservedFrame:
    """A frame that a session has received or is about to send."""

    direction: str
    """`in` or `out`"""
    text: str
    """without passwords and other secrets"""


class OcppSession:
    """A session with a CSMS over one wire; publishes each frame, and why a received one is not valid."""

    def __init__(
        self,
        transport: FrameTransport,
        handlers: Handlers,
        gate: MessageFilter,
        schemas: Schemas,
        errands: FollowUpTasks,
        clock: Clock,
        *,
        timeout_s: float,
    ) -> None:
        """`timeout_s`: the time that the CSMS has to answer a CALL."""
        self._transport = transport
        self._handlers = handlers
        self._gate = gate
        self._schemas = schemas
        self._errands = errands
        self._clock = clock
        self._timeout_s = timeout_s
        self.frame_observed: Event[ObservedFrame] = Event()
        self.invalid_message: Event[str] = Event()
        """the reason why a received frame is not a valid OCPP message"""
        self._owes_nothing = asyncio.Event()
        self._owes_nothing.set()
        self._turn = asyncio.Lock()
        self._open: tuple[str, asyncio.Future[CallResult | CallError]] | None = None
        self._ended = False

    async def run(self) -> None:
        """Read until the wire ends, with whatever exception it ends with; an open call ends with it."""
        try:
            while True:
                text = await self._transport.recv()
                self._passes("in", text)
                await self._handle_frame(frame.decode(text))
        finally:
            self._ended = True
            if self._open is not None and not self._open[1].done():
                self._open[1].set_exception(LinkLostError("the link ended"))

    async def wait_answered(self) -> None:
        """Wait until no answer is owed."""
        await self._owes_nothing.wait()

    async def call(
        self, action: Action[RequestT, ResponseT], request: RequestT, *, requested: bool = False
    ) -> ResponseT:
        """Send a CALL when its turn has come, and wait for the answer (GEN.FR.01: one at a time).

        Raises:
            NoAnswerError: refused, too late, not allowed now, or the link has ended.
        """
        if requested:
            await self._gate.decided()  # F06.FR.10, B07.FR.04: what was asked for too early comes later
        async with self._turn:
            if self._ended:
                raise LinkLostError("the link ended")
            if not self._gate.may_send(action.name, requested=requested):
                raise NoAnswerError(f"{action.name} may not be sent before the CSMS has accepted the station")
            self._check_own(action.name, self._schemas.check_request(action.name, request))
            answer = await self._send_call(Call(str(uuid.uuid4()), action.name, request))
        if isinstance(answer, CallError):
            raise CallRefusedError(answer.code, answer.description)
        payload = self._schemas.remove_unknown_fields(action.name, answer.payload)
        fault = self._schemas.check_response(action.name, payload)
        if fault is not None:
            _log.warning("answer to %s is not valid: %s", action.name, fault.description)
            raise CallRefusedError(fault.code, fault.description)
        return cast("ResponseT", payload)

    async def _send_call(self, call: Call) -> CallResult | CallError:
        answer: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_retrieve_exception)
        self._open = (call.id, answer)
        try:
            with self._clock.outside_wait(_WIRE_PATIENCE_S):
                async with self._clock.timeout(self._timeout_s):
                    await self._send(call)
                    return await answer
        except TimeoutError:
            raise CallTimeoutError(f"no answer to {call.action} within {self._timeout_s:g} s") from None
        finally:
            self._open = None

    async def _handle_frame(self, taken: frame.Frame) -> None:
        match taken:
            case Call():
                self._owes_nothing.clear()
                try:
                    await self._answer(taken)
                finally:
                    self._owes_nothing.set()
            case CallResult() | CallError():
                if self._open is not None and self._open[0] == taken.id and not self._open[1].done():
                    self._open[1].set_result(taken)
                else:
                    _log.warning("an answer that nobody waits for: %s", taken.id)
            case InvalidFrame():
                _log.warning("a frame that is not OCPP: %s", taken.reason)
                self.invalid_message.publish(taken.reason)
                if taken.reply is not None:
                    await self._send(taken.reply)

    async def _answer(self, call: Call) -> None:
        answer = await self._handle_call(call)
        if isinstance(answer, CallError):
            _log.info("%s is refused: %s %s", call.action[:50], answer.code, answer.description)
            await self._send(answer)
            return
        follows = False
        try:
            follows = await self._leaves(call, answer) and (
                answer.follow_up is None or self._errands.start(call.action, answer.follow_up)
            )
        finally:
            if not follows and answer.undo is not None:
                answer.undo()

    async def _leaves(self, call: Call, answer: HandlerResult[object]) -> bool:
        """Send an answer; False where a CALLERROR has to take its place."""
        try:
            text = frame.encode(CallResult(call.id, answer.response))
        except ValueError as error:  # what is echoed, customData for one, can be read and yet not be written: 1e999
            _log.warning("the answer to %s cannot be written: %s", call.action, error)
            await self._send(CallError(call.id, "FormatViolation", f"the answer cannot be written: {error}"))
            return False
        await self._send_text(text)
        return True

    async def _handle_call(self, call: Call) -> HandlerResult[object] | CallError:
        if (refusal := self._gate.refusal_to_answer(call.action)) is not None:
            return CallError(call.id, refusal.code, refusal.description)
        if not self._schemas.known(call.action):
            return CallError(call.id, "NotImplemented", "OCPP 2.0.1 has no such action")
        if (handler := self._handlers.get(call.action)) is None:
            return CallError(call.id, "NotSupported", f"{call.action} is not supported")
        if (fault := self._schemas.check_request(call.action, call.payload)) is not None:
            self.invalid_message.publish(f"{call.action}: {fault.code}")
            return CallError(call.id, fault.code, fault.description)
        outcome = await result_or_exception(handler(call.payload))
        if isinstance(outcome, PayloadError):
            return CallError(call.id, outcome.code, str(outcome))
        if isinstance(outcome, Exception):
            _log.error("%s could not be handled", call.action, exc_info=outcome)
            return CallError(call.id, "InternalError", f"{call.action} could not be carried out")
        self._check_own(call.action, self._schemas.check_response(call.action, outcome.response))
        return outcome

    def _check_own(self, action: str, fault: object) -> None:
        """What we say ourselves is checked too; a fault of ours is said, and sent: better late than never."""
        if fault is not None:
            _log.error("our own %s does not fit its schema: %s", action, fault)

    async def _send(self, sent: Call | CallResult | CallError) -> None:
        await self._send_text(frame.encode(sent))

    async def _send_text(self, text: str) -> None:
        from websockets.exceptions import ConnectionClosed

        self._passes("out", text)
        try:
            await self._transport.send(text)
        except ConnectionClosed as error:
            # It may be closing while the reader still waits for the last of it.
            raise LinkLostError("the link is closing") from error

    def _passes(self, direction: str, text: str | bytes) -> None:
        shown = frame.without_secrets(text) if isinstance(text, str) else f"<{len(text)} bytes>"
        _frames.debug("%s %s", direction, shown)
        self.frame_observed.publish(ObservedFrame(direction, shown))


def _retrieve_exception(answer: asyncio.Future[CallResult | CallError]) -> None:
    """That the link has ended is no failure of its own where the call has ended before, for a reason of its own."""
    if not answer.cancelled():
        answer.exception()
