"""The charging station: its EVSEs, token presentation, remote start and stop, token updates from the CSMS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.supervision import run_together
from station.charging.authorization.authorizer import loggable_token
from station.core.model import ConnectorStatus, IdToken, IdTokenInfo, StoppedReason, TransactionEvent, TriggerReason

if TYPE_CHECKING:
    from station.charging.authorization.authorization_cache import AuthorizationCache
    from station.charging.authorization.authorizer import Authorizer
    from station.charging.availability import AvailabilityOrders
    from station.charging.evse import Evse
    from station.charging.evse_assembly import EvseAssembly
    from station.charging.reservations.reservations import Reservations
    from station.charging.restart import RestartController
    from station.charging.starts.charge_starter import ChargeStarter
    from station.charging.starts.plug_in_start import PlugInStart
    from station.charging.starts.start_permission import StartPermission
    from station.charging.starts.start_request import StartRequest
    from station.charging.tokens.admission import TokenAdmission, TokenOutcome
    from station.charging.transaction_settings import TransactionSettings
    from station.core.csms import Csms, CsmsProxy
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_HALT_TIMEOUT_S = 3.5


class TokenParts(Frozen):
    """The parts of a `ChargingStation` that deal with id tokens and starts."""

    store: AuthorizationCache
    """the authorizations cached from the CSMS"""
    authorizer: Authorizer
    admission: TokenAdmission
    starter: ChargeStarter
    plug_in_start: PlugInStart
    reservations: Reservations
    """decide who may use a reserved EVSE"""
    permission: StartPermission
    """decides whether the station serves anybody now"""


class ChargingStation:
    """All EVSEs of the station, and the operations on them for API, card readers and OCPP handlers.

    Token presentation, remote start, authorizations that the CSMS sends later, halt.
    """

    def __init__(
        self,
        assemblies: Mapping[int, EvseAssembly],
        csms: CsmsProxy,
        tokens: TokenParts,
        outbox: Outbox,
        availability: AvailabilityOrders,
        restart: RestartController,
        transactions: TransactionSettings,
    ) -> None:
        self.assemblies = assemblies
        """the EVSEs with their parts, by number"""
        self.evses: Mapping[int, Evse] = {number: assembly.evse for number, assembly in assemblies.items()}
        self.availability = availability
        self.restart = restart
        self.csms = csms
        self._token_cache = tokens.store
        self.admission = tokens.admission
        self.starter = tokens.starter
        self._plug_in_start = tokens.plug_in_start
        self._outbox = outbox
        self.reservations = tokens.reservations
        self._authorizer = tokens.authorizer
        self._permission = tokens.permission
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
                **{f"evse-{number}": assembly.run() for number, assembly in self.assemblies.items()},
                **{f"restart-{evse.id}": self.restart.run_scheduled_resets(evse) for evse in evses},
                **{f"plug-in-{evse.id}": self._plug_in_start.run(evse) for evse in evses},
                "tokens": self.admission.run(),
            }
        )

    async def halt(self) -> None:
        """Stop charging because the program stops: end all transactions and wait at most 3.5 s until this is stored."""
        try:
            async with asyncio.timeout(_HALT_TIMEOUT_S), asyncio.TaskGroup() as group:
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

    async def start_remotely(self, request: StartRequest) -> bool:
        """Execute a remote start that was accepted and holds its EVSE (F01, F02); returns whether the charge started.

        With AuthorizeRemoteStart, the token itself must be authorized first, in general by the CSMS.
        """
        token, number = loggable_token(request.id_token), request.remote_start_id
        try:
            decision = await self.starter.start(request)
        finally:
            if request.evse_id is not None:
                self.starter.release(request.evse_id)
        if decision.refusal is not None:
            evse_name = f"EVSE {request.evse_id}"
            _log.info(
                "%s: remote start %s with token %s is not executed: %s", evse_name, number, token, decision.reason
            )
            return False
        _log.info("EVSE %s: remote start %s authorizes token %s", decision.evse_id, number, token)
        return True

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
        open_transactions = (evse.state.transaction for evse in self.evses.values())
        return any(transaction is not None and transaction.id == transaction_id for transaction in open_transactions)

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
        await self._token_cache.update(event.id_token, info)
        evse = self.evse_of_transaction(event.transaction_id)
        authorization = evse.state.authorization if evse is not None else None
        if evse is None or authorization is None or not authorization.id_token.same_as(event.id_token):
            return
        # C16.FR.03: a master pass must not start a transaction, even if recognized only now.
        if info.accepted and not self._authorizer.is_master_pass(info.group_id):
            evse.set_group(info.group_id)
            evse.set_languages(info.languages)
            return
        reason = (
            "it is a master pass, which cannot start a transaction"
            if info.accepted
            else f"the CSMS answered {info.status}"
        )
        _log.warning("EVSE %d: token %s may not charge: %s", evse.id, loggable_token(event.id_token), reason)
        if self._transaction_settings.stop_tx_on_invalid_id:  # E05.FR.09, E05.FR.10, E05.FR.11
            evse.end_authorization(TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED, keep_locked=True)
        else:  # E05.FR.02, E05.FR.03
            evse.refuse_energy(beyond_wh=self._transaction_settings.max_energy_on_invalid_id_wh)
