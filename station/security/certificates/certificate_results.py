"""Values that the certificate store takes and returns."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from foundation.frozen import Frozen
from station.security.certificates.certificate_checks import (
    CertificateHash,
)
from station.security.certificates.root_certificates import CertificateUse


class CertificateRefusalReason(StrEnum):
    """Why the certificate store rejects a request; the values are reason codes of part 2, appendix 5."""

    INVALID = "InvalidCertificate"
    TOO_MANY = "TooManyElements"
    TOO_LARGE = "TooLargeElement"
    NOT_FOUND = "NotFound"
    IN_USE = "Unspecified"
    UNASKED = "InvalidMessageSeq"
    """a signed certificate was sent again"""
    STORAGE = "OutOfStorage"


class CertificateRefusal(Frozen):
    """A request that the certificate store rejects: the reason, and a sentence for additionalInfo."""

    reason: CertificateRefusalReason
    info: str


class InstalledRoot(Frozen):
    """A root certificate in the store, identified by its hash, for GetInstalledCertificateIds."""

    use: CertificateUse
    hash: CertificateHash
    fallback: bool
    """replaced, and kept until a connection with its successor succeeded"""


class ConfiguredFiles(Frozen):
    """The PEM files that the installation file names, for import into the store; None: not configured."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


class TlsMaterial(Frozen):
    """Certificates and keys for one connection attempt to the CSMS (ocpp_handlers/connection/tls.py uses them)."""

    roots: str
    """PEM of the trusted roots, also valid as trust anchors within a chain; may be empty with `system_roots`"""
    system_roots: bool = False
    """whether the system's roots are trusted too: no ca_file is configured, and AdditionalRootCertificateCheck does not
    restrict trust to one root"""
    revocations: Path | None = None
    """PEM file of revocation lists: every CSMS certificate must then be covered by one, and not be on it"""
    station: Path | None = None
    """PEM file with private key and chain of the client certificate; None: no client certificate"""
    with_fallback_root: bool = False
    """whether `roots` contains a replaced root (M05.FR.14)"""
