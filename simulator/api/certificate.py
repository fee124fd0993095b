"""Routes with which a test bench changes the certificate store, bypassing its checks."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Literal

from fastapi import HTTPException
from pydantic import Field
from typing_extensions import TypedDict

from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, example, part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role
from station.security.certificates.certificate_checks import InvalidCertificateError
from station.security.certificates.certificate_store import CertificateStore, CertificateUse

router = api_router("simulation")

_MAX_PEM_CHARACTERS = 20_000
"""enough for a key and a chain of a few certificates"""
_Pem = Annotated[str, Field(min_length=1, max_length=_MAX_PEM_CHARACTERS)]
_OWN_CERTIFICATE = "ChargingStationCertificate"
_CertificateType = Literal[
    "CSMSRootCertificate",
    "ManufacturerRootCertificate",
    "MORootCertificate",
    "V2GRootCertificate",
    "ChargingStationCertificate",
]
_Certificates = Annotated[CertificateStore, part(CertificateStore)]


class SeededCertificate(Command):
    """Body of PUT /api/sim/certificates: a certificate that a test bench puts into the station's store, unchecked."""

    model_config = example(
        type="CSMSRootCertificate", pem="-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"
    )

    type: _CertificateType
    """GetCertificateIdUseEnumType of a root certificate, or ChargingStationCertificate"""
    pem: _Pem
    """a root certificate; for ChargingStationCertificate the station's private key and certificate chain"""


class CertificateRemoval(Command):
    """Body of DELETE /api/sim/certificates: what a test bench removes from the station's store, unchecked."""

    model_config = example(type="CSMSRootCertificate")

    type: _CertificateType
    """GetCertificateIdUseEnumType of the root certificates, or ChargingStationCertificate"""
    pem: _Pem | None = None
    """the root certificate to remove; null: all of this type; ignored for ChargingStationCertificate"""


class CertificatesRemoved(TypedDict):
    """Response of DELETE /api/sim/certificates: how many certificates were removed."""

    accepted: Literal[True]
    """always true: the certificates are removed"""
    removed: int
    """number of certificates removed; 0 if none matched"""


@router.put(
    "/api/sim/certificates",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Store a certificate unchecked",
)
async def seed_certificate(body: SeededCertificate, certificates: _Certificates) -> Accepted:
    """Store a root certificate, or private key and certificate chain of the station, without the usual checks.

    422 if the PEM cannot be read.
    """
    await _await_change(certificates.install_unchecked(_use_of(body.type), body.pem))
    return ACCEPTED


@router.delete(
    "/api/sim/certificates",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Remove certificates",
)
async def remove_certificates(body: CertificateRemoval, certificates: _Certificates) -> CertificatesRemoved:
    """Remove one root certificate, all of a type, or the station's certificate with its key, without the usual checks.

    202 also if none matched.
    """
    removed = await _await_change(certificates.remove_unchecked(_use_of(body.type), body.pem))
    return {"accepted": True, "removed": removed or 0}


def _use_of(kind: _CertificateType) -> CertificateUse | None:
    return CertificateUse(kind) if kind != _OWN_CERTIFICATE else None


async def _await_change(change: Awaitable[int | None]) -> int | None:
    """Await a change: 422 if a certificate cannot be used, 503 if the disk fails."""
    try:
        return await change
    except InvalidCertificateError as error:
        raise HTTPException(422, f"pem: {error}") from error
    except OSError as error:
        raise HTTPException(503, f"the storage failed: {error}") from error
