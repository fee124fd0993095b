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
from station.security.certificates.certificate_checks import InvalidCertificateError, is_issued_by, parse_single

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate
    from cryptography.x509.ocsp import OCSPResponse

    from foundation.clock import Clock
    from station.security.certificates.secc_certificates import StatusQuery
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

_REFRESH_AFTER: Final = timedelta(days=7)
"""M06.FR.10: at least once a week"""
_REFRESH_BEFORE: Final = timedelta(hours=1)
"""before nextUpdate, after which vehicles do not accept the response"""
_CLOCKS_DIFFER: Final = timedelta(minutes=5)


class CachedStatus(Frozen):
    """A stored OCSP response."""

    response: str
    """DER in base64, as the CSMS has sent it"""
    received_at: datetime
    valid_until: datetime
    """its nextUpdate, or a week after it was received"""


class CertificateStatusCache:
    """Keeps the last valid OCSP response for each certificate of the SECCs, on disk too."""

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._cached: dict[str, CachedStatus] = {}
        """by serial number of the certificate"""
        self.changed: Event[None] = Event()
        """published when a response was stored"""

    async def load(self) -> None:
        """Load the stored responses; unreadable ones are requested again.

        Raises:
            StorageError: the disk cannot be read.
        """
        for serial_number, text in (await self._facts.load()).items():
            cached = self._facts.read(serial_number, lambda text: msgspec.json.decode(text, type=CachedStatus), text)
            if cached is not None:
                self._cached[serial_number] = cached

    def is_due(self, query: StatusQuery) -> bool:
        """Return whether the status of a certificate has to be requested now."""
        cached = self._cached.get(query.request.serial_number)
        if cached is None:
            return True
        now = self._clock.now()
        return now >= min(cached.received_at + _REFRESH_AFTER, cached.valid_until - _REFRESH_BEFORE)

    def statuses(self, queries: Sequence[StatusQuery], evse_id: int) -> tuple[CertificateStatus, ...]:
        """The responses for the certificates of an EVSE that are still valid, for its SECC."""
        now = self._clock.now()
        return tuple(
            CertificateStatus(query.request.serial_number, cached.response)
            for query in queries
            if query.evse_id == evse_id
            and (cached := self._cached.get(query.request.serial_number)) is not None
            and now < cached.valid_until
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
        cached = CachedStatus(response, now, valid_until or now + _REFRESH_AFTER)
        self._cached[query.request.serial_number] = cached
        self.changed.publish(None)
        await self._facts.save(query.request.serial_number, msgspec.json.encode(cached).decode())


def _check_response(query: StatusQuery, response: str, now: datetime) -> datetime | None:
    """Return nextUpdate of a response that is valid now; None: it has none.

    Raises:
        InvalidCertificateError: it is not valid.
    """
    from cryptography.x509.ocsp import OCSPResponseStatus, load_der_ocsp_response  # late: cryptography

    try:
        loaded = load_der_ocsp_response(base64.b64decode(response, validate=True))
    except (ValueError, binascii.Error) as error:
        raise InvalidCertificateError("has an OCSP response that cannot be read") from error
    if loaded.response_status is not OCSPResponseStatus.SUCCESSFUL:
        raise InvalidCertificateError(f"has no OCSP status: {loaded.response_status.name.lower()}")
    certificate, issuer = parse_single(query.certificate_pem), parse_single(query.issuer_pem)
    if loaded.serial_number != certificate.serial_number:
        raise InvalidCertificateError("has an OCSP response for another certificate")
    signers = [issuer, *(each for each in loaded.certificates if is_issued_by(each, issuer) and _may_sign(each))]
    if not any(_is_signed_by(loaded, signer) for signer in signers):
        raise InvalidCertificateError("has an OCSP response that its authority has not signed")
    until = loaded.next_update_utc
    if loaded.this_update_utc > now + _CLOCKS_DIFFER or (until is not None and until <= now):
        raise InvalidCertificateError("has an OCSP response that is out of date")
    return until


def _may_sign(certificate: Certificate) -> bool:
    """Whether a certificate may sign OCSP responses for its issuer (RFC 6960 §4.2.2.2)."""
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound  # late: cryptography
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except ExtensionNotFound:
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
