"""Processes presented tokens, the start button and the master pass (C01, C02, C04, C09, C16)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.monitored_task import MonitoredTask
from foundation.waiting import WaitingQueue
from station.charging.evse_state import Authorization, blocking_faults, ev_connected
from station.charging.tokens.authorization import Authorizer, loggable_token
from station.charging.tokens.card_feedback import CardFeedback
from station.charging.tokens.key_code_guard import KeyCodeGuard
from station.charging.tokens.token_decision import NOT_ACCEPTED, TokenDecision, TokenOutcome, rejected
from station.core.model import CSMS_TOKEN_TYPES, NO_TOKEN, IdToken, IdTokenInfo, StoppedReason, TriggerReason

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from station.charging.evse import Evse
    from station.charging.reservations.reservations import Reservations
    from station.charging.start_permission import StartPermission
    from station.charging.tokens.authorization_settings import AuthorizationSettings
    from station.charging.tokens.owner_cards import OwnerCards

_log = logging.getLogger(__name__)

_MAX_TOKENS = 16
"""maximum number of queued tokens; more indicate a faulty reader or misuse"""
_DECIDE_S = 600.0
"""watchdog limit for a decision; a request to the CSMS times out long before"""
_SELECTION_S = 60.0
"""time limit for the selection after a master pass (C16, error handling)"""
_LOOK_AGAIN_S = 5.0
"""retry interval for starting without token while the station does not accept new sessions"""


class _Presented(Frozen):
    id_token: IdToken
    evse_id: int | None
    at_s: float
    settled: asyncio.Future[TokenOutcome]


class TokenAdmission:
    """Decides on tokens presented at the station and acts on its EVSEs: authorize, stop, unlock, or reject.

    They come from card readers, the API and start buttons; one is decided at a time, in the order of presentation.
    """

    def __init__(
        self,
        evses: Mapping[int, Evse],
        authorizer: Authorizer,
        permission: StartPermission,
        own_cards: OwnerCards,
        reservations: Reservations,
        settings: AuthorizationSettings,
        clock: Clock,
        *,
        selection_enabled: bool = False,
    ) -> None:
        """Create the token admission.

        Args:
            evses: all EVSEs, by number.
            authorizer: authorizes id tokens.
            permission: whether charging may start at all.
            own_cards: may add the next presented card as a new one.
            reservations: decide who may use a reserved EVSE.
            settings: the authorization settings.
            clock: the station's clock.
            selection_enabled: whether a display lets the holder of a master pass select transactions (C16.FR.01).
        """
        self._permission = permission
        self._own_cards = own_cards
        self._reservations = reservations
        self._selection_enabled = selection_enabled
        self.deciding = MonitoredTask("the decision on a token", clock, _DECIDE_S)
        self.card_feedback = CardFeedback(evses, clock)
        """what the status lights show about the presented card"""
        authorizer.unanswered.subscribe(lambda _: self.card_feedback.note_timeout())
        authorizer.unchecked.subscribe(lambda _: self.card_feedback.note_unchecked())
        self._evses = evses
        self._authorizer = authorizer
        self._settings = settings
        self._clock = clock
        self._key_codes = KeyCodeGuard(clock)
        self._presented: WaitingQueue[_Presented] = WaitingQueue(_MAX_TOKENS)
        self._selecting: tuple[IdToken, TimerHandle] | None = None
        self._served: set[int] = set()
        """EVSEs whose connected vehicle has had an authorization since it was connected"""

    @property
    def selecting(self) -> bool:
        """Whether a master pass was presented and its holder has not selected yet which transactions to stop."""
        return self._selecting is not None

    def present(self, id_token: IdToken, evse_id: int | None = None) -> asyncio.Future[TokenOutcome]:
        """Queue a presented token for `run`; the returned future gets the outcome, BUSY at once if too many wait.

        `evse_id`: the EVSE of the reader; None: the reader serves all EVSEs, and the station chooses one.
        """
        settled: asyncio.Future[TokenOutcome] = asyncio.get_running_loop().create_future()
        try:
            self._presented.put_nowait(_Presented(id_token, evse_id, self._clock.monotonic(), settled))
        except asyncio.QueueFull:
            _log.warning("too many tokens at once: one is rejected")
            settled.set_result(TokenOutcome.BUSY)
        return settled

    def press_start(self, evse_id: int) -> asyncio.Future[TokenOutcome]:
        """Queue a press of the start button of an EVSE (C02), as a presented token without authorization.

        It starts charging only if authorization is disabled, or unlocks a cable retained after such a charge.
        """
        return self.present(NO_TOKEN, evse_id)

    async def run(self) -> None:
        """Task until cancelled: decide on the queued tokens, one after the other."""
        while True:
            presented = await self._presented.get()
            self.card_feedback.show_authorizing(presented.evse_id)
            with self.deciding:
                decision = await self._decide(presented)
            self.card_feedback.show_decision(rejected=decision.outcome in NOT_ACCEPTED)
            _log.info("%s: %s", _subject(presented), decision)
            if not presented.settled.done():
                presented.settled.set_result(decision.outcome)

    def awaits_token(self, evse: Evse) -> bool:
        """Whether an accepted token of anybody could start charging at an EVSE now, apart from reservations."""
        return self._permission.granted and is_open_to_all(evse)

    async def start_without_token(self, evse: Evse) -> None:
        """Task of one EVSE until cancelled: authorize charging at each plug-in (C02, remark).

        Only while authorization is disabled, and if the EVSE has no start button.
        """
        while True:
            seen = evse.changed.count
            if not ev_connected(evse.state):
                self._served.discard(evse.id)
            elif evse.state.authorization is not None:
                self._served.add(evse.id)
            elif evse.id not in self._served and not evse.layout.start_button and not self._settings.auth_enabled:
                if self._serve_anybody(evse).outcome is TokenOutcome.REJECTED:
                    # Retry: acceptance by the CSMS does not signal a change of the EVSE (B02.FR.03).
                    await evse.changed.wait_for(seen, self._clock, _LOOK_AGAIN_S)
                else:
                    _log.info("EVSE %d: charging is authorized without a token", evse.id)
                continue
            await evse.changed.wait(seen)

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

    async def _decide(self, presented: _Presented) -> TokenDecision:
        id_token, evse_id = presented.id_token, presented.evse_id
        if id_token == NO_TOKEN and evse_id is not None:
            return self._press(self._evses[evse_id])
        if id_token.type in CSMS_TOKEN_TYPES:
            return rejected(f"no reader reads tokens of type {id_token.type}")
        if await self._own_cards.learn_presented(id_token):
            return TokenDecision(TokenOutcome.LEARNED)
        blocked = id_token.type == "KeyCode" and self._key_codes.blocked  # C04.FR.06
        group = await self._authorizer.group_of(id_token) if not blocked else None
        if (evse := self._in_use_by(id_token, evse_id, group)) is not None:
            if _is_answered(presented, evse.state.authorization):
                return TokenDecision(TokenOutcome.AUTHORIZED, (evse.id,))
            return _stop_or_unlock(evse, id_token)
        if id_token.type != "KeyCode":
            return await self._ask(id_token, evse_id)
        if blocked:
            return rejected("all key codes are rejected for a time, after wrong ones")
        decision = await self._ask(id_token, evse_id)
        # Also one that cannot be checked counts: stored codes could be guessed while offline.
        self._key_codes.count_attempt(wrong=decision.outcome in {TokenOutcome.REJECTED, TokenOutcome.NOT_CHECKED})
        return decision

    async def _ask(self, id_token: IdToken, evse_id: int | None) -> TokenDecision:
        """Authorize a token that does not stop a charge locally: it may start one, or stop one of its group."""
        running = {evse.id: evse.state.authorization for evse in self._evses.values()}
        meant = self._meant(id_token, evse_id) if self._permission.granted else None
        ends = any(one is not None and one.group_id is not None for one in running.values())  # C09.FR.05
        if meant is None and not ends and not self._settings.master_pass_group_id:
            return rejected(self._no_evse_reason(evse_id))  # C01.FR.04: it could neither start nor stop anything
        claim = self._reservations.claim(meant.id, id_token) if meant is not None else None
        reservation = claim.reservation if claim is not None else None
        info = await self._authorizer.authorize(id_token, reserved=reservation is not None)
        if not info.accepted:  # C09.FR.11
            if reservation is not None:
                self._reservations.remove(reservation)  # H03.FR.09: presenting the token uses it
            self.card_feedback.publish_rejection()
            if not self.card_feedback.checked:
                return TokenDecision(TokenOutcome.NOT_CHECKED, reason="the CSMS cannot be asked about it")
            return rejected(f"its authorization status is {info.status}")
        if self._authorizer.is_master_pass(info.group_id):
            return self._master_pass(id_token)
        evse = self._chosen(id_token, evse_id, info)
        if evse is None:
            return rejected(self._no_evse_reason(evse_id))
        if not _same(evse.state.authorization, running[evse.id]):
            reason = f"the authorization of EVSE {evse.id} changed while the token was checked"
            return TokenDecision(TokenOutcome.BUSY, reason=reason)
        if (authorization := evse.state.authorization) is not None:
            return _stop_as_group(evse, authorization, id_token, info.group_id)
        return self._start(
            evse,
            Authorization(
                id_token,
                info.group_id,
                personal_message=info.personal_message,
                charging_priority=info.charging_priority,
                languages=info.languages,
            ),
        )

    def _start(self, evse: Evse, authorization: Authorization) -> TokenDecision:
        id_token, group_id = authorization.id_token, authorization.group_id
        if not matches_holder(evse, id_token):
            return rejected(f"the cable or transaction of EVSE {evse.id} belongs to another token")
        if not self._reservations.claim(evse.id, id_token, group_id).admitted:
            return rejected(f"EVSE {evse.id} is reserved for another token")
        reservation_id = self._reservations.use(evse.id, id_token, group_id)  # H03.FR.09
        evse.authorize(replace(authorization, reservation_id=reservation_id), TriggerReason.AUTHORIZED)
        return TokenDecision(TokenOutcome.AUTHORIZED, (evse.id,))

    def _no_evse_reason(self, evse_id: int | None) -> str:
        """Why a token presented at an EVSE, or (None) at a reader of all, can start nothing at any EVSE."""
        if (refusal := self._permission.refusal_reason) is not None:
            return refusal
        if not self._permission.granted:
            return "the CSMS has not accepted the station"
        meant = self._within(evse_id)
        if len(meant) != 1:
            return "no EVSE can start a charge with this token"
        return f"EVSE {meant[0].id} {_obstacle(meant[0])}"

    def _chosen(self, id_token: IdToken, evse_id: int | None, info: IdTokenInfo) -> Evse | None:
        """The EVSE for an accepted token: one that expects it, else one in use by its group, else a free one."""
        if (expecting := self._expecting(id_token, evse_id, info)) is not None:
            return expecting
        for evse in self._within(evse_id):
            if evse.state.authorization is not None and _same_group(evse.state.authorization, info.group_id):
                return evse
        return self._meant(id_token, evse_id, info) if self._permission.granted else None

    def _press(self, evse: Evse) -> TokenDecision:
        if is_anonymous(evse.state.lock_held_for) and evse.state.authorization is None:
            evse.release_lock()
            return TokenDecision(TokenOutcome.UNLOCKED, (evse.id,))
        if self._settings.auth_enabled:
            return rejected("charging needs a token")  # C01.FR.01
        if evse.state.authorization is not None:
            return rejected("charging is already authorized")
        return self._serve_anybody(evse)

    def _serve_anybody(self, evse: Evse) -> TokenDecision:
        if not self._permission.granted or not can_authorize(evse):
            return rejected(self._no_evse_reason(evse.id))
        return self._start(evse, Authorization(NO_TOKEN))

    def _master_pass(self, id_token: IdToken) -> TokenDecision:
        """Process a master pass: it stops transactions and never starts one (C16.FR.02, C16.FR.03)."""
        stoppable = [evse for evse in self._evses.values() if _stoppable(evse)]
        if not stoppable:
            return rejected("it is a master pass, and there is no charge to stop")
        if not self._selection_enabled:
            self._stop_all(id_token, stoppable)
            return TokenDecision(TokenOutcome.STOPPED, tuple(evse.id for evse in stoppable))
        if self._selecting is not None:
            self._selecting[1].cancel()
        self._selecting = (id_token, self._clock.call_later(_SELECTION_S, self._give_up_selection))
        return TokenDecision(TokenOutcome.SELECT)

    def _give_up_selection(self) -> None:
        self._selecting = None

    def _stop_all(self, id_token: IdToken, evses: Iterable[Evse]) -> None:
        """Stop charging and release the cables at these EVSEs (C16.FR.07, C16.FR.08)."""
        for evse in evses:
            if evse.state.authorization is not None:
                evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.MASTER_PASS, id_token=id_token)
            evse.release_lock()

    def _in_use_by(self, id_token: IdToken, evse_id: int | None, group: IdToken | None) -> Evse | None:
        """The EVSE that this token of this group stops or unlocks without asking the CSMS (C01.FR.03, C09.FR.07)."""
        evses = self._within(evse_id)
        if self._expecting(id_token, evse_id) is not None:
            group = None  # the token is meant for that EVSE, not for stopping the charge of its group
        rules: tuple[Callable[[Evse], bool], ...] = (
            lambda evse: id_token.same_as(evse.authorized_token),
            lambda evse: evse.authorized_token is None and id_token.same_as(evse.state.lock_held_for),
            lambda evse: evse.state.authorization is not None and _same_group(evse.state.authorization, group),
            # Anybody may stop a transaction without authorization (F01, remark).
            lambda evse: len(evses) == 1 and is_anonymous(evse.authorized_token or evse.state.lock_held_for),
        )
        return next((evse for rule in rules for evse in evses if rule(evse)), None)

    def _within(self, evse_id: int | None) -> list[Evse]:
        """The EVSE where a token was presented, or all of them if one reader serves all."""
        return [evse for evse in self._evses.values() if evse_id in {None, evse.id}]

    def _expecting(self, id_token: IdToken, evse_id: int | None, info: IdTokenInfo | None = None) -> Evse | None:
        """The EVSE without authorization that waits for this token; None: there is none.

        It has a newly connected vehicle, or a reservation for this very token (H03.FR.01–H03.FR.03).
        """
        if not self._permission.granted:
            return None
        evse = self._meant(id_token, evse_id, info)
        if evse is None or evse.state.authorization is not None:
            return None
        newly_connected = ev_connected(evse.state) and evse.id not in self._served
        return evse if newly_connected or self._reservations.is_reserved_for(evse.id, id_token, None) else None

    def _meant(self, id_token: IdToken, evse_id: int | None, info: IdTokenInfo | None = None) -> Evse | None:
        """The EVSE a token is meant for: the given one, else one with its reservation, with a vehicle, the first free.

        C01.FR.21. `info`: its authorization; None: not known yet, so that its group may turn out to have a reservation.
        """
        allowed = info.evse_ids if info is not None else ()
        candidates = [
            evse
            for evse in self._within(evse_id)
            if (not allowed or evse.id in allowed)
            and can_authorize(evse)
            and (evse.state.authorization is not None or self._admits(evse, id_token, info))
        ]
        free = [evse for evse in candidates if evse.state.authorization is None and matches_holder(evse, id_token)]
        plugged = sorted((evse for evse in free if ev_connected(evse.state)), key=lambda evse: evse.id in self._served)
        group_id = info.group_id if info is not None else None
        own = [evse for evse in [*plugged, *free] if self._reservations.is_reserved_for(evse.id, id_token, group_id)]
        return next(iter([*own, *plugged, *free, *candidates]), None)

    def _admits(self, evse: Evse, id_token: IdToken, info: IdTokenInfo | None) -> bool:
        """Return whether reservations leave this EVSE to the token; without `info`, whether they might."""
        if info is None:
            return self._reservations.might_admit(evse.id, id_token)
        return self._reservations.claim(evse.id, id_token, info.group_id).admitted


def can_authorize(evse: Evse) -> bool:
    """Return whether some token may be authorized at an EVSE now: it is operative and `can_charge`."""
    return evse.state.operative and can_charge(evse)


def can_charge(evse: Evse) -> bool:
    """Whether an EVSE can charge, regardless of availability: no blocking fault, not halting, no ending transaction."""
    ending = evse.state.transaction is not None and evse.state.transaction.ending is not None
    return not blocking_faults(evse.state) and not evse.state.halting and not ending


def is_anonymous(id_token: IdToken | None) -> bool:
    """Return whether this is the token of a charge without authorization (type NoAuthorization); None: False."""
    return id_token is not None and id_token.type == NO_TOKEN.type


def matches_holder(evse: Evse, id_token: IdToken) -> bool:
    """Whether a token may be authorized here: it must match the holder of transaction and retained cable, if any.

    C01.FR.23, E05.FR.11, E09.FR.03.
    """
    return all(id_token.same_as(holder) for holder in _holders(evse))


def is_open_to_all(evse: Evse) -> bool:
    """Whether any token may be authorized at an EVSE: none is now, and its transaction and cable have no holder."""
    return can_authorize(evse) and evse.state.authorization is None and not _holders(evse)


def _holders(evse: Evse) -> list[IdToken]:
    """The holders of the open transaction and of the retained cable of an EVSE, if there are any."""
    state = evse.state
    holder = state.transaction.holder if state.transaction is not None else None
    kept_for = None if state.attached_cable or is_anonymous(state.lock_held_for) else state.lock_held_for
    return [one for one in (holder, kept_for) if one is not None]


def _is_answered(presented: _Presented, running: Authorization | None) -> bool:
    """Whether a token was presented again before its authorization; it must not stop the charge yet (C01.FR.03)."""
    return running is not None and presented.id_token.same_as(running.id_token) and running.since_s > presented.at_s


def _subject(presented: _Presented) -> str:
    """What was presented, for the log."""
    if presented.id_token == NO_TOKEN:
        return f"EVSE {presented.evse_id}: start button"
    return f"token {loggable_token(presented.id_token)}"


def _obstacle(evse: Evse) -> str:
    """Why an EVSE starts no charge with some token, as the end of a sentence."""
    if not can_authorize(evse):
        return f"is {evse.connector_status}"
    return "is reserved for another token" if evse.state.reserved_until is not None else "is not for this token"


def _stop_or_unlock(evse: Evse, id_token: IdToken) -> TokenDecision:
    if evse.state.authorization is None:
        evse.release_lock()  # E05.FR.11, E09.FR.03
        return TokenDecision(TokenOutcome.UNLOCKED, (evse.id,))
    # C01.FR.03, E07.FR.01, E07.FR.02: without asking the CSMS.
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=id_token)
    return TokenDecision(TokenOutcome.STOPPED, (evse.id,))


def _stop_as_group(evse: Evse, running: Authorization, id_token: IdToken, group_id: IdToken | None) -> TokenDecision:
    """Stop the transaction if the token is of its group, as sent by the CSMS (C09.FR.03, C09.FR.05)."""
    if not _same_group(running, group_id):
        return rejected(f"EVSE {evse.id} is in use by another token")
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=id_token)
    return TokenDecision(TokenOutcome.STOPPED, (evse.id,))


def _stoppable(evse: Evse) -> bool:
    return evse.state.authorization is not None or evse.state.lock_held_for is not None


def _same(one: Authorization | None, other: Authorization | None) -> bool:
    """Return whether both are the same authorization; the group is ignored, since it may have been set meanwhile."""
    if one is None or other is None:
        return one is other
    return (one.id_token, one.since_s) == (other.id_token, other.since_s)


def _same_group(running: Authorization, group: IdToken | None) -> bool:
    return group is not None and group.same_as(running.group_id)
