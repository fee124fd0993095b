"""The certificates with which the EVSEs prove their identity to vehicles (V2G, SECC leaf with its sub-authorities).

One folder per EVSE, with the private key and chain in one file, readable by the station only (A02.FR.05).
`SeccCertificates` serializes access to them and runs it in threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from foundation.events import Event
from foundation.frozen import Frozen
from station.core.csms import OcspRequest
from station.security.certificates.certificate_checks import (
    CertificateHash,
    InvalidCertificateError,
    find_issuer,
    fingerprint,
    hash_of,
    organization_and_common_name,
    parse,
    pem_of,
    require_chain,
    responder_url,
)
from station.security.certificates.certificate_results import CertificateRefusal, CertificateRefusalReason
from station.security.certificates.root_certificates import CertificateUse
from station.security.security_events import SecurityEventType
from station.storage import private_files

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography.x509 import Certificate, CertificateSigningRequest

    from foundation.clock import Clock
    from station.security.certificates.certificate_store import CertificateStore
    from station.security.security_events import SecurityEvents
    from station.security.security_settings import SecuritySettings

T = TypeVar("T")
_log = logging.getLogger(__name__)

_REQUEST: Final = "-----BEGIN CERTIFICATE REQUEST"
_MAX_CHILDREN: Final = 4
"""childCertificateHashData (its schema)"""


class SeccSubject(Frozen):
    """The subject of the certificate of an SECC."""

    secc_id: str
    """common name (ISO15118Ctrlr.SeccId)"""
    organization: str
    """ISO15118Ctrlr.OrganizationName"""
    country: str
    """ISO15118Ctrlr.CountryName, two letters; empty: left out"""


class SeccChain(Frozen):
    """An installed chain, as GetInstalledCertificateIds reports it."""

    evse_id: int
    leaf: CertificateHash
    children: tuple[CertificateHash, ...]
    """its sub-authorities"""


class StatusQuery(Frozen):
    """One certificate of an SECC whose status is to be requested (M06)."""

    evse_id: int
    request: OcspRequest
    certificate_pem: str
    issuer_pem: str

    @property
    def key(self) -> str:
        """Identifies the certificate, as `CertificateHash.key`."""
        return f"{self.request.issuer_key_hash}-{self.request.serial_number}"


class SignedChainResult(Frozen):
    """What became of a chain that the CSMS has sent."""

    evse_id: int | None
    """the EVSE whose request it answers; None: none"""
    refusal: CertificateRefusal | None
    """None: it is installed"""


class SeccCertificates:
    """The V2G certificate chains of a station's EVSEs, with their keys and pending requests."""

    def __init__(
        self,
        folder: Path,
        evse_ids: Sequence[int],
        roots: CertificateStore,
        settings: SecuritySettings,
        clock: Clock,
        security_events: SecurityEvents,
    ) -> None:
        """`evse_ids`: the EVSEs that have an SECC; `roots`: holds the V2G roots."""
        self._files = {evse_id: _SeccFiles(folder / str(evse_id)) for evse_id in evse_ids}
        self._roots = roots
        self._settings = settings
        self._clock = clock
        self._events = security_events
        self._lock = asyncio.Lock()
        self.changed: Event[int] = Event()
        """published with the EVSE after a chain was installed or deleted"""

    @property
    def evse_ids(self) -> tuple[int, ...]:
        """The EVSEs that have an SECC."""
        return tuple(self._files)

    @property
    def count(self) -> int:
        """The number of installed chains."""
        return sum(files.current.exists() for files in self._files.values())

    def file(self, evse_id: int) -> Path | None:
        """The PEM file with private key and chain of an EVSE; None: there is none."""
        current = self._files[evse_id].current
        return current if current.exists() else None

    async def new_signing_request(self, evse_id: int, subject: SeccSubject) -> str:
        """Create and store a key pair (ECDSA P-256); return its signing request, PEM (A02.FR.02, A02.FR.03).

        Raises:
            OSError: the key could not be stored.
        """
        return await self._in_thread(lambda: self._files[evse_id].new_signing_request(subject))

    async def install_signed(self, pem: str) -> SignedChainResult:
        """Check and store a signed chain (A02.FR.06), for the EVSE whose pending key it is.

        An invalid one is a security event (A02.FR.07), but a repeated answer to one request is not.
        """
        if len(pem) > self._settings.max_certificate_chain_size:  # A02.FR.16
            reason = f"has more than {self._settings.max_certificate_chain_size} characters"
            return SignedChainResult(None, CertificateRefusal(CertificateRefusalReason.TOO_LARGE, reason))
        roots = self._roots.trusted_roots(CertificateUse.V2G_ROOT)
        evse_id = None
        try:
            evse_id = await self._in_thread(lambda: self._requesting_evse(pem))
            if evse_id is None:
                reason = "the station already has a certificate for this key"
                return SignedChainResult(None, CertificateRefusal(CertificateRefusalReason.UNASKED, reason))
            await self._in_thread(lambda: self._install_signed(evse_id, pem, roots, self._clock.now()))
        except InvalidCertificateError as error:
            await self._events.report(SecurityEventType.INVALID_CHARGING_STATION_CERTIFICATE, str(error))
            return SignedChainResult(evse_id, CertificateRefusal(CertificateRefusalReason.INVALID, str(error)))
        except OSError as error:
            return SignedChainResult(evse_id, CertificateRefusal(CertificateRefusalReason.STORAGE, str(error)))
        self.changed.publish(evse_id)
        return SignedChainResult(evse_id, None)

    async def fingerprints(self) -> dict[int, str]:
        """The SHA-256 of the certificate of each EVSE that has one, lower-case hexadecimal.

        Raises:
            OSError: a file cannot be read.
        """

        def read() -> dict[int, str]:
            chains = {evse_id: files.chain() for evse_id, files in self._files.items()}
            return {evse_id: fingerprint(chain[0]) for evse_id, chain in chains.items() if chain}

        return await self._in_thread(read)

    async def chains(self) -> list[SeccChain]:
        """The installed chains with their hashes; without certificates whose issuer is not known.

        Raises:
            OSError: a file cannot be read.
        """
        roots = self._roots.trusted_roots(CertificateUse.V2G_ROOT)

        def describe() -> list[SeccChain]:
            found: list[SeccChain] = []
            for evse_id, files in self._files.items():
                hashes = [hash_of(certificate, issuer) for certificate, issuer in files.with_issuers(roots)]
                if hashes:
                    found.append(SeccChain(evse_id, hashes[0], tuple(hashes[1 : 1 + _MAX_CHILDREN])))
            return found

        return await self._in_thread(describe)

    async def status_queries(self) -> list[StatusQuery]:
        """What identifies the certificates whose status is to be requested: leaf and sub-authorities (M06.FR.07).

        A certificate that names no responder is left out.

        Raises:
            OSError: a file cannot be read.
        """
        roots = self._roots.trusted_roots(CertificateUse.V2G_ROOT)

        def collect() -> list[StatusQuery]:
            return [
                StatusQuery(
                    evse_id,
                    OcspRequest(
                        hashed.algorithm, hashed.issuer_name_hash, hashed.issuer_key_hash, hashed.serial_number, url
                    ),
                    pem_of(certificate),
                    pem_of(issuer),
                )
                for evse_id, files in self._files.items()
                for certificate, issuer in files.with_issuers(roots)
                if (url := responder_url(certificate))
                for hashed in (hash_of(certificate, issuer),)
            ]

        return await self._in_thread(collect)

    async def expires_at(self, evse_id: int) -> datetime | None:
        """When the certificate of an EVSE expires; None: there is none.

        Raises:
            OSError: it cannot be read.
        """

        def expiry() -> datetime | None:
            chain = self._files[evse_id].chain()
            return chain[0].not_valid_after_utc if chain else None

        return await self._in_thread(expiry)

    async def delete(self, named: CertificateHash) -> bool:
        """Delete the chains that contain a certificate with this hash, and their keys (M04.FR.08); False: none does.

        Raises:
            OSError: one could not be deleted.
        """
        roots = self._roots.trusted_roots(CertificateUse.V2G_ROOT)

        def delete() -> list[int]:
            deleted: list[int] = []
            for evse_id, files in self._files.items():
                if any(hash_of(each, issuer, named.algorithm) == named for each, issuer in files.with_issuers(roots)):
                    private_files.remove(files.current)
                    deleted.append(evse_id)
            return deleted

        deleted = await self._in_thread(delete)
        for evse_id in deleted:
            self.changed.publish(evse_id)
        return bool(deleted)

    def _requesting_evse(self, pem: str) -> int | None:
        """The EVSE whose pending request a chain answers; None: it repeats the answer that is in use.

        Raises:
            InvalidCertificateError: it is no certificate, or for no key of this station.
        """
        chain = parse(pem)
        if not chain:
            raise InvalidCertificateError("contains no certificate")
        for evse_id, files in self._files.items():
            if files.is_requested(chain[0]):
                return evse_id
        if any(files.has_key_of(chain[0]) for files in self._files.values()):
            return None
        raise InvalidCertificateError("does not match the key of a request")

    def _install_signed(self, evse_id: int, pem: str, roots: Sequence[Certificate], moment: datetime) -> None:
        chain, files = parse(pem), self._files[evse_id]
        files.require_requested_name(chain[0])
        require_chain(chain, roots, moment)
        files.install(chain)
        _log.info("EVSE %d: V2G certificate installed: %s", evse_id, chain[0].subject.rfc4514_string())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work on the certificates in a thread, one call at a time."""
        async with self._lock:
            with self._clock.outside_wait():
                return await asyncio.to_thread(work)


class _SeccFiles:
    """The files of one EVSE: the key and chain in use, and the key with its pending request. Blocking."""

    def __init__(self, folder: Path) -> None:
        self.current = folder / "current.pem"
        self._pending = folder / "pending.pem"

    def chain(self) -> list[Certificate]:
        """The chain in use, leaf first; empty if there is none."""
        text = private_files.read(self.current)
        if text is None:
            return []
        try:
            return parse(text)
        except InvalidCertificateError as error:
            _log.error("V2G certificate %s %s", self.current, error)
            return []

    def with_issuers(self, roots: Sequence[Certificate]) -> list[tuple[Certificate, Certificate]]:
        """Each certificate of the chain with its issuer, leaf first; without a root, and those of unknown issuers."""
        chain = self.chain()
        pairs = [(certificate, find_issuer(certificate, [*chain, *roots])) for certificate in chain]
        return [(each, issuer) for each, issuer in pairs if issuer is not None and issuer != each]

    def new_signing_request(self, subject: SeccSubject) -> str:
        from station.security.certificates import key_pairs  # late: cryptography

        key = key_pairs.create_key(like=None)
        request = key_pairs.create_request(
            key, subject.secc_id, subject.organization, country=subject.country, domain="CPO"
        )
        private_files.write(self._pending, key_pairs.private_pem(key) + request)
        return request

    def has_key_of(self, leaf: Certificate) -> bool:
        """Return whether a certificate is for the key in use."""
        chain = self.chain()
        return bool(chain) and chain[0].public_key() == leaf.public_key()

    def is_requested(self, leaf: Certificate) -> bool:
        """Return whether a certificate is for the key of the pending request."""
        request = self._pending_request()
        return request is not None and leaf.public_key() == request.public_key()

    def require_requested_name(self, leaf: Certificate) -> None:
        """Check that a certificate has the common name of the pending request.

        Raises:
            InvalidCertificateError: it has another one.
        """
        request = self._pending_request()
        requested_name = organization_and_common_name(request.subject)[1] if request is not None else None
        if organization_and_common_name(leaf.subject)[1] != requested_name:
            raise InvalidCertificateError("is not for this SECC: its common name differs from the one of the request")

    def _pending_request(self) -> CertificateSigningRequest | None:
        """The pending request; None: there is none, or it cannot be read."""
        from station.security.certificates import key_pairs  # late: cryptography

        pending = private_files.read(self._pending)
        if pending is None:
            return None
        try:
            return key_pairs.load_request(pending[pending.index(_REQUEST) :])
        except ValueError:
            _log.error("the pending request %s cannot be read; another one is needed", self._pending)
            return None

    def install(self, chain: Sequence[Certificate]) -> None:
        """Use a chain with the key of the pending request from now on (A02.FR.15: the newest one)."""
        pending = private_files.read(self._pending) or ""
        key = pending[: pending.index(_REQUEST)]
        own = [certificate for certificate in chain if certificate.subject != certificate.issuer]
        private_files.write(self.current, key + "".join(pem_of(certificate) for certificate in own))
        private_files.remove(self._pending)
