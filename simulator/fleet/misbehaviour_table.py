"""The table of a fleet's plan that lets a share of the stations break the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from foundation.table import Table
from foundation.table_definition import Count, Number
from ocpp_handlers.wire.edition import V201
from simulator.misbehaviour.rules import MessageKind, Rule, Sender, Way, rule_errors
from station.core.installation_file.document import RuleError, RuleErrors


class MisbehaviourTable(Table, kw_only=True):
    """[[misbehaviour]]: what a share of the stations does wrong with their messages, as POST /api/sim/misbehaviour."""

    share: Annotated[Number, Meta(ge=0, le=1)] = 1.0
    """part of the stations, drawn by the seed"""
    at_s: Annotated[Number, Meta(ge=0, le=1e9)] = 0.0
    """simulated time from which it is done"""
    way: Way
    """drop, delay, duplicate, reorder, corrupt, replace, answer, sequence-number or half-frame"""
    sender: Sender = "station"
    """whose messages"""
    message: MessageKind = "call"
    """call: requests; answer: answers to requests of the other side"""
    action: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    """only messages of this action; of an answer: the action that is answered"""
    times: Annotated[Count, Meta(ge=0, le=1_000_000)] = 1
    """number of messages; 0: all"""
    skip: Annotated[Count, Meta(ge=0, le=1_000_000)] = 0
    """number of such messages that pass unchanged before"""
    seconds: Annotated[Number, Meta(gt=0, le=86_400)] = 10.0
    """of delay, and the longest wait of reorder"""
    text: Annotated[str, Meta(max_length=1 << 22)] | None = None
    """of replace: the frame that comes instead; {id} in it is the id of the message"""
    payload: Mapping[str, object] | None = None
    """of replace and answer: the payload that comes instead"""
    error: Annotated[str, Meta(max_length=255)] | None = None
    """of replace and answer: code of the CALLERROR that comes instead"""
    description: Annotated[str, Meta(max_length=1000)] = ""
    """description of that CALLERROR"""
    offset: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = -1
    """of sequence-number: what is added"""
    new_id: bool = False
    """of duplicate: the second request has an id of its own"""

    @property
    def rule(self) -> Rule:
        """The rule for the stations."""
        return Rule(
            self.way,
            self.sender,
            self.message,
            self.action,
            self.times,
            self.skip,
            self.seconds,
            self.text,
            self.payload,
            self.error,
            self.description,
            offset=self.offset,
            new_id=self.new_id,
        )

    def check_rules(self) -> None:
        """Check that the fields do not contradict each other.

        Raises:
            RuleErrors: the keys and the reasons.
        """
        errors = [RuleError((field,), reason) for field, reason in rule_errors(self.rule)]
        if self.action is not None and self.action not in V201.actions:
            errors.append(RuleError(("action",), f"OCPP 2.0.1 has no such action (is {self.action})"))
        if errors:
            raise RuleErrors(errors)
