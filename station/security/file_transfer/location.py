"""What file transfers have in common: where a file is, why one could not be moved, the two ends of the pipe."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

from foundation.frozen import frozen

CHUNK = 65_536
"""bytes that are in memory at a time, for each transfer"""
CONNECT_S = 30.0
IDLE_S = 60.0
"""a peer that takes or gives nothing for so long is gone; both are real seconds, since the wire is real"""

TlsContextFactory = Callable[[], ssl.SSLContext]
"""makes the TLS context of a transfer, with the certificates that it believes (N01.FR.15)"""

USER_AGENT = "borne-file-transfer"
"""how a transfer over HTTP names itself, so that our own API knows it and refuses: its URL comes from the CSMS"""

_PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 21, "sftp": 22}


class TransferFailure(StrEnum):
    """Kinds of failure, as far as a CSMS tells them apart (UploadLogStatusEnumType)."""

    BAD_LOCATION = "bad location"
    """the URL is none, or its protocol is not known"""
    BAD_MESSAGE = "bad message"
    """the peer does not keep to its protocol, or says that we do not"""
    PERMISSION_DENIED = "permission denied"
    NOT_SUPPORTED = "not supported"
    """the server cannot do what was asked"""
    TOO_LARGE = "too large"
    STORAGE = "storage"
    """our own disk"""
    FAILED = "failed"
    """anything else: no such file, no connection, no answer; trying again may help"""


class TransferError(Exception):
    """A file was not moved. `broken_off`: the connection was lost midway, so that going on may be possible."""

    def __init__(self, failure: TransferFailure, reason: str, *, broken_off: bool = False) -> None:
        super().__init__(reason)
        self.failure = failure
        self.broken_off = broken_off


@frozen
class FileLocation:
    """A URL, taken apart; what identifies its user is kept out of `url` and `shown`."""

    scheme: str
    host: str
    port: int
    path: str
    """decoded, with its leading slash; empty where the URL has none"""
    url: str
    """with its query, without its user"""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def log_text(self) -> str:
        """As a log may show it: without a user, and without a query, which may be a signature."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_directory(self) -> bool:
        """Whether the name of the file is left to us, as curl takes it: nothing follows the last slash."""
        return self.path.endswith("/") or not self.path

    @staticmethod
    def parse(url: str) -> FileLocation:
        """Take a URL apart.

        Raises:
            TransferError: it is none that we can use.
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
        # A line break would let a URL speak for itself on the control connection of FTP.
        texts = (url, path, user or "", password or "")
        if not parts.hostname or not all(text.isprintable() for text in texts) or " " in url:
            raise TransferError(TransferFailure.BAD_LOCATION, "not a URL with a host")
        try:
            parts.hostname.encode("idna")  # as whoever asks for its address will do
        except UnicodeError as error:
            raise TransferError(TransferFailure.BAD_LOCATION, "no host can have that name") from error
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
        return FileLocation(
            parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port, path, bare, user, password
        )


class DownloadFile:
    """The file that a download grows into, up to a bound, and as far as there is room for it."""

    def __init__(self, file: BinaryIO, most_bytes: int, room: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._room = room
        self.size = 0
        self.validator: str | None = None
        """what tells this version of the remote file from another (ETag, Last-Modified)"""

    def expect(self, total: int | None) -> None:
        """The peer says how large the whole file is.

        Raises:
            TransferError: too large.
        """
        if total is not None and total > self._most_bytes:
            raise TransferError(TransferFailure.TOO_LARGE, f"{total} bytes, more than {self._most_bytes}")
        if total is not None and total > self._room:
            raise TransferError(TransferFailure.STORAGE, f"disk: there is no room for {total} bytes")

    async def write(self, chunk: bytes) -> None:
        """Append what came; in a thread, since a slow card makes a writer wait when it has a lot to take.

        Raises:
            TransferError: too large, or the disk does not take it.
        """
        self.expect(self.size + len(chunk))
        try:
            await asyncio.to_thread(self._file.write, chunk)
        except OSError as error:
            raise TransferError(TransferFailure.STORAGE, f"disk: {error.strerror}") from error
        self.size += len(chunk)

    def restart(self) -> None:
        """The peer begins at the beginning."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0


class UploadFile:
    """The file that is uploaded."""

    def __init__(self, file: BinaryIO, name: str, size: int) -> None:
        self._file = file
        self.name = name
        self.size = size
        self.sent = 0
        """how far it was read"""

    def seek(self, offset: int) -> None:
        """Go on from there."""
        self._file.seek(offset)
        self.sent = offset

    def read(self, most: int = CHUNK) -> bytes:
        """The next piece; empty at the end.

        Raises:
            TransferError: the disk does not give it.
        """
        try:
            chunk = self._file.read(min(most, self.size - self.sent))
        except OSError as error:
            raise TransferError(TransferFailure.STORAGE, f"disk: {error.strerror}") from error
        self.sent += len(chunk)
        return chunk


def open_file(path: Path, mode: str) -> BinaryIO:
    """A file of ours.

    Raises:
        TransferError: it cannot be opened.
    """
    try:
        return path.open(mode)  # type: ignore[return-value]  # only binary modes are asked for
    except OSError as error:
        raise TransferError(TransferFailure.STORAGE, f"disk: {error.strerror}") from error


def connection_error(error: BaseException) -> TransferError:
    """The connection failed: told by its kind where it has no words of its own."""
    reason = str(error) or type(error).__name__
    return TransferError(TransferFailure.FAILED, reason, broken_off=True)
