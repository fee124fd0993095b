"""Key pairs and certificate signing requests of the station (A02, A03). Loads `cryptography`: import it on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_RSA_BITS = 3072
"""minimum size of a new key, if the current one is an RSA key"""
_RSA_EXPONENT = 65_537
_LONGEST_NAME = 64
"""X.520: limit of organization and common name"""


def create_key(like: x509.Certificate | None) -> PrivateKey:
    """Generate a private key: RSA if the key of `like` is RSA, since the CSMS's CA signs these; else EC P-256."""
    present = like.public_key() if like is not None else None
    if isinstance(present, rsa.RSAPublicKey):
        return rsa.generate_private_key(_RSA_EXPONENT, max(_RSA_BITS, present.key_size))
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: PrivateKey) -> str:
    """The private key as PEM (PKCS #8), not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def create_request(key: PrivateKey, common_name: str, organization: str, *, country: str = "", domain: str = "") -> str:
    """Create a signing request, PEM, signed with the key; names are cut to 64 characters, empty ones are left out.

    `country`: two letters (ISO 3166-1); `domain`: domain component, such as CPO for the certificate of an SECC.
    """
    names = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name[:_LONGEST_NAME])]
    if organization:
        names.insert(0, x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization[:_LONGEST_NAME]))
    if country:
        names.append(x509.NameAttribute(x509.NameOID.COUNTRY_NAME, country))
    if domain:
        names.append(x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, domain))
    usage = x509.KeyUsage(  # A00.FR.512: authentication only
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(names))
        .add_extension(usage, critical=True)
        .sign(key, SHA256())
    )
    return request.public_bytes(Encoding.PEM).decode()


def load_request(pem: str) -> x509.CertificateSigningRequest:
    """Parse a certificate signing request in PEM."""
    return x509.load_pem_x509_csr(pem.encode())


def public_key_of(private_key_pem: str) -> PublicKeyTypes:
    """The public key that belongs to a private key.

    Raises:
        ValueError: the text is not a private key that can be read.
    """
    try:
        return load_pem_private_key(private_key_pem.encode(), None).public_key()
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not a private key that can be read") from error
