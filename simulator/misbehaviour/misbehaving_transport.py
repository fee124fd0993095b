"""A websocket to the CSMS that changes messages by the rules of a simulated station."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from websockets.frames import Frame, Opcode
from websockets.protocol import State

from ocpp_handlers.wire.session import ObservedFrame
from simulator.misbehaviour.message_line import MessageLine
from simulator.misbehaviour.rules import Effect, Sender, WireMessage, wire_message
from simulator.misbehaviour.silent_transport import SilentTransport

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from foundation.clock import Clock
    from ocpp_handlers.wire.session import SessionEvents

SENT_BY_BENCH: Final = "sent by the bench"
"""the note of a frame that the station itself has not made"""
_BEGINNING: Final = 400
"""characters of a request that are kept until the next one: they contain its id and action"""
_CALL_BEGINNING: Final = "[2"


class MessageRules(Protocol):
    """The rules of a station, as its transports need them."""

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        ...

    @property
    def active(self) -> bool:
        """Whether there is a rule."""
        ...

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
        self._last_calls: dict[Sender, str] = {"station": "", "csms": ""}
        """the beginning of the last request of each side, whose answer may be changed"""
        self._early_answers: dict[str, bool] = {}
        """ids of requests that the bench answers before they are sent; whether the station has got that answer, so
        that the one of the CSMS is not passed on"""

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._connection.protocol.state is State.OPEN and not self._connection.transport.is_closing()

    async def send(self, message: str) -> None:
        """Send a text frame of the station, or what the rules make of it.

        Raises:
            ConnectionClosed: the connection has ended, or ends.
        """
        self._note_call("station", message)
        if self._sent.is_empty and not self._misbehaviour.active:
            await self._connection.send(message)
            return
        if not self.is_open:
            await self._connection.send(message)  # raises what ended the connection
        self._apply("station", message)

    async def recv(self) -> str | bytes:
        """Wait for a frame of the CSMS, or for what the rules make of it.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        while not self._ready:
            if (due_s := self._received.due_s) is None:
                self._receive(await self._connection.recv())
                continue
            try:
                async with self._clock.timeout(max(0.0, due_s - self._clock.monotonic())):
                    message = await self._connection.recv()
            except TimeoutError:
                self._ready += self._received.take_due(self._clock.monotonic())
            else:
                self._receive(message)
        return self._ready.popleft()

    def send_raw(self, text: str) -> None:
        """Send a frame that the station itself has not made; the caller has checked that the connection is open."""
        self._observe("station", text, SENT_BY_BENCH)
        self._write(text)

    def _receive(self, message: str | bytes) -> None:
        """Take a frame of the CSMS."""
        if isinstance(message, bytes):
            self._ready.append(message)
            return
        self._note_call("csms", message)
        if self._early_answers and (answer := wire_message("csms", message, {})).message_id in self._early_answers:
            if self._early_answers.pop(answer.message_id):
                self._observe("csms", message, f"{answer.name}: not passed on: the station has an answer already")
            else:
                self._early_answers[answer.message_id] = True
                self._ready.append(message)
        elif self._received.is_empty and not self._misbehaviour.active:
            self._ready.append(message)
        else:
            self._apply("csms", message)

    def _apply(self, sender: Sender, text: str) -> None:
        """Pass a frame on, changed by the first rule that matches it."""
        line, now_s = (self._sent if sender == "station" else self._received), self._clock.monotonic()
        message = self._parsed(sender, text)
        effect = self._misbehaviour.next_effect(message)
        if effect is None:
            line.put(text, now_s)
        else:
            self._report(message, effect)
            self._carry_out(message, effect, line, now_s)
        self._forward(sender, line.take_due(now_s))
        if sender == "station" and (due_s := line.due_s) is not None:
            self._clock.call_later(due_s - now_s, self._send_due)

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
            self._early_answers[message.message_id] = False
            self._connection.process_event(Frame(Opcode.TEXT, effect.returned.encode()))

    def _report(self, message: WireMessage, effect: Effect) -> None:
        """Write what is done into the station's log of messages, with the frame that differs."""
        texts = [effect.returned] if effect.returned is not None else list(effect.passed)
        text = texts[-1] if effect.differs and texts else message.text if message.sender == "csms" else ""
        self._observe(message.sender, text, f"{message.name}: {effect.note}")

    def _observe(self, sender: Sender, text: str, note: str) -> None:
        self._misbehaviour.note(sender, note)
        self._events.frame_observed.publish(ObservedFrame("out" if sender == "station" else "in", text, note))

    def _send_due(self) -> None:
        self._forward("station", self._sent.take_due(self._clock.monotonic()))

    def _forward(self, sender: Sender, frames: list[str]) -> None:
        if sender == "csms":
            self._ready += frames
            return
        for frame in frames:
            self._write(frame)

    def _write(self, text: str) -> None:
        """Send a text frame without waiting; nothing if the connection ends."""
        if self.is_open:
            self._connection.protocol.send_text(text.encode())
            self._connection.send_data()

    def _send_half(self, text: str) -> None:
        """Send half of a websocket frame, and nothing after it, no ping either."""
        self._connection.protocol.send_text(text.encode())
        data = b"".join(self._connection.protocol.data_to_send())
        self._connection.transport.write(data[: len(data) // 2])
        self._connection.transport = SilentTransport(self._connection.transport)

    def _note_call(self, sender: Sender, text: str) -> None:
        if text.startswith(_CALL_BEGINNING):
            self._last_calls[sender] = text[:_BEGINNING]

    def _parsed(self, sender: Sender, text: str) -> WireMessage:
        """Parse a frame; an answer has the action of the last request of the other side."""
        other: Sender = "csms" if sender == "station" else "station"
        parts = self._last_calls[other].split('"', 4)
        return wire_message(sender, text, {parts[1]: parts[3]} if len(parts) > 3 else {})
