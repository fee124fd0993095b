"""The trusted root certificates on disk: one file each, in a folder for each use.

`csms-fallback/` contains a replaced CSMS root that may still be needed (M05.FR.12). Blocking: call it from a thread.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Collection, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.security.certificates.certificate_checks import (
    CertificateHash,
    HashAlgorithm,
    InvalidCertificateError,
    find_issuer,
    fingerprint,
    hash_of,
    parse,
    pem_of,
    revocation_lists,
)
from station.storage import private_files

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_log = logging.getLogger(__name__)

_END = "-----END CERTIFICATE-----\n"


class CertificateUse(StrEnum):
    """What a root certificate is trusted for (InstallCertificateUseEnumType)."""

    CSMS_ROOT = "CSMSRootCertificate"
    """signs the certificates of the CSMS and of its file servers"""
    MANUFACTURER_ROOT = "ManufacturerRootCertificate"
    """signs the certificates with which firmware is signed"""
    V2G_ROOT = "V2GRootCertificate"
    """signs, by sub-authorities, the certificates of SECCs, and contract certificates"""
    MO_ROOT = "MORootCertificate"
    """of a mobility operator: signs, by sub-authorities, contract certificates"""


ISO_15118_USES = frozenset({CertificateUse.V2G_ROOT, CertificateUse.MO_ROOT})
"""the uses that only a station has that speaks ISO 15118 with vehicles"""


class Root(Frozen):
    """A stored root certificate: its use, file and PEM."""

    use: CertificateUse
    file: Path
    pem: str
    """the certificate, followed by its issuer's if different (needed for its hash)"""
    fallback: bool = False
    """replaced, and kept until a connection with its successor succeeded"""

    @property
    def own_pem(self) -> str:
        """The certificate alone as PEM, without its issuer's."""
        return self.pem[: self.pem.index(_END) + len(_END)]

    @property
    def certificate(self) -> Certificate:
        """The parsed certificate."""
        return parse(self.own_pem)[0]

    def hash(self, algorithm: HashAlgorithm = "SHA256") -> CertificateHash | None:
        """The CertificateHashDataType of the root; None if its issuer is missing or unreadable."""
        try:
            certificates = parse(self.pem)
        except InvalidCertificateError:
            return None
        issuer = find_issuer(certificates[0], certificates)
        return hash_of(certificates[0], issuer, algorithm) if issuer is not None else None


