"""What the SECC of an EVSE proves its identity with: the file of its certificate, and the cached OCSP responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.events import Event
from station.core.vehicle_link import SeccCredentials

if TYPE_CHECKING:
    from station.security.certificates.certificate_status import CertificateStatusCache
    from station.security.certificates.secc_certificates import SeccCertificates, StatusQuery

_NONE: Final = SeccCredentials("")


class SeccCredentialsSource:
    """Gives the credentials of each SECC, as last read from the disk."""

    def __init__(self, certificates: SeccCertificates, statuses: CertificateStatusCache) -> None:
        self._certificates = certificates
        self._statuses = statuses
        self._current: dict[int, SeccCredentials] = {}
        self.changed: Event[None] = Event()
        """published when the credentials may have changed"""

    async def refresh(self) -> tuple[StatusQuery, ...]:
        """Read the installed chains; returns what identifies their certificates in requests for their status."""
        queries = tuple(await self._certificates.status_queries())
        self._current = {
            evse_id: SeccCredentials(str(file), self._statuses.statuses(queries, evse_id))
            for evse_id in self._certificates.evse_ids
            if (file := self._certificates.file(evse_id)) is not None
        }
        self.changed.publish(None)
        return queries

    def of(self, evse_id: int) -> SeccCredentials:
        """The credentials of the SECC of an EVSE; without a file if it has none."""
        return self._current.get(evse_id, _NONE)
