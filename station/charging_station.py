"""The charging station: its EVSEs, who may use them, and what a person or the CSMS asks of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from station.authorization import Authorizer
from station.evse import Evse
from station.evse_state import Authorization, blocking_faults, ev_connected
from station.logging_setup import shorten
from station.model import (
    ConnectorStatus,
    IdToken,
    IdTokenInfo,
    StoppedReason,
    TransactionEvent,
    TriggerReason,
)
from station.ports import Csms, NoCsms

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.availability import Availability
    from station.outbox import Outbox
    from station.restart import Restart
    from station.settings import Settings
    from station.token_store import TokenStore

_log = logging.getLogger(__name__)

_MOST_TOKENS = 16
"""presented tokens that may wait for a decision; a reader that sends more is broken or played with"""
_NEVER_ASKED = frozenset({"Central", "NoAuthorization"})
"""tokens that the CSMS made up itself"""
_STOPPABLE_S = 3.5


class TokenOutcome(StrEnum):
    """What came of presenting a token."""

    AUTHORIZED = "authorized"
    STOPPED = "stopped"
    UNLOCKED = "unlocked"
    REJECTED = "rejected"
    BUSY = "busy"


class StartAnswer(StrEnum):
    """RequestStartStopStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class StartResult:
    """The answer to a request to start remotely."""

    answer: StartAnswer
    evse_id: int | None = None
    transaction_id: str | None = None
    """of a transaction that has begun already, waiting for its authorization (F01.FR.13)"""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Presented:
    id_token: IdToken
    evse_id: int | None
    settled: asyncio.Future[TokenOutcome]


