"""Feedback to the driver on a presented card: authorizing, rejected, timed out, not checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from foundation.events import Event
from station.core.light_patterns import CardStatus

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle

REJECTED_S: Final = 3.0
"""how long a rejection is shown"""
TIMED_OUT_S: Final = 10.0
"""how long a timeout is shown; longer, since the driver may be away from the reader"""
_SHOWN_S: Final = {
    CardStatus.REJECTED: REJECTED_S,
    CardStatus.TIMED_OUT: TIMED_OUT_S,
    CardStatus.NOT_CHECKED: TIMED_OUT_S,
}


class CardFeedback:
    """What the status light of each EVSE shows about the last presented card, such as that it was rejected.

    `TokenAdmission` calls it around each decision, one at a time; feedback ends by itself after some seconds.
    """

    def __init__(self, evse_ids: Iterable[int], clock: Clock) -> None:
        self.changed: Event[None] = Event()
        """published when the feedback of an EVSE changes"""
        self.account_refused: Event[int | None] = Event()
        """published when the authorization of a card was rejected; EVSE number, None: a reader for all EVSEs"""
        self._clock = clock
        self._cards = dict.fromkeys(evse_ids, CardStatus.NONE)
        self._fades: dict[int, TimerHandle] = {}
        self._evse_id: int | None = None
        self._failure = CardStatus.REJECTED
        """the status to show if the decision in progress does not accept the card"""
        self.checked = True
        """whether the CSMS, or what is stored, has decided on the card of the decision in progress"""

    def status_at(self, evse_id: int) -> CardStatus:
        """The card status to show at an EVSE now; NONE: nothing."""
        return self._cards[evse_id]

    def show_authorizing(self, evse_id: int | None) -> None:
        """Begin a decision: show that a card is being authorized, at one EVSE or (None) at all."""
        self._evse_id, self._failure, self.checked = evse_id, CardStatus.REJECTED, True
        self._show(evse_id, CardStatus.ASKED)

    def note_timeout(self) -> None:
        """Note that the CSMS did not answer, so that `show_decision` shows a timeout; changes no display yet."""
        self._failure = CardStatus.TIMED_OUT

    def note_unchecked(self) -> None:
        """Note that nobody decides on the card, so that `show_decision` shows no rejection; changes no display yet."""
        self.checked = False
        if self._failure is CardStatus.REJECTED:
            self._failure = CardStatus.NOT_CHECKED

    def publish_rejection(self) -> None:
        """Publish `account_refused`, unless the CSMS was not asked or did not answer; changes no display yet."""
        if self._failure is CardStatus.REJECTED:
            self.account_refused.publish(self._evse_id)

    def show_decision(self, *, rejected: bool) -> None:
        """End a decision: show for some seconds why the card is not accepted, or clear the display if it is."""
        if rejected:
            self._show(self._evse_id, self._failure, _SHOWN_S[self._failure])
        else:
            self._show(self._evse_id, CardStatus.NONE)

    def show_expired(self, evse_id: int) -> None:
        """Show for 10 s that an authorization expired because no vehicle was connected in time."""
        self._show(evse_id, CardStatus.TIMED_OUT, TIMED_OUT_S)

    def _show(self, evse_id: int | None, card: CardStatus, for_s: float | None = None) -> None:
        for place in [evse_id] if evse_id is not None else list(self._cards):
            if (fades := self._fades.pop(place, None)) is not None:
                fades.cancel()
            self._cards[place] = card
            if for_s is not None:
                self._fades[place] = self._clock.call_later(for_s, partial(self._show, place, CardStatus.NONE))
        self.changed.publish(None)
