"""Validation of certificates and chains (OCPP 2.0.1 A00.FR.501-514, RFC 5280 §6). Pure.

Each function loads the parts of `cryptography` that it needs: the station boots without that library.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

from typing_extensions import TypedDict

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from cryptography.x509 import Certificate, Name

HashAlgorithm = Literal["SHA256", "SHA384", "SHA512"]
"""HashAlgorithmEnumType"""
HASH_ALGORITHMS: Final[tuple[HashAlgorithm, ...]] = ("SHA256", "SHA384", "SHA512")

_CLOCK_TOLERANCE = timedelta(minutes=5)
"""tolerance for notBefore, in case the station's clock is slow"""
_LONGEST_SERIAL_BYTES = 20
"""RFC 5280 §4.1.2.2; CertificateHashDataType has room for 40 hexadecimal digits"""
_MAX_IN_CHAIN = 6
_LONGEST_URL = 512
"""characters of responderURL (schema of OCSPRequestDataType)"""
_MIN_RSA_BITS = 2048
_MIN_EC_BITS = 224
_REVOCATION_LIST: Final = "(?s)-----BEGIN X509 CRL-----.*?-----END X509 CRL-----"
_PRIVATE_KEY: Final = "(?s)-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \\1-----"
_WEAK_HASHES = frozenset({"md5", "sha1"})
_ORGANIZATION_NAME: Final = "2.5.4.10"
_COMMON_NAME: Final = "2.5.4.3"
"""attribute types of names (RFC 5280 appendix A.1)"""


class InvalidCertificateError(ExpectedError):
    """A certificate, chain, key or revocation list is invalid; the message says why, such as "has expired"."""


class CertificateHash(Frozen):
    """The identification of a certificate in OCPP (CertificateHashDataType); lower-case hexadecimal."""

    algorithm: HashAlgorithm
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    """without leading zeroes"""

    @property
    def key(self) -> str:
        """Identifies the certificate: authorities number theirs independently of each other."""
        return f"{self.issuer_key_hash}-{self.serial_number}"


def fingerprint(certificate: Certificate) -> str:
    """The SHA-256 of the certificate in lower-case hexadecimal, used as file name."""
    return hashlib.sha256(_encoded(certificate, "DER")).hexdigest()


def pem_of(certificate: Certificate) -> str:
    """The certificate alone as PEM text, without chain or key."""
    return _encoded(certificate, "PEM").decode()


def _encoded(certificate: Certificate, encoding: Literal["DER", "PEM"]) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # late, as in the whole module

    return certificate.public_bytes(Encoding.DER if encoding == "DER" else Encoding.PEM)


