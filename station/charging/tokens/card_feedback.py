"""Feedback to the driver on a presented card: authorizing, rejected, timed out, not checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from foundation.events import Event
from station.charging.starts.start_request import StartRefusal
from station.core.light_patterns import CardStatus

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from station.charging.starts.start_request import StartDecision

REJECTED_S: Final = 3.0
"""how long a rejection is shown"""
TIMED_OUT_S: Final = 10.0
"""how long a timeout is displayed; longer, since the driver may be away from the reader"""
_DISPLAY_TIME_S: Final = {
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
        self._status_by_evse = dict.fromkeys(evse_ids, CardStatus.NONE)
        self._timers: dict[int, TimerHandle] = {}
        """of each EVSE whose status is cleared after some seconds"""
        self._evse_id: int | None = None
        """the EVSE of the decision in progress; None: all"""

    def status_at(self, evse_id: int) -> CardStatus:
        """The card status to show at an EVSE now; NONE: nothing."""
        return self._status_by_evse[evse_id]

    def show_authorizing(self, evse_id: int | None) -> None:
        """Begin a decision: show that a card is being authorized, at one EVSE or (None) at all."""
        self._evse_id = evse_id
        self._show(evse_id, CardStatus.AUTHORIZING)

    def publish_rejection(self, status: CardStatus) -> None:
        """Publish `account_refused` if the card was rejected, rather than not checked in time."""
        if status is CardStatus.REJECTED:
            self.account_refused.publish(self._evse_id)

    def show_decision(self, failure: CardStatus | None) -> None:
        """End a decision: show for some seconds why the card is not accepted, or (None) clear the status."""
        if failure is not None:
            self._show(self._evse_id, failure, _DISPLAY_TIME_S[failure])
        else:
            self._show(self._evse_id, CardStatus.NONE)

    def show_expired(self, evse_id: int) -> None:
        """Show for 10 s that an authorization expired because no vehicle was connected in time."""
        self._show(evse_id, CardStatus.TIMED_OUT, TIMED_OUT_S)

    def _show(self, evse_id: int | None, card: CardStatus, duration_s: float | None = None) -> None:
        for number in [evse_id] if evse_id is not None else list(self._status_by_evse):
            if (timer := self._timers.pop(number, None)) is not None:
                timer.cancel()
            self._status_by_evse[number] = card
            if duration_s is not None:
                self._timers[number] = self._clock.call_later(duration_s, partial(self._show, number, CardStatus.NONE))
        self.changed.publish(None)


def card_status_of(decision: StartDecision) -> CardStatus:
    """Return what to show of a card with which no charge starts: rejected, timed out at the CSMS, or not checked."""
    if decision.token is not None and decision.token.unanswered:
        return CardStatus.TIMED_OUT
    return CardStatus.NOT_CHECKED if decision.refusal is StartRefusal.NOT_CHECKED else CardStatus.REJECTED
