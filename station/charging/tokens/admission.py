"""Who may charge where: tokens as they are presented, the start button, the master pass (C01, C02, C04, C09, C16)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from foundation.monitored_task import MonitoredTask
from station.charging.evse_state import Authorization, blocking_faults, ev_connected
from station.charging.tokens.authorization import Authorizer, loggable_token
from station.charging.tokens.card_feedback import CardFeedback
from station.core.model import CSMS_TOKEN_TYPES, NO_TOKEN, IdToken, IdTokenInfo, StoppedReason, TriggerReason

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from station.charging.evse import Evse
    from station.charging.start_permission import StartPermission
    from station.charging.tokens.owner_cards import OwnerCards
    from station.core.setting_groups import AuthorizationSettings

_log = logging.getLogger(__name__)

_MOST_TOKENS = 16
"""presented tokens that may wait for a decision; a reader that sends more is broken or played with"""
_DECIDE_S = 600.0
"""a decision that takes longer never comes: a CSMS that does not answer is given up long before"""
_SELECTION_S = 60.0
"""how long the holder of a master pass may take to choose (C16, error handling)"""
_LOOK_AGAIN_S = 5.0
"""how often a vehicle that waits looks whether the station may serve it now"""


class TokenOutcome(StrEnum):
    """What came of presenting a token."""

    AUTHORIZED = "authorized"
    STOPPED = "stopped"
    UNLOCKED = "unlocked"
    REJECTED = "rejected"
    BUSY = "busy"
    SELECT = "select"
    """a master pass: which transactions are to be stopped?"""
    LEARNED = "learned"
    """it was waited for as one more card of the owner"""


@frozen
class _Presented:
    id_token: IdToken
    evse_id: int | None
    at_s: float
    settled: asyncio.Future[TokenOutcome]


class TokenAdmission:
    """Decides what a presented token does, one after the other."""

    def __init__(
        self,
        evses: Mapping[int, Evse],
        authorizer: Authorizer,
        permission: StartPermission,
        own_cards: OwnerCards,
        settings: AuthorizationSettings,
        clock: Clock,
        *,
        asks_which: bool = False,
    ) -> None:
        """Decide with these.

        Args:
            evses: all EVSEs, by number.
            authorizer: decides whether a token may charge.
            permission: says whether anybody may begin to charge.
            own_cards: may wait for the next card that is presented, to add it.
            settings: of the station.
            clock: of the station.
            asks_which: whether there is a display where the holder of a master pass can choose (C16.FR.01).
        """
        self._permission = permission
        self._own_cards = own_cards
        self._asks_which = asks_which
        self.deciding = MonitoredTask("the decision on a token", clock, _DECIDE_S)
        self.card_feedback = CardFeedback(evses, clock)
        """what the driver is told of the card meanwhile"""
        authorizer.unanswered.subscribe(lambda _: self.card_feedback.show_timeout())
        self._evses = evses
        self._authorizer = authorizer
        self._settings = settings
        self._clock = clock
        self._key_codes = KeyCodeGuard(clock)
        self._presented: asyncio.Queue[_Presented] = asyncio.Queue(_MOST_TOKENS)
        self._selecting: tuple[IdToken, TimerHandle] | None = None
        self._served: set[int] = set()
        """EVSEs with a vehicle that somebody has been authorized for since it came"""

    @property
    def selecting(self) -> bool:
        """Whether a master pass was presented and its holder has yet to choose."""
        return self._selecting is not None

    def present(self, id_token: IdToken, evse_id: int | None = None) -> asyncio.Future[TokenOutcome]:
        """A token is held to the reader; the decision comes later, in the order of presentation."""
        settled: asyncio.Future[TokenOutcome] = asyncio.get_running_loop().create_future()
        try:
            self._presented.put_nowait(_Presented(id_token, evse_id, self._clock.monotonic(), settled))
        except asyncio.QueueFull:
            _log.warning("too many tokens at once; one is not looked at")
            settled.set_result(TokenOutcome.BUSY)
        return settled

    def press_start(self, evse_id: int) -> asyncio.Future[TokenOutcome]:
        """The start button of an EVSE is pressed (C02); it waits its turn among the tokens."""
        return self.present(NO_TOKEN, evse_id)

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            presented = await self._presented.get()
            self.card_feedback.show_authorizing(presented.evse_id)
            with self.deciding:
                outcome = await self._decide(presented)
            self.card_feedback.show_decision(rejected=outcome in {TokenOutcome.REJECTED, TokenOutcome.BUSY})
            _log.info("token %s: %s", loggable_token(presented.id_token), outcome)
            if not presented.settled.done():
                presented.settled.set_result(outcome)

    async def start_without_token(self, evse: Evse) -> None:
        """Where no authorization is wanted and no button is there, plugging in is enough (C02, remark)."""
        while True:
            seen = evse.changed.count
            if not ev_connected(evse.state):
                self._served.discard(evse.id)
            elif evse.state.authorization is not None:
                self._served.add(evse.id)
            elif evse.id not in self._served and not evse.layout.start_button and not self._settings.auth_enabled:
                if self._serve_anybody(evse) is TokenOutcome.REJECTED:
                    # The CSMS may accept the station yet, by which nothing changes at the EVSE (B02.FR.03).
                    await evse.changed.wait_for(seen, self._clock, _LOOK_AGAIN_S)
                continue
            await evse.changed.wait(seen)

    def select(self, evse_ids: Iterable[int]) -> bool:
        """The holder of a master pass has chosen what to stop; False when nobody was asked (C16.FR.01)."""
        if self._selecting is None:
            return False
        id_token, timer = self._selecting
        timer.cancel()
        self._selecting = None
        self._stop_all(id_token, (self._evses[evse_id] for evse_id in evse_ids))
        return True

    async def _decide(self, presented: _Presented) -> TokenOutcome:
        id_token, evse_id = presented.id_token, presented.evse_id
        if id_token == NO_TOKEN and evse_id is not None:
            return self._press(self._evses[evse_id])
        if id_token.type in CSMS_TOKEN_TYPES:
            return TokenOutcome.REJECTED  # no reader reads these
        if await self._own_cards.learn_presented(id_token):
            return TokenOutcome.LEARNED
        if (evse := self._in_use_by(id_token, evse_id)) is not None:
            if _is_answered(presented, evse.state.authorization):
                return TokenOutcome.AUTHORIZED
            return _stop_or_unlock(evse, id_token)
        if id_token.type != "KeyCode":
            return await self._ask(id_token, evse_id)
        if self._key_codes.blocked:  # C04.FR.06
            return TokenOutcome.REJECTED
        outcome = await self._ask(id_token, evse_id)
        self._key_codes.note(guessed=outcome is TokenOutcome.REJECTED)
        return outcome

    async def _ask(self, id_token: IdToken, evse_id: int | None) -> TokenOutcome:
        """A token that ends no charge without asking: it may begin one, or the CSMS knows its group."""
        running = {evse.id: evse.state.authorization for evse in self._evses.values()}
        begins = self._permission.granted and self._meant(id_token, evse_id) is not None
        ends = any(one is not None and one.group_id is not None for one in running.values())  # C09.FR.05
        if not begins and not ends and not self._settings.master_pass_group_id:
            return TokenOutcome.REJECTED  # C01.FR.04: nothing to ask for
        info = await self._authorizer.authorize(id_token)
        if not info.accepted:  # C09.FR.11
            self.card_feedback.show_rejected()
            return TokenOutcome.REJECTED
        if self._authorizer.is_master_pass(info.group_id):
            return self._master_pass(id_token)
        evse = self._chosen(id_token, evse_id, info)
        if evse is None:
            return TokenOutcome.REJECTED
        if not _same(evse.state.authorization, running[evse.id]):
            return TokenOutcome.BUSY  # things changed while the CSMS was thinking
        if (authorization := evse.state.authorization) is not None:
            return _stop_as_group(evse, authorization, id_token, info.group_id)
        return _start(
            evse,
            Authorization(
                id_token,
                info.group_id,
                personal_message=info.personal_message,
                charging_priority=info.charging_priority,
            ),
        )

    def _chosen(self, id_token: IdToken, evse_id: int | None, info: IdTokenInfo) -> Evse | None:
        """The EVSE of an accepted token: a vehicle waits there, or its group charges there, or it is free."""
        if (waiting := self._waiting(id_token, evse_id, info.evse_ids)) is not None:
            return waiting
        for evse in self._within(evse_id):
            if evse.state.authorization is not None and _same_group(evse.state.authorization, info.group_id):
                return evse
        return self._meant(id_token, evse_id, info.evse_ids) if self._permission.granted else None

    def _press(self, evse: Evse) -> TokenOutcome:
        if is_anonymous(evse.state.lock_held_for) and evse.state.authorization is None:
            evse.release_lock()
            return TokenOutcome.UNLOCKED
        if self._settings.auth_enabled or evse.state.authorization is not None:
            return TokenOutcome.REJECTED  # C01.FR.01
        return self._serve_anybody(evse)

    def _serve_anybody(self, evse: Evse) -> TokenOutcome:
        if not self._permission.granted or not can_authorize(evse):
            return TokenOutcome.REJECTED
        return _start(evse, Authorization(NO_TOKEN))

    def _master_pass(self, id_token: IdToken) -> TokenOutcome:
        """It stops what runs, and starts nothing (C16.FR.02, C16.FR.03)."""
        stoppable = [evse for evse in self._evses.values() if _stoppable(evse)]
        if not stoppable:
            return TokenOutcome.REJECTED
        if not self._asks_which:
            self._stop_all(id_token, stoppable)
            return TokenOutcome.STOPPED
        if self._selecting is not None:
            self._selecting[1].cancel()
        self._selecting = (id_token, self._clock.call_later(_SELECTION_S, self._give_up_selection))
        return TokenOutcome.SELECT

    def _give_up_selection(self) -> None:
        self._selecting = None

    def _stop_all(self, id_token: IdToken, evses: Iterable[Evse]) -> None:
        """C16.FR.07, C16.FR.08."""
        for evse in evses:
            if evse.state.authorization is not None:
                evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.MASTER_PASS, id_token=id_token)
            evse.release_lock()

    def _in_use_by(self, id_token: IdToken, evse_id: int | None) -> Evse | None:
        """The EVSE whose charge, or kept cable, this token ends without asking the CSMS (C01.FR.03, C09.FR.07)."""
        evses = self._within(evse_id)
        group = self._authorizer.group_of(id_token)
        if self._waiting(id_token, evse_id) is not None:
            group = None  # it is for the vehicle that waits, not for one of the group that charges already
        rules: tuple[Callable[[Evse], bool], ...] = (
            lambda evse: id_token.same_as(evse.authorized_token),
            lambda evse: evse.authorized_token is None and id_token.same_as(evse.state.lock_held_for),
            lambda evse: evse.state.authorization is not None and _same_group(evse.state.authorization, group),
            # Whoever comes may end what nobody was authorized for (F01, remark).
            lambda evse: len(evses) == 1 and is_anonymous(evse.authorized_token or evse.state.lock_held_for),
        )
        return next((evse for rule in rules for evse in evses if rule(evse)), None)

    def _within(self, evse_id: int | None) -> list[Evse]:
        """The EVSE that a token was presented at, or all of them where one reader serves all."""
        return [evse for evse in self._evses.values() if evse_id in {None, evse.id}]

    def _waiting(self, id_token: IdToken, evse_id: int | None, allowed: tuple[int, ...] = ()) -> Evse | None:
        """Where this token may begin a charge with a vehicle that nobody has been authorized for since it came."""
        if not self._permission.granted:
            return None
        evse = self._meant(id_token, evse_id, allowed)
        fresh = evse is not None and ev_connected(evse.state) and evse.id not in self._served
        return evse if evse is not None and fresh and evse.state.authorization is None else None

    def _meant(self, id_token: IdToken, evse_id: int | None, allowed: tuple[int, ...] = ()) -> Evse | None:
        """The EVSE that a token is meant for: named, or plugged and waiting, or the first free one (C01.FR.21)."""
        candidates = [
            evse for evse in self._within(evse_id) if (not allowed or evse.id in allowed) and can_authorize(evse)
        ]
        free = [evse for evse in candidates if evse.state.authorization is None and may_hold(evse, id_token)]
        plugged = sorted((evse for evse in free if ev_connected(evse.state)), key=lambda evse: evse.id in self._served)
        return next(iter([*plugged, *free, *candidates]), None)


class KeyCodeGuard:
    """Makes trying key codes slow: after a few wrong ones none is looked at for a while, twice as long each time."""

    _FREE = 3
    """wrong codes that anybody may mistype"""
    _FIRST_S = 10.0
    _LONGEST_S = 600.0
    """six tries an hour: months for half of all codes of five digits"""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong = 0
        self._open_at_s = 0.0

    @property
    def blocked(self) -> bool:
        """Whether no key code is looked at now."""
        return self._clock.monotonic() < self._open_at_s

    def note(self, *, guessed: bool) -> None:
        """A code was looked at; `guessed`: it was wrong."""
        self._wrong = self._wrong + 1 if guessed else 0
        if (over := self._wrong - self._FREE) > 0:
            delay_s = min(self._LONGEST_S, self._FIRST_S * 2.0 ** min(over - 1, 10))
            self._open_at_s = self._clock.monotonic() + delay_s
            _log.warning("%d wrong key codes; the next is looked at in %g s", self._wrong, delay_s)


def can_authorize(evse: Evse) -> bool:
    """Whether somebody may be authorized at an EVSE."""
    return evse.state.operative and can_charge(evse)


def can_charge(evse: Evse) -> bool:
    """Whether nothing but an order keeps somebody from charging at an EVSE."""
    ending = evse.state.transaction is not None and evse.state.transaction.ending is not None
    return not blocking_faults(evse.state) and not evse.state.halting and not ending


def is_anonymous(id_token: IdToken | None) -> bool:
    """Whether it stands for nobody in particular."""
    return id_token is not None and id_token.type == NO_TOKEN.type


def may_hold(evse: Evse, id_token: IdToken) -> bool:
    """One transaction has one holder (C01.FR.23), and so has a cable kept in its socket (E05.FR.11, E09.FR.03)."""
    state = evse.state
    holder = state.transaction.holder if state.transaction is not None else None
    kept_for = None if state.attached_cable or is_anonymous(state.lock_held_for) else state.lock_held_for
    return all(other is None or id_token.same_as(other) for other in (holder, kept_for))


def _start(evse: Evse, authorization: Authorization) -> TokenOutcome:
    if not may_hold(evse, authorization.id_token):
        return TokenOutcome.REJECTED
    evse.authorize(authorization, TriggerReason.AUTHORIZED)
    return TokenOutcome.AUTHORIZED


def _is_answered(presented: _Presented, running: Authorization | None) -> bool:
    """Whether a token was held to the reader again while it was looked at: it ends nothing yet (C01.FR.03)."""
    return running is not None and presented.id_token.same_as(running.id_token) and running.since_s > presented.at_s


def _stop_or_unlock(evse: Evse, id_token: IdToken) -> TokenOutcome:
    if evse.state.authorization is None:
        evse.release_lock()  # E05.FR.11, E09.FR.03
        return TokenOutcome.UNLOCKED
    # C01.FR.03, E07.FR.01, E07.FR.02: without asking the CSMS.
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=id_token)
    return TokenOutcome.STOPPED


def _stop_as_group(evse: Evse, running: Authorization, id_token: IdToken, group_id: IdToken | None) -> TokenOutcome:
    """C09.FR.03, C09.FR.05: the CSMS has said of which group the token is."""
    if not _same_group(running, group_id):
        return TokenOutcome.REJECTED
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=id_token)
    return TokenOutcome.STOPPED


def _stoppable(evse: Evse) -> bool:
    return evse.state.authorization is not None or evse.state.lock_held_for is not None


def _same(one: Authorization | None, other: Authorization | None) -> bool:
    """Whether it is one authorization; of which group it is may have been told meanwhile."""
    if one is None or other is None:
        return one is other
    return (one.id_token, one.since_s) == (other.id_token, other.since_s)


def _same_group(running: Authorization, group: IdToken | None) -> bool:
    return group is not None and group.same_as(running.group_id)
