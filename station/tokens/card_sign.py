"""What a driver is told of the card held to the reader: it is being looked at, it was refused, nobody answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from station.light.indicator import Card

if TYPE_CHECKING:
    from metering.clock import Clock, TimerHandle

REJECTED_S: Final = 3.0
"""how long a refusal is shown"""
TIMED_OUT_S: Final = 10.0
"""how long it is shown that an authorisation came to nothing: its driver may be on the way to the plug"""


class CardSign:
    """The card that was presented last, as long as something is to be told of it."""

    def __init__(self, clock: Clock) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.on_refused: Callable[[int | None], None] = lambda evse_id: None
        """told when the account of a card is not accepted, with the EVSE that was meant"""
        self._clock = clock
        self._card = Card.NONE
        self._evse_id: int | None = None
        self._answered = True
        self._fades: TimerHandle | None = None

    def at(self, evse_id: int) -> Card:
        """What is to be told at an EVSE."""
        return self._card if self._evse_id in {None, evse_id} else Card.NONE

    def asked(self, evse_id: int | None) -> None:
        """A card is being looked at; None: it may be meant for any EVSE."""
        self._evse_id, self._answered = evse_id, True
        self._show(Card.ASKED)

    def unanswered(self) -> None:
        """Whoever was asked did not answer."""
        self._answered = False

    def refused(self) -> None:
        """The account of the card being looked at is not accepted."""
        if self._answered:
            self.on_refused(self._evse_id)

    def decided(self, *, rejected: bool) -> None:
        """The decision about it has been taken."""
        if not rejected:
            self._show(Card.NONE)
        elif self._answered:
            self._show(Card.REJECTED, REJECTED_S)
        else:
            self._show(Card.TIMED_OUT, TIMED_OUT_S)

    def expired(self, evse_id: int) -> None:
        """Somebody was authorised, and no vehicle came in time."""
        self._evse_id = evse_id
        self._show(Card.TIMED_OUT, TIMED_OUT_S)

    def _show(self, card: Card, for_s: float | None = None) -> None:
        if self._fades is not None:
            self._fades.cancel()
        self._fades = self._clock.call_later(for_s, lambda: self._show(Card.NONE)) if for_s is not None else None
        self._card = card
        self.on_change()
