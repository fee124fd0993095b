"""Downloads firmware from, and uploads logs to, servers of the CSMS over HTTP(S), FTP(S) or SFTP."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from station.security.certificates.certificate_checks import pem_of
from station.security.certificates.certificate_store import CertificateUse
from station.security.file_transfer.location import (
    DownloadFile,
    FileLocation,
    TlsContextFactory,
    TransferError,
    TransferFailure,
    UploadFile,
    open_file,
)
from station.storage.disk_space import free_bytes
from station.storage.storage_monitor import RESERVED_BYTES

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.security.certificates.certificate_store import CertificateStore

__all__ = [
    "PROTOCOLS",
    "FileLocation",
    "TlsContextFactory",
    "TransferError",
    "TransferFailure",
    "download",
    "tls_context_factory",
    "upload",
]

_log = logging.getLogger(__name__)

PROTOCOLS: Final = ("HTTP", "HTTPS", "FTP", "FTPS", "SFTP")
"""OCPPCommCtrlr.FileTransferProtocols"""

_WIRE_PATIENCE_S = 1.0
"""how long a virtual clock waits for a transfer"""
_LONGEST_H = 6.0
"""hours that a whole transfer may take, enough for the largest image at 12 kB/s; ends one of a byte a minute"""
_MAX_RESUMES = 20
_PAUSE_S = 2.0
"""pause before reconnecting"""


async def download(url: str, target: Path, *, max_bytes: int, clock: Clock, tls: TlsContextFactory) -> None:
    """Download a file to `target`, which is overwritten. A lost connection is resumed while there is progress.

    Uses HTTP GET, FTP RETR or SFTP; user and password of the URL are used and not logged.
    After a failure, or when cancelled, `target` contains the part received.

    Raises:
        TransferError: the download failed.
    """
    location = FileLocation.parse(url)
    _log.info("downloading %s", location.log_text)
    with open_file(target, "wb") as file:
        sink = DownloadFile(file, max_bytes, room=free_bytes(target.parent) - RESERVED_BYTES)
        await _within_limit(_resume_on_loss(lambda: _fetch(location, sink, tls), lambda: sink.size, clock), clock)
        try:
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        except OSError as error:
            raise TransferError(TransferFailure.STORAGE, f"disk: {error.strerror}") from error


async def upload(
    source: Path, url: str, *, name: str, clock: Clock, tls: TlsContextFactory, follow_redirects: bool = True
) -> None:
    """Upload a file to a URL; if that names a directory, as `name` in it.

    HTTP: PUT, or POST of a form if the server does not support PUT (N01.FR.18, N01.FR.19); a redirect is a failure
    unless `follow_redirects`. FTP and SFTP resume
    a lost connection while there is progress (N01, error handling).

    Raises:
        TransferError: the upload failed.
    """
    location = FileLocation.parse(url)
    _log.info("uploading %s to %s", name, location.log_text)
    with open_file(source, "rb") as file:
        stream = UploadFile(file, name, os.fstat(file.fileno()).st_size, follows_redirects=follow_redirects)
        await _within_limit(_resume_on_loss(lambda: _send(location, stream, tls), lambda: stream.sent, clock), clock)


def tls_context_factory(certificates: CertificateStore) -> TlsContextFactory:
    """Make the factory of TLS contexts that trust the CSMS roots and the system's roots (N01.FR.15, N01.FR.16).

    The factory reads the roots at each call, and blocks: call it in a thread.
    """

    def context() -> ssl.SSLContext:
        ssl_context = ssl.create_default_context()
        ssl_context.minimum_version = ssl.TLSVersion.TLSv1_2
        roots = certificates.trusted_roots(CertificateUse.CSMS_ROOT)
        if roots:
            ssl_context.load_verify_locations(cadata="".join(pem_of(root) for root in roots))
        return ssl_context

    return context


async def _within_limit(transfer: Awaitable[None], clock: Clock) -> None:
    """Await a transfer, for at most `_LONGEST_H`.

    Raises:
        TransferError: it failed, or took too long.
    """
    try:
        async with clock.timeout(_LONGEST_H * 3_600.0):
            await transfer
    except TimeoutError as error:
        raise TransferError(TransferFailure.FAILED, f"not complete after {_LONGEST_H:g} hours") from error


async def _resume_on_loss(attempt: Callable[[], Awaitable[None]], transferred: Callable[[], int], clock: Clock) -> None:
    """Retry after a lost connection, as long as each attempt makes progress."""
    bytes_before = 0
    for number in range(_MAX_RESUMES + 1):
        try:
            with clock.outside_wait(_WIRE_PATIENCE_S):
                await attempt()
                return
        except TransferError as error:
            if not error.broken_off or transferred() <= bytes_before or number == _MAX_RESUMES:
                raise
            _log.info("file transfer: connection lost after %d bytes, resuming: %s", transferred(), error)
        bytes_before = transferred()
        await clock.sleep(_PAUSE_S)


class _TransferOverTls(Protocol):
    """The module of a protocol that may use TLS."""

    async def fetch(self, location: FileLocation, sink: DownloadFile, context: ssl.SSLContext, /) -> None: ...
    async def send(self, location: FileLocation, source: UploadFile, context: ssl.SSLContext, /) -> None: ...


class _Transfer(Protocol):
    """The module of a protocol with security of its own."""

    async def fetch(self, location: FileLocation, sink: DownloadFile, /) -> None: ...
    async def send(self, location: FileLocation, source: UploadFile, /) -> None: ...


async def _fetch(location: FileLocation, sink: DownloadFile, tls: TlsContextFactory) -> None:
    match location.scheme:
        case "http" | "https":
            http = await asyncio.to_thread(_http)
            await http.fetch(location, sink, await asyncio.to_thread(tls))
        case "sftp":
            sftp = await asyncio.to_thread(_sftp)
            await sftp.fetch(location, sink)
        case _:
            await _ftp().fetch(location, sink, await asyncio.to_thread(tls))


async def _send(location: FileLocation, source: UploadFile, tls: TlsContextFactory) -> None:
    match location.scheme:
        case "http" | "https":
            http = await asyncio.to_thread(_http)
            await http.send(location, source, await asyncio.to_thread(tls))
        case "sftp":
            sftp = await asyncio.to_thread(_sftp)
            await sftp.send(location, source)
        case _:
            await _ftp().send(location, source, await asyncio.to_thread(tls))


# The modules of protocols are imported on demand, to save time and memory at the start; those with a library in a
# thread, since it takes a second on a small machine.


def _http() -> _TransferOverTls:
    from station.security.file_transfer import http  # late: httpx

    return http


def _sftp() -> _Transfer:
    from station.security.file_transfer import sftp  # late: asyncssh

    return sftp


def _ftp() -> _TransferOverTls:
    from station.security.file_transfer import ftp  # late: only few CSMSs use it

    return ftp
