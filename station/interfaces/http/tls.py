"""The certificate of the local page: from the installation file, the station's own, or self-signed."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.core.identifiers import host_name
from station.interfaces.mdns import addresses_of
from station.storage import private_files

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.configuration.installation_file import Configuration
    from station.security.certificates.certificate_store import CertificateStore

_log = logging.getLogger(__name__)

_CHECK_EVERY_S: Final = 30.0
"""interval at which files and addresses of the machine are checked for a change"""
_IPV6_TABLE: Final = Path("/proc/net/if_inet6")
"""address, interface index, prefix length, scope and flags in hexadecimal, name of the interface"""
_IFA_F_TEMPORARY: Final = 0x01
_NAMES: Final = "# names: "
"""prefix of the first line of the self-signed file; reading the names from the certificate itself would load a library
of 10 MiB at each start"""


class TlsFiles(Frozen):
    """The paths of the PEM files of a certificate and its key, on disk."""

    certificate: Path
    key: Path | None = None
    """None: it is in the file of the certificate"""


class PageTls:
    """Provides the TLS context of the page, and follows changes of its certificate, which new connections then use."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        certificates: Callable[[], CertificateStore | None],
        clock: Clock,
    ) -> None:
        """`configuration` returns the current configuration; `certificates` returns None while the station is off."""
        self._configuration = configuration
        self._certificates = certificates
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._version_in_use: tuple[object, ...] = ()

    def context(self) -> ssl.SSLContext:
        """Return the TLS context for the next connection: always one whose certificate does not change any more.

        The first call reads the files, and blocks.

        Raises:
            OSError: the files cannot be read or written, or are not a certificate and its key.
        """
        if self._context is None:
            files = self._current_files()
            self._context, self._version_in_use = _create_context(files), _file_versions(files)
        return self._context

    async def follow(self) -> None:
        """Use the new certificate whenever its files or the machine's addresses change.

        Checks every 30 seconds until cancelled, while the station runs; open connections keep the old certificate.

        Raises:
            OSError: the files cannot be read or written.
        """
        while True:
            await self._clock.sleep(_CHECK_EVERY_S)
            if self._context is not None and self._certificates() is not None:
                await asyncio.to_thread(self._reload_if_changed)

    def _reload_if_changed(self) -> None:
        files = self._current_files()
        if (version := _file_versions(files)) == self._version_in_use:
            return
        try:
            self._context = _create_context(files)
        except OSError:
            return  # only one of the two files has been replaced so far: wait until they match
        self._version_in_use = version
        _log.info("local API: the page uses a new certificate: %s", files.certificate)

    def _current_files(self) -> TlsFiles:
        certificates = self._certificates()
        own_file = certificates.station_certificate_file if certificates is not None else None
        return tls_files(self._configuration(), own_file, self._clock)


def _create_context(files: TlsFiles) -> ssl.SSLContext:
    """A context of a server with this certificate; raises OSError like `PageTls.context`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    return context


def tls_files(configuration: Configuration, own_file: Path | None, clock: Clock) -> TlsFiles:
    """The certificate and key of the page: from the configuration, else `own_file` of the station, else self-signed.

    Blocks. A missing self-signed certificate, or one that lacks a name, is created and stored as `page.pem`.

    Raises:
        OSError: the files cannot be read or written.
    """
    http = configuration.http
    if http.certificate_file is not None:
        return TlsFiles(http.certificate_file, http.key_file)
    if own_file is not None and _is_usable(TlsFiles(own_file)):
        return TlsFiles(own_file)
    self_signed_files, names = TlsFiles(Path(configuration.station.storage) / "page.pem"), page_names(configuration)
    # A certificate with more names than needed is kept: users have made their browsers trust it.
    if not _is_usable(self_signed_files) or not names <= _names_in(self_signed_files.certificate):
        from station.interfaces.http.self_signed import self_signed  # late: cryptography

        pem = self_signed(configuration.station.identity, names, clock.now())
        private_files.write(self_signed_files.certificate, f"{_NAMES}{' '.join(sorted(names))}\n{pem}")
    return self_signed_files


def page_names(configuration: Configuration) -> frozenset[str]:
    """The host names and IP addresses under which browsers reach the page: those for its self-signed certificate."""
    labels = {configuration.station.identity, configuration.mdns.name or configuration.station.identity}
    local = {f"{host_name(label).lower()}.local" for label in labels}
    names = {name.lower() for name in configuration.http.names if name.isascii()}
    addresses = {ip.partition("%")[0] for ip in addresses_of(configuration.http.host) if _is_stable_address(ip)}
    return frozenset({*local, *names, *addresses, "localhost", "127.0.0.1", "::1"})


def _is_stable_address(address: str) -> bool:
    """Return True if an address is stable enough for the certificate of the page.

    Users must make their browsers trust each new certificate. IPv6 privacy addresses change each day (RFC 8981);
    link-local addresses change with containers, and no URL can contain them.
    """
    if ":" not in address:
        return True
    ip = ipaddress.ip_address(address)
    return not ip.is_link_local and ip not in _temporary_addresses()


def _temporary_addresses() -> frozenset[ipaddress.IPv6Address]:
    """The IPv6 privacy addresses of this machine; empty if the system does not list them."""
    try:
        rows = [line.split() for line in _IPV6_TABLE.read_text(encoding="ascii").splitlines()]
    except OSError:
        return frozenset()
    return frozenset(ipaddress.IPv6Address(int(row[0], 16)) for row in rows if int(row[4], 16) & _IFA_F_TEMPORARY)


def _names_in(file: Path) -> frozenset[str]:
    """The names in the first line of a certificate file that the station made; empty without such a line."""
    first_line, _, _ = (private_files.read(file) or "").partition("\n")
    return frozenset(first_line.removeprefix(_NAMES).split()) if first_line.startswith(_NAMES) else frozenset()


def _file_versions(files: TlsFiles) -> tuple[object, ...]:
    """Paths, modification times and inodes of the files, to detect a replacement."""
    paths = [path for path in (files.certificate, files.key) if path is not None]
    return tuple((path, path.stat().st_mtime_ns, path.stat().st_ino) for path in paths)


def _is_usable(files: TlsFiles) -> bool:
    """Return whether key and certificate exist, match and are not corrupted."""
    try:
        _create_context(files)
    except OSError:  # includes ssl.SSLError
        return False
    return True
