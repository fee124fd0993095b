"""What the bundled CSMS answers about vehicles and their certificates (ISO 15118), with a test PKI or without one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from foundation.frozen import Frozen
from foundation.json_values import object_of, objects_of

if TYPE_CHECKING:
    from simulator.csms.messages import Payload

_EXI_RESPONSE: Final = base64.b64encode(b"\x80\x98\x02prepared CertificateInstallationRes").decode()
"""stands for an EXI message: a CSMS passes on what a contract certificate pool has made"""
_PROFILE_ID: Final = 15118
_TOKEN_REFUSED: Final = frozenset({"Blocked", "Expired", "Invalid", "Unknown"})
"""C07.FR.13: with these the contract is cancelled"""
VEHICLE_ACTIONS: Final = frozenset(
    {"GetCertificateStatus", "Get15118EVCertificate", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule"}
)
"""actions that `VehicleAnswers.answer` answers"""


class NamedCertificate(Frozen):
    """A certificate as a request for its status names it; hashes in lower-case hexadecimal."""

    algorithm: str
    """SHA256, SHA384 or SHA512"""
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: int


class CertificatePki(Protocol):
    """The PKI as the bundled CSMS uses it."""

    @property
    def vehicle_roots(self) -> Mapping[str, str]:
        """The roots that stations need for vehicles, PEM, by InstallCertificateUseEnumType."""
        ...

    def sign(self, request_pem: str, *, v2g: bool) -> str:
        """Sign the request of an SECC (`v2g`) or a station; returns the chain, PEM.

        Raises:
            ValueError: the request is not valid.
        """
        ...

    def status_of(self, named: NamedCertificate, /) -> str | None:
        """The OCSP response for a certificate, DER in base64; None: no authority of the PKI has issued it."""
        ...

    def is_revoked(self, named: NamedCertificate, /) -> bool:
        """Whether a certificate of the PKI is revoked."""
        ...

    def contract_status(self, chain: str, /) -> str:
        """The status of a contract certificate by its chain, PEM (AuthorizeCertificateStatusEnumType)."""
        ...


class VehicleAnswers:
    """Answers what stations ask for vehicles; without a PKI as a CSMS that has none."""

    def __init__(self, pki: CertificatePki | None) -> None:
        self._pki = pki

    def answer(self, action: str, payload: Payload) -> Payload:
        """The response to one of `VEHICLE_ACTIONS`."""
        match action:
            case "GetCertificateStatus":
                return self._certificate_status(object_of(payload["ocspRequestData"]))
            case "Get15118EVCertificate":
                accepted = self._pki is not None
                return {
                    "status": "Accepted" if accepted else "Failed",
                    "exiResponse": _EXI_RESPONSE if accepted else "",
                }
            case _:
                return {"status": "Accepted"}

    def authorization(self, payload: Payload, status: str) -> Payload:
        """The response to Authorize of a contract; `status`: that of its eMAID (C07.FR.13 to C07.FR.17)."""
        certificate_status = self._contract_status(payload)
        if certificate_status == "Accepted" and status in _TOKEN_REFUSED:
            certificate_status = "ContractCancelled"
        elif certificate_status == "CertificateExpired":
            status = "Expired"
        elif certificate_status != "Accepted":
            status = "Invalid"
        return {"idTokenInfo": {"status": status}, "certificateStatus": certificate_status}

    def roots(self) -> list[Payload]:
        """The InstallCertificate requests that follow a BootNotification; none without a PKI."""
        if self._pki is None:
            return []
        return [{"certificateType": use, "certificate": pem} for use, pem in self._pki.vehicle_roots.items()]

    def signed(self, payload: Payload) -> Payload | None:
        """The CertificateSigned that follows a SignCertificate; None: the request is rejected."""
        if self._pki is None:
            return None
        kind = str(payload.get("certificateType", "ChargingStationCertificate"))
        try:
            chain = self._pki.sign(str(payload["csr"]), v2g=kind == "V2GCertificate")
        except ValueError:
            return None
        return {"certificateChain": chain, "certificateType": kind}

    def _certificate_status(self, request: Mapping[str, object]) -> Payload:
        if self._pki is None:
            return {"status": "Failed"}
        response = self._pki.status_of(_named(request))
        return {"status": "Failed"} if response is None else {"status": "Accepted", "ocspResult": response}

    def _contract_status(self, payload: Payload) -> str:
        """AuthorizeCertificateStatusEnumType of the contract certificate in a request."""
        if self._pki is None:
            return "Accepted"
        if "certificate" in payload:
            return self._pki.contract_status(str(payload["certificate"]))
        hashes = [_named(each) for each in objects_of(payload.get("iso15118CertificateHashData", []))]
        if not hashes:
            return "NoCertificateAvailable"
        return "CertificateRevoked" if any(self._pki.is_revoked(each) for each in hashes) else "Accepted"


def _named(request: Mapping[str, object]) -> NamedCertificate:
    """The certificate that OCSP request data name."""
    algorithm, name_hash, key_hash = (
        str(request[name]) for name in ("hashAlgorithm", "issuerNameHash", "issuerKeyHash")
    )
    return NamedCertificate(algorithm, name_hash.lower(), key_hash.lower(), int(str(request["serialNumber"]), 16))


def charging_profile(needs: Payload, transaction_id: str) -> Payload:
    """The SetChargingProfile that follows NotifyEVChargingNeeds: all that the vehicle can draw, for its transaction."""
    wanted = object_of(needs["chargingNeeds"])
    parameters = object_of(wanted.get("acChargingParameters", {}))
    limit = float(str(parameters.get("evMaxCurrent", 16)))
    schedule = {
        "id": _PROFILE_ID,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    }
    profile = {
        "id": _PROFILE_ID,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "transactionId": transaction_id,
        "chargingSchedule": [schedule],
    }
    return {"evseId": needs["evseId"], "chargingProfile": profile}