class ChargingStation:
    """What the EVSEs have in common."""

    def __init__(
        self,
        evses: Mapping[int, Evse],
        tokens: TokenStore,
        outbox: Outbox,
        availability: Availability,
        restart: Restart,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self.evses = evses
        self.availability = availability
        self.restart = restart
        restart.online = lambda: self.csms.online
        self.tokens = tokens
        self.outbox = outbox
        self.settings = settings
        self.clock = clock
        self.csms: Csms = NoCsms()
        self._starting: set[int] = set()
        self._authorizer = Authorizer(self.csms, tokens, settings)
        self._presented: asyncio.Queue[_Presented] = asyncio.Queue(_MOST_TOKENS)
        for evse in evses.values():
            evse.online = lambda: self.csms.online
            if evse.sampler is not None:
                evse.sampler.station_charges = lambda: any(one.state.transaction for one in evses.values())

    @property
    def status(self) -> ConnectorStatus:
        """The best status of any EVSE: what a driver who looks for a place wants to know."""
        order = list(ConnectorStatus)
        return min((evse.connector_status for evse in self.evses.values()), key=order.index)

    def connect(self, csms: Csms) -> None:
        """From now on there is a CSMS to ask."""
        self.csms = csms
        self._authorizer = Authorizer(csms, self.tokens, self.settings)

    async def run(self) -> None:
        """Serve the EVSEs and the token reader until cancelled."""
        async with asyncio.TaskGroup() as group:
            for evse in self.evses.values():
                group.create_task(evse.run(), name=f"evse-{evse.id}")
                group.create_task(self.availability.follow(evse), name=f"availability-{evse.id}")
                group.create_task(self.restart.follow(evse), name=f"restart-{evse.id}")
            group.create_task(self._serve_tokens(), name="tokens")

    async def halt(self) -> None:
        """Stop in order: contactors open, ends of transactions on disk; gives up after a few seconds."""
        try:
            async with asyncio.timeout(_STOPPABLE_S), asyncio.TaskGroup() as group:
                for evse in self.evses.values():
                    group.create_task(evse.halt())
        except TimeoutError:
            _log.warning("not all transactions could be ended in time; they end at the next start")

    # Tokens (C01, E02, E03, E07)

    def present(self, id_token: IdToken, evse_id: int | None = None) -> asyncio.Future[TokenOutcome]:
        """A token is held to the reader; the decision comes later, in the order of presentation."""
        settled: asyncio.Future[TokenOutcome] = asyncio.get_running_loop().create_future()
        try:
            self._presented.put_nowait(_Presented(id_token, evse_id, settled))
        except asyncio.QueueFull:
            _log.warning("too many tokens at once; one is not looked at")
            settled.set_result(TokenOutcome.BUSY)
        return settled

    async def _serve_tokens(self) -> None:
        while True:
            presented = await self._presented.get()
            outcome = await self._decide(presented.id_token, presented.evse_id)
            _log.info("token %s: %s", shorten(presented.id_token.value), outcome)
            if not presented.settled.done():
                presented.settled.set_result(outcome)

    async def _decide(self, id_token: IdToken, evse_id: int | None) -> TokenOutcome:
        evse = self._evse_in_use_by(id_token, evse_id)
        if evse is not None:
            return self._stop_or_unlock(evse, id_token)
        evse = self._evse_for_token(evse_id)
        if evse is None or not self._may_start:
            return TokenOutcome.REJECTED
        if evse.state.authorization is not None:
            return await self._present_second(evse, id_token)
        info = await self._authorizer.decide(id_token)
        if not info.accepted or (info.evse_ids and evse.id not in info.evse_ids):  # C01.FR.21
            return TokenOutcome.REJECTED
        if evse.state.authorization is not None or not _usable(evse):
            return TokenOutcome.BUSY  # things changed while the CSMS was thinking
        evse.authorize(Authorization(id_token, info.group_id), TriggerReason.AUTHORIZED)
        return TokenOutcome.AUTHORIZED

    @property
    def _may_start(self) -> bool:
        """B02.FR.03, B03.FR.01: before the CSMS accepts the station only where TxBeforeAcceptedEnabled says so."""
        if self.restart.scheduled:
            return False
        return self.csms.accepted_once or self.settings.tx_before_accepted_enabled

    def _stop_or_unlock(self, evse: Evse, id_token: IdToken) -> TokenOutcome:
        if evse.state.authorization is None:
            evse.release_lock()  # E05.FR.11, E09.FR.03
            return TokenOutcome.UNLOCKED
        # C01.FR.03, E07.FR.01, E07.FR.02: without asking the CSMS.
        evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=id_token)
        return TokenOutcome.STOPPED

    async def _present_second(self, evse: Evse, id_token: IdToken) -> TokenOutcome:
        """A token that is not known to be of the group: the CSMS may know (C01.FR.23, E07)."""
        running = evse.state.authorization
        info = await self._authorizer.decide(id_token)
        same = running is not None and running is evse.state.authorization
        if not same or running is None or not info.accepted or not _same_group(running, info.group_id):
            return TokenOutcome.REJECTED
        evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=id_token)
        return TokenOutcome.STOPPED

    def _evse_in_use_by(self, id_token: IdToken, evse_id: int | None) -> Evse | None:
        group = self._authorizer.group_of(id_token)
        for evse in self.evses.values():
            if evse_id is not None and evse.id != evse_id:
                continue
            running = evse.state.authorization
            if running is not None and (
                running.id_token.same_as(id_token) or (group is not None and _same_group(running, group))
            ):
                return evse
            if running is None and id_token.same_as(evse.state.lock_held_for):
                return evse
        return None

    def _evse_for_token(self, evse_id: int | None) -> Evse | None:
        """The EVSE that a token is meant for: named, or plugged and waiting, or the first free one."""
        if evse_id is not None:
            evse = self.evses.get(evse_id)
            return evse if evse is not None and _usable(evse) else None
        usable = [evse for evse in self.evses.values() if _usable(evse)]
        free = [evse for evse in usable if evse.state.authorization is None]
        plugged = [evse for evse in free if ev_connected(evse.state)]
        return next(iter([*plugged, *free, *usable]), None)

    # Remote start and stop (F01–F03)

    def check_start(self, evse_id: int | None) -> StartResult:
        """Whether a remote start can be done. `start` does it, after the answer has left."""
        if self.restart.scheduled:
            return StartResult(StartAnswer.REJECTED, reason="the station is about to restart")
        if evse_id is None:
            candidates = [e for e in self.evses.values() if _usable(e) and e.state.authorization is None]
            candidates.sort(key=lambda evse: not ev_connected(evse.state))  # F01.FR.20
            evse = candidates[0] if candidates else None
        else:
            evse = self.evses.get(evse_id)
        if evse is None:
            return StartResult(StartAnswer.REJECTED, reason="no EVSE can be used")
        if not _usable(evse):  # F01.FR.23, F02.FR.25
            return StartResult(StartAnswer.REJECTED, reason=f"EVSE is {evse.connector_status}")
        if evse.state.authorization is not None or evse.id in self._starting:  # F01.FR.24, F02.FR.26
            return StartResult(StartAnswer.REJECTED, reason="EVSE has an authorized transaction")
        return StartResult(StartAnswer.ACCEPTED, evse.id, evse.transaction_id)

    def promise(self, evse_id: int) -> None:
        """A start on this EVSE was accepted and is about to be carried out: no second one meanwhile."""
        self._starting.add(evse_id)

    async def start(self, id_token: IdToken, group_id: IdToken | None, evse_id: int, remote_start_id: int) -> bool:
        """Start as requested (F01, F02), asking the CSMS first where AuthorizeRemoteStart says so.

        Returns whether somebody may charge now because of it.
        """
        evse = self.evses[evse_id]
        try:
            if self.settings.authorize_remote_start and id_token.type not in _NEVER_ASKED:  # C05.FR.01
                info = await self._authorizer.decide(id_token)
                if not info.accepted or (info.evse_ids and evse.id not in info.evse_ids):
                    _log.info("remote start of %s: not authorized", shorten(id_token.value))
                    return False
                group_id = info.group_id or group_id
            if evse.state.authorization is not None or not _usable(evse) or self.restart.scheduled:
                return False
            authorization = Authorization(id_token, group_id, remote_start_id=remote_start_id)
            evse.authorize(authorization, TriggerReason.REMOTE_START)
            return True
        finally:
            self._starting.discard(evse_id)

    def evse_of_transaction(self, transaction_id: str) -> Evse | None:
        """The EVSE on which a transaction is running; None when it is not running (F03.FR.08)."""
        for evse in self.evses.values():
            if evse.transaction_id == transaction_id:
                return evse
        return None

    def is_ongoing(self, transaction_id: str) -> bool:
        """Whether a transaction has not stopped yet (E14.FR.02)."""
        open_ones = (evse.state.transaction for evse in self.evses.values())
        return any(one is not None and one.id == transaction_id for one in open_ones)

    # What the CSMS says of a token in its answer to an event (E05, C15)

    async def answered(self, event: TransactionEvent, info: IdTokenInfo) -> None:
        """The CSMS has looked at the token of an event."""
        if event.id_token is None:
            return
        await self.tokens.remember(event.id_token, info)
        evse = self.evse_of_transaction(event.transaction_id)
        running = evse.state.authorization if evse is not None else None
        if evse is None or running is None or not running.id_token.same_as(event.id_token):
            return
        if info.accepted:
            evse.note_group(info.group_id)
            return
        _log.warning("EVSE %d: the CSMS does not accept the token: %s", evse.id, info.status)
        if self.settings.stop_tx_on_invalid_id:  # E05.FR.09, E05.FR.10, E05.FR.11
            evse.end_authorization(TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED, keep_locked=True)
        else:  # E05.FR.02, E05.FR.03
            evse.refuse_energy(beyond_wh=self.settings.max_energy_on_invalid_id_wh)


def _usable(evse: Evse) -> bool:
    ending = evse.state.transaction is not None and evse.state.transaction.ending is not None
    return evse.state.operative and not blocking_faults(evse.state) and not evse.state.halting and not ending


def _same_group(running: Authorization, group: IdToken | None) -> bool:
    return group is not None and group.same_as(running.group_id)
