"""The charging station: its EVSEs, token presentation, remote start and stop, token updates from the CSMS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.supervision import run_together
from station.charging.evse import Evse
from station.charging.evse_state import Authorization, ev_connected
from station.charging.tokens.admission import can_authorize, matches_holder
from station.charging.tokens.authorization import loggable_token
from station.core.model import (
    CSMS_TOKEN_TYPES,
    ConnectorStatus,
    IdToken,
    IdTokenInfo,
    StoppedReason,
    TransactionEvent,
    TriggerReason,
)

if TYPE_CHECKING:
    from station.charging.availability import AvailabilityOrders
    from station.charging.reservations.reservations import Reservations
    from station.charging.restart import RestartController
    from station.charging.start_permission import StartPermission
    from station.charging.tokens.admission import TokenAdmission, TokenOutcome
    from station.charging.tokens.authorization import Authorizer
    from station.charging.tokens.authorization_cache import AuthorizationCache
    from station.charging.tokens.authorization_settings import AuthorizationSettings
    from station.charging.transaction_settings import TransactionSettings
    from station.core.csms import Csms, CsmsProxy
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_STOPPABLE_S = 3.5


class RemoteStartStatus(StrEnum):
    """Whether a remote start is possible; values of RequestStartStopStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class RemoteStartResult(Frozen):
    """The result of `check_start`: whether a remote start is possible, and at which EVSE. Nothing has started yet."""

    status: RemoteStartStatus
    evse_id: int | None = None
    """the EVSE chosen for the start; None: rejected"""
    transaction_id: str | None = None
    """a transaction that has already started and waits for authorization (F01.FR.13)"""
    reason: str | None = None
    """why it is rejected, in English; None: accepted"""


class TokenParts(Frozen):
    """The parts of a `ChargingStation` that deal with id tokens: authorization cache, authorizer, admission."""

    store: AuthorizationCache
    """the authorizations cached from the CSMS"""
    authorizer: Authorizer
    admission: TokenAdmission
    reservations: Reservations
    """decide who may use a reserved EVSE"""


