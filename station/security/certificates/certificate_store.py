"""The certificate store: trusted root certificates by use, and the station certificate (blocks A and M).

Files are handled by root_certificates.py and station_certificate.py. This module serializes access to them and runs it
in threads, since disk access and signatures are slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from foundation.events import Event
from station.security.certificates.certificate_checks import (
    CertificateHash,
    InvalidCertificateError,
    find_issuer,
    fingerprint,
    is_issued_by,
    matches_hash,
    parse,
    parse_single,
    pem_of,
    require_authority,
    require_key_of,
    require_properties,
    require_valid_at,
    revocation_deadlines,
)
from station.security.certificates.certificate_results import (
    CertificateRefusal,
    CertificateRefusalReason,
    ConfiguredFiles,
    InstalledRoot,
    TlsMaterial,
)
from station.security.certificates.root_certificates import CertificateUse, Root, RootCertificates
from station.security.certificates.station_certificate import CertificateSubject, StationCertificate
from station.security.security_events import SecurityEventType

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from foundation.clock import Clock
    from station.security.security_events import SecurityEvents
    from station.security.security_settings import SecuritySettings

__all__ = [
    "MAX_CERTIFICATES",
    "CertificateRefusal",
    "CertificateRefusalReason",
    "CertificateStore",
    "CertificateUse",
    "ConfiguredFiles",
    "InstalledRoot",
    "TlsMaterial",
]

T = TypeVar("T")
_log = logging.getLogger(__name__)

MAX_CERTIFICATES = 30
"""CertificateEntries.maxLimit: roots of a few operators and manufacturers, and their successors"""
_RENEW_BEFORE = timedelta(days=30)
"""A03.FR.02: a month"""


class CertificateStore:
    """The station's certificate store on disk: trusted roots by use, and the station certificate with its key.

    Changes are stored when the method returns. Methods that refuse return a CertificateRefusal, None on success.
    """

    def __init__(
        self,
        folder: Path,
        seed: ConfiguredFiles,
        settings: SecuritySettings,
        clock: Clock,
        security_events: SecurityEvents,
    ) -> None:
        self._folder = folder
        self._configured_files = seed
        self._settings = settings
        self._clock = clock
        self._events = security_events
        self._station = StationCertificate(folder / "station")
        self._roots = RootCertificates(folder)
        self._lock = asyncio.Lock()
        self._last_used_roots = ""
        """PEM of the roots with which the CSMS was last reached"""
        self.known_expiry: datetime | None = None
        """when the station certificate expires, as last read from the disk; None: there is none"""
        self.expiry_checked: Event[None] = Event()
        """published when the expiry was read: at the start, after changes of certificates, and at checks for renewal"""

    async def load(self) -> None:
        """Load the certificates, and import the files configured in the installation file; errors are only logged."""
        if self._folder.exists() or self._configured_files != ConfiguredFiles():
            await self._in_thread(self._load)
            await self._check_expiry()

    # For TLS

    async def tls_material(self, *, client_certificate: bool, fallback_root: bool = False) -> TlsMaterial:
        """Collect the certificates for a connection attempt to the CSMS, after importing changed configured files.

        `client_certificate`: security profile 3. `fallback_root`: trust the replaced CSMS root instead of the new
        one, which does not match the CSMS's certificate (M05.FR.14, M05.FR.16). If there is no such root: all of them.

        Raises:
            OSError: a configured file cannot be read, or a required certificate is missing.
        """
        return await self._in_thread(lambda: self._tls_material(client_certificate, fallback_root))

    @property
    def station_certificate_file(self) -> Path | None:
        """PEM file with the station's private key and chain; None: no station certificate."""
        return self._station.file

    @property
    def has_fallback_root(self) -> bool:
        """Whether a replaced CSMS root is kept beside its successor (M05.FR.12)."""
        return {root.fallback for root in self._roots.of({CertificateUse.CSMS_ROOT})} == {True, False}

    async def note_connected(self, material: TlsMaterial) -> None:
        """Record a successful connection with this material: delete certificates that are not needed any more.

        These are the replaced CSMS root (M05.FR.13), and the old or the renewed station certificate, whichever was not
        used (A02.FR.10). Disk errors are only logged.
        """
        try:
            discarded = await self._in_thread(lambda: self._apply_connected(material))
        except OSError as error:
            _log.error("replaced certificates could not be deleted: %s", error)
            return
        await self._check_expiry()
        if discarded:  # A02.FR.29
            _log.warning("the CSMS accepted only the old station certificate; the renewed one is deleted")
            await self._events.report(SecurityEventType.DISCARDED_RENEWED_CLIENT_CERTIFICATE)

    def alternate_station_certificate(self) -> None:
        """Use the other station certificate next, since all NetworkConfigurationPriority entries failed (A02.FR.28)."""
        self._station.alternate()

    # Roots (block M)

    @property
    def count(self) -> int:
        """The number of installed certificates: roots with fallbacks, and the station's (CertificateEntries)."""
        return len(self._roots) + (self._station.file is not None)

    async def install(self, use: CertificateUse, pem: str) -> CertificateRefusal | None:
        """Check and store a root certificate for a use (M05); None: installed, also if it was already.

        With AdditionalRootCertificateCheck a CSMS root must be signed by the present one, which becomes the fallback.
        """
        try:
            refusal = await self._in_thread(lambda: self._install(use, pem))
        except InvalidCertificateError as error:  # M05.FR.07
            return CertificateRefusal(CertificateRefusalReason.INVALID, str(error))
        except OSError as error:  # M05.FR.03
            return CertificateRefusal(CertificateRefusalReason.STORAGE, str(error))
        await self._check_expiry()
        return refusal

    async def installed_roots(self, uses: Collection[CertificateUse]) -> list[InstalledRoot]:
        """The installed root certificates of these uses with their hashes; without those whose issuer is unknown."""

        def describe() -> list[InstalledRoot]:
            named = [(root, root.hash()) for root in self._roots.of(uses)]
            return [InstalledRoot(root.use, name, root.fallback) for root, name in named if name is not None]

        return await self._in_thread(describe)

    async def delete(self, named: CertificateHash, *, link_needs_root: bool) -> CertificateRefusal | None:
        """Delete the root certificates with this hash (M04); None: deleted.

        Args:
            named: the hash, as `installed_roots` returns it.
            link_needs_root: whether the connection to the CSMS needs a root certificate (security profiles 2 and 3);
                the last usable one is then not deleted (M04.FR.03).
        """
        try:
            refusal = await self._in_thread(lambda: self._delete(named, link_needs_root))
        except OSError as error:
            return CertificateRefusal(CertificateRefusalReason.STORAGE, str(error))
        await self._check_expiry()
        return refusal

    def trusted_roots(self, use: CertificateUse) -> list[Certificate]:
        """The trusted root certificates for this use, including a fallback; from memory."""
        return [root.certificate for root in self._roots.of({use})]

    async def has_valid_root(self) -> bool:
        """Return whether a trusted CSMS root certificate is currently within its validity period (A05.FR.02)."""
        return await self._in_thread(
            lambda: any(self._is_valid(root) for root in self.trusted_roots(CertificateUse.CSMS_ROOT))
        )

    # The station's own certificate (A02, A03)

    async def has_valid_station_certificate(self) -> bool:
        """Return whether there is a station certificate within its validity period now (A05.FR.03)."""
        return await self._in_thread(lambda: any(self._is_valid(leaf) for leaf in self._station.chain()[:1]))

    async def station_certificate_expires(self) -> datetime | None:
        """When the station certificate expires; None if there is none."""

        def expiry() -> datetime | None:
            chain = self._station.chain()
            return chain[0].not_valid_after_utc if chain else None

        self.known_expiry = await self._in_thread(expiry) if self._station.file is not None else None
        self.expiry_checked.publish(None)
        return self.known_expiry

    @property
    def days_left(self) -> int | None:
        """Whole days until the station certificate expires, negative once it has; None: there is none."""
        return (self.known_expiry - self._clock.now()).days if self.known_expiry is not None else None

    async def _check_expiry(self) -> None:
        with contextlib.suppress(OSError):  # it is read again at the next check for renewal
            await self.station_certificate_expires()

    async def renewal_due(self) -> bool:
        """Return whether the station certificate expires within 30 days or has expired (A03.FR.02); False: none."""
        expires = await self.station_certificate_expires()
        return expires is not None and expires - self._clock.now() <= _RENEW_BEFORE

    async def new_signing_request(self, owner: CertificateSubject) -> str:
        """Create and store a key pair; return its certificate signing request, PEM (A02.FR.02); replaces a pending one.

        Raises:
            OSError: the key could not be stored.
        """
        return await self._in_thread(lambda: self._station.new_signing_request(owner))

    async def install_signed(self, pem: str) -> CertificateRefusal | None:
        """Check and store the signed station certificate (A02.FR.06); it is used from the next connection on.

        None: installed. A rejected one is a security event (A02.FR.07), except for a repeated response to one request.
        """
        if len(pem) > self._settings.max_certificate_chain_size:  # A02.FR.16
            return CertificateRefusal(
                CertificateRefusalReason.TOO_LARGE,
                f"has more than {self._settings.max_certificate_chain_size} characters",
            )
        try:
            if await self._in_thread(lambda: self._station.holds_key_of(pem)):
                return CertificateRefusal(
                    CertificateRefusalReason.UNASKED, "the station already has a certificate for this key"
                )
            await self._in_thread(
                lambda: self._station.install_signed(
                    pem, self.trusted_roots(CertificateUse.CSMS_ROOT), self._clock.now()
                )
            )
        except InvalidCertificateError as error:
            await self._events.report(SecurityEventType.INVALID_CHARGING_STATION_CERTIFICATE, str(error))
            return CertificateRefusal(CertificateRefusalReason.INVALID, str(error))
        except OSError as error:
            return CertificateRefusal(CertificateRefusalReason.STORAGE, str(error))
        await self._check_expiry()
        return None

    # For installers and test benches, without checks

    async def install_unchecked(self, use: CertificateUse | None, pem: str) -> None:
        """Store a root certificate, or with None the station's key and chain, without checking validity or issuer.

        For installers and test benches; not for the CSMS.

        Raises:
            InvalidCertificateError: the PEM cannot be read.
            OSError: it could not be stored.
        """

        def store() -> None:
            if use is None:
                require_key_of(parse(pem)[0], pem)
                self._station.store(pem)
            else:
                self._roots.save(use, parse_single(pem))

        await self._in_thread(store)
        await self._check_expiry()

    async def remove_unchecked(self, use: CertificateUse | None, pem: str | None = None) -> int:
        """Delete one root (`pem`), all roots of a use (no `pem`), or with use None the station certificate and key.

        For installers and test benches: it also removes what the CSMS connection needs. Returns the number removed.

        Raises:
            InvalidCertificateError: the PEM cannot be read.
            OSError: it could not be removed.
        """

        def remove() -> int:
            if use is None:
                had = self._station.file is not None
                self._station.delete()
                return int(had)
            only = fingerprint(parse_single(pem)) if pem is not None else None
            roots = [root for root in self._roots.of({use}) if only is None or root.file.stem == only]
            for root in roots:
                self._roots.delete(root)
            return len(roots)

        removed = await self._in_thread(remove)
        await self._check_expiry()
        return removed

    async def all_pem(self) -> list[tuple[str, bool, str]]:
        """All installed certificates, as (certificate type, whether it is a fallback, PEM without key or chain)."""

        def describe() -> list[tuple[str, bool, str]]:
            roots = [(root.use.value, root.fallback, root.own_pem) for root in self._roots.of()]
            own = [pem_of(leaf) for leaf in self._station.chain()[:1]]
            return [*roots, *(("ChargingStationCertificate", False, pem) for pem in own)]

        return await self._in_thread(describe)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work on the certificates in a thread, one call at a time."""
        async with self._lock:
            with self._clock.outside_wait():
                return await asyncio.to_thread(work)

    def _load(self) -> None:
        try:
            self._roots.load()
            self._import_configured_files()
        except (OSError, InvalidCertificateError) as error:
            _log.error("certificates cannot be loaded: %s", error)

    def _import_configured_files(self) -> None:
        seed = self._configured_files
        if seed.ca_file is not None:
            self._roots.import_file(seed.ca_file)
        if seed.certificate_file is not None and seed.key_file is not None:
            self._station.import_files(seed.certificate_file, seed.key_file)

    def _tls_material(self, client_certificate: bool, fallback_root: bool) -> TlsMaterial:
        try:
            self._import_configured_files()
        except InvalidCertificateError as error:
            raise OSError(f"{self._configured_files.ca_file} {error}") from error
        station = self._station.file if client_certificate else None
        if client_certificate and station is None:
            raise FileNotFoundError("no charging station certificate is installed")
        installed = self._roots.of({CertificateUse.CSMS_ROOT})
        roots = [root for root in installed if root.fallback is fallback_root] or installed
        checked = self._settings.additional_root_certificate_check  # M05.FR.09: only the installed root is trusted
        system_roots = self._configured_files.ca_file is None and not (checked and roots)
        if not roots and not system_roots:
            raise FileNotFoundError("no CSMS root certificate is installed")
        return TlsMaterial(
            "".join(root.own_pem for root in roots),
            system_roots=system_roots,
            revocations=self._revocations_in_force(),
            station=station,
            with_fallback_root=any(root.fallback for root in roots),
        )

    def _revocations_in_force(self) -> Path | None:
        """The configured revocation lists, unless one has expired: an expired list must not make the CSMS
        unreachable."""
        file = self._roots.revocations
        if file is None:
            return None
        if any(moment < self._clock.now() for moment in revocation_deadlines(file.read_text(encoding="utf-8"))):
            _log.warning("%s: a revocation list has expired; revocation is not checked", self._configured_files.ca_file)
            return None
        return file

    def _apply_connected(self, material: TlsMaterial) -> bool:
        self._last_used_roots = material.roots
        if not material.with_fallback_root:
            for root in self._roots.fallbacks:
                if root.own_pem not in material.roots:  # otherwise it was replaced during this connection attempt
                    self._roots.delete(root)
                    _log.info("connected with the new CSMS root certificate; the replaced one is deleted")
        return material.station is not None and self._station.end_trial(material.station)

    def _install(self, use: CertificateUse, pem: str) -> CertificateRefusal | None:
        certificate = parse_single(pem)
        require_properties(certificate)
        require_valid_at(certificate, self._clock.now())
        require_authority(certificate)
        if find_issuer(certificate, self._roots.certificates()) is None:
            raise InvalidCertificateError("is signed neither by itself nor by an installed certificate")
        present = [root for root in self._roots.of({use}) if not root.fallback]
        is_installed = any(root.file.stem == fingerprint(certificate) for root in present)  # M05.FR.17
        replaced: list[Root] = []
        if use is CertificateUse.CSMS_ROOT and self._settings.additional_root_certificate_check and not is_installed:
            if present and not any(is_issued_by(certificate, root.certificate) for root in present):
                raise InvalidCertificateError(
                    "is not signed by the CSMS root certificate that it replaces"
                )  # M05.FR.11
            replaced = present
        if not is_installed and not replaced and self.count >= MAX_CERTIFICATES:  # M05.FR.06
            return CertificateRefusal(
                CertificateRefusalReason.TOO_MANY,
                f"the maximum of {MAX_CERTIFICATES} certificates is installed already",
            )
        self._roots.save(use, certificate)
        self._roots.replace(replaced)
        _log.info("%s installed: %s", use, certificate.subject.rfc4514_string())
        return None

    def _delete(self, certificate_hash: CertificateHash, link_needs_root: bool) -> CertificateRefusal | None:
        matching = [root for root in self._roots.of() if root.hash(certificate_hash.algorithm) == certificate_hash]
        needed = self._root_in_use() if link_needs_root else None
        deletable = [root for root in matching if root != needed]  # M04.FR.03; for another use
        for root in deletable:
            self._roots.delete(root)
            _log.info("%s deleted: serial number %s", root.use, certificate_hash.serial_number)
        if matching:
            return (
                None
                if deletable
                else CertificateRefusal(
                    CertificateRefusalReason.IN_USE, "is the root certificate that the CSMS connection needs"
                )
            )
        if any(matches_hash(certificate, certificate_hash) for certificate in self._station.all()):
            return CertificateRefusal(
                CertificateRefusalReason.IN_USE, "is the charging station certificate"
            )  # M04.FR.06
        return CertificateRefusal(CertificateRefusalReason.NOT_FOUND, "is not installed")  # M04.FR.04

    def _root_in_use(self) -> Root | None:
        """The only root with which the last connection succeeded, or else the only one installed; None if ambiguous."""
        installed = self._roots.of({CertificateUse.CSMS_ROOT})
        proved = [root for root in installed if root.own_pem in self._last_used_roots]
        candidates = proved or installed
        return candidates[0] if len(candidates) == 1 else None

    def _is_valid(self, certificate: Certificate) -> bool:
        try:
            require_valid_at(certificate, self._clock.now())
        except InvalidCertificateError:
            return False
        return True
