"""Authorizes the contract of a vehicle: validates its certificate, then requests the start of a charge (C07)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from station.charging.starts.start_request import StartRefusal, StartRequest, StartSource
from station.core.csms import ContractCertificate
from station.core.model import IdToken
from station.core.vehicle_link import RejectionReason
from station.security.certificates.certificate_store import CertificateUse
from station.security.certificates.contract_check import ContractStatus, check_contract
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.starts.charge_starter import ChargeStarter
    from station.charging.starts.start_request import StartDecision
    from station.core.vehicle_link import Contract
    from station.security.certificates.certificate_store import CertificateStore
    from station.security.certificates.contract_check import ContractCheck
    from station.security.certificates.contract_records import ContractRecords
    from station.vehicle.vehicle_settings import VehicleSettings

_log = logging.getLogger(__name__)

_REASONS: Final = {
    ContractStatus.EXPIRED: RejectionReason.EXPIRED,
    ContractStatus.NOT_YET_VALID: RejectionReason.NOT_YET_VALID,
    ContractStatus.INVALID: RejectionReason.CHAIN,
    ContractStatus.UNKNOWN_ROOT: RejectionReason.CHAIN,
}
_REASONS_OF_CSMS: Final = {
    "CertificateExpired": RejectionReason.EXPIRED,
    "CertificateRevoked": RejectionReason.REVOKED,
    "SignatureError": RejectionReason.CHAIN,
    "NoCertificateAvailable": RejectionReason.CHAIN,
    "CertChainError": RejectionReason.CHAIN,
}
"""AuthorizeCertificateStatusEnumType, without Accepted and ContractCancelled"""
_BY_EVSE: Final = frozenset(
    {
        StartRefusal.NO_EVSE,
        StartRefusal.IN_USE,
        StartRefusal.IN_USE_BY_GROUP,
        StartRefusal.VEHICLE_SERVED,
        StartRefusal.HELD,
        StartRefusal.EVSE_CHANGED,
        StartRefusal.NOT_PERMITTED,
    }
)
"""refusals that say nothing of the contract"""


class ContractAuthorization:
    """Decides whether the contract of a vehicle may charge at an EVSE, and starts the charge if so."""

    def __init__(
        self, starter: ChargeStarter, certificates: CertificateStore, records: ContractRecords, clock: Clock
    ) -> None:
        """`certificates`: holds the MO and V2G roots; `records`: get the contracts that were decided on."""
        self._starter = starter
        self._records = records
        self._certificates = certificates
        self._clock = clock

    async def authorize(self, evse_id: int, contract: Contract, settings: VehicleSettings) -> RejectionReason | None:
        """Validate a contract, and request the start of a charge for it; None: it has started.

        The CSMS decides, unless it cannot be asked (C07.FR.01, C07.FR.08). An invalid certificate is not passed on.
        """
        if not settings.pnc_enabled:
            return RejectionReason.NOT_ALLOWED
        check = await self._check(contract)
        forwards = check.status is ContractStatus.UNKNOWN_ROOT and settings.central_contract_validation_allowed
        if check.status is not ContractStatus.VALID and not forwards:
            _log.warning("EVSE %d: the contract certificate of the vehicle %s", evse_id, check.info)
            return _REASONS[check.status]
        certificate = ContractCertificate(
            hashes=check.hashes if not forwards else (),
            chain=check.chain if forwards else None,  # C07.FR.06
            valid_offline=not forwards and settings.contract_validation_offline,  # C07.FR.07, C07.FR.08
        )
        token = IdToken(check.emaid, "eMAID")
        request = StartRequest(StartSource.CONTRACT, token, evse_id, contract=certificate)
        decision = await self._starter.start(request)
        if decision.refusal is None or decision.token is not None:  # something is known of its customer
            await self._record(check)
        if decision.refusal is None:
            _log.info("EVSE %d: charging is authorized by the contract %s", evse_id, token.loggable)
            return None
        _log.warning("EVSE %d: the contract %s was refused: %s", evse_id, token.loggable, decision.reason)
        return _rejection(decision)

    async def _record(self, check: ContractCheck) -> None:
        """Record the contract, for requests about its customer; a full disk ends no charge."""
        try:
            await self._records.add(check.identities, check.emaid)
        except StorageError as error:
            _log.warning("a contract certificate is not recorded: %s", error)

    async def _check(self, contract: Contract) -> ContractCheck:
        """Validate in a thread: a chain of long keys takes longer than the event loop may be held."""
        roots = [
            *self._certificates.trusted_roots(CertificateUse.MO_ROOT),
            *self._certificates.trusted_roots(CertificateUse.V2G_ROOT),
        ]
        with self._clock.outside_wait():
            return await asyncio.to_thread(check_contract, contract, roots, self._clock.now())


def _rejection(decision: StartDecision) -> RejectionReason:
    """Why the vehicle may not charge, by the decision on its start."""
    status = decision.token.certificate_status if decision.token is not None else None
    if status in _REASONS_OF_CSMS:
        return _REASONS_OF_CSMS[status]
    if decision.refusal is StartRefusal.NOT_CHECKED:
        return RejectionReason.NOT_ALLOWED
    return RejectionReason.EVSE if decision.refusal in _BY_EVSE else RejectionReason.CONTRACT


def refuses_contract(reason: RejectionReason) -> bool:
    """Return whether a rejection is one of the contract itself: not of the EVSE, nor for want of an answer."""
    return reason not in {RejectionReason.EVSE, RejectionReason.NOT_ALLOWED}
