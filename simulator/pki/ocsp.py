"""Answers OCSP requests for the certificates of the test PKI (RFC 6960)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPResponderEncoding,
    OCSPResponseBuilder,
    OCSPResponseStatus,
    load_der_ocsp_request,
)

if TYPE_CHECKING:
    from cryptography.x509.ocsp import OCSPRequest

    from simulator.pki.authority import Authority

_VALID_FOR: Final = timedelta(days=7)


class OcspResponder:
    """Answers for all certificates that its authorities have issued: good unless revoked."""

    def __init__(
        self, authorities: Sequence[Authority], revoked: Callable[[], frozenset[int]], now: Callable[[], datetime]
    ) -> None:
        """`revoked` returns the serial numbers of the certificates that are revoked now."""
        self._authorities = authorities
        self._revoked = revoked
        self._now = now

    def answer(self, request: bytes) -> bytes:
        """Return the OCSPResponse to an OCSPRequest, both DER; malformed or unauthorized for others."""
        try:
            loaded = load_der_ocsp_request(request)
            authority = self._authority_of(loaded)
        except ValueError:
            return _failure(OCSPResponseStatus.MALFORMED_REQUEST)
        if authority is None:
            return _failure(OCSPResponseStatus.UNAUTHORIZED)
        return self.status(authority, loaded)

    def status(self, authority: Authority, request: OCSPRequest) -> bytes:
        """Return the status of the certificate of a request, signed by its authority, DER."""
        now = self._now().replace(microsecond=0)
        revoked = request.serial_number in self._revoked()
        builder = OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash,
            issuer_key_hash=request.issuer_key_hash,
            serial_number=request.serial_number,
            algorithm=request.hash_algorithm,
            cert_status=OCSPCertStatus.REVOKED if revoked else OCSPCertStatus.GOOD,
            this_update=now - timedelta(minutes=1),
            next_update=now + _VALID_FOR,
            revocation_time=now - timedelta(minutes=1) if revoked else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(OCSPResponderEncoding.HASH, authority.certificate)
        return builder.sign(authority.key, SHA256()).public_bytes(Encoding.DER)

    def _authority_of(self, request: OCSPRequest) -> Authority | None:
        """The authority that has issued the certificate of a request, by the hashes of its name and key."""
        wanted = (request.issuer_name_hash, request.issuer_key_hash)
        return next((each for each in self._authorities if _hashes(each, request) == wanted), None)


def _hashes(authority: Authority, request: OCSPRequest) -> tuple[bytes, bytes]:
    """The hashes of an authority's name and key, by the algorithm of a request (RFC 6960 §4.1.1)."""
    name = authority.certificate.subject.public_bytes()
    # the bits of subjectPublicKey, without tag and length
    key = authority.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    algorithm = request.hash_algorithm.name
    return hashlib.new(algorithm, name).digest(), hashlib.new(algorithm, key).digest()


def _failure(status: OCSPResponseStatus) -> bytes:
    return OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
