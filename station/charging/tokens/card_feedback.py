"""Feedback to the driver on a presented card: authorizing, rejected, timed out."""

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


class CardFeedback:
    """What the status light of each EVSE shows about the last presented card: authorizing, rejected or timed out.

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
        self._answered = True

    def status_at(self, evse_id: int) -> CardStatus:
        """The card status to show at an EVSE now; NONE: nothing."""
        return self._cards[evse_id]

    def show_authorizing(self, evse_id: int | None) -> None:
        """Begin a decision: show that a card is being authorized, at one EVSE or (None) at all."""
        self._evse_id, self._answered = evse_id, True
        self._show(evse_id, CardStatus.ASKED)

    def note_timeout(self) -> None:
        """Note that the CSMS did not answer, so that `show_decision` shows a timeout; changes no display yet."""
        self._answered = False

    def publish_rejection(self) -> None:
        """Publish `account_refused`, unless the CSMS did not answer; changes no display (see `show_decision`)."""
        if self._answered:
            self.account_refused.publish(self._evse_id)

    def show_decision(self, *, rejected: bool) -> None:
        """End a decision: show the rejection for 3 s or the timeout for 10 s, or clear the display if not rejected."""
        if not rejected:
            self._show(self._evse_id, CardStatus.NONE)
        elif self._answered:
            self._show(self._evse_id, CardStatus.REJECTED, REJECTED_S)
        else:
            self._show(self._evse_id, CardStatus.TIMED_OUT, TIMED_OUT_S)

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
