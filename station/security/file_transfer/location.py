"""Common parts of file transfers: location, errors, source and target files."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen

CHUNK = 65_536
"""bytes read at a time"""
CONNECT_S = 30.0
IDLE_S = 60.0
"""time limit without data from the peer; real time, also with a virtual clock"""

TlsContextFactory = Callable[[], ssl.SSLContext]
"""creates the TLS context of a transfer, with the trusted roots (N01.FR.15)"""

USER_AGENT = "borne-file-transfer"
"""User-Agent of HTTP transfers; the local API rejects it, so that a URL of the CSMS cannot access it"""

_PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 21, "sftp": 22}


class TransferFailure(StrEnum):
    """Why a file transfer failed, as finely as OCPP distinguishes it (UploadLogStatusEnumType)."""

    BAD_LOCATION = "bad location"
    """invalid URL or unknown protocol"""
    BAD_MESSAGE = "bad message"
    """protocol error, by the peer or reported by it"""
    PERMISSION_DENIED = "permission denied"
    NOT_SUPPORTED = "not supported"
    """the server does not support the request"""
    TOO_LARGE = "too large"
    REDIRECTED = "redirected"
    """the server redirects, and the transfer may not follow"""
    STORAGE = "storage"
    """error of the station's disk"""
    FAILED = "failed"
    """any other error: no such file, no connection, no response; trying again may help"""


class TransferError(ExpectedError):
    """A transfer failed. `broken_off`: the connection was lost, so that resuming may be possible."""

    def __init__(self, failure: TransferFailure, reason: str, *, broken_off: bool = False) -> None:
        super().__init__(reason)
        self.failure = failure
        self.broken_off = broken_off


class FileLocation(Frozen):
    """The parsed URL of a file on a server; user and password are not contained in `url` and `log_text`."""

    scheme: str
    host: str
    port: int
    path: str
    """decoded, with its leading slash; empty if the URL has none"""
    url: str
    """with query, without user and password"""
    user: str | None = None
    """decoded, as the password; None if the URL has none"""
    password: str | None = None

    def __repr__(self) -> str:
        return f"FileLocation({self.log_text!r})"

    @property
    def log_text(self) -> str:
        """The URL for logs: without user and password, and without query, which may contain a signature."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_directory(self) -> bool:
        """Whether the URL names a directory: it ends with a slash or has no path (as in curl)."""
        return self.path.endswith("/") or not self.path

    def file_name(self, name: str) -> str:
        """The name that an uploaded file gets here: `name` in a directory, else the last segment of the path."""
        return name if self.is_directory else self.path.rpartition("/")[2]

    @staticmethod
    def parse(url: str) -> FileLocation:
        """Parse and check a URL of the CSMS (http, https, ftp, ftps, sftp); connects to nothing.

        Raises:
            TransferError: the URL is invalid or not supported.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise TransferError(TransferFailure.BAD_LOCATION, f"not a URL: {error}") from error
        if parts.scheme not in _PORTS:
            raise TransferError(TransferFailure.BAD_LOCATION, f"protocol {parts.scheme[:20]!r} is not supported")
        user = unquote(parts.username) if parts.username is not None else None
        password = unquote(parts.password) if parts.password is not None else None
        path = unquote(parts.path)
        # A line break in a URL would inject commands into the control connection of FTP.
        texts = (url, path, user or "", password or "")
        if not parts.hostname or not all(text.isprintable() for text in texts) or " " in url:
            raise TransferError(
                TransferFailure.BAD_LOCATION, "URL without a host, or with spaces or control characters"
            )
        try:
            parts.hostname.encode("idna")  # as address resolution will do
        except UnicodeError as error:
            raise TransferError(TransferFailure.BAD_LOCATION, "invalid host name") from error
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
        return FileLocation(
            parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port, path, bare, user, password
        )


class DownloadFile:
    """The local file that a download writes; refuses more than `max_bytes`, or than the free space `room` (bytes)."""

    def __init__(self, file: BinaryIO, max_bytes: int, room: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._room = room
        self.size = 0
        """bytes received so far"""
        self.validator: str | None = None
        """identifies the version of the remote file (ETag, Last-Modified)"""

    def expect(self, total: int | None) -> None:
        """Raise if the whole file, of `total` bytes, would exceed the limits; None: its size is unknown.

        Raises:
            TransferError: the file is larger than allowed, or than the free disk space.
        """
        if total is not None and total > self._max_bytes:
            raise TransferError(
                TransferFailure.TOO_LARGE, f"the file has {total} bytes, more than the allowed {self._max_bytes}"
            )
        if total is not None and total > self._room:
            raise TransferError(TransferFailure.STORAGE, f"not enough disk space for {total} bytes")

    async def write(self, chunk: bytes) -> None:
        """Append a chunk; in a thread, since a slow SD card may block.

        Raises:
            TransferError: the file is too large, or a disk error.
        """
        self.expect(self.size + len(chunk))
        try:
            await asyncio.to_thread(self._file.write, chunk)
        except OSError as error:
            raise TransferError(TransferFailure.STORAGE, f"disk: {error.strerror}") from error
        self.size += len(chunk)

    def restart(self) -> None:
        """Empty the local file, since the peer sends the file from its beginning."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0


class UploadFile:
    """The local file that an upload reads, and the name that it gets on the server."""

    def __init__(self, file: BinaryIO, name: str, size: int, *, follows_redirects: bool = True) -> None:
        self._file = file
        self.name = name
        self.size = size
        self.follows_redirects = follows_redirects
        """whether it may be sent to where an HTTP server redirects it"""
        self.sent = 0
        """position up to which it was read"""

    def seek(self, offset: int) -> None:
        """Continue reading at this position."""
        self._file.seek(offset)
        self.sent = offset

    def read(self, max_bytes: int = CHUNK) -> bytes:
        """Read the next chunk and advance `sent`; empty at the end. Blocks for one disk access.

        Raises:
            TransferError: a disk error.
        """
        try:
            chunk = self._file.read(min(max_bytes, self.size - self.sent))
        except OSError as error:
            raise TransferError(TransferFailure.STORAGE, f"disk: {error.strerror}") from error
        self.sent += len(chunk)
        return chunk


def open_file(path: Path, mode: str) -> BinaryIO:
    """Open a local file in a binary mode for a transfer.

    Raises:
        TransferError: the file cannot be opened.
    """
    try:
        return path.open(mode)  # type: ignore[return-value]  # only binary modes are asked for
    except OSError as error:
        raise TransferError(TransferFailure.STORAGE, f"disk: {error.strerror}") from error


def connection_error(error: BaseException) -> TransferError:
    """Convert an error of the connection to a TransferError that says it may be resumed; the caller raises it."""
    reason = str(error) or type(error).__name__
    return TransferError(TransferFailure.FAILED, reason, broken_off=True)