class ChargingStation:
    """All EVSEs of the station, and the operations on them for API, card readers and OCPP handlers.

    Token presentation, remote start, authorizations that the CSMS sends later, halt.
    """

    def __init__(
        self,
        evses: Mapping[int, Evse],
        csms: CsmsProxy,
        tokens: TokenParts,
        permission: StartPermission,
        outbox: Outbox,
        availability: AvailabilityOrders,
        restart: RestartController,
        authorization: AuthorizationSettings,
        transactions: TransactionSettings,
    ) -> None:
        self.evses = evses
        self.availability = availability
        self.restart = restart
        self.csms = csms
        self._tokens = tokens.store
        self.admission = tokens.admission
        self._outbox = outbox
        self.reservations = tokens.reservations
        self._authorizer = tokens.authorizer
        self._permission = permission
        self._authorization_settings = authorization
        self._transaction_settings = transactions

    @property
    def status(self) -> ConnectorStatus:
        """The best connector status of any EVSE, for the whole station; best in the order of `ConnectorStatus`."""
        order = list(ConnectorStatus)
        return min((evse.connector_status for evse in self.evses.values()), key=order.index)

    @property
    def activated(self) -> bool:
        """Whether the station is activated for public use; before that only an installer may test it."""
        return self._permission.activated

    def set_csms(self, csms: Csms) -> None:
        """Set the OCPP stack as the CSMS that the station uses from now on; opens no connection."""
        self.csms.forward_to(csms)

    async def run(self) -> None:
        """Task until cancelled: run all EVSEs, their scheduled resets, and the decisions on presented tokens."""
        evses = self.evses.values()
        await run_together(
            {
                **{f"evse-{evse.id}": evse.run() for evse in evses},
                **{f"restart-{evse.id}": self.restart.run_scheduled_resets(evse) for evse in evses},
                **{f"admission-{evse.id}": self.admission.start_without_token(evse) for evse in evses},
                "tokens": self.admission.run(),
            }
        )

    async def halt(self) -> None:
        """Stop charging because the program stops: end all transactions and wait at most 3.5 s until this is stored."""
        try:
            async with asyncio.timeout(_STOPPABLE_S), asyncio.TaskGroup() as group:
                for evse in self.evses.values():
                    group.create_task(evse.halt())
        except TimeoutError:
            _log.warning("not all transactions ended in time; the others are ended at the next start")

    def apply_activation(self) -> None:
        """Allow public use of all EVSEs if the station is activated, else installer's tests only.

        Called when the activation changes.
        """
        for evse in self.evses.values():
            evse.set_installer_only(not self.activated)

    # Tokens (C01, E02, E03, E07)

    def present_token(self, id_token: IdToken, evse_id: int | None = None) -> asyncio.Future[TokenOutcome]:
        """Queue a presented token, as `TokenAdmission.present`; the returned future gets the outcome.

        `evse_id`: the EVSE where it is presented; None: the station chooses one.
        """
        return self.admission.present(id_token, evse_id)

    # Remote start and stop (F01–F03)

    async def check_start(
        self, evse_id: int | None, id_token: IdToken, group_id: IdToken | None = None
    ) -> RemoteStartResult:
        """Check whether a remote start is possible at an EVSE, or (None) at which; starts nothing.

        The handler then calls `reserve_start`, and `start` after its response was sent. `group_id` None: the group is
        looked up in local list and cache, for an EVSE that is reserved for a group; with AuthorizeRemoteStart a group
        that is not known there is left to the authorization in `start` (F01.FR.01, H03.FR.08).
        """
        if (refusal := self._permission.refusal_reason) is not None:
            return RemoteStartResult(RemoteStartStatus.REJECTED, reason=refusal)
        meant = [evse for evse in self.evses.values() if evse_id in {None, evse.id}]
        group_id = group_id or await self._authorizer.group_of(id_token)
        asks = group_id is None and self._authorizes_start_of(id_token)
        meant.sort(key=lambda evse: not ev_connected(evse.state))  # F01.FR.20
        meant.sort(key=lambda evse: not self.reservations.is_reserved_for(evse.id, id_token, group_id))
        # An EVSE that is free for anybody before one that is kept for a group to which the token may not belong.
        meant.sort(key=lambda evse: not self.reservations.claim(evse.id, id_token, group_id).admitted)
        reason = "the EVSE does not exist"
        for evse in meant:
            refusal = (
                self._start_refusal(evse, id_token, group_id, group_may_follow=asks)
                if evse.id not in self.reservations.starting
                else "another remote start is in progress"
            )
            if refusal is None:
                return RemoteStartResult(RemoteStartStatus.ACCEPTED, evse.id, evse.transaction_id)
            reason = f"EVSE {evse.id}: {refusal}"
        return RemoteStartResult(RemoteStartStatus.REJECTED, reason=reason)

    def reserve_start(self, evse_id: int) -> None:
        """Mark the EVSE as taken by an accepted remote start, so that no second one is accepted meanwhile."""
        self.reservations.starting.add(evse_id)

    def release_start(self, evse_id: int) -> None:
        """Remove the mark of `reserve_start`, if there is one; starts nothing."""
        self.reservations.starting.discard(evse_id)

    async def start(self, id_token: IdToken, group_id: IdToken | None, evse_id: int, remote_start_id: int) -> bool:
        """Execute an accepted remote start (F01, F02): authorize the EVSE for the token, and call `release_start`.

        With AuthorizeRemoteStart, the token itself must be authorized first, in general by the CSMS.

        Returns whether the EVSE was authorized. `group_id` None: the group is looked up in local list and cache.
        """
        evse = self.evses[evse_id]
        try:
            group_id, message, priority = group_id or await self._authorizer.group_of(id_token), None, 0
            languages: tuple[str, ...] = ()
            if self._authorizes_start_of(id_token):
                own = self.reservations.claim(evse.id, id_token).reservation
                info = await self._authorizer.authorize(id_token, reserved=own is not None)
                if own is not None and not info.accepted:
                    self.reservations.remove(own)  # H03.FR.09: presenting the token uses it
                if not info.accepted or (info.evse_ids and evse.id not in info.evse_ids):
                    why = f"is {info.status}" if not info.accepted else "is not accepted at this EVSE"
                    return self._start_rejected(evse, remote_start_id, f"token {loggable_token(id_token)} {why}")
                group_id, message = info.group_id or group_id, info.personal_message
                priority, languages = info.charging_priority, info.languages
            if self._authorizer.is_master_pass(group_id):  # C16.FR.03
                why = f"token {loggable_token(id_token)} is a master pass"
                return self._start_rejected(evse, remote_start_id, why)
            refusal = self._start_refusal(evse, id_token, group_id) or self._permission.refusal_reason
            if refusal is not None:
                return self._start_rejected(evse, remote_start_id, refusal)
            authorization = Authorization(
                id_token,
                group_id,
                remote_start_id=remote_start_id,
                reservation_id=self.reservations.use(evse.id, id_token, group_id),  # H03.FR.09
                personal_message=message,
                charging_priority=priority,
                languages=languages,
            )
            _log.info(
                "EVSE %d: remote start %d authorizes token %s", evse.id, remote_start_id, loggable_token(id_token)
            )
            evse.authorize(authorization, TriggerReason.REMOTE_START)
            return True
        finally:
            self.release_start(evse_id)

    def _start_rejected(self, evse: Evse, remote_start_id: int, why: str) -> bool:
        """Log why an accepted remote start cannot be executed; returns False, the result of `start`."""
        _log.info("EVSE %d: remote start %d is not executed: %s", evse.id, remote_start_id, why)
        return False

    def stop(self, transaction_id: str) -> None:
        """Execute an accepted remote stop (F03): end the authorization, which stops charging; logs if it is over."""
        if (evse := self.evse_of_transaction(transaction_id)) is None:
            _log.info("transaction %s: remote stop without effect: it is ending already", transaction_id)
            return
        _log.info("EVSE %d: remote stop of transaction %s", evse.id, transaction_id)
        evse.end_authorization(TriggerReason.REMOTE_STOP, StoppedReason.REMOTE)

    def evse_of_transaction(self, transaction_id: str) -> Evse | None:
        """The EVSE on which a transaction is running; None if it is not running, or ending (F03.FR.08)."""
        for evse in self.evses.values():
            if evse.transaction_id == transaction_id:
                return evse
        return None

    def is_ongoing(self, transaction_id: str) -> bool:
        """Return whether a transaction is open at an EVSE, also while it is ending (E14.FR.02)."""
        open_ones = (evse.state.transaction for evse in self.evses.values())
        return any(one is not None and one.id == transaction_id for one in open_ones)

    async def events_waiting(self, transaction_id: str | None) -> int:
        """Return how many events wait for the CSMS, of one transaction or (None) of all (E14.FR.04, E14.FR.07).

        Includes those that are not on disk yet.
        """
        in_memory = sum(evse.count_unrecorded(transaction_id) for evse in self.evses.values())
        return in_memory + await self._outbox.count_waiting(transaction_id)

    # idTokenInfo in the response to a TransactionEventRequest (E05, C15)

    async def apply_token_info(self, event: TransactionEvent, info: IdTokenInfo) -> None:
        """Apply the idTokenInfo of a TransactionEventResponse to the cache and to the transaction of `event`.

        An accepted token gets its group; for another, the authorization ends or energy stops, by StopTxOnInvalidId.
        """
        if event.id_token is None:
            return
        await self._tokens.update(event.id_token, info)
        evse = self.evse_of_transaction(event.transaction_id)
        running = evse.state.authorization if evse is not None else None
        if evse is None or running is None or not running.id_token.same_as(event.id_token):
            return
        # C16.FR.03: a master pass must not start a transaction, even if recognized only now.
        if info.accepted and not self._authorizer.is_master_pass(info.group_id):
            evse.set_group(info.group_id)
            evse.set_languages(info.languages)
            return
        why = (
            "it is a master pass, which cannot start a transaction"
            if info.accepted
            else f"the CSMS answered {info.status}"
        )
        _log.warning("EVSE %d: token %s may not charge: %s", evse.id, loggable_token(event.id_token), why)
        if self._transaction_settings.stop_tx_on_invalid_id:  # E05.FR.09, E05.FR.10, E05.FR.11
            evse.end_authorization(TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED, keep_locked=True)
        else:  # E05.FR.02, E05.FR.03
            evse.refuse_energy(beyond_wh=self._transaction_settings.max_energy_on_invalid_id_wh)

    def _authorizes_start_of(self, id_token: IdToken) -> bool:
        """Whether a remote start with this token is authorized first (F01.FR.01).

        C03.FR.01, C05.FR.01: token types that the CSMS issues itself need no AuthorizeRequest.
        """
        return self._authorization_settings.authorize_remote_start and id_token.type not in CSMS_TOKEN_TYPES

    def _start_refusal(
        self, evse: Evse, id_token: IdToken, group_id: IdToken | None, *, group_may_follow: bool = False
    ) -> str | None:
        """Reason to reject a remote start with a token; None: it is possible.

        `group_may_follow`: the group is not known yet, and the authorization may still return it (H03.FR.08).
        """
        # F01.FR.21, F01.FR.22, F02.FR.23, F02.FR.24
        if (refusal := _start_refusal(evse, id_token)) is not None:
            return refusal
        admitted = (
            self.reservations.might_admit(evse.id, id_token)
            if group_may_follow
            else self.reservations.claim(evse.id, id_token, group_id).admitted
        )
        return None if admitted else "it is reserved for another token"


def _start_refusal(evse: Evse, id_token: IdToken) -> str | None:
    """Reason to reject a remote start with a token, apart from reservations; None: it is possible."""
    if not evse.observed:  # before that, transactions open at a power cut may not have been ended (E01.FR.14)
        return "its connector has not been observed yet"
    if not can_authorize(evse):  # F01.FR.23, F02.FR.25
        return f"its connector is {evse.connector_status}"
    transaction = evse.state.transaction
    if evse.state.authorization is not None or (transaction is not None and transaction.holder is not None):
        return "it is already authorized"  # F01.FR.24, F02.FR.26
    if not matches_holder(evse, id_token):
        return "its cable or transaction belongs to another token"
    return None
