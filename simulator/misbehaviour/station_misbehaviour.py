"""The misbehaviour of one simulated station: its rules, and what they have done."""

from __future__ import annotations

import weakref
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Final

from websockets.asyncio.client import ClientConnection

from foundation.frozen import Frozen
from simulator.misbehaviour.misbehaving_transport import MisbehavingTransport
from simulator.misbehaviour.rules import MAX_RULES, Effect, Rule, Sender, WireMessage, effect_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from ocpp_handlers.wire.session import FrameTransport, SessionEvents

_MAX_NOTES: Final = 500


class NoCsmsConnectionError(Exception):
    """There is no connection to the CSMS."""


class MisbehaviourNote(Frozen):
    """Something that was done to a message."""

    at: datetime
    """by the station's clock"""
    sender: Sender
    """whose message it was"""
    text: str
    """what was done"""


class RuleInForce(Frozen):
    """A rule with its number."""

    number: int
    rule: Rule
    skip: int
    """messages that still pass unchanged"""
    left: int | None
    """messages that are still changed; None: until the rule is removed"""


class StationMisbehaviour:
    """Changes the messages of a simulated station by rules (`TransportTap`), across its restarts and power cuts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rules: Sequence[RuleInForce] = ()
        """the rules, in the order in which they are tried"""
        self.active = False
        """whether there is a rule"""
        self.notes: deque[MisbehaviourNote] = deque(maxlen=_MAX_NOTES)
        """what was done last"""
        self.count = 0
        """number of messages to which something was done"""
        self._last_number = 0
        self._transport: weakref.ref[MisbehavingTransport] | None = None
        """weak: a run that has ended is not kept in memory"""

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        return self._clock

    def observe(self, transport: FrameTransport, events: SessionEvents, /) -> FrameTransport:
        """Return a transport that applies the rules."""
        if not isinstance(transport, ClientConnection):
            return transport
        misbehaving = MisbehavingTransport(transport, self, events)
        self._transport = weakref.ref(misbehaving)
        return misbehaving

    def add(self, rule: Rule) -> int:
        """Add a rule; returns its number.

        Raises:
            ValueError: there are too many.
        """
        if len(self.rules) >= MAX_RULES:
            raise ValueError(f"there are {MAX_RULES} rules already")
        self._last_number += 1
        added = RuleInForce(self._last_number, rule, rule.skip, rule.times or None)
        self._use((*self.rules, added))
        return added.number

    def clear(self) -> None:
        """Remove all rules; messages that wait go on at their time."""
        self._use(())

    def send_frame(self, text: str) -> None:
        """Send a text frame that the station itself has not made.

        Raises:
            NoCsmsConnectionError: there is no connection.
        """
        transport = self._transport() if self._transport is not None else None
        if transport is None or not transport.is_open:
            raise NoCsmsConnectionError("the station is not connected to the CSMS, or nothing leaves any more")
        transport.send_raw(text)

    def next_effect(self, message: WireMessage) -> Effect | None:
        """Return what becomes of a message, by the first rule that matches it; None: it passes unchanged."""
        for index, active in enumerate(self.rules):
            if not active.rule.matches(message):
                continue
            if active.skip > 0:
                self._replace(index, RuleInForce(active.number, active.rule, active.skip - 1, active.left))
                continue
            left = None if active.left is None else active.left - 1
            self._replace(index, None if left == 0 else RuleInForce(active.number, active.rule, 0, left))
            return effect_of(active.rule, message)
        return None

    def note(self, sender: Sender, text: str) -> None:
        """Keep what was done to a message."""
        self.count += 1
        self.notes.append(MisbehaviourNote(self._clock.now(), sender, text))

    def _replace(self, index: int, by: RuleInForce | None) -> None:
        self._use((*self.rules[:index], *(() if by is None else (by,)), *self.rules[index + 1 :]))

    def _use(self, rules: Sequence[RuleInForce]) -> None:
        self.rules, self.active = rules, bool(rules)
