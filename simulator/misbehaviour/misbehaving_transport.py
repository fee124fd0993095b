"""A websocket to the CSMS that changes messages by the rules of a simulated station."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from websockets.protocol import State

from ocpp_handlers.wire.session import ObservedFrame
from simulator.misbehaviour.message_line import MessageLine
from simulator.misbehaviour.rules import Effect, Sender, WireMessage, wire_message
from simulator.misbehaviour.silent_transport import SilentTransport
from station.maintenance.logs.frame_log import SENT_BY_BENCH

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from foundation.clock import Clock
    from ocpp_handlers.wire.session import SessionEvents

_KEPT: Final = 16
"""frames of each side among which the request is found that an answer answers"""
_BEGINNING: Final = 120
"""characters of a frame that are kept: those of a request contain its id and action"""
_CALL_BEGINNING: Final = re.compile(r'\s*\[\s*2\s*,\s*"([^"\\]*)"\s*,\s*"([^"\\]*)"')


class MessageRules(Protocol):
    """The rules of a station, as its transports need them."""

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        ...

    active: bool
    """whether there is a rule"""

    def next_effect(self, message: WireMessage, /) -> Effect | None:
        """Return what becomes of a message; None: it passes unchanged."""
        ...

    def note(self, sender: Sender, text: str, /) -> None:
        """Keep what was done to a message."""
        ...


class MisbehavingTransport:
    """The websocket of a simulated station (`FrameTransport`), beneath its session: applies rules to the messages.

    The station's software, its storage and its own log of messages do not notice; each message to which something was
    done is reported to `events` with a note.
    """

    def __init__(self, connection: ClientConnection, misbehaviour: MessageRules, events: SessionEvents) -> None:
        self._connection = connection
        self._misbehaviour = misbehaviour
        self._clock = misbehaviour.clock
        self._events = events
        self._sent = MessageLine()
        self._received = MessageLine()
        self._ready: deque[str | bytes] = deque()
        self._receiver: asyncio.Task[object] | None = None
        """the task that waits for a frame of the CSMS; None: none waits"""
        self._woken = False
        """whether its wait was ended by `_wake`"""
        self._used = False
        """whether there was a rule on this connection: until then, frames pass without a look at them"""
        self._silent = False
        """whether nothing leaves any more"""
        self._station_beginnings: deque[str] = deque(maxlen=_KEPT)
        self._csms_beginnings: deque[str | bytes] = deque(maxlen=_KEPT)
        """the beginnings of the last frames of each side: those of requests say what an answer answers"""
        self._answered_early: deque[str] = deque(maxlen=_KEPT)
        """ids of requests that the bench has answered before they were sent: the answer of the CSMS is not passed on"""

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        is_open = self._connection.protocol.state is State.OPEN and not self._connection.transport.is_closing()
        return is_open and not self._silent

    async def send(self, message: str) -> None:
        """Send a text frame of the station, or what the rules make of it.

        Raises:
            ConnectionClosed: the connection has ended, or ends.
        """
        self._station_beginnings.append(message[:_BEGINNING])
        is_plain = not (self._misbehaviour.active or self._used)
        if is_plain or self._sent.is_full or not self.is_open:
            await self._connection.send(message)  # raises what ended the connection
            return
        self._apply("station", message)
        if self._connection.paused:
            await self._connection.drain()

    async def recv(self) -> str | bytes:
        """Wait for a frame of the CSMS, or for what the rules make of it.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        while not self._ready:
            message = await self._next_frame()
            if message is not None:
                self._csms_beginnings.append(message[:_BEGINNING])
                if isinstance(message, bytes) or not (self._misbehaviour.active or self._used):
                    return message
                self._receive(message)
            self._ready += self._received.take_due(self._clock.monotonic())
            if self._connection.paused:
                await self._connection.drain()
        return self._ready.popleft()

    def send_raw(self, text: str) -> None:
        """Send a frame that the station itself has not made; the caller has checked that the connection is open."""
        self._observe("station", text, SENT_BY_BENCH)
        self._write(text)

    async def _next_frame(self) -> str | bytes | None:
        """Wait for a frame of the CSMS; None: woken, since another one is due. None is read while too many wait."""
        due_s = self._received.due_s if self._used else None
        timer = None if due_s is None else self._clock.call_later(max(0.0, due_s - self._clock.monotonic()), self._wake)
        receiver = self._receiver = asyncio.current_task()
        cancelling, self._woken = receiver.cancelling() if receiver is not None else 0, False
        try:
            if self._used and self._received.is_full:
                await self._connection.wait_closed()
            return await self._connection.recv()
        except asyncio.CancelledError:  # as `asyncio.timeout` does, at a fraction of what that costs for each frame
            if receiver is None or not self._woken or receiver.uncancel() > cancelling:
                raise
            return None
        finally:
            self._receiver = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        """End the wait for a frame of the CSMS."""
        if self._receiver is not None and not self._woken:
            self._woken = True
            self._receiver.cancel()

    def _receive(self, message: str) -> None:
        """Take a text frame of the CSMS."""
        answer = wire_message("csms", message, {}) if self._answered_early else None
        if answer is not None and answer.message_id in self._answered_early:
            self._answered_early.remove(answer.message_id)
            self._observe("csms", message, f"{answer.name}: not passed on: the station has an answer already")
        else:
            self._apply("csms", message)

    def _apply(self, sender: Sender, text: str) -> None:
        """Pass a frame on, changed by the first rule that matches it."""
        self._used = True
        line, now_s = (self._sent if sender == "station" else self._received), self._clock.monotonic()
        message = self._parsed(sender, text)
        effect = self._misbehaviour.next_effect(message)
        if effect is None:
            line.put(text, now_s)
        else:
            self._report(message, effect)
            self._carry_out(message, effect, line, now_s)
        self._forward(sender, line.take_due(now_s))
        self._wait_for_due()

    def _carry_out(self, message: WireMessage, effect: Effect, line: MessageLine, now_s: float) -> None:
        if effect.half_frame:
            self._send_half(message.text)
            return
        for frame in effect.passed:
            line.put(frame, now_s, effect.delay_s)
        if effect.held_s is not None:
            self._forward(message.sender, line.hold(message.text, now_s + effect.held_s))
        if effect.returned is not None and message.sender == "csms":
            self._write(effect.returned)
        elif effect.returned is not None:
            self._answered_early.append(message.message_id)
            self._ready.append(effect.returned)
            self._wake()

    def _report(self, message: WireMessage, effect: Effect) -> None:
        """Write what is done into the station's log of messages, with the frame that differs."""
        texts = [effect.returned] if effect.returned is not None else list(effect.passed)
        text = texts[-1] if effect.differs and texts else message.text if message.sender == "csms" else ""
        self._observe(message.sender, text, f"{message.name}: {effect.note}")

    def _observe(self, sender: Sender, text: str, note: str) -> None:
        self._misbehaviour.note(sender, note)
        self._events.frame_observed.publish(ObservedFrame("out" if sender == "station" else "in", text, note))

    def _wait_for_due(self) -> None:
        """Set a timer for the next message of the station that waits; it does not keep an ended run in memory."""
        if (due_s := self._sent.due_s) is None:
            return
        send_due = weakref.WeakMethod(self._send_due)

        def send() -> None:
            if (still := send_due()) is not None:
                still()

        self._clock.call_later(max(0.0, due_s - self._clock.monotonic()), send)

    def _send_due(self) -> None:
        self._forward("station", self._sent.take_due(self._clock.monotonic()))
        self._wait_for_due()

    def _forward(self, sender: Sender, frames: list[str]) -> None:
        if sender == "csms":
            self._ready += frames
            return
        for frame in frames:
            self._write(frame)

    def _write(self, text: str) -> None:
        """Send a text frame without waiting; nothing if the connection ends, or if nothing leaves any more."""
        if self.is_open:
            self._connection.protocol.send_text(text.encode())
            self._connection.send_data()

    def _send_half(self, text: str) -> None:
        """Send half of a websocket frame, and nothing after it, no ping either."""
        self._connection.protocol.send_text(text.encode())
        data = b"".join(self._connection.protocol.data_to_send())
        self._connection.transport.write(data[: len(data) // 2])
        self._connection.transport = SilentTransport(self._connection.transport)
        self._silent = True

    def _parsed(self, sender: Sender, text: str) -> WireMessage:
        """Parse a frame; an answer has the action of the request of the other side that it answers."""
        others = self._csms_beginnings if sender == "station" else self._station_beginnings
        calls = (_CALL_BEGINNING.match(beginning) for beginning in others if isinstance(beginning, str))
        return wire_message(sender, text, {call[1]: call[2] for call in calls if call is not None})
