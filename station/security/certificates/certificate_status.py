"""The OCSP status of the certificates of the SECCs, cached until it has to be renewed (M06; RFC 6960)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from foundation.events import Event
from foundation.frozen import Frozen
from station.core.vehicle_link import CertificateStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from station.security.certificates.secc_certificates import StatusQuery
    from station.storage.fact_store import FactStore

_WEEK: Final = timedelta(days=7)
_REFRESH_AFTER: Final = _WEEK - timedelta(hours=2)
"""M06.FR.10: at least once a week; it is looked at each hour"""
_REFRESH_BEFORE: Final = timedelta(hours=25)
"""before nextUpdate, after which vehicles do not accept the response: there is time for a second attempt a day later"""


class CachedStatus(Frozen):
    """A stored OCSP response."""

    response: str
    """DER in base64, as the CSMS has sent it"""
    received_at: Annotated[datetime, Meta(tz=True)]
    valid_until: Annotated[datetime, Meta(tz=True)]
    """its nextUpdate, or a week after it was received"""

    @property
    def refresh_at(self) -> datetime:
        """When it has to be renewed: weekly, a day before its end, or after half of a short life."""
        before_end = min(_REFRESH_BEFORE, (self.valid_until - self.received_at) / 2)
        return min(self.received_at + _REFRESH_AFTER, self.valid_until - before_end)


class CertificateStatusCache:
    """Keeps the last valid OCSP response for each certificate of the SECCs, on disk too."""

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._cached: dict[str, CachedStatus] = {}
        """by `StatusQuery.key`"""
        self.changed: Event[None] = Event()
        """published when there is a new response"""

    async def load(self) -> None:
        """Load the stored responses; unreadable ones are requested again.

        Raises:
            StorageError: the disk cannot be read.
        """
        for key, text in (await self._facts.load()).items():
            cached = self._facts.read(key, lambda text: msgspec.json.decode(text, type=CachedStatus), text)
            if cached is not None:
                self._cached[key] = cached

    def is_due(self, query: StatusQuery) -> bool:
        """Return whether the status of a certificate has to be requested now."""
        cached = self._cached.get(query.key)
        return cached is None or self._clock.now() >= cached.refresh_at

    def statuses(self, queries: Sequence[StatusQuery]) -> tuple[CertificateStatus, ...]:
        """The responses for these certificates that are valid now, for an SECC."""
        now = self._clock.now()
        return tuple(
            CertificateStatus(query.request.serial_number, cached.response)
            for query in queries
            if (cached := self._cached.get(query.key)) is not None and now < cached.valid_until
        )

    async def store(self, query: StatusQuery, response: str) -> None:
        """Check and store the response of a CSMS for a certificate.

        Raises:
            InvalidCertificateError: it is not a response for this certificate, forged, or out of date.
            StorageError: it could not be stored; it is used nevertheless.
        """
        now = self._clock.now()
        with self._clock.outside_wait():
            valid_until = await asyncio.to_thread(_check_response, query, response, now)
        cached = CachedStatus(response, now, valid_until or now + _WEEK)
        self._cached[query.key] = cached
        self.changed.publish(None)
        await self._facts.save(query.key, msgspec.json.encode(cached).decode())

    async def keep_only(self, queries: Sequence[StatusQuery]) -> None:
        """Delete the responses for all other certificates: these were replaced or deleted.

        Raises:
            StorageError: they could not be deleted.
        """
        kept = {query.key for query in queries}
        for key in [key for key in self._cached if key not in kept]:
            del self._cached[key]
            await self._facts.remove(key)


def _check_response(query: StatusQuery, response: str, now: datetime) -> datetime | None:
    from station.security.certificates.ocsp_response import check_response  # late: cryptography

    return check_response(query, response, now)
