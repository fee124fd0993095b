"""The certificate with which the SECC of an EVSE proves its identity: its file, and the cached OCSP responses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from station.core.vehicle_link import SeccCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from station.security.certificates.certificate_status import CertificateStatusCache
    from station.security.certificates.secc_certificates import SeccCertificates, StatusQuery

_log = logging.getLogger(__name__)

_NONE: Final = SeccCredentials("")


class _InstalledChain(Frozen):
    """The chain of one EVSE, as last read from the disk."""

    file: str
    fingerprint: str
    queries: tuple[StatusQuery, ...]
    """what identifies its certificates in requests for their status"""


class SeccCredentialsSource:
    """Gives the credentials of each SECC: its chain as last read from the disk, and the responses valid now."""

    def __init__(self, certificates: SeccCertificates, statuses: CertificateStatusCache) -> None:
        self._certificates = certificates
        self._statuses = statuses
        self._chains: Mapping[int, _InstalledChain] = {}
        self.changed: Event[None] = Event()
        """published when the credentials may have changed"""
        self._installed = ChangeSignal()

    @property
    def queries(self) -> tuple[StatusQuery, ...]:
        """What identifies the certificates of all SECCs in requests for their status."""
        return tuple(query for chain in self._chains.values() for query in chain.queries)

    async def run(self) -> None:
        """Task until cancelled: read the chains at the start, and after each change."""
        while True:
            count_before = self._installed.count
            await self.refresh()
            await self._installed.wait(count_before)

    def note_installed(self) -> None:
        """Note that a chain was installed or deleted: `run` reads it."""
        self._installed.notify()

    async def refresh(self) -> None:
        """Read the installed chains from the disk."""
        certificates = self._certificates
        try:
            fingerprints, queries = await certificates.fingerprints(), await certificates.status_queries()
        except OSError as error:
            _log.error("the V2G certificates cannot be read: %s", error)
            return
        self._chains = {
            evse_id: _InstalledChain(
                str(certificates.file(evse_id)), found, tuple(query for query in queries if query.evse_id == evse_id)
            )
            for evse_id, found in fingerprints.items()
        }
        self.changed.publish(None)

    def of(self, evse_id: int) -> SeccCredentials:
        """The credentials of the SECC of an EVSE; without a file if it has none."""
        chain = self._chains.get(evse_id)
        if chain is None:
            return _NONE
        return SeccCredentials(chain.file, chain.fingerprint, self._statuses.statuses(chain.queries))
