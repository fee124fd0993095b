"""Verifies that an image is signed by the manufacturer: X.509, signatures over SHA-256 (L01.FR.04, L01.FR.12)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, ExtensionNotFound, KeyUsage

from station.security.certificates import certificate_checks
from station.security.certificates.certificate_checks import InvalidCertificateError


def check_signing_certificate(pem: str, roots: Sequence[Certificate], moment: datetime) -> str | None:
    """Why a certificate is not valid for signing firmware; None if a manufacturer's root issued it for signing.

    It has no chain: the manufacturer uses no intermediate certificate for it (L01, remark).
    """
    try:
        certificate = certificate_checks.parse_single(pem)
        certificate_checks.require_chain([certificate], roots, moment)
    except InvalidCertificateError as error:
        return str(error)
    try:
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return None
    return None if usage.digital_signature else "lacks the key usage digitalSignature"  # A00.FR.512


def is_signed(image: Path, signature: bytes, pem: str) -> bool:
    """Return whether `signature` over the whole file is by the key of the certificate `pem`. Blocks on the disk.

    The certificate itself is not checked. Accepts RSA-PSS as specified, RSASSA-PKCS1-v1_5 as many signing tools make by
    default, and ECDSA, since no library has the specified ECSchnorr. All with SHA-256.

    Raises:
        OSError: the file cannot be read.
    """
    key = certificate_checks.parse_single(pem).public_key()
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    hashed = Prehashed(SHA256())
    if isinstance(key, ec.EllipticCurvePublicKey):
        try:
            key.verify(signature, digest, ec.ECDSA(hashed))
        except InvalidSignature:
            return False
        return True
    if isinstance(key, rsa.RSAPublicKey):
        pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.AUTO)
        for scheme in (pss, padding.PKCS1v15()):
            try:
                key.verify(signature, digest, scheme, hashed)
            except InvalidSignature:
                continue
            return True
    return False
