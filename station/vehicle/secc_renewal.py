"""The certificate of one SECC as one that the CSMS signs (A02, A03; V2GCertificate)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from station.security.certificates.secc_certificates import SeccSubject
from station.vehicle.vehicle_settings import VehicleSettings

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.security.certificates.secc_certificates import SeccCertificates

_RENEW_BEFORE: Final = timedelta(days=30)
"""A03.FR.02: a month"""


class SeccCertificateRenewal:
    """Makes the signing requests of the certificate of an SECC, by its settings."""

    kind: Literal["V2GCertificate"] = "V2GCertificate"

    def __init__(self, evse_id: int, certificates: SeccCertificates, settings: VehicleSettings, clock: Clock) -> None:
        self.name = f"the V2G certificate of EVSE {evse_id}"
        self._evse_id = evse_id
        self._certificates = certificates
        self._settings = settings
        self._clock = clock

    def trigger_refusal(self) -> str | None:
        """Why no certificate may be requested now, as a sentence; None: it may."""
        if not self._settings.v2g_certificate_installation_enabled:
            return "V2GCertificateInstallationEnabled is false"
        return None if self._settings.secc_id else "SeccId is not set"

    async def new_signing_request(self) -> str:
        """Create and store a key pair; return its signing request, PEM.

        Raises:
            OSError: the key could not be stored.
        """
        settings = self._settings
        subject = SeccSubject(settings.secc_id, settings.organization_name, settings.country_name)
        return await self._certificates.new_signing_request(self._evse_id, subject)

    async def renewal_due(self) -> bool:
        """Return whether there is a certificate that expires within a month, and may be renewed.

        Raises:
            OSError: it cannot be read.
        """
        if self.trigger_refusal() is not None:
            return False
        expires = await self._certificates.expires_at(self._evse_id)
        return expires is not None and expires - self._clock.now() <= _RENEW_BEFORE

    def note_rejected_request(self) -> None:
        """Switch Plug & Charge off until the station restarts (A02.FR.21)."""
        self._settings.override(VehicleSettings.pnc_enabled, False)
