"""Creates the self-signed certificate of the page."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import GeneralName

_VALID_DAYS = 3650


def self_signed(identity: str, names: Iterable[str], now: datetime.datetime) -> str:
    """Create a key and a self-signed certificate for the page; returns both as one PEM text, stores nothing.

    Valid for ten years from the day before `now`, for these host names and IP addresses.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, identity)])
    alternatives = [_general_name(name) for name in sorted(names)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret.decode() + certificate.public_bytes(serialization.Encoding.PEM).decode()


def _general_name(name: str) -> GeneralName:
    """A host name or IP address as a subject alternative name, in the type that browsers compare (RFC 6125)."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
