"""Block M: requests the OCSP status of the certificates of the SECCs, when it is missing and weekly (M06)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from ocpp_handlers.translate.translate import ocsp_request_to_wire
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import LinkLostError
from station.core.csms import NoAnswerError
from station.security.certificates.certificate_checks import InvalidCertificateError
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from station.security.certificates.certificate_status import CertificateStatusCache
    from station.security.certificates.secc_certificates import StatusQuery
    from station.vehicle.credentials import SeccCredentialsSource

_log = logging.getLogger(__name__)

_CHECK_S: Final = 3_600.0
"""interval at which it is checked whether a status is due"""
_RETRY_S: Final = 86_400.0
"""wait before the next request for a status that the CSMS could not obtain"""


class CertificateStatusRequests:
    """Sends GetCertificateStatus for leaf and sub-authorities of each SECC, one after another."""

    def __init__(
        self, link: Link, credentials: SeccCredentialsSource, cache: CertificateStatusCache, clock: Clock
    ) -> None:
        self._link = link
        self._credentials = credentials
        self._cache = cache
        self._clock = clock
        self._changed = ChangeSignal()
        self._next_attempt_s: dict[str, float] = {}
        """after a failed attempt: when the next one is due, by serial number"""

    def check_now(self) -> None:
        """Request what is due now: a certificate was installed (M06.FR.07)."""
        self._next_attempt_s.clear()
        self._changed.notify()

    async def run(self) -> None:
        """Request each status that is due, until the link ends.

        Raises:
            LinkLostError: the link has ended.
        """
        while True:
            count_before = self._changed.count
            for query in await self._credentials.refresh():
                await self._request_if_due(query)
            await self._changed.wait_for(count_before, self._clock, _CHECK_S)

    async def _request_if_due(self, query: StatusQuery) -> None:
        serial_number, now_s = query.request.serial_number, self._clock.monotonic()
        if not self._cache.is_due(query) or now_s < self._next_attempt_s.get(serial_number, 0.0):
            return
        self._next_attempt_s[serial_number] = now_s + _RETRY_S
        try:
            response = await self._link.call(
                actions.GET_CERTIFICATE_STATUS, {"ocspRequestData": ocsp_request_to_wire(query.request)}
            )
            if response["status"] != "Accepted" or "ocspResult" not in response:
                _log.warning("EVSE %d: the CSMS has no OCSP status of certificate %s", query.evse_id, serial_number)
                return
            await self._cache.store(query, response["ocspResult"])
        except LinkLostError:
            self._next_attempt_s.pop(serial_number, None)
            raise
        except (NoAnswerError, InvalidCertificateError, StorageError) as error:
            _log.warning("EVSE %d: no OCSP status of certificate %s: %s", query.evse_id, serial_number, error)
            return
        self._next_attempt_s.pop(serial_number, None)
        await self._credentials.refresh()
