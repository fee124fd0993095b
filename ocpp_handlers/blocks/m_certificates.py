"""Block M: installs, lists and deletes root certificates (M03, M04, M05)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.security.certificates.certificate_checks import CertificateHash
from station.security.certificates.certificate_results import CertificateRefusal, CertificateRefusalReason
from station.security.certificates.certificate_store import CertificateStore as Store
from station.security.certificates.certificate_store import CertificateUse

if TYPE_CHECKING:
    from ocpp_handlers.wire import messages as m
    from station.security.network_profiles import NetworkProfiles

_LONGEST_INFO = 512
_USES: dict[str, CertificateUse] = {use.value: use for use in CertificateUse}
"""without V2GRootCertificate, MORootCertificate and V2GCertificateChain, which belong to ISO 15118"""


class CertificateBlock:
    """Handles InstallCertificate, GetInstalledCertificateIds and DeleteCertificate for the station's roots."""

    def __init__(self, store: Store, network: NetworkProfiles) -> None:
        self._store = store
        self._network = network

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of InstallCertificate, GetInstalledCertificateIds and DeleteCertificate."""
        handlers.on(actions.INSTALL_CERTIFICATE, self.install)
        handlers.on(actions.GET_INSTALLED_CERTIFICATE_IDS, self.installed)
        handlers.on(actions.DELETE_CERTIFICATE, self.delete)

    async def install(self, request: m.InstallCertificateRequest) -> HandlerResult[m.InstallCertificateResponse]:
        """Handle InstallCertificate: check and store a root certificate (M05.FR.01).

        Failed for a type that the station does not use (ISO 15118), or if it cannot be stored; Rejected if invalid.
        """
        use = _USES.get(request["certificateType"])
        if use is None:  # Failed, not Rejected: the certificate itself may be valid
            why = f"{request['certificateType']} is not used by this station"
            return HandlerResult({"status": "Failed", "statusInfo": _status_info("UnsupportedParam", why)})
        refusal = await self._store.install(use, request["certificate"])
        if refusal is None:  # M05.FR.02
            return HandlerResult({"status": "Accepted"})
        failed = refusal.reason is CertificateRefusalReason.STORAGE  # M05.FR.03; M05.FR.06, M05.FR.07, M05.FR.11
        return HandlerResult({"status": "Failed" if failed else "Rejected", "statusInfo": status_info(refusal)})

    async def installed(
        self, request: m.GetInstalledCertificateIdsRequest
    ) -> HandlerResult[m.GetInstalledCertificateIdsResponse]:
        """Handle GetInstalledCertificateIds: return the hashes of the installed root certificates (M03.FR.01)."""
        requested_uses = request.get("certificateType")
        uses = (
            set(CertificateUse)
            if requested_uses is None
            else {use for name, use in _USES.items() if name in requested_uses}
        )
        found = await self._store.installed_roots(uses)
        if not found:  # M03.FR.02
            return HandlerResult({"status": "NotFound"})
        return HandlerResult(  # M03.FR.03, M03.FR.04
            {
                "status": "Accepted",
                "certificateHashDataChain": [
                    {"certificateType": root.use.value, "certificateHashData": _hash_to_wire(root.hash)}
                    for root in found
                ],
            }
        )

    async def delete(self, request: m.DeleteCertificateRequest) -> HandlerResult[m.DeleteCertificateResponse]:
        """Handle DeleteCertificate: delete the root certificate with this hash (M04.FR.01).

        Failed if the link needs it.
        """
        profile = self._network.profile
        link_needs_root = profile is not None and profile.checks_certificate  # M04.FR.03
        refusal = await self._store.delete(
            _hash_from_wire(request["certificateHashData"]), link_needs_root=link_needs_root
        )
        if refusal is None:  # M04.FR.02
            return HandlerResult({"status": "Accepted"})
        status = (
            "NotFound" if refusal.reason is CertificateRefusalReason.NOT_FOUND else "Failed"
        )  # M04.FR.04; M04.FR.03, M04.FR.06
        return HandlerResult({"status": status, "statusInfo": status_info(refusal)})


def status_info(refusal: CertificateRefusal) -> m.StatusInfoType:
    """Translate the refusal of a certificate to StatusInfoType."""
    return _status_info(refusal.reason.value, refusal.info)


def _status_info(reason_code: str, why: str) -> m.StatusInfoType:
    return {"reasonCode": reason_code, "additionalInfo": why[:_LONGEST_INFO]}


def _hash_to_wire(hashed: CertificateHash) -> m.CertificateHashDataType:
    return {
        "hashAlgorithm": hashed.algorithm,
        "issuerNameHash": hashed.issuer_name_hash,
        "issuerKeyHash": hashed.issuer_key_hash,
        "serialNumber": hashed.serial_number,
    }


def _hash_from_wire(wire: m.CertificateHashDataType) -> CertificateHash:
    """Translate hash data; accepts hexadecimal in either case, and leading zeroes of the serial number."""
    serial_number = wire["serialNumber"].lower().lstrip("0")
    return CertificateHash(
        wire["hashAlgorithm"], wire["issuerNameHash"].lower(), wire["issuerKeyHash"].lower(), serial_number
    )
