"""The station certificate and keys: the current pair, a renewed one on trial, a pending request (A02, A03).

Each pair is one file with the private key first, so that a switch is one rename. Private keys are used by TLS only
(A02.FR.05).
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.security.certificates.certificate_checks import (
    InvalidCertificateError,
    organization_and_common_name,
    parse,
    pem_of,
    require_chain,
)
from station.storage import private_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate

_log = logging.getLogger(__name__)

_REQUEST = "-----BEGIN CERTIFICATE REQUEST"


class CertificateSubject(Frozen):
    """Serial number (as common name) and organization in the station certificate (A00.FR.509, A00.FR.511)."""

    serial_number: str
    organization: str


class StationCertificate:
    """The files with the station's private keys and certificates: in use, on trial, requested. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._current = folder / "current.pem"
        self._renewed = folder / "renewed.pem"
        self._pending = folder / "pending.pem"
        self._import_mark = folder / "seeded"
        self._uses_old_certificate = False

    @property
    def file(self) -> Path | None:
        """The PEM file with private key and chain for the next connection; None if there is none."""
        if self._renewed.exists() and not self._uses_old_certificate:
            return self._renewed
        return self._current if self._current.exists() else None

    @property
    def on_trial(self) -> bool:
        """Whether there is a renewed certificate with which no connection has succeeded yet; the old one is kept."""
        return self._renewed.exists()

    def chain(self) -> list[Certificate]:
        """The chain of the certificate for the next connection (`file`), leaf first; empty if there is none.

        Raises:
            OSError: a disk error.
        """
        return _read_chain(self.file)

    def all(self) -> list[Certificate]:
        """The chains of the current and the renewed certificate.

        Raises:
            OSError: a disk error.
        """
        return [*_read_chain(self._current), *_read_chain(self._renewed)]

    def import_files(self, certificate_file: Path, key_file: Path) -> None:
        """Import the certificate and key of the installation file as the current pair, unless imported before.

        Raises:
            OSError: a file cannot be read or written.
        """
        certificate, key = certificate_file.read_text(encoding="utf-8"), key_file.read_text(encoding="utf-8")
        digest = hashlib.sha256(certificate.encode()).hexdigest()
        if private_files.read(self._import_mark) == digest:
            return
        self.store(f"{key.rstrip()}\n{certificate}")
        private_files.write(self._import_mark, digest)
        _log.info("station certificate imported from the installation file")

    def store(self, key_and_chain: str) -> None:
        """Store key and chain, PEM, as the current pair; the renewed one is deleted. Nothing is checked.

        Raises:
            OSError: they could not be stored.
        """
        private_files.write(self._current, key_and_chain)
        private_files.remove(self._renewed)

    def delete(self) -> None:
        """Delete the current and the renewed certificate with their keys; a pending request stays.

        Raises:
            OSError: they could not be deleted.
        """
        private_files.remove(self._renewed)
        private_files.remove(self._current)

    # A new certificate

    def new_signing_request(self, owner: CertificateSubject) -> str:
        """Create and store a key pair, and return its signing request, PEM; replaces a pending one.

        A02.FR.02, A02.FR.03.

        Raises:
            OSError: the key could not be stored.
        """
        from station.security.certificates import key_pairs  # late: cryptography

        key = key_pairs.create_key(like=next(iter(self.chain()), None))
        request = key_pairs.create_request(key, owner.serial_number, owner.organization)
        private_files.write(self._pending, key_pairs.private_pem(key) + request)
        return request

    def install_signed(self, pem: str, roots: Sequence[Certificate], moment: datetime) -> None:
        """Store the signed certificate for the pending request; it is used, on trial, from the next connection on.

        Raises:
            InvalidCertificateError: it is not valid (A02.FR.06), or does not match the request.
            OSError: it could not be stored.
        """
        chain = parse(pem)
        if not chain:
            raise InvalidCertificateError("contains no certificate")
        pending = private_files.read(self._pending)
        if pending is None:
            raise InvalidCertificateError("was not requested")
        _require_matches_request(chain[0], pending[pending.index(_REQUEST) :])
        require_chain(chain, roots, moment)
        key = pending[: pending.index(_REQUEST)]
        pair = key + "".join(pem_of(certificate) for certificate in chain)
        private_files.write(self._renewed if self._current.exists() else self._current, pair)
        private_files.remove(self._pending)
        self._uses_old_certificate = False

    def holds_key_of(self, pem: str) -> bool:
        """Return whether a signed certificate is for a key that already has one (a repeated response).

        Raises:
            InvalidCertificateError: it cannot be read.
            OSError: a disk error.
        """
        leaf = parse(pem)[:1]
        own_leaves = [chain[0] for chain in (_read_chain(self._current), _read_chain(self._renewed)) if chain]
        return any(certificate.public_key() == own_leaf.public_key() for certificate in leaf for own_leaf in own_leaves)

    def alternate(self) -> None:
        """Use the other certificate for the next connection: the old or the renewed one (A02.FR.28).

        Without effect unless a renewed one is on trial.
        """
        if self.on_trial:
            self._uses_old_certificate = not self._uses_old_certificate
            _log.warning(
                "the next connection uses the %s station certificate",
                "old" if self._uses_old_certificate else "renewed",
            )

    def end_trial(self, used: Path) -> bool:
        """After a successful connection with the certificate of this file, delete the other one (A02.FR.10).

        Returns whether the renewed one was deleted; False also if none is on trial.

        Raises:
            OSError: the disk refuses; both are still there.
        """
        if not self.on_trial:
            return False
        self._uses_old_certificate = False
        if used == self._renewed:
            private_files.move(self._renewed, self._current)
            _log.info("connected with the renewed station certificate; the old one is deleted")
            return False
        private_files.remove(self._renewed)
        return True


def _read_chain(file: Path | None) -> list[Certificate]:
    text = private_files.read(file) if file is not None else None
    if text is None:
        return []
    try:
        return parse(text)
    except InvalidCertificateError as error:
        _log.error("station certificate %s %s", file, error)
        return []


def _require_matches_request(certificate: Certificate, request_pem: str) -> None:
    from station.security.certificates import key_pairs  # late: cryptography

    request = key_pairs.load_request(request_pem)
    if certificate.public_key() != request.public_key():
        raise InvalidCertificateError("does not match the key of the request")
    organization, common = organization_and_common_name(request.subject)
    signed_organization, signed_common = organization_and_common_name(certificate.subject)
    # A00.FR.509, A00.FR.511; the authority may add the organization if the request has none.
    if signed_common != common or organization not in {None, signed_organization}:
        raise InvalidCertificateError("is not for this station: its subject differs from the one of the request")
