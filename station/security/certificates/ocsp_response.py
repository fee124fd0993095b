"""Validation of the response of an OCSP responder for a certificate (RFC 6960). Loads cryptography: import it late."""

from __future__ import annotations

import base64
import binascii
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus, load_der_ocsp_response
from cryptography.x509.oid import ExtendedKeyUsageOID

from station.security.certificates.certificate_checks import (
    InvalidCertificateError,
    is_issued_by,
    parse_single,
    require_valid_at,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from cryptography.x509.ocsp import OCSPResponse

    from station.security.certificates.secc_certificates import StatusQuery

_log = logging.getLogger(__name__)

_CLOCK_TOLERANCE: Final = timedelta(minutes=5)


def check_response(query: StatusQuery, response: str, now: datetime) -> datetime | None:
    """Return nextUpdate of a response that is valid now; None: it has none.

    Raises:
        InvalidCertificateError: it is not valid.
    """
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
