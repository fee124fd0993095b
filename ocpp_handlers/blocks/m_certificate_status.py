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
    from collections.abc import Sequence

    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from station.security.certificates.certificate_status import CertificateStatusCache
    from station.security.certificates.secc_certificates import StatusQuery
    from station.vehicle.secc_credentials import SeccCredentialsSource

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
        """after a failed attempt: when the next one is due, by `StatusQuery.key`"""
        self._installed: set[int] = set()
        """EVSEs whose chain was installed since their statuses were requested"""

    def request_for(self, evse_id: int) -> None:
        """Request the status of leaf and sub-authorities of an EVSE now: its chain was installed (M06.FR.07)."""
        self._installed.add(evse_id)
        self._changed.notify()

    async def run(self) -> None:
        """Request each status that is due, until the link ends.

        Raises:
            LinkLostError: the link has ended.
        """
        while True:
            count_before = self._changed.count
            await self._credentials.refresh()
            queries = self._credentials.queries
            await self._forget_others(queries)
            for query in queries:
                await self._request_if_due(query)
            self._installed.clear()
            await self._changed.wait_for(count_before, self._clock, _CHECK_S)

    async def _request_if_due(self, query: StatusQuery) -> None:
        serial_number, key, now_s = query.request.serial_number, query.key, self._clock.monotonic()
        due = self._cache.is_due(query) and now_s >= self._next_attempt_s.get(key, 0.0)
        if not due and query.evse_id not in self._installed:
            return
        self._next_attempt_s[key] = now_s + _RETRY_S
        try:
            response = await self._link.call(
                actions.GET_CERTIFICATE_STATUS, {"ocspRequestData": ocsp_request_to_wire(query.request)}
            )
            if response["status"] != "Accepted" or "ocspResult" not in response:
                _log.warning("EVSE %d: the CSMS has no OCSP status of certificate %s", query.evse_id, serial_number)
                return
            await self._cache.store(query, response["ocspResult"])
        except LinkLostError:
            self._next_attempt_s.pop(key, None)
            raise
        except (NoAnswerError, InvalidCertificateError) as error:
            _log.warning("EVSE %d: no OCSP status of certificate %s: %s", query.evse_id, serial_number, error)
            return
        except StorageError as error:
            _log.warning(
                "EVSE %d: the OCSP status of certificate %s is not stored: %s", query.evse_id, serial_number, error
            )
        self._next_attempt_s.pop(key, None)

    async def _forget_others(self, queries: Sequence[StatusQuery]) -> None:
        kept = {query.key for query in queries}
        self._next_attempt_s = {key: at_s for key, at_s in self._next_attempt_s.items() if key in kept}
        try:
            await self._cache.keep_only(queries)
        except StorageError as error:
            _log.warning("the OCSP status of a replaced certificate is not deleted: %s", error)
