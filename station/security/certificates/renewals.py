"""The station's certificate as one that the CSMS signs (A02, A03); that of an SECC is in `station.vehicle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from station.security.certificates.station_certificate import CertificateSubject

if TYPE_CHECKING:
    from station.security.certificates.certificate_store import CertificateStore
    from station.security.security_settings import SecuritySettings


class StationCertificateRenewal:
    """Makes the signing requests of the station's certificate."""

    kind: Literal["ChargingStationCertificate"] = "ChargingStationCertificate"
    name = "the station certificate"

    def __init__(self, certificates: CertificateStore, settings: SecuritySettings, serial_number: str) -> None:
        self._certificates = certificates
        self._settings = settings
        self._serial_number = serial_number

    async def new_signing_request(self) -> str:
        """Create and store a key pair; return its signing request, PEM.

        Raises:
            OSError: the key could not be stored.
        """
        subject = CertificateSubject(self._serial_number, self._settings.organization_name)
        return await self._certificates.new_signing_request(subject)

    async def renewal_due(self) -> bool:
        """Return whether the certificate expires within a month.

        Raises:
            OSError: it cannot be read.
        """
        return await self._certificates.renewal_due()

    def note_rejected_request(self) -> None:
        """Do nothing: the present certificate is used as long as it is valid."""