class RootCertificates:
    """Loads, stores, replaces and deletes the files of the trusted root certificates. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._folders = {
            (CertificateUse.CSMS_ROOT, False): folder / "csms-roots",
            (CertificateUse.CSMS_ROOT, True): folder / "csms-fallback",
            (CertificateUse.MANUFACTURER_ROOT, False): folder / "manufacturer-roots",
            (CertificateUse.V2G_ROOT, False): folder / "v2g-roots",
            (CertificateUse.MO_ROOT, False): folder / "mo-roots",
        }
        self._import_marks = folder / "seeded"
        self._revocations = folder / "revocations.pem"
        self._roots: dict[Path, Root] = {}
        self._damaged: set[str] = set()
        """fingerprints of the CSMS roots whose files are damaged"""

    def __len__(self) -> int:
        return len(self._roots)

    def load(self) -> None:
        """Load the stored roots. A corrupted file is logged and left out.

        Raises:
            OSError: a disk error.
        """
        for (use, fallback), folder in self._folders.items():
            for file in sorted(folder.glob("*.pem")):
                root = Root(use, file, private_files.read(file) or "", fallback)
                if _is_intact(root):
                    self._roots[file] = root
                else:
                    _log.error("%s is damaged: it is not the certificate that was stored; it is ignored", file)
                    if (use, fallback) == (CertificateUse.CSMS_ROOT, False):
                        self._damaged.add(file.stem)

    def of(self, uses: Collection[CertificateUse] = tuple(CertificateUse)) -> list[Root]:
        """The roots of these uses, including fallbacks; without argument all."""
        return [root for root in self._roots.values() if root.use in uses]

    def certificates(self) -> list[Certificate]:
        """All trusted root certificates of any use, including fallbacks, parsed."""
        return [root.certificate for root in self._roots.values()]

    @property
    def fallbacks(self) -> list[Root]:
        """The CSMS root that was replaced and is kept, if there is one; else empty."""
        return [root for root in self._roots.values() if root.fallback]

    def save(self, use: CertificateUse, certificate: Certificate) -> None:
        """Store a root for a use, with its issuer's certificate if known; nothing is checked or replaced.

        Raises:
            OSError: the root could not be stored.
        """
        pem = pem_of(certificate)
        issuer = find_issuer(certificate, self.certificates())
        if issuer is not None and issuer != certificate:
            pem += pem_of(issuer)
        file = self._folders[use, False] / f"{fingerprint(certificate)}.pem"
        private_files.write(file, pem)
        self._roots[file] = Root(use, file, pem)

    def replace(self, replaced: Iterable[Root]) -> None:
        """Make these replaced roots the fallback, in case the new one does not match the CSMS (M05.FR.12).

        If there is a fallback already, they are deleted instead: no connection with them has succeeded.

        Raises:
            OSError: a disk error; both roots are then trusted.
        """
        for root in replaced:
            if self.fallbacks:
                self.delete(root)  # it never worked
                continue
            file = self._folders[root.use, True] / root.file.name
            private_files.move(root.file, file)
            del self._roots[root.file]
            self._roots[file] = Root(root.use, file, root.pem, fallback=True)

    def delete(self, root: Root) -> None:
        """Delete a root and its file.

        Raises:
            OSError: a disk error; the root is still stored.
        """
        private_files.remove(root.file)
        del self._roots[root.file]

    def import_file(self, ca_file: Path) -> None:
        """Import the roots of the configured ca_file if it has changed: new ones are added, missing ones removed, and
        those deleted by the CSMS stay deleted. Corrupted ones are imported again.

        Raises:
            OSError: a disk error.
            InvalidCertificateError: the file contains no certificates.
        """
        text = ca_file.read_text(encoding="utf-8")
        imported = (private_files.read(self._import_marks) or "").split()  # of the file, then of each root in it
        before = set(imported[1:]) - self._damaged
        digest = hashlib.sha256(text.encode()).hexdigest()
        if imported[:1] == [digest] and not self._damaged:
            if self._revocations.exists():  # repair it if corrupted, since it would prevent connections
                self._store_revocations(text)
            return
        certificates = {
            fingerprint(certificate): certificate
            for certificate in sorted(parse(text), key=lambda certificate: certificate.subject != certificate.issuer)
        }
        for root in self.of({CertificateUse.CSMS_ROOT}):
            if root.file.stem in before - certificates.keys():
                self.delete(root)
        for digest_of_root, certificate in certificates.items():
            if digest_of_root not in before:
                self.save(CertificateUse.CSMS_ROOT, certificate)
        self._store_revocations(text)
        private_files.write(self._import_marks, "\n".join([digest, *certificates]))
        self._damaged.clear()

    def _store_revocations(self, text: str) -> None:
        lists = revocation_lists(text)
        if not lists:
            private_files.remove(self._revocations)
        elif lists != private_files.read(self._revocations):
            private_files.write(self._revocations, lists)

    @property
    def revocations(self) -> Path | None:
        """The PEM file with the revocation lists of the configured ca_file; None if it has none."""
        return self._revocations if self._revocations.exists() else None


def _is_intact(root: Root) -> bool:
    """Whether the content matches the fingerprint in the file name; checked without importing `cryptography`, to keep
    the start fast. One corrupted root would make the TLS library reject all of them."""
    if _END not in root.pem:
        return False
    try:
        der = ssl.PEM_cert_to_DER_cert(root.own_pem)
    except ValueError:  # not even the form of one
        return False
    return hashlib.sha256(der).hexdigest() == root.file.stem
