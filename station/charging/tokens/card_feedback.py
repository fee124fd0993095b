"""What a driver is told of the card held to the reader: it is being looked at, it was refused, nobody answered."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from foundation.events import Event
from station.core.light_patterns import CardStatus

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle

REJECTED_S: Final = 3.0
"""how long a refusal is shown"""
TIMED_OUT_S: Final = 10.0
"""how long it is shown that an authorisation came to nothing: its driver may be on the way to the plug"""


class CardFeedback:
    """The card that was presented last at each EVSE, as long as something is to be told of it."""

    def __init__(self, evse_ids: Iterable[int], clock: Clock) -> None:
        self.changed = Event[None]()
        """something else is to be shown"""
        self.account_refused = Event[int | None]()
        """the account of a card is not accepted; the EVSE that was meant, None: any"""
        self._clock = clock
        self._cards = dict.fromkeys(evse_ids, CardStatus.NONE)
        self._fades: dict[int, TimerHandle] = {}
        self._evse_id: int | None = None
        self._answered = True

    def status_at(self, evse_id: int) -> CardStatus:
        """What is to be told at an EVSE."""
        return self._cards[evse_id]

    def show_authorizing(self, evse_id: int | None) -> None:
        """A card is being looked at; None: it may be meant for any EVSE."""
        self._evse_id, self._answered = evse_id, True
        self._show(evse_id, CardStatus.ASKED)

    def show_timeout(self) -> None:
        """Whoever was asked did not answer."""
        self._answered = False

    def show_rejected(self) -> None:
        """The account of the card being looked at is not accepted."""
        if self._answered:
            self.account_refused.publish(self._evse_id)

    def show_decision(self, *, rejected: bool) -> None:
        """The decision about it has been taken."""
        if not rejected:
            self._show(self._evse_id, CardStatus.NONE)
        elif self._answered:
            self._show(self._evse_id, CardStatus.REJECTED, REJECTED_S)
        else:
            self._show(self._evse_id, CardStatus.TIMED_OUT, TIMED_OUT_S)

    def show_expired(self, evse_id: int) -> None:
        """Somebody was authorised, and no vehicle came in time."""
        self._show(evse_id, CardStatus.TIMED_OUT, TIMED_OUT_S)

    def _show(self, evse_id: int | None, card: CardStatus, for_s: float | None = None) -> None:
        for place in [evse_id] if evse_id is not None else list(self._cards):
            if (fades := self._fades.pop(place, None)) is not None:
                fades.cancel()
            self._cards[place] = card
            if for_s is not None:
                self._fades[place] = self._clock.call_later(for_s, partial(self._show, place, CardStatus.NONE))
        self.changed.publish(None)
