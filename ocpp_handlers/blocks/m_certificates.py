"""Block M: installs root certificates; lists and deletes them and V2G chains (M03, M04, M05)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.security.certificates.certificate_checks import CertificateHash
from station.security.certificates.certificate_results import CertificateRefusal, CertificateRefusalReason
from station.security.certificates.certificate_store import CertificateStore as Store
from station.security.certificates.certificate_store import CertificateUse
from station.security.certificates.root_certificates import ISO_15118_USES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocpp_handlers.wire import messages as m
    from station.security.certificates.secc_certificates import SeccCertificates, SeccChain
    from station.security.network_profiles import NetworkProfiles

_LONGEST_INFO = 512
_USES: Final[Mapping[CertificateUse, m.GetCertificateIdUseEnumType]] = {
    CertificateUse.CSMS_ROOT: "CSMSRootCertificate",
    CertificateUse.MANUFACTURER_ROOT: "ManufacturerRootCertificate",
    CertificateUse.V2G_ROOT: "V2GRootCertificate",
    CertificateUse.MO_ROOT: "MORootCertificate",
}
_V2G_CHAIN: Final = "V2GCertificateChain"


class CertificateBlock:
    """Handles InstallCertificate, GetInstalledCertificateIds and DeleteCertificate for roots and V2G chains."""

    def __init__(self, store: Store, network: NetworkProfiles, secc: SeccCertificates | None) -> None:
        """`secc`: the certificates of SECCs; None: the station has none, and no use for certificates of ISO 15118."""
        self._store = store
        self._network = network
        self._secc = secc
        self._uses = {use.value: use for use in CertificateUse if secc is not None or use not in ISO_15118_USES}

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of InstallCertificate, GetInstalledCertificateIds and DeleteCertificate."""
        handlers.on(actions.INSTALL_CERTIFICATE, self.install)
        handlers.on(actions.GET_INSTALLED_CERTIFICATE_IDS, self.installed)
        handlers.on(actions.DELETE_CERTIFICATE, self.delete)

    async def install(self, request: m.InstallCertificateRequest) -> HandlerResult[m.InstallCertificateResponse]:
        """Handle InstallCertificate: check and store a root certificate (M05.FR.01).

        Failed for a type that the station does not use (ISO 15118), or if it cannot be stored; Rejected if invalid.
        """
        use = self._uses.get(request["certificateType"])
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
        """Handle GetInstalledCertificateIds: return the hashes of installed roots and V2G chains (M03.FR.01)."""
        requested_uses = request.get("certificateType")
        uses = {use for name, use in self._uses.items() if requested_uses is None or name in requested_uses}
        found: list[m.CertificateHashDataChainType] = [
            {
                "certificateType": _USES[root.use],
                "certificateHashData": _hash_to_wire(root.hash),
            }
            for root in await self._store.installed_roots(uses)
        ]
        if self._secc is not None and (requested_uses is None or _V2G_CHAIN in requested_uses):
            found += [_chain_to_wire(chain) for chain in await self._secc.chains()]
        if not found:  # M03.FR.02
            return HandlerResult({"status": "NotFound"})
        return HandlerResult({"status": "Accepted", "certificateHashDataChain": found})  # M03.FR.03, M03.FR.04

    async def delete(self, request: m.DeleteCertificateRequest) -> HandlerResult[m.DeleteCertificateResponse]:
        """Handle DeleteCertificate: delete the root certificate, or the V2G chain, with this hash (M04.FR.01).

        Failed if the link needs it.
        """
        named = hash_from_wire(request["certificateHashData"])
        profile = self._network.profile
        link_needs_root = profile is not None and profile.checks_certificate  # M04.FR.03
        refusal = await self._store.delete(named, link_needs_root=link_needs_root)
        if refusal is not None and refusal.reason is CertificateRefusalReason.NOT_FOUND and self._secc is not None:
            refusal = await self._delete_chain(self._secc, named, refusal)
        if refusal is None:  # M04.FR.02
            return HandlerResult({"status": "Accepted"})
        status = (
            "NotFound" if refusal.reason is CertificateRefusalReason.NOT_FOUND else "Failed"
        )  # M04.FR.04; M04.FR.03, M04.FR.06
        return HandlerResult({"status": status, "statusInfo": status_info(refusal)})

    async def _delete_chain(
        self, secc: SeccCertificates, named: CertificateHash, not_found: CertificateRefusal
    ) -> CertificateRefusal | None:
        """Delete the V2G chains that contain a certificate; None: one was deleted."""
        try:
            return None if await secc.delete(named) else not_found
        except OSError as error:
            return CertificateRefusal(CertificateRefusalReason.STORAGE, str(error))


def _chain_to_wire(chain: SeccChain) -> m.CertificateHashDataChainType:
    """Translate a V2G chain: its sub-authorities are children of the leaf (M03.FR.05)."""
    wire: m.CertificateHashDataChainType = {
        "certificateType": _V2G_CHAIN,
        "certificateHashData": _hash_to_wire(chain.leaf),
    }
    if chain.children:
        wire["childCertificateHashData"] = [_hash_to_wire(child) for child in chain.children]
    return wire


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


def hash_from_wire(wire: m.CertificateHashDataType) -> CertificateHash:
    """Translate hash data; accepts hexadecimal in either case, and leading zeroes of the serial number."""
    serial_number = wire["serialNumber"].lower().lstrip("0")
    return CertificateHash(
        wire["hashAlgorithm"], wire["issuerNameHash"].lower(), wire["issuerKeyHash"].lower(), serial_number
    )
