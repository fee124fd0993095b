"""Processes presented tokens, the start button and the master pass (C01, C02, C04, C09, C16)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from foundation.waiting import WaitingQueue
from station.charging.authorization.authorizer import loggable_token
from station.charging.starts.start_request import StartDecision, StartRefusal, StartRequest, StartSource
from station.charging.starts.start_rules import is_anonymous, is_of_group
from station.charging.tokens.card_feedback import CardFeedback, card_status_of
from station.charging.tokens.key_code_guard import KeyCodeGuard
from station.charging.tokens.token_decision import NOT_ACCEPTED, TokenDecision, TokenOutcome, rejected
from station.core.model import CSMS_TOKEN_TYPES, NO_TOKEN, IdToken, StoppedReason, TriggerReason

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.charging.authorization.authorizer import Authorizer
    from station.charging.authorization.owner_cards import OwnerCards
    from station.charging.evse import Evse
    from station.charging.evse_state import Authorization
    from station.charging.starts.charge_starter import ChargeStarter

_log = logging.getLogger(__name__)

_MAX_TOKENS = 16
"""maximum number of queued tokens; more indicate a faulty reader or misuse"""
_DECISION_DEADLINE_S = 600.0
"""watchdog limit for a decision; a request to the CSMS times out long before"""
_SELECTION_TIMEOUT_S = 60.0
"""time limit for the selection after a master pass (C16, error handling)"""


class _PresentedToken(Frozen):
    id_token: IdToken
    evse_id: int | None
    presented_at_s: float
    outcome_future: asyncio.Future[TokenOutcome]


class TokenAdmission:
    """Decides on tokens presented at the station and acts on its EVSEs: authorize, stop, unlock, or reject.

    They come from card readers, the API and start buttons; one is decided at a time, in the order of presentation.
    """

    def __init__(
        self,
        evses: Mapping[int, Evse],
        authorizer: Authorizer,
        starter: ChargeStarter,
        own_cards: OwnerCards,
        settings: AuthorizationSettings,
        clock: Clock,
        *,
        selection_enabled: bool = False,
    ) -> None:
        """Create the token admission.

        Args:
            evses: all EVSEs, by number.
            authorizer: knows the groups of tokens.
            starter: starts the charges.
            own_cards: may add the next presented card as a new one.
            settings: the authorization settings.
            clock: the station's clock.
            selection_enabled: whether a display lets the holder of a master pass select transactions (C16.FR.01).
        """
        self._starter = starter
        self._own_cards = own_cards
        self._selection_enabled = selection_enabled
        self.deciding = MonitoredTask("the decision on a token", clock, _DECISION_DEADLINE_S)
        self.card_feedback = CardFeedback(evses, clock)
        """what the status lights show about the presented card"""
        self._evses = evses
        self._authorizer = authorizer
        self._settings = settings
        self._clock = clock
        self._key_codes = KeyCodeGuard(clock)
        self._queue: WaitingQueue[_PresentedToken] = WaitingQueue(_MAX_TOKENS)
        self._selecting: tuple[IdToken, TimerHandle] | None = None
        """the master pass whose holder selects transactions, with the timer that ends the selection; None: none"""

    @property
    def selecting(self) -> bool:
        """Whether a master pass was presented and its holder has not selected yet which transactions to stop."""
        return self._selecting is not None

    def present(self, id_token: IdToken, evse_id: int | None = None) -> asyncio.Future[TokenOutcome]:
        """Queue a presented token for `run`; the returned future gets the outcome, BUSY at once if too many wait.

        `evse_id`: the EVSE of the reader; None: the reader serves all EVSEs, and the station chooses one.
        """
        outcome_future: asyncio.Future[TokenOutcome] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_PresentedToken(id_token, evse_id, self._clock.monotonic(), outcome_future))
        except asyncio.QueueFull:
            _log.warning("too many tokens at once: one is rejected")
            outcome_future.set_result(TokenOutcome.BUSY)
        return outcome_future

    def press_start(self, evse_id: int) -> asyncio.Future[TokenOutcome]:
        """Queue a press of the start button of an EVSE (C02), as a presented token without authorization.

        It starts charging only if authorization is disabled, or unlocks a cable retained after such a charge.
        """
        return self.present(NO_TOKEN, evse_id)

    def press_refusal(self, evse_id: int) -> str | None:
        """Why a press of the start button is refused now whatever the EVSE does, in English without final period.

        None: it may start a charge, or unlocks a cable; `press_start` decides.
        """
        return None if _is_unlocked_by_press(self._evses[evse_id]) else self._starter.refusal(StartSource.BUTTON)

    async def run(self) -> None:
        """Task until cancelled: decide on the queued tokens, one after the other."""
        while True:
            presented = await self._queue.get()
            self.card_feedback.show_authorizing(presented.evse_id)
            with self.deciding:
                decision = await self._decide(presented)
            self.card_feedback.show_decision(decision.card_status if decision.outcome in NOT_ACCEPTED else None)
            _log.info("%s: %s", _subject(presented), decision)
            if not presented.outcome_future.done():
                presented.outcome_future.set_result(decision.outcome)

    def stop_selected(self, evse_ids: Iterable[int]) -> bool:
        """Stop charging and release the cable at the EVSEs that the holder of a master pass selected (C16.FR.01).

        False if no selection was pending: nothing is stopped.
        """
        if self._selecting is None:
            return False
        id_token, timer = self._selecting
        timer.cancel()
        self._selecting = None
        self._stop_all(id_token, (self._evses[evse_id] for evse_id in evse_ids))
        return True

    async def _decide(self, presented: _PresentedToken) -> TokenDecision:
        id_token, evse_id = presented.id_token, presented.evse_id
        if id_token == NO_TOKEN and evse_id is not None:
            return await self._decide_press(self._evses[evse_id])
        if id_token.type in CSMS_TOKEN_TYPES:
            return rejected(f"no reader reads tokens of type {id_token.type}")
        if await self._own_cards.learn_presented(id_token):
            return TokenDecision(TokenOutcome.LEARNED)
        blocked = id_token.type == "KeyCode" and self._key_codes.blocked  # C04.FR.06
        group = await self._authorizer.group_of(id_token) if not blocked else None
        request = StartRequest(StartSource.CARD, id_token, evse_id)
        if (evse := self._evse_to_stop(request, group)) is not None:
            if _was_authorized_meanwhile(presented, evse.state.authorization):
                return TokenDecision(TokenOutcome.AUTHORIZED, (evse.id,))
            return _stop_or_unlock(evse, id_token)
        if id_token.type != "KeyCode":
            return await self._start(request)
        if blocked:
            return rejected("all key codes are rejected for a time, after wrong ones")
        decision = await self._start(request)
        # Also one that cannot be checked counts: stored codes could be guessed while offline.
        self._key_codes.count_attempt(wrong=decision.outcome in {TokenOutcome.REJECTED, TokenOutcome.NOT_CHECKED})
        return decision

    async def _start(self, request: StartRequest) -> TokenDecision:
        """Start a charge with a token that stops none locally; authorized, it may also stop one of its group."""
        authorizations = [evse.state.authorization for evse in self._evses.values()]
        may_stop_group = any(
            authorization is not None and authorization.group_id is not None for authorization in authorizations
        )  # C09.FR.05
        # C01.FR.04: a token that can neither start nor stop anything is not authorized.
        authorize_anyway = may_stop_group or bool(self._settings.master_pass_group_id)
        decision = await self._starter.start(request, authorize_anyway=authorize_anyway)
        if decision.refusal is None and decision.evse_id is not None:
            return TokenDecision(TokenOutcome.AUTHORIZED, (decision.evse_id,))
        if decision.refusal is StartRefusal.MASTER_PASS:
            return self._apply_master_pass(request.id_token)
        if decision.refusal is StartRefusal.IN_USE_BY_GROUP and decision.evse_id is not None:
            return _stop_or_unlock(self._evses[decision.evse_id], request.id_token)  # C09.FR.03, C09.FR.05
        return self._refused(decision)

    def _refused(self, decision: StartDecision) -> TokenDecision:
        """The decision on a token that starts no charge and stops none."""
        status = card_status_of(decision)
        if decision.refusal is StartRefusal.TOKEN_REJECTED:
            self.card_feedback.publish_rejection(status)
        outcome = _OUTCOMES.get(decision.refusal, TokenOutcome.REJECTED)
        return TokenDecision(outcome, reason=decision.reason, card_status=status)

    async def _decide_press(self, evse: Evse) -> TokenDecision:
        """Decide on a press of the start button."""
        if _is_unlocked_by_press(evse):
            evse.release_lock()
            return TokenDecision(TokenOutcome.UNLOCKED, (evse.id,))
        decision = await self._starter.start(StartRequest(StartSource.BUTTON, evse_id=evse.id))
        if decision.refusal is None:
            return TokenDecision(TokenOutcome.AUTHORIZED, (evse.id,))
        return self._refused(decision)

    def _apply_master_pass(self, id_token: IdToken) -> TokenDecision:
        """Process a master pass: it stops transactions and never starts one (C16.FR.02, C16.FR.03)."""
        stoppable = [evse for evse in self._evses.values() if _is_stoppable(evse)]
        if not stoppable:
            return rejected("it is a master pass, and there is no charge to stop")
        if not self._selection_enabled:
            self._stop_all(id_token, stoppable)
            return TokenDecision(TokenOutcome.STOPPED, tuple(evse.id for evse in stoppable))
        if self._selecting is not None:
            self._selecting[1].cancel()
        self._selecting = (id_token, self._clock.call_later(_SELECTION_TIMEOUT_S, self._end_selection))
        return TokenDecision(TokenOutcome.SELECT)

    def _end_selection(self) -> None:
        self._selecting = None

    def _stop_all(self, id_token: IdToken, evses: Iterable[Evse]) -> None:
        """Stop charging and release the cables at these EVSEs (C16.FR.07, C16.FR.08)."""
        for evse in evses:
            if evse.state.authorization is not None:
                evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.MASTER_PASS, id_token=id_token)
            evse.release_lock()

    def _evse_to_stop(self, request: StartRequest, group: IdToken | None) -> Evse | None:
        """The EVSE that this token of this group stops or unlocks without asking the CSMS (C01.FR.03, C09.FR.07)."""
        id_token = request.id_token
        evses = [evse for evse in self._evses.values() if request.evse_id in {None, evse.id}]
        if self._starter.expects(request, group):
            group = None  # the token is meant for that EVSE, not for stopping the charge of its group
        rules: tuple[Callable[[Evse], bool], ...] = (
            lambda evse: id_token.same_as(evse.authorized_token),
            lambda evse: evse.authorized_token is None and id_token.same_as(evse.state.lock_held_for),
            lambda evse: is_of_group(evse.state.authorization, group),
            # Anybody may stop a transaction without authorization (F01, remark).
            lambda evse: len(evses) == 1 and is_anonymous(evse.authorized_token or evse.state.lock_held_for),
        )
        return next((evse for rule in rules for evse in evses if rule(evse)), None)


_OUTCOMES: Mapping[StartRefusal | None, TokenOutcome] = {
    StartRefusal.NOT_CHECKED: TokenOutcome.NOT_CHECKED,
    StartRefusal.EVSE_CHANGED: TokenOutcome.BUSY,
}
"""what a refused start is to the holder of a token; all others are a rejection"""


def _was_authorized_meanwhile(presented: _PresentedToken, authorization: Authorization | None) -> bool:
    """Whether a token was presented again before its authorization; it must not stop the charge yet (C01.FR.03)."""
    return (
        authorization is not None
        and presented.id_token.same_as(authorization.id_token)
        and authorization.since_s > presented.presented_at_s
    )


def _subject(presented: _PresentedToken) -> str:
    """The presented token, or the pressed start button, for the log."""
    if presented.id_token == NO_TOKEN:
        return f"EVSE {presented.evse_id}: start button"
    return f"token {loggable_token(presented.id_token)}"


def _stop_or_unlock(evse: Evse, id_token: IdToken) -> TokenDecision:
    if evse.state.authorization is None:
        evse.release_lock()  # E05.FR.11, E09.FR.03
        return TokenDecision(TokenOutcome.UNLOCKED, (evse.id,))
    # C01.FR.03, E07.FR.01, E07.FR.02: without asking the CSMS.
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=id_token)
    return TokenDecision(TokenOutcome.STOPPED, (evse.id,))


def _is_unlocked_by_press(evse: Evse) -> bool:
    """Whether a cable is kept locked after a charge without a token, which the start button unlocks."""
    return is_anonymous(evse.state.lock_held_for) and evse.state.authorization is None


def _is_stoppable(evse: Evse) -> bool:
    return evse.state.authorization is not None or evse.state.lock_held_for is not None
