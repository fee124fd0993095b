"""Signs records in the station, for meters that cannot sign: ECDSA on secp256r1 with SHA-256.

Such a signature proves that a record was not altered afterwards. It does not replace that of a certified measuring
capsule, since this program is not certified together with the meter.
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
    """The text is not a private key of this curve."""


def create_key() -> str:
    """Create a private key, as PEM (PKCS #8)."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()


def stored_public_key(pem: str) -> bytes | None:
    """Read the public key stored within a private key (RFC 5915 in PKCS #8), as SubjectPublicKeyInfo; else None.

    It does so without the cryptography package, which takes long to load on a small controller.
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
    """Signs with a private key."""

    def __init__(self, pem: str) -> None:
        """Load the key.

        Raises:
            KeyUnusableError: the text is not a private key of this curve.
        """
        self._key = _private(pem)

    @property
    def public_key(self) -> bytes:
        """The public key: SubjectPublicKeyInfo, as DER."""
        from cryptography.hazmat.primitives import serialization as form

        return self._key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)

    def sign_record(self, payload: bytes) -> bytes:
        """Sign a payload; returns the record."""
        return ocmf.assemble_record(payload, self.sign(payload), ALGORITHM)

    def sign(self, data: bytes) -> bytes:
        """Sign some bytes; returns the signature as DER."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        return self._key.sign(data, ec.ECDSA(SHA256()))


def fingerprint(spki: bytes) -> str:
    """The fingerprint of a public key: SHA-256 of its SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(spki).hexdigest()


def _private(pem: str) -> ec.EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusableError("it is not a private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyUnusableError("it is not a key of the curve secp256r1")
    return key
