"""A signature made by the station itself, for meters that cannot: ECDSA on secp256r1 with SHA-256.

Such a signature shows that a record was not changed on its way. It is none of a certified measuring capsule, since
nobody has certified this program together with the meter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final

from metering import ocmf
from metering.ocmf import DEFAULT_ALGORITHM
from metering.ocmf_keys import CURVES, spki

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM: Final = DEFAULT_ALGORITHM


class KeyUnusableError(Exception):
    """What should be a private key of this curve is none."""


def create_key() -> str:
    """A new private key, as PEM (PKCS #8)."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()


def stored_public_key(pem: str) -> bytes | None:
    """The public key that stands beside a private one (RFC 5915 in PKCS #8), as SubjectPublicKeyInfo; None: none does.

    Who only shows the key need not load all of cryptography for that, which a small controller feels.
    """
    body = "".join(line for line in pem.splitlines() if not line.startswith("-"))
    try:
        data = base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
    curve = CURVES["secp256r1"]
    point = data[-2 * curve.size - 1 :]
    if curve.object_id not in data or not data.endswith(b"\x03\x42\x00" + point) or point[:1] != b"\x04":
        return None
    return spki(curve, point)


class OcmfSigner:
    """A private key at work."""

    def __init__(self, pem: str) -> None:
        """Take the key of a text.

        Raises:
            KeyUnusableError: it is none.
        """
        self._key = _private(pem)

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo, as DER."""
        from cryptography.hazmat.primitives import serialization as form

        return self._key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)

    def record(self, payload: bytes) -> bytes:
        """The record of a payload."""
        return ocmf.assemble(payload, self.sign(payload), ALGORITHM)

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes, as DER."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        return self._key.sign(data, ec.ECDSA(SHA256()))


def fingerprint(spki: bytes) -> str:
    """What tells one public key from another: the SHA-256 of its SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(spki).hexdigest()


def _private(pem: str) -> ec.EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusableError("it is no private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyUnusableError("it is no key of the curve secp256r1")
    return key
