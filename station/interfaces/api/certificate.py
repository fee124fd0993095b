"""The route that lists the installed certificates."""

from __future__ import annotations

from typing import Annotated

from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role
from station.security.certificates.certificate_checks import CertificateDescription, describe
from station.security.certificates.certificate_store import CertificateStore

router = api_router("certificates")


class InstalledCertificate(CertificateDescription):
    """A certificate installed at the station: a root certificate or its own; private keys are never returned."""

    type: str
    """GetCertificateIdUseEnumType, or ChargingStationCertificate"""
    fallback: bool
    """whether it is a replaced root that is kept until its successor has been used successfully"""
    pem: str
    """the certificate itself"""


@router.get("/api/certificates", dependencies=[require_role(Role.INSTALLER)], summary="List the installed certificates")
async def list_certificates(
    certificates: Annotated[CertificateStore, part(CertificateStore)],
) -> list[InstalledCertificate]:
    """Returns the root certificates that the station trusts, and its own certificate."""
    installed = await certificates.all_pem()
    return [{"type": kind, "fallback": fallback, **describe(pem), "pem": pem} for kind, fallback, pem in installed]