def parse(pem: str) -> list[Certificate]:
    """Parse the certificates of a PEM text, in its order.

    Raises:
        InvalidCertificateError: there is none, or one cannot be read.
    """
    from cryptography import exceptions, x509  # late, as in the whole module

    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
        for certificate in certificates:
            certificate.public_key()
            _ = (certificate.extensions, certificate.subject, certificate.issuer)
    except (
        ValueError,
        TypeError,  # a bit string in a name
        exceptions.UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise InvalidCertificateError("cannot be read as a PEM encoded X.509 certificate") from error
    return certificates


def parse_single(pem: str) -> Certificate:
    """Parse a PEM text with exactly one certificate.

    Raises:
        InvalidCertificateError: there is not exactly one certificate.
    """
    certificates = parse(pem)
    if len(certificates) != 1:
        raise InvalidCertificateError("must be exactly one certificate")
    return certificates[0]


def require_properties(certificate: Certificate) -> None:
    """Raise unless key length, signature hash and serial number are allowed (A00.FR.501-504, A00.FR.508).

    Raises:
        InvalidCertificateError: one of them is not allowed.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # late, as in the whole module

    _require_strong_key(certificate.public_key())
    try:
        # none: the signature has its hash built in (Ed25519, Ed448)
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise InvalidCertificateError("is signed with an unknown algorithm") from error
    if algorithm is not None and algorithm.name in _WEAK_HASHES:
        raise InvalidCertificateError(f"is signed with the weak hash {algorithm.name.upper()}")
    if not 0 < certificate.serial_number < 1 << (8 * _LONGEST_SERIAL_BYTES):
        raise InvalidCertificateError("must have a positive serial number of at most 20 bytes")


def _require_strong_key(key: CertificatePublicKeyTypes) -> None:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa  # late, as in the whole module

    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey) and key.key_size < _MIN_RSA_BITS:  # A00.FR.502
        raise InvalidCertificateError(f"has a key of {key.key_size} bits, but must have at least {_MIN_RSA_BITS}")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _MIN_EC_BITS:  # A00.FR.503
        raise InvalidCertificateError(f"has a key of {key.curve.key_size} bits, but must have at least {_MIN_EC_BITS}")


def require_valid_at(certificate: Certificate, moment: datetime) -> None:
    """Raise unless the certificate is valid at a moment; begins five minutes early, for a slow clock (A02.FR.06).

    Raises:
        InvalidCertificateError: it has expired or is not valid yet.
    """
    if moment > certificate.not_valid_after_utc:
        raise InvalidCertificateError("has expired")
    if moment + _CLOCK_TOLERANCE < certificate.not_valid_before_utc:
        raise InvalidCertificateError("is not valid yet")


def require_authority(certificate: Certificate, below: int = 0, *, anchor: bool = True) -> None:
    """Raise unless a certificate may sign others, with `below` intermediate ones (RFC 5280 §4.2.1.3, §4.2.1.9).

    A trusted root (`anchor`) need not have BasicConstraints; any other authority must (§6.1.4 k).

    Raises:
        InvalidCertificateError: it may not sign certificates.
    """
    from cryptography.x509 import BasicConstraints, ExtensionNotFound, KeyUsage  # late, as in the whole module

    try:
        constraints = certificate.extensions.get_extension_for_class(BasicConstraints).value
    except ExtensionNotFound:
        constraints = None
    if not (constraints.ca if constraints is not None else anchor):
        raise InvalidCertificateError("does not belong to a certificate authority")
    if constraints is not None and constraints.path_length is not None and below > constraints.path_length:
        raise InvalidCertificateError("does not allow a chain of this length")
    try:
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise InvalidCertificateError("is not permitted to sign certificates")


def is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Return whether a certificate is issued by another: names match and the signature is valid."""
    from cryptography.exceptions import InvalidSignature  # late, as in the whole module

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def find_issuer(certificate: Certificate, candidates: Iterable[Certificate]) -> Certificate | None:
    """The issuer of a certificate among itself and `candidates`, or None; names and signature are checked."""
    for candidate in (certificate, *candidates):
        if candidate.subject == certificate.issuer and is_issued_by(certificate, candidate):
            return candidate
    return None


def require_chain(chain: Sequence[Certificate], roots: Sequence[Certificate], moment: datetime) -> None:
    """Raise unless a chain, leaf first, leads to one of the roots and is valid at a moment (RFC 5280 §6.1).

    Raises:
        InvalidCertificateError: the chain is not valid.
    """
    if not 0 < len(chain) <= _MAX_IN_CHAIN:
        raise InvalidCertificateError(f"must be a chain of at most {_MAX_IN_CHAIN} certificates")
    for certificate in chain:
        require_properties(certificate)
        require_valid_at(certificate, moment)
    for below, (certificate, issuer) in enumerate(pairwise(chain)):
        if not is_issued_by(certificate, issuer):
            raise InvalidCertificateError("is not a chain: each certificate must be signed by the next")
        require_authority(issuer, below, anchor=issuer in roots)
    last = chain[-1]
    if last in roots:
        return
    root = find_issuer(last, roots)
    if root is None or root not in roots:
        raise InvalidCertificateError("does not lead to an installed root certificate")
    require_valid_at(root, moment)
    require_authority(root, len(chain) - 1)


def hash_of(certificate: Certificate, issuer: Certificate, algorithm: HashAlgorithm = "SHA256") -> CertificateHash:
    """Compute the CertificateHashDataType of a certificate, as in an OCSP request (RFC 6960 §4.1.1)."""
    # late, as in the whole module
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.ocsp import OCSPRequestBuilder

    kind = {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384, "SHA512": hashes.SHA512}[algorithm]
    request = OCSPRequestBuilder().add_certificate(certificate, issuer, kind()).build()
    return CertificateHash(
        algorithm,
        request.issuer_name_hash.hex(),
        request.issuer_key_hash.hex(),
        f"{request.serial_number:x}",
    )


def responder_url(certificate: Certificate) -> str:
    """The URL at which the authority of a certificate answers OCSP requests; empty if the certificate has none."""
    # late, as in the whole module
    from cryptography.x509 import AuthorityInformationAccess, ExtensionNotFound, UniformResourceIdentifier
    from cryptography.x509.oid import AuthorityInformationAccessOID

    try:
        access = certificate.extensions.get_extension_for_class(AuthorityInformationAccess).value
    except ExtensionNotFound:
        return ""
    for description in access:
        location = description.access_location
        is_responder = description.access_method == AuthorityInformationAccessOID.OCSP
        if is_responder and isinstance(location, UniformResourceIdentifier) and len(location.value) <= _LONGEST_URL:
            return location.value
    return ""


def matches_hash(certificate: Certificate, named: CertificateHash) -> bool:
    """Return whether a hash identifies a certificate by issuer name and serial; the issuer key is not compared."""
    names = hashlib.new(named.algorithm.lower(), certificate.issuer.public_bytes()).hexdigest()
    return (names, f"{certificate.serial_number:x}") == (named.issuer_name_hash, named.serial_number)


def revocation_lists(pem: str) -> str:
    """Extract the certificate revocation lists from a PEM text, as PEM; empty if there are none.

    Raises:
        InvalidCertificateError: one cannot be read.
    """
    lists = "".join(f"{block}\n" for block in re.findall(_REVOCATION_LIST, pem))
    revocation_deadlines(lists)
    return lists


def revocation_deadlines(pem: str) -> list[datetime]:
    """The nextUpdate time of each revocation list in a PEM text; lists without one are left out.

    Raises:
        InvalidCertificateError: one cannot be read.
    """
    from cryptography.x509 import load_pem_x509_crl  # late, as in the whole module

    try:
        lists = [load_pem_x509_crl(block.encode()) for block in re.findall(_REVOCATION_LIST, pem)]
    except ValueError as error:
        raise InvalidCertificateError("has an unreadable revocation list") from error
    return [revocation_list.next_update_utc for revocation_list in lists if revocation_list.next_update_utc is not None]


def require_key_of(certificate: Certificate, pem: str) -> None:
    """Raise unless a PEM text contains the private key of a certificate.

    Raises:
        InvalidCertificateError: it does not.
    """
    match = re.search(_PRIVATE_KEY, pem)
    if match is None:
        raise InvalidCertificateError("has no private key in the file")
    from station.security.certificates.key_pairs import public_key_of  # late, as in the whole module

    try:
        public_key = public_key_of(match.group())
    except ValueError as error:
        raise InvalidCertificateError("has an unreadable private key") from error
    if public_key != certificate.public_key():
        raise InvalidCertificateError("has the private key of another certificate")


class CertificateDescription(TypedDict):
    """JSON of a certificate for page and API; times in ISO 8601, UTC."""

    subject: str
    """name of the holder (RFC 4514)"""
    issuer: str
    """name of the certification authority (RFC 4514)"""
    serial_number: str
    """serial number given by the issuer, in hexadecimal"""
    valid_from: str
    """not valid before this time (ISO 8601, UTC)"""
    valid_until: str
    """not valid after this time (ISO 8601, UTC)"""
    sha256: str
    """SHA-256 fingerprint of the certificate, in hexadecimal"""


def describe(pem: str) -> CertificateDescription:
    """Describe the certificate in a PEM text, for the page and API.

    Raises:
        InvalidCertificateError: it cannot be read, or there is not exactly one.
    """
    certificate = parse_single(pem)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial_number": f"{certificate.serial_number:x}",
        "valid_from": certificate.not_valid_before_utc.isoformat(),
        "valid_until": certificate.not_valid_after_utc.isoformat(),
        "sha256": fingerprint(certificate),
    }


def organization_and_common_name(name: Name) -> tuple[str | None, str | None]:
    """The organization and the common name in an X.509 name, each None if missing (A00.FR.509, A00.FR.511)."""
    organization, common = (
        next((str(part.value) for part in name if part.oid.dotted_string == oid), None)
        for oid in (_ORGANIZATION_NAME, _COMMON_NAME)
    )
    return organization, common
