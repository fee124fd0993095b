"""A maker of firmware for simulated stations: its root, its signing certificate, and signed images."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from foundation.frozen import Frozen
from simulator.pki.authority import Authority, Validity, subject_name

if TYPE_CHECKING:
    from simulator.pki.authority import Issued

_DAYS: Final = 3_650.0
_MAGIC: Final = b"borne-firmware "


class SignedImage(Frozen):
    """A firmware image with its signature."""

    content: bytes
    signature: str
    """ECDSA with SHA-256 over the content, base64"""


class FirmwareMaker:
    """Makes images that `SimulatedUpdater` installs, and signs them."""

    def __init__(self) -> None:
        """Make a new root, and a certificate for signing firmware."""
        validity = Validity.of_days(_DAYS)
        self.root: Issued = Authority.root("borne test manufacturer root", validity)
        """the root that stations must have (ManufacturerRootCertificate)"""
        issuer = Authority(self.root.certificate, self.root.key)
        subject = subject_name("borne test firmware", organization="borne test")
        self.signing_certificate: Issued = issuer.issue(subject, validity, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
        """the certificate of the signatures"""

    def image(self, version: str, size: int = 20_000) -> SignedImage:
        """A signed image that boots as `version`."""
        body = bytes(number % 251 for number in range(size))
        header = json.dumps({"version": version, "sha256": hashlib.sha256(body).hexdigest(), "boots": True})
        content = _MAGIC + header.encode() + b"\n" + body
        signature = self.signing_certificate.key.sign(content, ec.ECDSA(SHA256()))
        return SignedImage(content, base64.b64encode(signature).decode())
