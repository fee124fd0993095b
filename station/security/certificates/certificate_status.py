"""The OCSP status of the certificates of the SECCs, cached until it has to be renewed (M06; RFC 6960)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from foundation.events import Event
from foundation.frozen import Frozen
from station.core.vehicle_link import CertificateStatus
from station.security.certificates.certificate_checks import (
    InvalidCertificateError,
    is_issued_by,
    parse_single,
    require_valid_at,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate
    from cryptography.x509.ocsp import OCSPResponse

    from foundation.clock import Clock
    from station.security.certificates.secc_certificates import StatusQuery
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

_WEEK: Final = timedelta(days=7)
_REFRESH_AFTER: Final = _WEEK - timedelta(hours=2)
"""M06.FR.10: at least once a week; it is looked at each hour"""
_REFRESH_BEFORE: Final = timedelta(hours=25)
"""before nextUpdate, after which vehicles do not accept the response: there is time for a second attempt a day later"""
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)


class CachedStatus(Frozen):
    """A stored OCSP response."""

    response: str
    """DER in base64, as the CSMS has sent it"""
    received_at: datetime
    valid_until: datetime
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
    """Return nextUpdate of a response that is valid now; None: it has none.

    Raises:
        InvalidCertificateError: it is not valid.
    """
    # late: cryptography
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus, load_der_ocsp_response

    certificate, issuer = parse_single(query.certificate_pem), parse_single(query.issuer_pem)
    try:
        loaded = load_der_ocsp_response(base64.b64decode(response, validate=True))
        if loaded.response_status is not OCSPResponseStatus.SUCCESSFUL:
            raise InvalidCertificateError(f"has no OCSP status: {loaded.response_status.name.lower()}")
        signers = [issuer, *(each for each in loaded.certificates if _may_sign(each, issuer, now))]
        if not any(_is_signed_by(loaded, signer) for signer in signers):
            raise InvalidCertificateError("has an OCSP response that its authority has not signed")
        found = next((each for each in loaded.responses if each.serial_number == certificate.serial_number), None)
        if found is None:
            raise InvalidCertificateError("has an OCSP response for another certificate")
        until, since, status = found.next_update_utc, found.this_update_utc, found.certificate_status
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise InvalidCertificateError("has an OCSP response that cannot be read") from error
    if since > now + _CLOCK_TOLERANCE or (until is not None and until <= now):
        raise InvalidCertificateError("has an OCSP response that is out of date")
    if status is not OCSPCertStatus.GOOD:
        _log.error("EVSE %d: V2G certificate %x is %s", query.evse_id, certificate.serial_number, status.name.lower())
    return until


def _may_sign(certificate: Certificate, issuer: Certificate, now: datetime) -> bool:
    """Whether a certificate may sign OCSP responses for its issuer now (RFC 6960 §4.2.2.2)."""
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound  # late: cryptography
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if not is_issued_by(certificate, issuer):
        return False
    try:
        require_valid_at(certificate, now)
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except (InvalidCertificateError, ExtensionNotFound):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _is_signed_by(response: OCSPResponse, signer: Certificate) -> bool:
    """Whether an OCSP response is signed with the key of a certificate."""
    # late: cryptography
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    algorithm, key = response.signature_hash_algorithm, signer.public_key()
    if algorithm is None:
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True
