"""What the station has decided about a presented token, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from foundation.frozen import Frozen
from station.core.light_patterns import CardStatus


class TokenOutcome(StrEnum):
    """Outcome of a presented token or a press of the start button."""

    AUTHORIZED = "authorized"
    """charging is authorized at an EVSE"""
    STOPPED = "stopped"
    """the token ended a running authorization"""
    UNLOCKED = "unlocked"
    """a cable retained for this holder was released"""
    REJECTED = "rejected"
    NOT_CHECKED = "not-checked"
    """the CSMS cannot be asked about the token, or did not answer, and nothing that is stored decides"""
    BUSY = "busy"
    """too many tokens at once, or the EVSE changed meanwhile; nothing was done"""
    SELECT = "select"
    """a master pass; its holder must select the transactions to stop"""
    LEARNED = "learned"
    """added to the owner's cards; authorizes nothing yet"""


NOT_ACCEPTED: Final = frozenset({TokenOutcome.REJECTED, TokenOutcome.NOT_CHECKED, TokenOutcome.BUSY})
"""outcomes that the driver sees as a rejection"""


class TokenDecision(Frozen):
    """The outcome of a presented token, at which EVSEs, and why; for the log."""

    outcome: TokenOutcome
    evse_ids: tuple[int, ...] = ()
    """the EVSEs where something was done; empty: nowhere"""
    reason: str | None = None
    """why nothing was done, in English; None if something was"""
    card_status: CardStatus = CardStatus.REJECTED
    """what the status light shows if nothing was done"""

    def __str__(self) -> str:
        at_evses = f" at EVSE {', '.join(map(str, self.evse_ids))}" if self.evse_ids else ""
        return f"{self.outcome}{at_evses}" + (f": {self.reason}" if self.reason is not None else "")


def rejected(reason: str) -> TokenDecision:
    """The decision to reject a token, and why, in English."""
    return TokenDecision(TokenOutcome.REJECTED, reason=reason)
