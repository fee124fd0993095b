"""Signs records in the station, for meters that cannot sign: ECDSA on secp256r1 with SHA-256.

Such a signature proves that a record was not altered afterwards. It does not replace that of a certified measuring
capsule, since this program is not certified together with the meter.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from metering import ocmf
from metering.ocmf import DEFAULT_ALGORITHM

ALGORITHM: Final = DEFAULT_ALGORITHM


class KeyUnusableError(Exception):
    """A text is not a private key with which the station can sign: PEM, curve secp256r1."""


def create_key() -> str:
    """Create a new private key for `OcmfSigner`, as PEM (PKCS #8) without a password; the caller stores it."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()


class OcmfSigner:
    """Signs meter readings, and other texts of the station, with the station's own private key."""

    def __init__(self, pem: str) -> None:
        """Load the key.

        Raises:
            KeyUnusableError: the text is not a private key of this curve.
        """
        self._key = _private_key(pem)

    @property
    def public_key(self) -> bytes:
        """The public key that belongs to the private one: SubjectPublicKeyInfo, as DER."""
        return self._key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)

    def sign_record(self, payload: bytes) -> bytes:
        """Sign the payload of a reading; returns the whole OCMF record, with payload and signature."""
        return ocmf.assemble_record(payload, self.sign(payload), ALGORITHM)

    def sign(self, data: bytes) -> bytes:
        """Sign some bytes; returns the signature as DER."""
        return self._key.sign(data, ec.ECDSA(SHA256()))


def _private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusableError("it is not a private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyUnusableError("it is not a key of the curve secp256r1")
    return key
